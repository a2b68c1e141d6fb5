//! CSV as RFC 4180 has it: fields in quotes may hold commas, line breaks, and quotes written twice.
//!
//! Lines may end in LF or CRLF. A quote in the middle of a field without quotes stands for itself, as in the
//! files that people have. What cannot be told apart is refused: a field that is never closed, or that goes on
//! behind its closing quote.

use std::path::Path;

use anyhow::bail;

use crate::lines::{self, place};

/// A record, and the line that it starts in, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) line: usize,
    pub(crate) fields: Vec<String>,
}

/// The records in the bytes of the file in `path`, but for blank lines.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> anyhow::Result<Vec<Record>> {
    let text = lines::decode(path, bytes)?;
    let mut records = Vec::new();
    let mut chars = text.chars().peekable();
    let mut line = 1;
    while chars.peek().is_some() {
        let mut record = Record { line, fields: Vec::new() };
        let mut has_quotes = false;
        // A record ends with its line, or with the file.
        loop {
            let field = field(&mut chars, &mut line, path)?;
            has_quotes |= field.is_quoted;
            record.fields.push(field.text);
            if chars.next_if_eq(&',').is_none() {
                chars.next_if_eq(&'\r');
                line += usize::from(chars.next_if_eq(&'\n').is_some());
                break;
            }
        }
        let is_blank = record.fields.iter().map(|field| field.trim()).eq([""]);
        if !is_blank || has_quotes {
            records.push(record);
        }
    }
    Ok(records)
}

struct Field {
    text: String,
    is_quoted: bool,
}

/// The field at `chars`, which are left before what ends it.
fn field(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    line: &mut usize,
    path: &Path,
) -> anyhow::Result<Field> {
    let mut text = String::new();
    if chars.next_if_eq(&'"').is_none() {
        while let Some(c) = chars.next_if(|c| !matches!(c, ',' | '\n')) {
            text.push(c);
        }
        // The line ends in CRLF.
        if chars.peek() != Some(&',') && text.ends_with('\r') {
            text.pop();
        }
        return Ok(Field { text, is_quoted: false });
    }
    let opened = *line;
    loop {
        match chars.next() {
            Some('"') if chars.next_if_eq(&'"').is_some() => text.push('"'),
            Some('"') => break,
            Some(c) => {
                *line += usize::from(c == '\n');
                text.push(c);
            }
            None => bail!("{} opens a quote that is never closed", place(path, opened)),
        }
    }
    let mut behind = chars.clone();
    let ends = match behind.next() {
        None | Some(',' | '\n') => true,
        Some('\r') => matches!(behind.next(), None | Some('\n')),
        Some(_) => false,
    };
    if !ends {
        bail!(
            "{} goes on behind the closing quote of a field: quotes inside of one are written twice",
            place(path, *line)
        );
    }
    Ok(Field { text, is_quoted: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(text: &str) -> anyhow::Result<Vec<(usize, Vec<String>)>> {
        let records = parse(Path::new("表.csv"), text.as_bytes())?;
        Ok(records.into_iter().map(|record| (record.line, record.fields)).collect())
    }

    fn row(line: usize, fields: &[&str]) -> (usize, Vec<String>) {
        (line, fields.iter().map(|field| (*field).to_owned()).collect())
    }

    #[test]
    fn quotes_hold_what_would_part_fields() {
        let text =
            "\u{feff}dir,caption\r\n1.jpg,\"红色的,\n\"\"大\"\"苹果\"\r\n\r\n2.jpg,他说\"好\"\n3.jpg,\"\",\n";
        assert_eq!(
            records(text).unwrap(),
            [
                row(1, &["dir", "caption"]),
                row(2, &["1.jpg", "红色的,\n\"大\"苹果"]),
                row(5, &["2.jpg", "他说\"好\""]),
                row(6, &["3.jpg", "", ""]),
            ]
        );
        assert_eq!(records("").unwrap(), []);
        assert_eq!(records("\"\"").unwrap(), [row(1, &[""])]);
        assert_eq!(records("a,b").unwrap(), [row(1, &["a", "b"])]);
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        for (text, told) in [
            ("a,b\n\"x\ny,z\n", "line 2 of 表.csv opens a quote that is never closed"),
            ("a,b\n\"x\ny\"z,1\n", "line 3 of 表.csv goes on behind the closing quote"),
        ] {
            let error = records(text).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    /// As any writer of CSV would: quotes around everything, or only where they must be.
    fn written(rows: &[Vec<String>], always: bool, end: &str) -> String {
        let field = |field: &String| {
            let must = field.contains([',', '"', '\n', '\r']) || field.trim().is_empty();
            if always || must { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.clone() }
        };
        rows.iter().map(|row| row.iter().map(field).collect::<Vec<_>>().join(",") + end).collect()
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            rows in prop::collection::vec(prop::collection::vec("[ab猫,\"\r\n \t]{0,6}", 1..4), 0..6),
            always in any::<bool>(),
            end in prop_oneof![Just("\n"), Just("\r\n")],
        ) {
            let found: Vec<Vec<String>> =
                records(&written(&rows, always, end)).unwrap().into_iter().map(|(_, fields)| fields).collect();
            prop_assert_eq!(found, rows);
        }

        #[test]
        fn nothing_panics_and_lines_are_in_order(text in "[a,\"\r\n]{0,40}") {
            if let Ok(records) = records(&text) {
                prop_assert!(records.windows(2).all(|pair| pair[0].0 < pair[1].0));
                prop_assert!(records.iter().all(|(line, fields)| *line >= 1 && !fields.is_empty()));
            }
        }
    }
}
