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
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        // Some network file systems have no locks. Whole files are renamed into place either way.
        Err(fs::TryLockError::Error(error)) => {
            tracing::debug!(%error, path = %path.display(), "no lock");
            Ok(Some(file))
        }
    }
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
}
