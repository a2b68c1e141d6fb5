//! One process at a time that brings models into the folder of models or takes them out.

use std::fs::{self, File};
use std::path::Path;

use super::LibraryError;
use crate::hub::HubError;

/// What a folder is called while it is filled.
pub(super) const DRAFT_PREFIX: &str = ".import-";
/// And while it is emptied: a model is gone at once, not file by file.
pub(super) const REMOVED_PREFIX: &str = ".removed-";

/// Whoever has the turn clears away what an ended process has left.
pub(super) fn take_turn(models_dir: &Path) -> Result<File, LibraryError> {
    let path = models_dir.join(".import.lock");
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| HubError::io(&path, error))?;
    match lock.try_lock() {
        Ok(()) => {
            for entry in fs::read_dir(models_dir).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.starts_with(DRAFT_PREFIX) || name.starts_with(REMOVED_PREFIX) {
                    let _ = fs::remove_dir_all(entry.path());
                }
            }
        }
        Err(fs::TryLockError::WouldBlock) => {
            return Err(LibraryError::Refused(
                "another process imports or removes a model at this moment: wait until it is through".into(),
            ));
        }
        Err(fs::TryLockError::Error(error)) => tracing::debug!(%error, "no lock on {}", path.display()),
    }
    Ok(lock)
}
