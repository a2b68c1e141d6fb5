//! The folder that a collection grows in, beside the place where it will be.
//!
//! Its name is made from the collection's alone, so that whoever writes that collection next finds what a killed
//! export has left. A file beside it, locked for as long as its writer lives, tells the two apart; and what is in that
//! file, a folder of ours from anybody else's.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::ExchangeError;
use crate::layout::{folders, make_folders};

/// What is in the file beside a folder that an export has begun. Before that, nothing is.
const MARK: &[u8] =
    b"An export of taiyi-search fills the folder beside this file, or was killed when it did.\n";

/// The folder, gone when it is dropped before [`finish`](Self::finish).
pub(crate) struct Draft {
    is_finished: bool,
    /// Dropped last of all: from then on the folder may be another's.
    claim: Claim,
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
        let claim = Claim::take(beside(".part.lock"), beside(".part"))?
            .ok_or_else(|| ExchangeError::Busy { dir: target.to_owned() })?;
        match fs::create_dir(&claim.dir) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => claim.check_left()?,
            made => made.map_err(|e| ExchangeError::io(&claim.dir, e))?,
        }
        let mut draft = Self { is_finished: false, claim };
        draft.claim.begin()?;
        for folder in folders(draft.dir()) {
            match fs::remove_dir_all(&folder) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(ExchangeError::io(&folder, e)),
                _ => {}
            }
        }
        make_folders(draft.dir())?;
        Ok(draft)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.claim.dir
    }

    /// Gives the folder its name.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn finish(mut self, target: &Path) -> Result<(), ExchangeError> {
        fs::rename(self.dir(), target).map_err(|e| ExchangeError::io(target, e))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_finished {
            // Whatever stays, the next export sees to.
            for folder in folders(self.dir()) {
                let _ = fs::remove_dir_all(folder);
            }
            let _ = fs::remove_dir(self.dir());
        }
    }
}

/// The right to fill one folder: a file beside it, locked.
///
/// Not in it: an open that has found the folder just before it is renamed would make its file in the finished
/// collection.
struct Claim {
    path: PathBuf,
    /// The folder.
    dir: PathBuf,
    file: File,
    /// Whether an export has begun to fill the folder, this one or one before it.
    has_begun: bool,
}

impl Claim {
    /// `None` while another process has it.
    ///
    /// # Errors
    /// `InTheWay` for a file that no export has made, `Io`.
    fn take(path: PathBuf, dir: PathBuf) -> Result<Option<Self>, ExchangeError> {
        let failed = |e| ExchangeError::io(&path, e);
        match fs::symlink_metadata(&path) {
            // To open a pipe is to wait.
            Ok(metadata) if !metadata.is_file() => return Err(ExchangeError::InTheWay { path }),
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        if !is_claimed(&file, &path) {
            return Ok(None);
        }
        let mut content = Vec::new();
        (&file).take(MARK.len() as u64 + 1).read_to_end(&mut content).map_err(failed)?;
        if !MARK.starts_with(&content) {
            return Err(ExchangeError::InTheWay { path });
        }
        let has_begun = !content.is_empty();
        Ok(Some(Self { path, dir, file, has_begun }))
    }

    /// Refuses a folder with anything in it but what an export has begun: nothing of anybody else's is deleted.
    fn check_left(&self) -> Result<(), ExchangeError> {
        let in_the_way = || ExchangeError::InTheWay { path: self.dir.clone() };
        if !fs::symlink_metadata(&self.dir).is_ok_and(|metadata| metadata.is_dir()) {
            return Err(in_the_way());
        }
        let ours = folders(&self.dir);
        for entry in fs::read_dir(&self.dir).map_err(|e| ExchangeError::io(&self.dir, e))? {
            let path = entry.map_err(|e| ExchangeError::io(&self.dir, e))?.path();
            if !self.has_begun || !ours.contains(&path) {
                return Err(in_the_way());
            }
        }
        Ok(())
    }

    /// Marks the folder, which is empty, as ours.
    fn begin(&mut self) -> Result<(), ExchangeError> {
        if !self.has_begun {
            // Synced, or a machine that stops could leave the folder filled and the file empty.
            let marked = self.file.write_all(MARK).and_then(|()| self.file.sync_all());
            marked.map_err(|e| ExchangeError::io(&self.path, e))?;
            self.has_begun = true;
        }
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Where a folder of ours stays, so does the file that says so.
        if !self.has_begun || fs::symlink_metadata(&self.dir).is_err() {
            // Still locked: whoever opened it meanwhile finds that it is gone from its place.
            let _ = fs::remove_file(&self.path);
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
        fs::write(home.path().join(".out.part.lock"), MARK).unwrap();
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
        assert!(!lock.exists());
        // An export that got no further than to make it.
        fs::write(&lock, "").unwrap();
        refused(&part);
        assert!(part.join("img_emb").exists());
        fs::write(&lock, "mine").unwrap();
        refused(&lock);
        assert_eq!(fs::read_to_string(&lock).unwrap(), "mine");
        // Something beside what an export has left: once it is gone, the rest is as it was.
        fs::write(&lock, MARK).unwrap();
        fs::write(part.join("notes.txt"), "mine").unwrap();
        refused(&part);
        assert_eq!(fs::read_to_string(part.join("notes.txt")).unwrap(), "mine");
        fs::remove_file(part.join("notes.txt")).unwrap();
        drop(Draft::new(&target).unwrap());
        assert!(names_in(home.path()).is_empty());
        // Empty, it has nothing to lose.
        fs::create_dir(&part).unwrap();
        drop(Draft::new(&target).unwrap());
        assert!(names_in(home.path()).is_empty());
    }
}
