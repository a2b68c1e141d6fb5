//! Room on a disk, asked before it is filled.

use std::path::Path;

use super::HubError;

/// Says so when `dir`, or the folder above it that exists, has no room for `bytes` more. Where the system does
/// not tell, the disk will.
pub(crate) fn check_space(dir: &Path, bytes: u64) -> Result<(), HubError> {
    match free_bytes(dir) {
        Some(free) if free < bytes => {
            Err(HubError::DiskFull { path: dir.to_owned(), needed_bytes: Some(bytes - free) })
        }
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn free_bytes(dir: &Path) -> Option<u64> {
    let existing = dir.ancestors().find(|dir| dir.is_dir())?;
    let disk = rustix::fs::statvfs(existing).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_fits_and_an_impossible_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        check_space(&dir.path().join("not/there/yet"), 1).unwrap();
        if cfg!(unix) {
            let error = check_space(dir.path(), u64::MAX).unwrap_err().to_string();
            assert!(error.contains("full") && error.contains("MB more"), "{error}");
        }
    }
}
