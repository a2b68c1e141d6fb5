//! Which pictures captions are compared with.
//!
//! It decides what a recall means: each picture more is one more that a caption can be confused with. A data set that
//! lists its pictures says it itself, as Chinese-CLIP's do: its evaluation compares with all of `valid_imgs.tsv`,
//! whatever `valid_texts.jsonl` names. COCO-CN, Flickr30k-CNA and Wukong have no such list, and what their captions
//! name is the test set. Anything else is the folder as it is.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::flags::CaptionLayout;
use crate::lines;
use crate::output::text::show_path;

/// What ends the names of Chinese-CLIP's files: of texts, and of pictures.
const TEXTS: [&str; 2] = ["_texts", "_queries"];
const PICTURES: &str = "_imgs.tsv";
/// No name of a picture is longer.
const MAX_NAME_BYTES: usize = 1 << 15;

/// Where the pictures to compare with are said.
#[derive(Debug)]
pub(super) enum Candidates {
    /// All that lie in the folder.
    Folder,
    /// Those that captions name.
    Captions,
    /// Those of a list.
    List(PictureList),
}

impl Candidates {
    /// Reads the list asked for, or finds the one that lies beside the captions.
    pub(super) fn find(asked: Option<&Path>, captions: &Path, layout: CaptionLayout) -> anyhow::Result<Self> {
        if let Some(list) = asked {
            return PictureList::read(list).map(Self::List);
        }
        match layout {
            CaptionLayout::Tsv => Ok(Self::Folder),
            CaptionLayout::CocoCn | CaptionLayout::Flickr30kCna | CaptionLayout::Wukong => Ok(Self::Captions),
            CaptionLayout::Muge => match beside(captions).filter(|list| list.is_file()) {
                Some(list) => PictureList::read(&list).map(Self::List),
                None => Ok(Self::Folder),
            },
        }
    }

    /// For scripts.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::Captions => "captions",
            Self::List(_) => "list",
        }
    }

    /// For people, behind their number.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Folder => "all pictures in the folder".to_owned(),
            Self::Captions => "the pictures that captions name".to_owned(),
            Self::List(list) => format!("the pictures that {} lists", show_path(&list.path)),
        }
    }
}

/// `valid_imgs.tsv` of `valid_texts.jsonl`.
fn beside(captions: &Path) -> Option<PathBuf> {
    let stem = captions.file_stem()?.to_str()?;
    let split = TEXTS.iter().find_map(|end| stem.strip_suffix(end))?;
    Some(captions.with_file_name(format!("{split}{PICTURES}")))
}

/// A list of pictures: a line each, of which what stands before the first tab is the name.
#[derive(Debug)]
pub(super) struct PictureList {
    path: PathBuf,
    /// Each with its line, from 1.
    pub(super) names: Vec<(usize, String)>,
}

impl PictureList {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("cannot read {}", show_path(path));
        // Behind the tab, MUGE has the pictures themselves: gigabytes.
        let mut file = BufReader::new(File::open(path).with_context(failed)?);
        let mut list = Self { path: path.to_owned(), names: Vec::new() };
        for line in 1.. {
            let Some(name) = next_name(&mut file).with_context(failed)? else { break };
            let name = if line == 1 { name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&name) } else { &name };
            let place = || lines::place(path, line);
            if name.len() > MAX_NAME_BYTES {
                bail!("{} has no tab behind the name of a picture", place());
            }
            let name = std::str::from_utf8(name).with_context(|| format!("{} is not UTF-8", place()))?.trim();
            if !name.is_empty() {
                list.names.push((line, name.to_owned()));
            }
        }
        if list.names.is_empty() {
            bail!("{} lists no pictures: write the name of one a line", show_path(path));
        }
        Ok(list)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Names a line in a message.
    pub(super) fn place(&self, line: usize) -> String {
        lines::place(&self.path, line)
    }
}

/// What stands before the first tab of the next line; `None` behind the last one.
fn next_name(file: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut name = Vec::new();
    loop {
        let buffer = file.fill_buf()?;
        if buffer.is_empty() {
            return Ok((!name.is_empty()).then_some(name));
        }
        let end = buffer.iter().position(|byte| matches!(byte, b'\t' | b'\n'));
        let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
        // One that is too long is told by its length.
        let room = (MAX_NAME_BYTES + 1).saturating_sub(name.len());
        name.extend_from_slice(part.get(..room).unwrap_or(part));
        let (length, ends_name) = (part.len(), end.is_some());
        let is_tab = end.and_then(|end| buffer.get(end)) == Some(&b'\t');
        file.consume(length + usize::from(ends_name));
        if is_tab {
            file.skip_until(b'\n')?;
        }
        if ends_name {
            return Ok(Some(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_lies_beside_its_texts() {
        let name = |captions: &str| beside(Path::new(captions)).map(|list| list.display().to_string());
        assert_eq!(name("MUGE/valid_texts.jsonl").as_deref(), Some("MUGE/valid_imgs.tsv"));
        assert_eq!(name("MR_valid_queries.jsonl").as_deref(), Some("MR_valid_imgs.tsv"));
        assert_eq!(name("texts.jsonl"), None);
    }

    #[test]
    fn names_stand_before_the_tab() {
        let names = |text: &[u8]| {
            // Smaller than a line, so that names and pictures go over its end.
            let mut file = BufReader::with_capacity(5, text);
            let mut names = Vec::new();
            while let Some(name) = next_name(&mut file).unwrap() {
                names.push(String::from_utf8(name).unwrap());
            }
            names
        };
        assert_eq!(names(b"1000002\t/9j/4AAQ\tSkZJ\n7\tx\n\n8"), ["1000002", "7", "", "8"]);
        assert_eq!(names("海边/一.jpg\r\n二.png\n".as_bytes()), ["海边/一.jpg\r", "二.png"]);
        assert_eq!(names(b"1\t"), ["1"]);
        assert!(names(b"").is_empty());
        let long = next_name(&mut vec![b'a'; 1 << 20].as_slice()).unwrap().unwrap();
        assert_eq!(long.len(), MAX_NAME_BYTES + 1);
    }
}
