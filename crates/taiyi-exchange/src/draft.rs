//! The folder that a collection grows in, beside the place where it will be.
//!
//! Its name is made from the collection's alone, so that whoever writes that collection next finds what a killed
//! export has left. A file in it, locked for as long as its writer lives, tells the two apart.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::ExchangeError;
use crate::layout::{folders, make_folders};

/// The file that the writer locks. Not part of a collection.
const LOCK: &str = "LOCK";

/// The folder, gone when it is dropped before [`finish`](Self::finish).
pub(crate) struct Draft {
    dir: PathBuf,
    is_finished: bool,
    /// Held, not read.
    lock: Option<File>,
}

impl Draft {
    /// Makes the folder for a collection that is to be `target`, or empties what a killed export has left of it.
    ///
    /// # Errors
    /// `Exists` for a target without a name, `Busy`, `InTheWay`, `Io`.
    pub(crate) fn new(target: &Path) -> Result<Self, ExchangeError> {
        let name = target.file_name().ok_or_else(|| ExchangeError::Exists { dir: target.to_owned() })?;
        let parent =
            target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(|e| ExchangeError::io(parent, e))?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(".part");
        let dir = parent.join(hidden);
        match fs::create_dir(&dir) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => check_left(&dir)?,
            made => made.map_err(|e| ExchangeError::io(&dir, e))?,
        }
        let path = dir.join(LOCK);
        let lock = match File::options().write(true).create(true).truncate(false).open(&path) {
            Ok(lock) if is_claimed(&lock, &path) => lock,
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(ExchangeError::io(&path, e)),
            // Somebody writes there, or the folder got its name this very moment.
            _ => return Err(ExchangeError::Busy { dir: target.to_owned() }),
        };
        for folder in folders(&dir) {
            match fs::remove_dir_all(&folder) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(ExchangeError::io(&folder, e)),
                _ => {}
            }
        }
        let draft = Self { dir, is_finished: false, lock: Some(lock) };
        make_folders(&draft.dir)?;
        Ok(draft)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Gives the folder its name.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn finish(mut self, target: &Path) -> Result<(), ExchangeError> {
        let remove_lock =
            |path: PathBuf| fs::remove_file(&path).map_err(|source| ExchangeError::Io { path, source });
        // Locked until it is gone from its old place, or the next export could take it for one that was left.
        match fs::rename(&self.dir, target) {
            Ok(()) => {
                self.is_finished = true;
                return remove_lock(target.join(LOCK));
            }
            Err(e) if !matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::ResourceBusy) => {
                return Err(ExchangeError::io(target, e));
            }
            Err(_) => {}
        }
        // Some systems rename no folder with an open file in it. Whoever finds it without the file leaves it alone.
        remove_lock(self.dir.join(LOCK))?;
        self.lock = None;
        fs::rename(&self.dir, target).map_err(|e| ExchangeError::io(target, e))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_finished {
            // Whatever stays, the next export sees to. The lock goes last: from then on the folder may be another's,
            // and one with something in it is not removed.
            for folder in folders(&self.dir) {
                let _ = fs::remove_dir_all(folder);
            }
            let _ = fs::remove_file(self.dir.join(LOCK));
            let _ = fs::remove_dir(&self.dir);
        }
    }
}

