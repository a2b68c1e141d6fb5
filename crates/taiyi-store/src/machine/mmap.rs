//! Files mapped into memory.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::StoreError;

/// A file of a generation, mapped for reading.
#[derive(Debug)]
pub(crate) struct MappedFile {
    path: PathBuf,
    map: memmap2::Mmap,
}

impl MappedFile {
    /// Maps a file that the manifest says to be `expected_bytes` long.
    ///
    /// # Errors
    /// `Io` with `NotFound` when it is missing, `Corrupt` when it has another length.
    pub(crate) fn open(path: &Path, expected_bytes: u64) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|e| StoreError::io(path, e))?;
        let actual = file.metadata().map_err(|e| StoreError::io(path, e))?.len();
        if actual != expected_bytes {
            return Err(StoreError::generation(
                path,
                format!("expected {expected_bytes} bytes, it has {actual}"),
            ));
        }
        let map = map(&file).map_err(|e| StoreError::io(path, e))?;
        Ok(Self { path: path.to_owned(), map })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// A `Corrupt` error about this file.
    pub(crate) fn corrupt(&self, what: impl Into<String>) -> StoreError {
        StoreError::generation(&self.path, what)
    }
}

fn map(file: &File) -> std::io::Result<memmap2::Mmap> {
    // SAFETY: a mapping must not change under the slice that it is read through. Files of a generation
    // are written under a temporary folder name, synced, and never opened for writing again once the
    // manifest names them: the writer only ever deletes them, and a deleted file keeps its pages for
    // those who map it. Every number read from a mapping is checked against bounds before it is used,
    // so a file that was damaged beforehand yields errors. What remains is a third party that truncates
    // or overwrites a mapped file in place: as with any mapped file, that can end the process (SIGBUS).
    unsafe { memmap2::Mmap::map(file) }
}
