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

    /// The file called `name`: by its path, else by the end of its path, else by its name, else by its name without
    /// the extension.
    pub(super) fn find(&self, name: &str) -> Result<Option<&'a RelativePath>, Ambiguous<'a>> {
        let name = name.replace('\\', "/");
        let name = name.trim_start_matches("./").trim_matches('/');
        let path = RelativePath::from_path(Path::new(name)).ok();
        if let Some(file) = path.and_then(|path| self.files.get(&path)) {
            return Ok(Some(file));
        }
        let last = name.rsplit('/').next().unwrap_or(name);
        let named = self.by_name.get(last).map_or(&[][..], Vec::as_slice);
        if named.is_empty() {
            let stem = match Path::new(last).file_stem() {
                Some(stem) if has_picture_extension(Path::new(last)) => stem.to_string_lossy(),
                _ => last.into(),
            };
            return only(self.by_stem.get(&*stem).map_or(&[][..], Vec::as_slice).iter().copied());
        }
        let end = format!("/{name}");
        let at_end = |file: &&RelativePath| file.as_bytes().ends_with(end.as_bytes());
        match only(named.iter().copied().filter(at_end))? {
            Some(file) => Ok(Some(file)),
            None => only(named.iter().copied()),
        }
    }
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
            ("set\\b\\1.jpg", None),
            ("deep/2.png", Some("c/deep/2.png")),
            ("2", Some("c/deep/2.png")),
            ("elsewhere/2.png", Some("c/deep/2.png")),
            ("3.png", Some("3.png")),
            ("v1.2", Some("v1.2.jpg")),
            ("v1", None),
            ("100", Some("100.webp")),
            ("10", None),
            ("", None),
            ("..", None),
        ] {
            let expected = expected.map(path);
            match finder.find(name) {
                Ok(found) => assert_eq!(found, expected.as_ref(), "{name}"),
                Err(_) => assert_eq!(name, "set\\b\\1.jpg"),
            }
        }
        for (name, first, second) in
            [("1.jpg", "a/1.jpg", "b/1.jpg"), ("1", "a/1.jpg", "b/1.jpg"), ("3", "3.jpg", "3.png")]
        {
            assert_eq!(finder.find(name), Err(Ambiguous(&path(first), &path(second))), "{name}");
        }
    }
}
