//! Writing files so that they survive a power cut, and so that a crash never shows half of one.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::StoreError;

/// Length and checksum of a finished file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileSum {
    pub(crate) bytes: u64,
    /// BLAKE3 of the whole file, in hexadecimal.
    pub(crate) blake3: String,
}

/// Writes a file front to back and hashes it on the way.
pub(crate) struct HashingWriter {
    path: PathBuf,
    out: BufWriter<File>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl HashingWriter {
    pub(crate) fn create(path: &Path) -> Result<Self, StoreError> {
        let file = File::create(path).map_err(|e| StoreError::io(path, e))?;
        let out = BufWriter::with_capacity(1 << 20, file);
        Ok(Self { path: path.to_owned(), out, hasher: blake3::Hasher::new(), bytes: 0 })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(|e| StoreError::io(&self.path, e))
    }

    /// Zeros up to a multiple of `align` bytes.
    pub(crate) fn pad_to(&mut self, align: u64) -> Result<(), StoreError> {
        while !self.bytes.is_multiple_of(align) {
            self.write(&[0])?;
        }
        Ok(())
    }

    /// Returns when the file is on the disk.
    pub(crate) fn finish(self) -> Result<FileSum, StoreError> {
        let file = self.out.into_inner().map_err(|e| StoreError::io(&self.path, e.into_error()))?;
        file.sync_all().map_err(|e| StoreError::io(&self.path, e))?;
        Ok(FileSum { bytes: self.bytes, blake3: self.hasher.finalize().to_hex().to_string() })
    }
}

/// Length and checksum of a file as it is; `progress` is told of every chunk of bytes.
pub(crate) fn sum_file(path: &Path, progress: &mut dyn FnMut(u64)) -> Result<FileSum, StoreError> {
    let mut file = File::open(path).map_err(|e| StoreError::io(path, e))?;
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let len = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(len) => len,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(StoreError::io(path, e)),
        };
        hasher.update(chunk.get(..len).unwrap_or(&chunk));
        bytes += len as u64;
        progress(len as u64);
    }
    Ok(FileSum { bytes, blake3: hasher.finalize().to_hex().to_string() })
}

/// Makes the names in a folder durable.
///
/// File systems without that notion (exFAT, SMB) and Windows refuse to sync a folder: nothing is to
/// be done about it there, so it counts as done.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    let tolerated = |e: &io::Error| {
        cfg!(windows)
            || matches!(
                e.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied
            )
    };
    match File::open(dir).and_then(|folder| folder.sync_all()) {
        Ok(()) => Ok(()),
        Err(e) if tolerated(&e) => Ok(()),
        Err(e) => Err(StoreError::io(dir, e)),
    }
}

/// Renames within one folder, durably.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(|e| StoreError::io(to, e))?;
    to.parent().map_or(Ok(()), sync_dir)
}
