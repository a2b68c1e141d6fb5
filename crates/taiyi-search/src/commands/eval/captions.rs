//! The table of captions: a picture's path, a tab, a text.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use taiyi_store::RelativePath;

use crate::output::text::show_path;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caption {
    /// Below the folder of pictures.
    pub(super) picture: RelativePath,
    pub(super) text: String,
    /// In the table, from 1.
    pub(super) line: usize,
}

/// The rows of a table, without those that repeat an earlier one.
#[derive(Debug)]
pub(super) struct Captions {
    path: PathBuf,
    pub(super) rows: Vec<Caption>,
    /// The lines left out because they repeat another.
    pub(super) repeated: Vec<usize>,
}

impl Captions {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", show_path(path)))?;
        Self::parse(path, &bytes)
    }

    fn parse(path: &Path, bytes: &[u8]) -> anyhow::Result<Self> {
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            bail!("{} is UTF-16: convert it, e.g. with iconv -f utf-16 -t utf-8", show_path(path));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut captions = Self { path: path.to_owned(), rows: Vec::new(), repeated: Vec::new() };
        let mut first = HashMap::new();
        for (index, bytes) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let line = index + 1;
            let Ok(text) = std::str::from_utf8(bytes) else {
                bail!(
                    "{} is not UTF-8: convert it, e.g. with iconv -f gb18030 -t utf-8",
                    captions.place(line)
                );
            };
            if text.trim().is_empty() {
                continue;
            }
            let columns: Vec<&str> = text.split('\t').collect();
            let [picture, caption] = columns[..] else {
                bail!(
                    "{} has {} tabs, expected one: the picture's path, a tab, its caption",
                    captions.place(line),
                    columns.len() - 1
                );
            };
            let (picture, caption) = (picture.trim(), caption.trim());
            if caption.is_empty() {
                bail!("{} has no caption behind the tab", captions.place(line));
            }
            let picture = RelativePath::from_path(Path::new(picture))
                .with_context(|| format!("{} names no picture below the folder", captions.place(line)))?;
            if first.insert((picture.clone(), caption.to_owned()), line).is_some() {
                captions.repeated.push(line);
            } else {
                captions.rows.push(Caption { picture, text: caption.to_owned(), line });
            }
        }
        if captions.rows.is_empty() {
            bail!(
                "{} has no captions: each line is a picture's path, a tab, and its caption",
                show_path(path)
            );
        }
        Ok(captions)
    }

    /// Names a line in a message.
    pub(super) fn place(&self, line: usize) -> String {
        format!("line {line} of {}", show_path(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> anyhow::Result<Captions> {
        Captions::parse(Path::new("表.tsv"), bytes)
    }

    #[test]
    fn rows_as_they_come_from_any_system() {
        let bytes =
            "\u{feff}动物/a b.jpg\t两只老虎\r\n\r\n./动物/a b.jpg\t 老虎 \n动物/a b.jpg\t两只老虎\nb.png\t猫";
        let captions = parse(bytes.as_bytes()).unwrap();
        let row = |picture: &str, text: &str, line| Caption {
            picture: RelativePath::from_path(Path::new(picture)).unwrap(),
            text: text.into(),
            line,
        };
        assert_eq!(
            captions.rows,
            [row("动物/a b.jpg", "两只老虎", 1), row("动物/a b.jpg", "老虎", 3), row("b.png", "猫", 5)]
        );
        assert_eq!(captions.repeated, [4]);
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
