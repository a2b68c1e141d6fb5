//! A table that says something of pictures: a picture's path, a tab, a text.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use taiyi_store::RelativePath;

use super::pictures::Pictures;
use crate::exit;
use crate::lines;
use crate::output::text::{count, show_path};

/// What the second column holds, in messages.
#[derive(Debug)]
pub(super) struct Column {
    name: &'static str,
    /// What one row stands for, and several.
    row: (&'static str, &'static str),
}

/// Texts that belong to a picture.
pub(super) const CAPTION: Column = Column { name: "caption", row: ("caption", "captions") };
/// The class that a picture is of.
pub(super) const CLASS: Column = Column { name: "class", row: ("row", "rows") };

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Below the folder of pictures.
    pub(super) picture: RelativePath,
    pub(super) text: String,
    /// In the table, from 1.
    pub(super) line: usize,
}

/// The rows of a table, without those that repeat an earlier one.
#[derive(Debug)]
pub(super) struct PictureTable {
    path: PathBuf,
    column: Column,
    pub(super) rows: Vec<Row>,
    /// The lines left out because they repeat another.
    pub(super) repeated: Vec<usize>,
}

impl PictureTable {
    /// Reads a table of pictures below `images`, and checks that each of them is there: before an hour of
    /// embedding, not after it.
    pub(super) fn read(path: &Path, column: Column, images: &Path) -> anyhow::Result<Self> {
        let table = Self::parse(path, column, lines::read(path)?)?;
        for row in &table.rows {
            if !images.join(row.picture.to_path()).is_file() {
                bail!(
                    "{}: there is no picture {} in {}",
                    table.place(row.line),
                    show_path(&row.picture.to_path()),
                    show_path(images)
                );
            }
        }
        if let Some(line) = table.repeated.first() {
            exit::warn(&format!(
                "{} in the table, counted once; the first is {}",
                count(table.repeated.len() as u64, "repeated row", "repeated rows"),
                table.place(*line)
            ));
        }
        Ok(table)
    }

    fn parse(path: &Path, column: Column, lines: Vec<(usize, String)>) -> anyhow::Result<Self> {
        let Column { name, row: (_, rows) } = column;
        let mut table = Self { path: path.to_owned(), column, rows: Vec::new(), repeated: Vec::new() };
        let mut first = HashSet::new();
        for (line, text) in lines {
            let columns: Vec<&str> = text.split('\t').collect();
            let [picture, text] = columns[..] else {
                bail!(
                    "{} has {} tabs, expected one: the picture's path, a tab, its {name}",
                    table.place(line),
                    columns.len() - 1
                );
            };
            let (picture, text) = (picture.trim(), text.trim());
            if text.is_empty() {
                bail!("{} has no {name} behind the tab", table.place(line));
            }
            let picture = RelativePath::from_path(Path::new(picture))
                .with_context(|| format!("{} names no picture below the folder", table.place(line)))?;
            if first.insert((picture.clone(), text.to_owned())) {
                table.rows.push(Row { picture, text: text.to_owned(), line });
            } else {
                table.repeated.push(line);
            }
        }
        if table.rows.is_empty() {
            bail!("{} has no {rows}: each line is a picture's path, a tab, and its {name}", show_path(path));
        }
        Ok(table)
    }

    /// Names a line in a message.
    pub(super) fn place(&self, line: usize) -> String {
        lines::place(&self.path, line)
    }

    /// Refuses rows on files that are there, but that the walk passes over.
    pub(super) fn check_walked(&self, walked: &HashSet<RelativePath>, images: &Path) -> anyhow::Result<()> {
        for row in &self.rows {
            if !walked.contains(&row.picture) {
                bail!(
                    "{}: {} is passed over: links, hidden and excluded files are, unless follow_links, hidden \
                     and exclude in config.toml say otherwise",
                    self.place(row.line),
                    show_path(&images.join(row.picture.to_path()))
                );
            }
        }
        Ok(())
    }

    /// The rows whose picture could be read. The rest is told.
    pub(super) fn known(&self, pictures: &Pictures, images: &Path) -> Known {
        let mut known = Known { rows: Vec::new(), pictures: Vec::new(), left_out: 0 };
        let mut first = None;
        for row in &self.rows {
            if let Some(picture) = pictures.by_path.get(&row.picture) {
                known.rows.push(row.clone());
                known.pictures.push(*picture);
                continue;
            }
            known.left_out += 1;
            first.get_or_insert_with(|| pictures.why_not(&self.path, row.line, Some(&row.picture), images));
        }
        if let Some(first) = first {
            let (one, many) = self.column.row;
            exit::warn(&format!(
                "{} left out, since the picture could not be read; the first is {first}",
                count(known.left_out as u64, &format!("{one} was"), &format!("{many} were"))
            ));
        }
        known
    }
}

/// Rows whose picture could be read.
pub(super) struct Known {
    pub(super) rows: Vec<Row>,
    /// The picture of each row.
    pub(super) pictures: Vec<usize>,
    /// How many rows are not among them.
    pub(super) left_out: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> anyhow::Result<PictureTable> {
        let path = Path::new("表.tsv");
        PictureTable::parse(path, CAPTION, lines::parse(path, bytes)?)
    }

    #[test]
    fn rows_as_they_come_from_any_system() {
        let bytes =
            "\u{feff}动物/a b.jpg\t两只老虎\r\n\r\n./动物/a b.jpg\t 老虎 \n动物/a b.jpg\t两只老虎\nb.png\t猫";
        let table = parse(bytes.as_bytes()).unwrap();
        let row = |picture: &str, text: &str, line| Row {
            picture: RelativePath::from_path(Path::new(picture)).unwrap(),
            text: text.into(),
            line,
        };
        assert_eq!(
            table.rows,
            [row("动物/a b.jpg", "两只老虎", 1), row("动物/a b.jpg", "老虎", 3), row("b.png", "猫", 5)]
        );
        assert_eq!(table.repeated, [4]);
    }

    #[test]
    fn slips_are_told_with_their_place() {
        for (bytes, told) in [
            (&b"a.jpg\tx\nb.jpg x\n"[..], "line 2 of 表.tsv has 0 tabs"),
            (b"a.jpg\tx\ty\n", "line 1 of 表.tsv has 2 tabs"),
            (b"a.jpg\tx\n\nb.jpg\t\xc0\n", "line 3 of 表.tsv is not UTF-8"),
            (b"\xff\xfea\0.\0j\0p\0g\0\t\0x\0\n\0", "表.tsv is UTF-16"),
            (b"a.jpg\t \n", "line 1 of 表.tsv has no caption"),
            (b"\tx\n", "line 1 of 表.tsv names no picture"),
            (b"../a.jpg\tx\n", "line 1 of 表.tsv names no picture"),
            (b"/a.jpg\tx\n", "line 1 of 表.tsv names no picture"),
            (b"", "表.tsv has no captions"),
            (b"\n \n", "表.tsv has no captions"),
        ] {
            let error = format!("{:#}", parse(bytes).unwrap_err());
            assert!(error.contains(told), "{error}");
        }
    }
}
