//! The folder that a model is fetched into: one fetch at a time, and one model.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::HubError;
use super::cache::make_dir;
use super::lock::{Hold, try_hold};
use crate::files::{read_small, replace_file};
use crate::known_model;

/// Below the folder until all of the model is there.
const WORK_FOLDER: &str = ".taiyi-fetch";
/// In the work folder: which model is to come.
const NAME_FILE: &str = "model";
/// Beside the work folder, so that it can go last.
const LOCK_FILE: &str = ".taiyi-fetch.lock";

/// Held by the fetch that fills it.
#[derive(Debug)]
pub(super) struct TargetFolder {
    work: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl TargetFolder {
    /// Says so when `name` cannot be fetched into `dir`. Touches nothing.
    pub(super) fn check(dir: &Path, name: &str) -> Result<(), HubError> {
        // What else is in the work folder is of no use without.
        if let Some(begun) = begun_model(&dir.join(WORK_FOLDER)) {
            if begun == name {
                return Ok(());
            }
            return Err(HubError::Options(format!(
                "{} holds an unfinished {begun}: fetch that, or name a new folder",
                dir.display()
            )));
        }
        let is_ours = |name: &std::ffi::OsStr| name == WORK_FOLDER || name == LOCK_FILE;
        let is_empty = fs::read_dir(dir)
            .map_or(true, |entries| entries.flatten().all(|entry| is_ours(&entry.file_name())));
        if is_empty {
            return Ok(());
        }
        Err(HubError::Options(format!("{} is there already and not empty: name a new folder", dir.display())))
    }

    /// Makes `dir` if it has to be, and holds it for the model of this name.
    pub(super) fn begin(dir: &Path, name: &str) -> Result<Self, HubError> {
        let lock_path = dir.join(LOCK_FILE);
        let lock = try_hold(&lock_path, Hold::Alone)?
            .ok_or_else(|| HubError::Busy { what: dir.display().to_string() })?;
        let target = Self { work: dir.join(WORK_FOLDER), lock_path, _lock: lock };
        // Until it was held, another fetch may have filled it.
        if let Err(refusal) = Self::check(dir, name) {
            if begun_model(&target.work).is_none() {
                let _ = fs::remove_file(&target.lock_path);
            }
            return Err(refusal);
        }
        make_dir(&target.work)?;
        let path = target.work.join(NAME_FILE);
        replace_file(&path, name.as_bytes()).map_err(|error| HubError::io(&path, error))?;
        Ok(target)
    }

    /// Where files come together.
    pub(super) fn work(&self) -> &Path {
        &self.work
    }

    /// Leaves the model alone in its folder.
    pub(super) fn finish(self) -> Result<(), HubError> {
        fs::remove_dir_all(&self.work).map_err(|error| HubError::io(&self.work, error))?;
        fs::remove_file(&self.lock_path).map_err(|error| HubError::io(&self.lock_path, error))
    }
}

/// The model whose fetch into this work folder has begun.
fn begun_model(work: &Path) -> Option<&'static str> {
    let name = read_small(&work.join(NAME_FILE)).ok()?;
    known_model(std::str::from_utf8(&name).ok()?).map(|model| model.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(dir: &Path, name: &str) -> String {
        TargetFolder::begin(dir, name).unwrap_err().to_string()
    }

    #[test]
    fn one_fetch_and_one_model_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("stick");
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let held = TargetFolder::begin(&dir, "taiyi-102m").unwrap();
        assert!(refusal(&dir, "taiyi-102m").contains("another process"));
        // It ends, and has left some of it.
        drop(held);
        fs::create_dir(dir.join("text")).unwrap();
        assert!(refusal(&dir, "cn-clip-b16").contains("holds an unfinished taiyi-102m: fetch that"));
        let held = TargetFolder::begin(&dir, "taiyi-102m").unwrap();
        assert_eq!(names(), [WORK_FOLDER, LOCK_FILE, "text"]);
        held.finish().unwrap();
        assert_eq!(names(), ["text"]);
        assert!(refusal(&dir, "taiyi-102m").contains("not empty"));
        assert_eq!(names(), ["text"], "a refusal leaves nothing");
    }

    #[test]
    fn a_folder_that_was_hardly_begun_is_anyones() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("stick");
        for name in [None, Some("../../etc"), Some("")] {
            fs::create_dir_all(dir.join(WORK_FOLDER)).unwrap();
            fs::write(dir.join(LOCK_FILE), "").unwrap();
            if let Some(name) = name {
                fs::write(dir.join(WORK_FOLDER).join(NAME_FILE), name).unwrap();
            }
            TargetFolder::begin(&dir, "cn-clip-b16").unwrap();
            fs::remove_dir_all(&dir).unwrap();
        }
    }
}
