//! The forms that captions come in, and how they are told apart.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use taiyi_store::RelativePath;

use super::picture_table::{CAPTION, PictureTable};
use crate::flags::CaptionLayout;
use crate::lines;
use crate::output::text::show_path;

mod jsonl;
mod numbered;
mod wukong;

/// A text, and the pictures that are right for it, as a file says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caption {
    pub(super) text: String,
    /// In the file, from 1: where it begins.
    pub(super) line: usize,
    /// What the file calls it, where that is a number.
    pub(super) number: Option<u64>,
    /// At least one.
    pub(super) pictures: Vec<PictureName>,
}

/// What a file calls a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PictureName {
    /// Where it lies below the folder of pictures.
    Path(RelativePath),
    /// A file's name with or without its extension, wherever the file lies; perhaps with folders before it.
    Name(String),
}

/// Reads captions, in the layout asked for or the one that they seem to be in.
pub(super) fn read(
    path: &Path,
    asked: Option<CaptionLayout>,
    images: &Path,
) -> anyhow::Result<(CaptionLayout, Vec<Caption>)> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", show_path(path)))?;
    let layout = match asked {
        Some(layout) => layout,
        None => guess(path, lines::decode(path, &bytes)?),
    };
    tracing::info!("{} is read as {layout:?}", path.display());
    let captions = match layout {
        CaptionLayout::Tsv => of_table(&PictureTable::read(path, CAPTION, images)?),
        CaptionLayout::CocoCn | CaptionLayout::Flickr30kCna => numbered::parse(path, &bytes)?,
        CaptionLayout::Wukong => wukong::parse(path, &bytes)?,
        CaptionLayout::Muge => jsonl::parse(path, &bytes)?,
    };
    Ok((layout, captions))
}

fn of_table(table: &PictureTable) -> Vec<Caption> {
    let caption = |row: &super::picture_table::Row| Caption {
        text: row.text.clone(),
        line: row.line,
        number: None,
        pictures: vec![PictureName::Path(row.picture.clone())],
    };
    table.rows.iter().map(caption).collect()
}

/// The layout of a file, by its name's ending, else by its first line.
fn guess(path: &Path, text: &str) -> CaptionLayout {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("csv") => return CaptionLayout::Wukong,
        Some("jsonl") => return CaptionLayout::Muge,
        _ => {}
    }
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    if first.starts_with('{') {
        CaptionLayout::Muge
    } else if wukong::is_header(first) {
        CaptionLayout::Wukong
    } else if numbered::is_row(first) {
        CaptionLayout::CocoCn
    } else {
        CaptionLayout::Tsv
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_is_told_by_the_name_or_the_first_line() {
        for (name, text, layout) in [
            ("a.csv", "a.jpg\t猫", CaptionLayout::Wukong),
            ("a.JSONL", "", CaptionLayout::Muge),
            ("a.txt", "\n{\"text_id\": 1}", CaptionLayout::Muge),
            ("a.txt", "url,caption\r\n", CaptionLayout::Wukong),
            ("a.txt", "caption, Dir\n", CaptionLayout::Wukong),
            ("a.txt", "COCO_val2014_000000123456#0\t两只 老虎", CaptionLayout::CocoCn),
            ("a", "1000268201.jpg#zhm#2 两只 老虎", CaptionLayout::CocoCn),
            ("a.tsv", "1000268201.jpg#0\t两只老虎", CaptionLayout::CocoCn),
            // A path with a hash in it.
            ("a.tsv", "照片#1.jpg\t两只老虎", CaptionLayout::Tsv),
            ("a.tsv", "照片#1/2.jpg\t两只老虎", CaptionLayout::Tsv),
            ("a.tsv", "a.jpg\t号码#1", CaptionLayout::Tsv),
            ("a.tsv", "a.jpg\tdir,caption", CaptionLayout::Tsv),
            ("a.tsv", "", CaptionLayout::Tsv),
        ] {
            assert_eq!(guess(Path::new(name), text), layout, "{name} {text}");
        }
    }
}