/// Locks the file that was opened at `path`, unless another process has. Between the two, its writer may have finished
/// and taken it away, and what is at `path` now is not what was locked.
fn is_claimed(lock: &File, path: &Path) -> bool {
    // Some file systems know no locks: there, whoever comes second takes over.
    !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) && is_at(lock, path)
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => place(open) == place(there),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Refuses anything but an empty folder or one that an export began: nothing of anybody else's is deleted.
fn check_left(dir: &Path) -> Result<(), ExchangeError> {
    let in_the_way = || ExchangeError::InTheWay { path: dir.to_owned() };
    if !fs::symlink_metadata(dir).is_ok_and(|metadata| metadata.is_dir()) {
        return Err(in_the_way());
    }
    let ours = folders(dir);
    let (mut has_lock, mut is_empty) = (false, true);
    for entry in fs::read_dir(dir).map_err(|e| ExchangeError::io(dir, e))? {
        let path = entry.map_err(|e| ExchangeError::io(dir, e))?.path();
        is_empty = false;
        if path == dir.join(LOCK) {
            has_lock = true;
        } else if !ours.contains(&path) {
            return Err(in_the_way());
        }
    }
    if has_lock || is_empty { Ok(()) } else { Err(in_the_way()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_cleared_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let (target, part) = (home.path().join("out"), home.path().join(".out.part"));
        // As a process leaves it that is killed.
        let mut killed = Draft::new(&target).unwrap();
        fs::write(part.join("img_emb/img_emb_0000.npy"), "half").unwrap();
        killed.lock = None;
        std::mem::forget(killed);
        let draft = Draft::new(&target).unwrap();
        assert_eq!(fs::read_dir(part.join("img_emb")).unwrap().count(), 0);
        // While one writes, no other does, and none clears what it has.
        assert!(matches!(Draft::new(&target), Err(ExchangeError::Busy { .. })));
        assert!(part.join("img_emb").is_dir());
        draft.finish(&target).unwrap();
        assert!(!part.exists() && !target.join(LOCK).exists() && target.join("metadata").is_dir());
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_that_is_gone_or_another_one_claims_nothing() {
        let home = tempfile::tempdir().unwrap();
        let (target, path) = (home.path().join("out"), home.path().join(".out.part").join(LOCK));
        let draft = Draft::new(&target).unwrap();
        // Opened while one writes, and locked when that one is through: as of two exports at the same moment.
        let late = File::open(&path).unwrap();
        assert!(!is_claimed(&late, &path), "locked");
        draft.finish(&target).unwrap();
        assert!(!is_claimed(&late, &path), "gone");
        fs::remove_dir_all(&target).unwrap();
        let next = Draft::new(&target).unwrap();
        assert!(!is_claimed(&late, &path), "another one");
        drop(next);
        assert!(!path.parent().unwrap().exists());
    }

    #[test]
    fn no_export_takes_what_another_is_about_to_name() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("out");
        let part = home.path().join(".out.part");
        let write = || -> Option<()> {
            let draft = Draft::new(&target).ok()?;
            fs::write(part.join("img_emb/whole"), "whole").unwrap();
            draft.finish(&target).ok()
        };
        std::thread::scope(|scope| {
            let writers: Vec<_> =
                (0..3).map(|_| scope.spawn(|| (0..500).filter_map(|_| write()).count())).collect();
            while writers.iter().any(|writer| !writer.is_finished()) {
                if target.exists() {
                    assert!(target.join("img_emb/whole").exists(), "emptied before it had its name");
                    let _ = fs::remove_dir_all(&target);
                }
            }
        });
    }

    #[test]
    fn what_is_not_ours_is_in_the_way() {
        let home = tempfile::tempdir().unwrap();
        let (target, part) = (home.path().join("out"), home.path().join(".out.part"));
        let refused = || {
            let error = Draft::new(&target).err().unwrap();
            assert!(matches!(&error, ExchangeError::InTheWay { path } if *path == part), "{error}");
        };
        fs::write(&part, "a file").unwrap();
        refused();
        fs::remove_file(&part).unwrap();
        fs::create_dir_all(part.join("img_emb")).unwrap();
        refused();
        fs::write(part.join(LOCK), "").unwrap();
        fs::write(part.join("notes.txt"), "mine").unwrap();
        refused();
        assert_eq!(fs::read_to_string(part.join("notes.txt")).unwrap(), "mine");
        // But for a lock, it may have been made this very moment.
        fs::remove_dir_all(&part).unwrap();
        fs::create_dir(&part).unwrap();
        drop(Draft::new(&target).unwrap());
        assert!(!part.exists());
    }
}
