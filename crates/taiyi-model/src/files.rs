//! Where a model's files are: in a folder, or built into the program.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::ops::Range;
use std::path::Path;

use crate::machine::mmap::MappedFile;

/// More than any published model has in one file that is no weights: a vocabulary has a few hundred kilobytes.
pub(crate) const MAX_SMALL_BYTES: u64 = 16 << 20;

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

    /// The whole of a file that is no weights.
    pub(crate) fn read(self, path: &Path) -> io::Result<Cow<'static, [u8]>> {
        match self {
            Self::Disk => read_small(path).map(Cow::Owned),
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

    /// Brings `range` into memory before it is read.
    pub(crate) fn fetch(&self, range: Range<usize>) {
        if let Self::Mapped(map) = self {
            map.fetch(range);
        }
    }

    /// Tells the system that `range` was read for the last time for now.
    pub(crate) fn release(&self, range: Range<usize>) {
        if let Self::Mapped(map) = self {
            map.release(range);
        }
    }
}

/// The whole of a file of at most [`MAX_SMALL_BYTES`].
pub(crate) fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Not by its length: that of a pipe or a device tells nothing.
    File::open(path)?.take(MAX_SMALL_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SMALL_BYTES {
        let limit = MAX_SMALL_BYTES >> 20;
        return Err(io::Error::new(
            ErrorKind::FileTooLarge,
            format!("it has more than {limit} MiB, so it is not what its name says"),
        ));
    }
    Ok(bytes)
}

/// Writes a file whole or not at all, whoever reads or writes it at the same time and whenever the machine stops.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    let draft = path.with_file_name(name);
    let write = || {
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&draft, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&draft);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("main");
        let names =
            || fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        for bytes in [&b"one"[..], b"two and more", b""] {
            replace_file(&path, bytes).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
            assert_eq!(names(), ["main"]);
        }
        // What is in the way stays, and no draft is left.
        let folder = dir.path().join("folder");
        fs::create_dir_all(folder.join("full")).unwrap();
        replace_file(&folder, b"x").unwrap_err();
        assert!(folder.is_dir() && names().len() == 2);
    }

    #[test]
    fn a_small_file_is_read_and_a_large_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        let file = File::create(&path).unwrap();
        file.set_len(MAX_SMALL_BYTES).unwrap();
        assert_eq!(Files::Disk.read(&path).unwrap().len() as u64, MAX_SMALL_BYTES);
        file.set_len(MAX_SMALL_BYTES + 1).unwrap();
        let error = Files::Disk.read(&path).unwrap_err();
        assert!(error.kind() == ErrorKind::FileTooLarge && error.to_string().contains("16 MiB"), "{error}");
    }

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
