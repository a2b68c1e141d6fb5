//! The files of a generation, in writing and as mapped.

pub(crate) mod build;
pub(crate) mod codes;
pub(crate) mod freeze;
pub(crate) mod graph;
mod growing;
pub(crate) mod items;
mod links;
pub(crate) mod vectors;

use crate::StoreError;
use crate::machine::mmap::MappedFile;
use crate::manifest::FORMAT_VERSION;

/// Checks what every file of a generation begins with, eight letters and a format version as u32, and
/// returns the version: one of this program's or before.
fn head_version(file: &MappedFile, magic: &[u8; 8]) -> Result<u64, StoreError> {
    if !file.bytes().starts_with(magic) {
        return Err(file.corrupt(format!("it does not begin with {}", magic.escape_ascii())));
    }
    match number(file, 8).map(u32::from_le_bytes).map(u64::from) {
        Some(version) if (1..=FORMAT_VERSION).contains(&version) => Ok(version),
        Some(version) => {
            Err(file.corrupt(format!("expected a format version up to {FORMAT_VERSION}, it has {version}")))
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
