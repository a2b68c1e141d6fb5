//! Checks everything in an index folder.

use std::path::Path;

use crate::StoreError;

/// What an index takes on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Bytes of the ledger.
    pub ledger_bytes: u64,
    /// Bytes of all generations.
    pub generations_bytes: u64,
    /// Bytes of everything.
    pub total_bytes: u64,
}

/// How far [`verify`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyProgress {
    /// What is being checked, e.g. `checksums`.
    pub step: &'static str,
    /// Units done in this step: bytes or records.
    pub done: u64,
    /// Units to do in this step.
    pub total: u64,
}

/// Something broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What, naming the file.
    pub what: String,
    /// What mends it.
    pub remedy: &'static str,
}

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// The published generation, if one could be read.
    pub generation: Option<u64>,
    /// Files whose checksum was compared.
    pub files_checked: u64,
    /// Contents compared.
    pub contents_checked: u64,
    /// Locations compared.
    pub locations_checked: u64,
    /// False when another process was writing, so that only the published part was checked.
    pub ledger_checked: bool,
    /// Everything broken; empty when all is well.
    pub problems: Vec<Problem>,
}

/// Bytes on disk.
///
/// # Errors
/// When there is no such folder, or it cannot be read.
#[allow(clippy::todo, unused_variables)]
pub fn disk_usage(dir: &Path) -> Result<DiskUsage, StoreError> {
    todo!()
}

/// Checks every checksum, and that ledger and generation agree.
///
/// # Errors
/// When there is no index or it cannot be read at all; damage is reported, not returned.
#[allow(clippy::todo, unused_variables)]
pub fn verify(dir: &Path, progress: &mut dyn FnMut(VerifyProgress)) -> Result<VerifyReport, StoreError> {
    todo!()
}
