//! The folder that a collection grows in, beside the place where it will be.
//!
//! Its name is made from the collection's alone, so that whoever writes that collection next finds what a killed
//! export has left. A file beside it, locked for as long as its writer lives, tells the two apart.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::ExchangeError;
use crate::layout::{folders, make_folders};

/// The folder, gone when it is dropped before [`finish`](Self::finish).
pub(crate) struct Draft {
    dir: PathBuf,
    is_finished: bool,
    /// Held, not read. Dropped last of all: from then on the folder may be another's.
    _claim: Claim,
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
        let beside = |ending: &str| {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(ending);
            parent.join(hidden)
        };
        let dir = beside(".part");
        let claim = Claim::take(beside(".part.lock"))?
            .ok_or_else(|| ExchangeError::Busy { dir: target.to_owned() })?;
        match fs::create_dir(&dir) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => check_left(&dir, claim.is_first)?,
            made => made.map_err(|e| ExchangeError::io(&dir, e))?,
        }
        for folder in folders(&dir) {
            match fs::remove_dir_all(&folder) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(ExchangeError::io(&folder, e)),
                _ => {}
            }
        }
        let draft = Self { dir, is_finished: false, _claim: claim };
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
        fs::rename(&self.dir, target).map_err(|e| ExchangeError::io(target, e))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_finished {
            // Whatever stays, the next export sees to.
            for folder in folders(&self.dir) {
                let _ = fs::remove_dir_all(folder);
            }
            let _ = fs::remove_dir(&self.dir);
        }
    }
}

/// The right to write one collection: an empty file beside it, locked, and gone when this is dropped.
///
/// Not in the folder that it is about: an open that has found the folder just before it is renamed would make its
/// file in the finished collection.
struct Claim {
    path: PathBuf,
    /// Held, not read.
    _file: File,
    /// Whether no export has left its file here.
    is_first: bool,
}

impl Claim {
    /// `None` while another process has it.
    ///
    /// # Errors
    /// `InTheWay` for anything that no export has made, `Io`.
    fn take(path: PathBuf) -> Result<Option<Self>, ExchangeError> {
        let (file, is_first) = match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => (file, true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_file() && metadata.len() == 0 => {
                    match File::options().write(true).open(&path) {
                        Ok(file) => (file, false),
                        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                        Err(e) => return Err(ExchangeError::io(&path, e)),
                    }
                }
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                _ => return Err(ExchangeError::InTheWay { path }),
            },
            Err(e) => return Err(ExchangeError::io(&path, e)),
        };
        // Made only then: dropping one takes its file away.
        Ok(is_claimed(&file, &path).then(|| Self { path, _file: file, is_first }))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Still locked: whoever opened it meanwhile finds that it is gone from its place.
        let _ = fs::remove_file(&self.path);
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

/// Refuses anything but an empty folder or, where an export has left its lock, what it began: nothing of anybody
/// else's is deleted.
fn check_left(dir: &Path, is_first: bool) -> Result<(), ExchangeError> {
    let in_the_way = || ExchangeError::InTheWay { path: dir.to_owned() };
    if !fs::symlink_metadata(dir).is_ok_and(|metadata| metadata.is_dir()) {
        return Err(in_the_way());
    }
    let ours = folders(dir);
    for entry in fs::read_dir(dir).map_err(|e| ExchangeError::io(dir, e))? {
        let path = entry.map_err(|e| ExchangeError::io(dir, e))?.path();
        if is_first || !ours.contains(&path) {
            return Err(in_the_way());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(dir: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_left_is_cleared_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let (target, part) = (home.path().join("out"), home.path().join(".out.part"));
        // As a process leaves it that is killed.
        fs::create_dir_all(part.join("img_emb")).unwrap();
        fs::write(part.join("img_emb/img_emb_0000.npy"), "half").unwrap();
        fs::write(home.path().join(".out.part.lock"), "").unwrap();
        let draft = Draft::new(&target).unwrap();
        assert!(names_in(&part.join("img_emb")).is_empty());
        // While one writes, no other does, and none clears what it has.
        assert!(matches!(Draft::new(&target), Err(ExchangeError::Busy { .. })));
        assert!(part.join("img_emb").is_dir());
        draft.finish(&target).unwrap();
        assert_eq!(names_in(home.path()), ["out"]);
        assert_eq!(names_in(&target), ["img_emb", "metadata"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_that_is_gone_or_another_one_claims_nothing() {
        let home = tempfile::tempdir().unwrap();
        let (target, path) = (home.path().join("out"), home.path().join(".out.part.lock"));
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
        assert!(names_in(home.path()).is_empty());
    }

    #[test]
    fn exports_at_the_same_moment_name_whole_collections() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("out");
        let part = home.path().join(".out.part");
        let write = || -> Option<()> {
            let draft = Draft::new(&target).ok()?;
            fs::write(part.join("img_emb/whole"), "whole").unwrap();
            draft.finish(&target).ok()
        };
        let written: usize = std::thread::scope(|scope| {
            let writers: Vec<_> =
                (0..3).map(|_| scope.spawn(|| (0..500).filter_map(|_| write()).count())).collect();
            while writers.iter().any(|writer| !writer.is_finished()) {
                if target.exists() {
                    assert_eq!(names_in(&target), ["img_emb", "metadata"], "and nothing of another export");
                    assert!(target.join("img_emb/whole").exists(), "emptied before it had its name");
                    // Not in its place: a collection may get the name of a folder that is being emptied.
                    let aside = home.path().join("aside");
                    fs::rename(&target, &aside).unwrap();
                    fs::remove_dir_all(&aside).unwrap();
                }
            }
            writers.into_iter().map(|writer| writer.join().unwrap()).sum()
        });
        assert!(written > 0);
        let _ = fs::remove_dir_all(&target);
        assert!(names_in(home.path()).is_empty(), "no lock and no draft stays");
    }

    #[test]
    fn what_is_not_ours_is_in_the_way() {
        let home = tempfile::tempdir().unwrap();
        let (target, part) = (home.path().join("out"), home.path().join(".out.part"));
        let lock = home.path().join(".out.part.lock");
        let refused = |by: &Path| {
            let error = Draft::new(&target).err().unwrap();
            assert!(matches!(&error, ExchangeError::InTheWay { path } if path == by), "{error}");
        };
        fs::write(&part, "a file").unwrap();
        refused(&part);
        fs::remove_file(&part).unwrap();
        fs::create_dir_all(part.join("img_emb")).unwrap();
        refused(&part);
        fs::write(&lock, "").unwrap();
        fs::write(part.join("notes.txt"), "mine").unwrap();
        refused(&part);
        assert_eq!(fs::read_to_string(part.join("notes.txt")).unwrap(), "mine");
        fs::write(&lock, "mine").unwrap();
        refused(&lock);
        assert_eq!(fs::read_to_string(&lock).unwrap(), "mine");
        fs::remove_file(&lock).unwrap();
        // Empty, it has nothing to lose.
        fs::remove_dir_all(&part).unwrap();
        fs::create_dir(&part).unwrap();
        drop(Draft::new(&target).unwrap());
        assert!(names_in(home.path()).is_empty());
    }
}
