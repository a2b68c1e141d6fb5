//! Where a model's files are: in a folder, or built into the program.

use std::borrow::Cow;
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::Path;

use crate::machine::mmap::MappedFile;

/// What paths of a model's files refer to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Files {
    /// The file system.
    Disk,
    /// Files of the program itself: paths below [`BUILT_IN`], separated by `/`, and their bytes.
    BuiltIn(&'static [(&'static str, &'static [u8])]),
}

/// Stands for a folder in the paths of built-in files, so that messages say where a file is.
pub(crate) const BUILT_IN: &str = "(built in)";

impl Files {
    pub(crate) fn exists(self, path: &Path) -> bool {
        match self {
            Self::Disk => path.exists(),
            Self::BuiltIn(_) => self.built_in(path).is_ok(),
        }
    }

    /// The whole file.
    pub(crate) fn read(self, path: &Path) -> io::Result<Cow<'static, [u8]>> {
        match self {
            Self::Disk => fs::read(path).map(Cow::Owned),
            Self::BuiltIn(_) => self.built_in(path).map(Cow::Borrowed),
        }
    }

    /// The file in memory, without a copy.
    pub(crate) fn map(self, path: &Path) -> io::Result<FileBytes> {
        match self {
            // An empty file cannot be mapped everywhere.
            Self::Disk if fs::metadata(path)?.len() == 0 => Ok(FileBytes::BuiltIn(&[])),
            Self::Disk => MappedFile::open(path).map(FileBytes::Mapped),
            Self::BuiltIn(_) => self.built_in(path).map(FileBytes::BuiltIn),
        }
    }

    fn built_in(self, path: &Path) -> io::Result<&'static [u8]> {
        let Self::BuiltIn(files) = self else { return Err(ErrorKind::NotFound.into()) };
        let below = path.strip_prefix(BUILT_IN).map_err(io::Error::other)?;
        files
            .iter()
            .find(|(name, _)| Path::new(name) == below)
            .map(|(_, bytes)| *bytes)
            .ok_or_else(|| ErrorKind::NotFound.into())
    }
}

/// A file's bytes, wherever they lie.
#[derive(Debug)]
pub(crate) enum FileBytes {
    Mapped(MappedFile),
    BuiltIn(&'static [u8]),
    /// Made by this process, and kept nowhere else.
    Owned(Vec<u8>),
}

impl FileBytes {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map.bytes(),
            Self::BuiltIn(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }

    /// Tells the system that `range` was read for the last time for now.
    pub(crate) fn release(&self, range: Range<usize>) {
        if let Self::Mapped(map) = self {
            map.release(range);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_files_are_found_by_their_path() {
        let files = Files::BuiltIn(&[("text/config.json", b"{}")]);
        let path = Path::new(BUILT_IN).join("text").join("config.json");
        assert!(files.exists(&path));
        assert_eq!(*files.read(&path).unwrap(), *b"{}");
        assert_eq!(files.map(&path).unwrap().bytes(), b"{}");
        for absent in
            [Path::new(BUILT_IN).join("text"), "text/config.json".into(), "/text/config.json".into()]
        {
            assert!(!files.exists(&absent) && files.read(&absent).is_err(), "{}", absent.display());
        }
        assert!(!Files::Disk.exists(&path));
    }
}
