//! Captions as Noah-Wukong has them: CSV with the columns `dir` (or `url`) and `caption`.
//!
//! A picture fetched from a URL is found by the last part of it.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::{Caption, PictureName};
use crate::csv::{self, Record};
use crate::lines::place;
use crate::output::text::show_path;

/// Where the columns are.
struct Columns {
    all: usize,
    dir: Option<usize>,
    url: Option<usize>,
    caption: usize,
}

impl Columns {
    fn find<'a>(names: impl Iterator<Item = &'a str>) -> Option<Self> {
        let names: Vec<String> = names.map(|name| name.trim().to_ascii_lowercase()).collect();
        let find = |wanted: &str| names.iter().position(|name| name == wanted);
        let columns =
            Self { all: names.len(), dir: find("dir"), url: find("url"), caption: find("caption")? };
        (columns.dir.is_some() || columns.url.is_some()).then_some(columns)
    }
}

/// Whether a line names the columns.
pub(super) fn is_header(line: &str) -> bool {
    Columns::find(line.split(',').map(|name| name.trim().trim_matches('"'))).is_some()
}

pub(super) fn parse(path: &Path, bytes: &[u8]) -> anyhow::Result<Vec<Caption>> {
    let mut records = csv::parse(path, bytes)?.into_iter();
    let header = records.next().map(|record| record.fields).unwrap_or_default();
    let columns = Columns::find(header.iter().map(String::as_str))
        .with_context(|| format!("{} does not begin with dir,caption or url,caption", show_path(path)))?;
    let mut names = UrlNames::default();
    let captions = records.map(|record| caption(path, &columns, &record, &mut names));
    let captions = captions.collect::<anyhow::Result<Vec<Caption>>>()?;
    if captions.is_empty() {
        bail!("{} has no captions: only its first line is there", show_path(path));
    }
    Ok(captions)
}

fn caption(path: &Path, columns: &Columns, record: &Record, names: &mut UrlNames) -> anyhow::Result<Caption> {
    let place = || place(path, record.line);
    if record.fields.len() != columns.all {
        bail!(
            "{} has {} columns, expected {} as in the first line: a caption with commas stands in quotes",
            place(),
            record.fields.len(),
            columns.all
        );
    }
    let field = |column: usize| record.fields.get(column).map(|field| field.trim()).filter(|f| !f.is_empty());
    let text = field(columns.caption).with_context(|| format!("{} has no caption", place()))?;
    let name = match (columns.dir.and_then(field), columns.url.and_then(field)) {
        (Some(dir), _) => dir.to_owned(),
        (None, Some(url)) => {
            let name = last_part(url).with_context(|| format!("{}: {url} ends in no file name", place()))?;
            names.check(path, &name, url, record.line)?;
            name
        }
        (None, None) => bail!("{} names no picture", place()),
    };
    let pictures = vec![PictureName::Name(name)];
    Ok(Caption { text: text.to_owned(), line: record.line, number: None, pictures })
}

/// What each name stands for: two URLs with one name would be one file.
#[derive(Default)]
struct UrlNames(HashMap<String, (String, usize)>);

impl UrlNames {
    fn check(&mut self, path: &Path, name: &str, url: &str, line: usize) -> anyhow::Result<()> {
        let (first, first_line) = self.0.entry(name.to_owned()).or_insert_with(|| (url.to_owned(), line));
        if first != url {
            bail!(
                "{} and line {first_line} both name the file {name}, by {url} and {first}: give each a file of its \
                 own, and name it in a column dir",
                place(path, line)
            );
        }
        Ok(())
    }
}

/// The file's name at the end of a URL, with `%E7%8C%AB` read as the character that it stands for.
fn last_part(url: &str) -> Option<String> {
    let without = url.split(['?', '#']).next()?;
    let without = without.split_once("://").map_or(without, |(_, rest)| rest);
    let (_, last) = without.rsplit_once('/')?;
    let name = decode_percents(last);
    (!name.is_empty() && !name.contains(['/', '\0'])).then_some(name)
}

