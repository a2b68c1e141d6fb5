//! Finds a picture's file by what a data set calls it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use taiyi_image::has_picture_extension;
use taiyi_store::RelativePath;

/// The files below the folder of pictures, by every name that may be meant.
pub(super) struct Finder<'a> {
    files: &'a HashSet<RelativePath>,
    by_name: HashMap<String, Vec<&'a RelativePath>>,
    by_stem: HashMap<String, Vec<&'a RelativePath>>,
}

/// Two of the files that a name fits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ambiguous<'a>(pub(super) &'a RelativePath, pub(super) &'a RelativePath);

impl<'a> Finder<'a> {
    pub(super) fn new(files: &'a HashSet<RelativePath>) -> Self {
        let mut sorted: Vec<&RelativePath> = files.iter().collect();
        // So that the same two files are named each time.
        sorted.sort();
        let (mut by_name, mut by_stem) = (HashMap::new(), HashMap::new());
        for file in sorted {
            let path = file.to_path();
            let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
            let Some(name) = text(path.file_name()) else { continue };
            by_name.entry(name).or_insert_with(Vec::new).push(file);
            // A caption in 1.txt beside 1.jpg is not meant.
            if has_picture_extension(&path)
                && let Some(stem) = text(path.file_stem())
            {
                by_stem.entry(stem).or_insert_with(Vec::new).push(file);
            }
        }
        Self { files, by_name, by_stem }
    }

    /// The file called `name`: by its path, else by its name, else by its name without the extension. Where both have
    /// folders before their names, one of the two paths must be the end of the other: `1.jpg` of another folder is
    /// another picture.
    pub(super) fn find(&self, name: &str) -> Result<Option<&'a RelativePath>, Ambiguous<'a>> {
        let name = name.replace('\\', "/");
        let name = name.trim_start_matches("./").trim_matches('/');
        let path = RelativePath::from_path(Path::new(name)).ok();
        if let Some(file) = path.and_then(|path| self.files.get(&path)) {
            return Ok(Some(file));
        }
        let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
        let mut named = self.by_name.get(last).map_or(&[][..], Vec::as_slice);
        if named.is_empty() {
            let stem = match Path::new(last).file_stem() {
                Some(stem) if has_picture_extension(Path::new(last)) => stem.to_string_lossy(),
                _ => last.into(),
            };
            named = self.by_stem.get(&*stem).map_or(&[][..], Vec::as_slice);
        }
        only(named.iter().copied().filter(|file| {
            let bytes = file.as_bytes();
            let end = bytes.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
            is_end_of(folder.as_bytes(), bytes.get(..end).unwrap_or_default())
        }))
    }
}

/// Whether one of two folders is the end of the other, name by name; no folder is the end of every one.
fn is_end_of(a: &[u8], b: &[u8]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    long.strip_suffix(short).is_some_and(|rest| short.is_empty() || rest.is_empty() || rest.ends_with(b"/"))
}

fn only<'a>(
    mut files: impl Iterator<Item = &'a RelativePath>,
) -> Result<Option<&'a RelativePath>, Ambiguous<'a>> {
    match (files.next(), files.next()) {
        (Some(first), Some(second)) => Err(Ambiguous(first, second)),
        (first, _) => Ok(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelativePath {
        RelativePath::from_path(Path::new(text)).unwrap()
    }

    #[test]
    fn a_name_finds_its_file() {
        let files: HashSet<RelativePath> = [
            "val/COCO_val2014_000000123456.jpg",
            "a/1.jpg",
            "b/1.jpg",
            "c/deep/2.png",
            "c/2.txt",
            "3.jpg",
            "3.png",
            "v1.2.jpg",
            "100.webp",
        ]
        .map(path)
        .into();
        let finder = Finder::new(&files);
        for (name, expected) in [
            ("COCO_val2014_000000123456", Some("val/COCO_val2014_000000123456.jpg")),
            ("COCO_val2014_000000123456.jpg", Some("val/COCO_val2014_000000123456.jpg")),
            // Converted since.
            ("COCO_val2014_000000123456.png", Some("val/COCO_val2014_000000123456.jpg")),
            ("a/1.jpg", Some("a/1.jpg")),
            ("./b/1.jpg", Some("b/1.jpg")),
            ("set\\b\\1.jpg", Some("b/1.jpg")),
            ("deep/2.png", Some("c/deep/2.png")),
            ("2", Some("c/deep/2.png")),
            // Another picture of the same name is not the one meant.
            ("elsewhere/2.png", None),
            ("elsewhere/2.jpg", None),
            ("c/1.jpg", None),
            ("set/3.png", Some("3.png")),
            ("3.png", Some("3.png")),
            ("v1.2", Some("v1.2.jpg")),
            ("v1", None),
            ("100", Some("100.webp")),
            ("10", None),
            ("", None),
            ("..", None),
        ] {
            let expected = expected.map(path);
            assert_eq!(finder.find(name), Ok(expected.as_ref()), "{name}");
        }
        for (name, first, second) in
            [("1.jpg", "a/1.jpg", "b/1.jpg"), ("1", "a/1.jpg", "b/1.jpg"), ("3", "3.jpg", "3.png")]
        {
            assert_eq!(finder.find(name), Err(Ambiguous(&path(first), &path(second))), "{name}");
        }
    }
}
