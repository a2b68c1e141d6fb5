//! From a path to the bytes of a file, never more of them than the limits allow.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::{Decoded, ImageError, Limits, decode};

/// Reads a whole file.
///
/// # Errors
/// [`ImageError::Io`] when it cannot be read or is no regular file (a pipe would block for ever);
/// [`ImageError::FileTooLarge`] when it is larger than the limits allow, or grows beyond them meanwhile.
pub fn read(path: &Path, limits: &Limits) -> Result<Vec<u8>, ImageError> {
    let io = |source| ImageError::Io { path: path.into(), source };
    let too_large = || ImageError::FileTooLarge { path: path.into(), limit_bytes: limits.max_file_bytes };

    // Asked by name first: opening a pipe waits for its writer.
    let metadata = fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "is a folder" } else { "is not a regular file" };
        return Err(io(io::Error::new(io::ErrorKind::InvalidInput, what)));
    }
    if metadata.len() > limits.max_file_bytes {
        return Err(too_large());
    }
    let file = fs::File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    let expected = usize::try_from(metadata.len()).map_err(|_| too_large())?;
    bytes.try_reserve_exact(expected).map_err(|_| io(io::ErrorKind::OutOfMemory.into()))?;
    file.take(limits.max_file_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limits.max_file_bytes {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Reads and decodes a file: [`read`], then [`decode()`].
///
/// # Errors
/// As [`read`] and [`decode()`].
pub fn open(path: &Path, limits: &Limits) -> Result<Decoded, ImageError> {
    decode(&read(path, limits)?, path, limits)
}
