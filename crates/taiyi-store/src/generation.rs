//! The files of a generation, in writing and as mapped.

pub(crate) mod build;
pub(crate) mod graph;
pub(crate) mod items;
pub(crate) mod vectors;

use crate::StoreError;
use crate::manifest::FORMAT_VERSION;
use crate::mmap::MappedFile;

/// Checks what every file of a generation begins with: eight letters, and the format version as u32.
fn check_head(file: &MappedFile, magic: &[u8; 8]) -> Result<(), StoreError> {
    if !file.bytes().starts_with(magic) {
        return Err(file.corrupt(format!("it does not begin with {}", magic.escape_ascii())));
    }
    match number::<4>(file, 8).map(u32::from_le_bytes) {
        Some(version) if u64::from(version) == FORMAT_VERSION => Ok(()),
        Some(version) => {
            Err(file.corrupt(format!("expected format version {FORMAT_VERSION}, it has {version}")))
        }
        None => Err(file.corrupt("its header is cut off")),
    }
}

fn number<const N: usize>(file: &MappedFile, at: usize) -> Option<[u8; N]> {
    file.bytes().get(at..)?.first_chunk().copied()
}

fn u64_at(file: &MappedFile, at: usize) -> Option<u64> {
    number(file, at).map(u64::from_le_bytes)
}

fn usize_at(file: &MappedFile, at: usize) -> Option<usize> {
    u64_at(file, at).and_then(|n| usize::try_from(n).ok())
}
