//! Captions as COCO-CN and Flickr30k-CNA have them: a picture, `#`, the caption's number, a tab or a blank, and the
//! caption.
//!
//! `COCO_val2014_000000123456#0<TAB>两只老虎`, `1000268201.jpg#zhm#2 两只老虎`: the picture is what stands before the
//! first `#`, so that what the caption is called may hold another.

use std::path::Path;

use anyhow::bail;

use super::{Caption, PictureName};
use crate::lines::{self, place};
use crate::output::text::show_path;

/// Whether a line has this form. What stands behind the `#` is no file's ending, and no folder.
pub(super) fn is_row(line: &str) -> bool {
    parts(line).is_some_and(|(picture, number, _)| {
        !picture.is_empty() && !number.is_empty() && !number.contains(['.', '/', '\\'])
    })
}

/// Picture, number and caption.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let (picture, rest) = line.split_once('#')?;
    // Blanks may be part of the picture's name; a tab before the # begins a caption.
    let (number, text) = rest.split_once(['\t', ' ', '\u{3000}'])?;
    (!picture.contains('\t')).then_some((picture.trim(), number, text.trim()))
}

pub(super) fn parse(path: &Path, bytes: &[u8]) -> anyhow::Result<Vec<Caption>> {
    let mut captions = Vec::new();
    for (line, row) in lines::parse(path, bytes)? {
        let Some((picture, number, text)) = parts(row.trim()) else {
            bail!(
                "{} is not picture#number, a tab or a blank, and a caption: if it is a path, a tab and a caption, \
                 pass --layout tsv",
                place(path, line)
            );
        };
        if picture.is_empty() || number.is_empty() {
            bail!("{} has nothing on one side of the #, expected picture#number", place(path, line));
        }
        if text.is_empty() {
            bail!("{} has no caption behind {picture}#{number}", place(path, line));
        }
        let pictures = vec![PictureName::Name(picture.to_owned())];
        captions.push(Caption { text: text.to_owned(), line, number: None, pictures });
    }
    if captions.is_empty() {
        bail!("{} has no captions: each line is picture#number, a tab, and a caption", show_path(path));
    }
    Ok(captions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> anyhow::Result<Vec<(String, String, usize)>> {
        let captions = parse(Path::new("caps.txt"), text.as_bytes())?;
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
        let text = "\u{feff}COCO_val2014_000000123456#0\t两只 老虎\r\n\n1000.jpg#zhm#2 雪 地 #1\nmy cat.jpg#1\t 猫 \na b#0 狗";
        let row = |picture: &str, text: &str, line| (picture.to_owned(), text.to_owned(), line);
        assert_eq!(
            found(text).unwrap(),
            [
                row("COCO_val2014_000000123456", "两只 老虎", 1),
                row("1000.jpg", "雪 地 #1", 3),
                row("my cat.jpg", "猫", 4),
                row("a b", "狗", 5)
            ]
        );
        for (text, told) in [
            ("a#0\t猫\nb 猫\n", "line 2 of caps.txt is not picture#number"),
            ("a#0\n", "line 1 of caps.txt is not picture#number"),
            ("#0\t猫\n", "line 1 of caps.txt has nothing on one side"),
            ("a#\t猫\n", "line 1 of caps.txt has nothing on one side"),
            ("a#0\t \n", "line 1 of caps.txt is not picture#number"),
            ("\n", "caps.txt has no captions"),
        ] {
            let error = found(text).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            rows in prop::collection::vec(("[a-z_猫.]{1,8}", "[a-z0-9]{1,3}(#[0-9])?", "[a猫][a猫 #]{0,6}[a猫]"), 1..6),
            separator in prop_oneof![Just("\t"), Just(" ")],
        ) {
            let text: String =
                rows.iter().map(|(picture, number, text)| format!("{picture}#{number}{separator}{text}\n")).collect();
            let expected: Vec<_> = rows
                .iter()
                .enumerate()
                .map(|(index, (picture, _, text))| (picture.clone(), text.clone(), index + 1))
                .collect();
            prop_assert_eq!(found(&text).unwrap(), expected);
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(Path::new("caps.txt"), &bytes);
        }
    }
}
