//! Reading a model's files again, against the hashes by which they came.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::{LibraryError, Record};
use crate::family::{ModelHomes, ModelPlace};
use crate::hub::{CachedFile, FetchEvent, FetchProgress, FileHash, HubError};
use crate::{ModelFolder, known_models};

/// What was found of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCheck {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Whether it is what it was.
    pub state: FileState,
}

/// Whether a file is what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileState {
    /// It has the hash recorded.
    Sound,
    /// It has another hash than the one recorded.
    Damaged {
        /// The hash recorded.
        expected: String,
        /// The hash that it has.
        actual: String,
    },
    /// It was put here by hand, and nobody noted a hash.
    Unrecorded,
    /// It was here, and is gone: it is in the folder's record, or a link in its place leads nowhere.
    Missing,
}

/// Checks each file of the model at `place`. One that cannot be opened as a model is checked as well.
///
/// # Errors
/// When a file cannot be read, or `cancel` was set.
pub fn verify_files(
    place: &ModelPlace,
    homes: &ModelHomes,
    progress: &dyn FetchProgress,
    cancel: &AtomicBool,
) -> Result<Vec<FileCheck>, LibraryError> {
    let files = files_of(place);
    let length = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let total = files.iter().map(|path| length(path)).sum();
    progress.event(FetchEvent::Planned { files: files.len(), bytes: total, present_bytes: 0 });
    let mut checks = Vec::new();
    let mut done = 0;
    for path in files {
        let bytes = length(&path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        progress.event(FetchEvent::File { name: &name, bytes, resumed_at: 0 });
        let state = match recorded_hash(&path, place, homes) {
            None => FileState::Unrecorded,
            Some(expected) => {
                let actual =
                    expected.of_same_kind(&path, cancel).map_err(|error| HubError::io(&path, error))?;
                let actual = actual.ok_or(HubError::Cancelled)?;
                if actual == expected {
                    FileState::Sound
                } else {
                    FileState::Damaged { expected: expected.to_string(), actual: actual.to_string() }
                }
            }
        };
        done += bytes;
        progress.event(FetchEvent::Bytes { done });
        checks.push(FileCheck { path, bytes, state });
    }
    checks.extend(missing(place).into_iter().map(|path| FileCheck {
        path,
        bytes: 0,
        state: FileState::Missing,
    }));
    Ok(checks)
}

/// Files of the model that are gone, if anything still tells of them.
fn missing(place: &ModelPlace) -> Vec<PathBuf> {
    let recorded = match place {
        ModelPlace::Folder(dir) => Record::read(dir).map(|record| record.missing_in(dir)),
        ModelPlace::Towers { .. } | ModelPlace::BuiltIn => None,
    };
    let mut missing = recorded.unwrap_or_default();
    let broken = candidates(place).into_iter().filter(|path| path.is_symlink() && !path.is_file());
    missing.extend(broken.filter(|path| !missing.contains(path)).collect::<Vec<_>>());
    missing
}

/// The files of a model, also where damage keeps it from being opened.
fn files_of(place: &ModelPlace) -> Vec<PathBuf> {
    if let Ok(folder) = ModelFolder::open_place(place) {
        return folder.files();
    }
    candidates(place).into_iter().filter(|path| path.is_file()).collect()
}

/// Where files of a model may lie.
fn candidates(place: &ModelPlace) -> Vec<PathBuf> {
    const NAMES: [&str; 6] = [
        "config.json",
        "vocab.txt",
        "tokenizer.json",
        "preprocessor_config.json",
        "model.safetensors",
        "pytorch_model.bin",
    ];
    let dirs = match place {
        ModelPlace::BuiltIn => Vec::new(),
        ModelPlace::Folder(dir) => vec![dir.clone(), dir.join("text"), dir.join("image")],
        ModelPlace::Towers { text, image } => vec![text.clone(), image.clone()],
    };
    dirs.iter().flat_map(|dir| NAMES.map(|name| dir.join(name))).collect()
}

/// By the folder's own record, or by the name of the blob that a snapshot's link leads to.
fn recorded_hash(path: &Path, place: &ModelPlace, homes: &ModelHomes) -> Option<FileHash> {
    if let ModelPlace::Folder(dir) = place
        && let Some(record) = Record::read(dir)
    {
        return record.hash(path.strip_prefix(dir).ok()?);
    }
    let of_repository = |repository: &str| {
        let cache = crate::hub::RepositoryCache::new(&homes.hub_cache_dir, repository);
        let in_it = path.starts_with(cache.snapshots());
        let file: CachedFile = in_it.then(|| cache.file(path.to_owned())).flatten()?;
        crate::hub::RepositoryCache::recorded_hash(&file)
    };
    known_models()
        .iter()
        .flat_map(|model| [model.text_repository, model.image_repository])
        .find_map(of_repository)
}
