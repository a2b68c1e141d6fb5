//! Removing a model: its own folder, and its files in the hub's cache unless another model here needs them.
//!
//! Whoever fetched those: the cache has one copy for all programs, so what Python would use of the model goes as well.
//! Other files in the same repository stay.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::LibraryError;
use super::turn::{REMOVED_PREFIX, take_turn};
use crate::DEMO_MODEL;
use crate::family::{KnownModel, ModelHomes, known_model, known_models};
use crate::hub::{HubError, RepositoryCache};

/// What a removal would take away.
#[derive(Clone, Debug, Default)]
pub struct Removal {
    /// Folders of our own, removed whole.
    folders: Vec<PathBuf>,
    /// Files in the cache.
    files: BTreeSet<PathBuf>,
    /// Repositories of the cache, cleared away where nothing is left in them.
    repositories: Vec<RepositoryCache>,
    /// Bytes that become free.
    pub bytes: u64,
    /// The folders that something is taken out of.
    pub places: Vec<PathBuf>,
    /// Repositories that stay, each with the models that need it.
    pub kept: Vec<(String, Vec<String>)>,
}

/// Removes what belongs to the model of this name alone, and says what that was. What others fetch or import at the
/// same time is either seen, or begins after it.
///
/// # Errors
/// As [`plan_removal`]; while another process fetches or imports what would be removed; and when something cannot be
/// removed: what could be is gone then.
pub fn remove(name: &str, homes: &ModelHomes) -> Result<Removal, LibraryError> {
    let planned = plan_removal(name, homes)?;
    let _turn = (!planned.folders.is_empty()).then(|| take_turn(&homes.models_dir)).transpose()?;
    let mut locks = Vec::new();
    for (repository, _) in known_model(name).into_iter().flat_map(KnownModel::parts) {
        let cache = RepositoryCache::new(&homes.hub_cache_dir, repository);
        if cache.dir().is_dir() {
            locks.extend(cache.take_over()?.ok_or_else(|| {
                LibraryError::Refused(format!(
                    "another process fetches {repository} at this moment: wait until it is through, or stop it"
                ))
            })?);
        }
    }
    // Until the locks were ours, things may have changed.
    let removal = plan_removal(name, homes)?;
    removal.carry_out()?;
    Ok(removal)
}

/// Finds out what belongs to the model of this name alone.
///
/// # Errors
/// When there is nothing of it here, or it is part of the program.
pub fn plan_removal(name: &str, homes: &ModelHomes) -> Result<Removal, LibraryError> {
    if name == DEMO_MODEL {
        return Err(LibraryError::Refused(
            "the demo model is part of the program and cannot be removed".into(),
        ));
    }
    let mut removal = Removal::default();
    let dir = homes.models_dir.join(name);
    let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains(std::path::is_separator);
    if is_name && dir.is_dir() {
        removal.bytes += bytes_below(&dir);
        removal.places.push(dir.clone());
        removal.folders.push(dir);
    }
    if let Some(model) = known_model(name) {
        removal.plan_cache(model, homes);
    }
    if removal.places.is_empty() && removal.kept.is_empty() {
        return Err(LibraryError::Refused(format!(
            "there is nothing of a model {name:?} here; `taiyi-search model list` shows what there is"
        )));
    }
    Ok(removal)
}

impl Removal {
    /// Whether there is anything to remove.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.folders.is_empty() && self.files.is_empty()
    }

    fn plan_cache(&mut self, model: &KnownModel, homes: &ModelHomes) {
        let cache_dir = &homes.hub_cache_dir;
        for (repository, part) in model.parts() {
            let cache = RepositoryCache::new(cache_dir, repository);
            let needed_by: Vec<String> = known_models()
                .iter()
                .filter(|other| other.name != model.name)
                .filter(|other| [other.text_repository, other.image_repository].contains(&repository))
                .filter(|other| other.place_in_cache(cache_dir).is_some())
                .map(|other| other.name.to_owned())
                .collect();
            let mut ours: BTreeSet<PathBuf> = cache.parts().into_iter().collect();
            for snapshot in cache.snapshot_dirs() {
                ours.extend(cache.files_by_any_name(&snapshot, part).into_iter().map(|file| file.path));
            }
            if ours.is_empty() {
                continue;
            }
            if !needed_by.is_empty() {
                self.kept.push((repository.to_owned(), needed_by));
                continue;
            }
            // A blob goes when no other file of any snapshot means it.
            let mut blobs: BTreeSet<PathBuf> =
                ours.iter().filter_map(|path| cache.file(path.clone())?.blob).collect();
            for other in files_below(&cache.snapshots()).iter().filter(|path| !ours.contains(*path)) {
                if let Ok(target) = other.canonicalize() {
                    blobs.remove(&target);
                }
            }
            ours.extend(blobs);
            self.bytes +=
                ours.iter().filter_map(|path| path.symlink_metadata().ok()).map(|m| m.len()).sum::<u64>();
            self.files.extend(ours);
            self.places.push(cache.dir());
            self.repositories.push(cache);
        }
    }

    fn carry_out(&self) -> Result<(), LibraryError> {
        for dir in &self.folders {
            // Gone at once, whenever this is ended.
            let name = dir.file_name().unwrap_or_default().to_string_lossy();
            let gone = dir.with_file_name(format!("{REMOVED_PREFIX}{name}"));
            fs::rename(dir, &gone).map_err(|error| HubError::io(dir, error))?;
            fs::remove_dir_all(&gone).map_err(|error| HubError::io(&gone, error))?;
        }
        // Links before blobs, so that nothing ever looks whole and is not.
        let (links, blobs): (Vec<_>, Vec<_>) = self.files.iter().partition(|path| path.is_symlink());
        for path in links.into_iter().chain(blobs) {
            fs::remove_file(path).map_err(|error| HubError::io(path, error))?;
        }
        for cache in &self.repositories {
            for snapshot in cache.snapshot_dirs() {
                // Only an empty folder can be removed so.
                let _ = fs::remove_dir(snapshot);
            }
            // Its locks stay: somebody may wait for one.
            if cache.snapshot_dirs().is_empty() && files_below(&cache.blobs()).is_empty() {
                let dir = cache.dir();
                fs::remove_dir_all(&dir).map_err(|error| HubError::io(&dir, error))?;
            }
        }
        Ok(())
    }
}

/// Every file below a folder; links are files.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => files.push(entry.path()),
            }
        }
    }
    files
}

fn bytes_below(dir: &Path) -> u64 {
    files_below(dir)
        .iter()
        .filter_map(|path| path.symlink_metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}
