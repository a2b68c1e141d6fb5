//! Locks between processes: files that mean nothing by being there, only by who holds them.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::HubError;
use super::cache::make_dir;

/// How often a lock that another process holds is tried.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// Some file systems give a file another number each time they are asked.
const MAX_OPENINGS: u32 = 20;

/// With whom a lock may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Alone,
    /// With others who hold it so.
    Together,
}

/// Waits until the lock at `path` can be held. `waiting` is called once if that takes a while.
pub(super) fn wait_for(
    path: &Path,
    hold: Hold,
    cancel: &AtomicBool,
    waiting: &dyn Fn(),
) -> Result<File, HubError> {
    let mut told = false;
    loop {
        if let Some(held) = try_hold(path, hold)? {
            return Ok(held);
        }
        if !told {
            waiting();
            told = true;
        }
        if cancel.load(Ordering::Relaxed) {
            return Err(HubError::Cancelled);
        }
        thread::sleep(TRY_EVERY);
    }
}

/// The lock at `path`, or nothing while another process holds it. It is held until the file is dropped.
pub(super) fn try_hold(path: &Path, hold: Hold) -> Result<Option<File>, HubError> {
    if let Some(dir) = path.parent() {
        make_dir(dir)?;
    }
    let mut openings = 0;
    loop {
        openings += 1;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(|error| HubError::io(path, error))?;
        let tried = match hold {
            Hold::Alone => file.try_lock(),
            Hold::Together => file.try_lock_shared(),
        };
        match tried {
            // Who held it before may have removed the file since it was opened; then the next comer would not see us.
            Ok(()) if openings == MAX_OPENINGS || is_at(&file, path) => return Ok(Some(file)),
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            // Some network file systems have no locks. Whole files are renamed into place either way.
            Err(fs::TryLockError::Error(error)) => {
                tracing::debug!(%error, path = %path.display(), "no lock");
                return Ok(Some(file));
            }
        }
    }
}

/// Whether the open file is still the one at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().ok().map(place) == fs::metadata(path).ok().map(place)
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn together_or_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("locks").join("x.lock");
        let hold = |hold| try_hold(&path, hold).unwrap();
        let both = [hold(Hold::Together), hold(Hold::Together)];
        assert!(both.iter().all(Option::is_some) && hold(Hold::Alone).is_none());
        drop(both);
        let alone = hold(Hold::Alone);
        assert!(alone.is_some() && hold(Hold::Together).is_none());
        let waits = std::cell::Cell::new(0);
        let stopped = wait_for(&path, Hold::Together, &AtomicBool::new(true), &|| waits.set(waits.get() + 1));
        assert!(matches!(stopped, Err(HubError::Cancelled)) && waits.get() == 1);
        drop(alone);
        wait_for(&path, Hold::Together, &AtomicBool::new(false), &|| {}).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_that_was_removed_locks_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let removed = try_hold(&path, Hold::Alone).unwrap().unwrap();
        assert!(is_at(&removed, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&removed, &path));
        let _held = try_hold(&path, Hold::Alone).unwrap().unwrap();
        assert!(!is_at(&removed, &path), "it is another file");
        assert!(try_hold(&path, Hold::Alone).unwrap().is_none());
    }
}