/// What is no such code, or does not come to UTF-8, stays as it is.
fn decode_percents(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let code = (*first == b'%').then(|| behind.get(..2)).flatten();
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> anyhow::Result<Vec<(String, String, usize)>> {
        let captions = parse(Path::new("w.csv"), text.as_bytes())?;
        Ok(captions
            .into_iter()
            .map(|caption| {
                let [PictureName::Name(name)] = &caption.pictures[..] else { panic!("{caption:?}") };
                (name.clone(), caption.text, caption.line)
            })
            .collect())
    }

    #[test]
    fn rows_by_hand() {
        let row = |picture: &str, text: &str, line| (picture.to_owned(), text.to_owned(), line);
        let text = "\u{feff}dir,caption\r\n00000/1.jpg,\"一只猫,\n两只狗\"\r\n2.jpg,\" 他说\"\"好\"\" \"\r\n";
        assert_eq!(
            found(text).unwrap(),
            [row("00000/1.jpg", "一只猫,\n两只狗", 2), row("2.jpg", "他说\"好\"", 4)]
        );
        let text = "caption,n,URL\n猫,1,https://a.cn/b/%E7%8C%AB.jpg?w=1/2#x\n猫咪,2,https://a.cn/b/%E7%8C%AB.jpg?w=1/2#x\n";
        assert_eq!(found(text).unwrap(), [row("猫.jpg", "猫", 2), row("猫.jpg", "猫咪", 3)]);
        // Where there is a file, the URL is only where it came from.
        assert_eq!(found("url,dir,caption\nhttp://a/1.jpg,2.jpg,猫\n").unwrap(), [row("2.jpg", "猫", 2)]);
        for (text, told) in [
            ("dir,caption\n1.jpg,a,b\n", "line 2 of w.csv has 3 columns, expected 2"),
            ("dir,caption\n\n1.jpg\n", "line 3 of w.csv has 1 columns, expected 2"),
            ("dir,caption\n1.jpg,\" \"\n", "line 2 of w.csv has no caption"),
            ("dir,caption\n,猫\n", "line 2 of w.csv names no picture"),
            ("url,caption\nhttp://a.cn/,猫\n", "line 2 of w.csv: http://a.cn/ ends in no file name"),
            ("url,caption\na.jpg,猫\n", "line 2 of w.csv: a.jpg ends in no file name"),
            (
                "url,caption\nh://a/1.jpg,a\nh://b/1.jpg,b\n",
                "line 3 of w.csv and line 2 both name the file 1.jpg",
            ),
            ("dir,text\n1.jpg,猫\n", "w.csv does not begin with dir,caption or url,caption"),
            ("", "w.csv does not begin with"),
            ("dir,caption\n", "w.csv has no captions"),
            ("dir,caption\n1.jpg,\"猫\n", "line 2 of w.csv opens a quote"),
        ] {
            let error = found(text).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn only_whole_codes_are_decoded() {
        for (text, expected) in
            [("a%20b", "a b"), ("100%", "100%"), ("%zz%4", "%zz%4"), ("%+1", "%+1"), ("%ff", "%ff")]
        {
            assert_eq!(decode_percents(text), expected);
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            rows in prop::collection::vec(("[a-z/]{1,8}", "[a猫][a猫,\"\n ]{0,6}[a猫]"), 1..6),
        ) {
            let mut text = "dir,caption\n".to_owned();
            for (dir, caption) in &rows {
                text.push_str(&format!("{dir},\"{}\"\n", caption.replace('"', "\"\"")));
            }
            let found: Vec<_> = found(&text).unwrap().into_iter().map(|(dir, text, _)| (dir, text)).collect();
            prop_assert_eq!(found, rows);
        }

        #[test]
        fn nothing_panics(text in "(url,caption\n)?[a%,\"/:?#\n猫]{0,40}") {
            let _ = found(&text);
        }
    }
}
