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
        let lock = File::options().write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(|e| ExchangeError::io(&path, e))?;
        // Some file systems know no locks: there, whoever comes second takes over.
        if matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(ExchangeError::Busy { dir: target.to_owned() });
        }
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
        // Whoever finds the folder without the file leaves it alone.
        let lock = self.dir.join(LOCK);
        fs::remove_file(&lock).map_err(|e| ExchangeError::io(&lock, e))?;
        // Some systems rename no folder with an open file in it.
        self.lock = None;
        fs::rename(&self.dir, target).map_err(|e| ExchangeError::io(target, e))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_finished {
            // Either it is gone already, or the next export sees to it.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
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
