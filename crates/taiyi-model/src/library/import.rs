//! Bringing a folder of files in: checked, copied whole or not at all, and remembered by its hashes.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::turn::{DRAFT_PREFIX, take_turn};
use super::{LibraryError, Record};
use crate::family::{KnownModel, ModelHomes, ModelPlace, Shape, known_model};
use crate::hub::{FetchEvent, FetchProgress, FileHash, Hasher, HubError, check_space};
use crate::{DEMO_MODEL, ModelFolder, known_models};

/// Longer names are no file names on some systems.
const MAX_NAME_BYTES: usize = 100;

/// Copies the model at `source` into the folder of models as `name`; where it lies then.
///
/// # Errors
/// When `name` cannot be one or is taken, when `source` is no model, is another one than the published one of that
/// name, or was damaged on the way, and when the disk is full. Nothing is left behind then.
pub fn import(
    source: &ModelPlace,
    name: &str,
    homes: &ModelHomes,
    progress: &dyn FetchProgress,
    cancel: &AtomicBool,
) -> Result<PathBuf, LibraryError> {
    check_name(name)?;
    let target = homes.models_dir.join(name);
    check_free(name, &target)?;
    let recorded = match source {
        ModelPlace::Folder(dir) => Record::read(dir).map(|record| (dir.clone(), record)),
        ModelPlace::Towers { .. } | ModelPlace::BuiltIn => None,
    };
    // Asked first: what opening says of a file that is gone is only that it is not there, if it needs it at all.
    if let Some(gone) = recorded.as_ref().and_then(|(dir, record)| record.missing_in(dir).into_iter().next())
    {
        return Err(LibraryError::Gone { file: gone.display().to_string() });
    }
    let folder = ModelFolder::open_place(source)?;
    if let Some(known) = known_model(name) {
        check_shape(known, &folder, source)?;
    }
    let files = layout(&folder);
    let lengths: Vec<u64> =
        files.iter().map(|(from, _)| fs::metadata(from).map_or(0, |metadata| metadata.len())).collect();
    let bytes = lengths.iter().sum();
    check_space(&homes.models_dir, bytes)?;
    fs::create_dir_all(&homes.models_dir).map_err(|error| HubError::io(&homes.models_dir, error))?;
    let _turn = take_turn(&homes.models_dir)?;
    check_free(name, &target)?;
    let draft = tempfile::Builder::new()
        .prefix(DRAFT_PREFIX)
        .tempdir_in(&homes.models_dir)
        .map_err(|error| HubError::io(&homes.models_dir, error))?;

    progress.event(FetchEvent::Planned { files: files.len(), bytes, present_bytes: 0 });
    let mut record = Record::new(name);
    let mut done = 0;
    for ((from, below), length) in files.iter().zip(&lengths) {
        let name = below.to_string_lossy();
        progress.event(FetchEvent::File { name: &name, bytes: *length, resumed_at: 0 });
        let to = draft.path().join(below);
        if let Some(dir) = to.parent() {
            fs::create_dir_all(dir).map_err(|error| HubError::io(dir, error))?;
        }
        let hash = copy_file(from, &to, cancel)?;
        let expected = recorded.as_ref().and_then(|(dir, record)| record.hash(from.strip_prefix(dir).ok()?));
        if let Some(expected) = expected {
            let actual = expected
                .of_same_kind(&to, cancel)
                .map_err(|error| HubError::io(&to, error))?
                .ok_or(HubError::Cancelled)?;
            if actual != expected {
                return Err(LibraryError::Damaged {
                    file: from.display().to_string(),
                    expected: expected.to_string(),
                    actual: actual.to_string(),
                });
            }
        }
        record.add(below, *length, &hash);
        done += length;
        progress.event(FetchEvent::Bytes { done });
    }
    // What was copied is opened once more: a file may have changed meanwhile.
    ModelFolder::open(draft.path())?;
    record.write(draft.path())?;
    readable_by_all(draft.path());
    fs::rename(draft.path(), &target).map_err(|error| HubError::io(&target, error))?;
    // It is no draft any more, and must not be removed as one.
    let _ = draft.keep();
    Ok(target)
}

fn check_free(name: &str, target: &Path) -> Result<(), LibraryError> {
    if !target.exists() {
        return Ok(());
    }
    Err(LibraryError::Refused(format!(
        "a model {name} is in {} already: remove it with `taiyi-search model remove {name}`, or choose another name",
        target.display()
    )))
}

/// A published model's name is for what can be that model: later, nobody would know what it means otherwise.
fn check_shape(known: &KnownModel, folder: &ModelFolder, source: &ModelPlace) -> Result<(), LibraryError> {
    let shape = Shape::of(&folder.description());
    let Some(differences) = known.shape.differences(&shape) else { return Ok(()) };
    let advice = match known_models().iter().find(|other| other.shape.differences(&shape).is_none()) {
        Some(other) => format!("it looks like {0}: --as {0}", other.name),
        None => "give it another name with --as".to_owned(),
    };
    Err(LibraryError::Refused(format!("{source} is not {}: {differences}; {advice}", known.name)))
}

/// Where each file of a model goes in a folder of its own.
fn layout(folder: &ModelFolder) -> Vec<(PathBuf, PathBuf)> {
    let [text, image] = folder.tower_files();
    if folder.description().is_one_checkpoint {
        let name = |path: &PathBuf| path.file_name().map(PathBuf::from);
        return folder.files().into_iter().filter_map(|path| Some((path.clone(), name(&path)?))).collect();
    }
    let below = |dir: &'static str, files: Vec<PathBuf>| {
        files.into_iter().filter_map(move |path| {
            let target = Path::new(dir).join(path.file_name()?);
            Some((path, target))
        })
    };
    below("text", text).chain(below("image", image)).collect()
}

fn check_name(name: &str) -> Result<(), LibraryError> {
    let refuse = |why: &str| Err(LibraryError::Refused(format!("{name:?} cannot be a model's name: {why}")));
    if name == DEMO_MODEL {
        return refuse("it is the built-in model's");
    }
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.trim() != name {
        return refuse("expected 1 to 100 bytes without white space around them");
    }
    if name.starts_with(['.', '-']) || name.ends_with('.') {
        return refuse("it begins with a dot or a hyphen, or ends with a dot");
    }
    if name.chars().any(|c| c.is_control() || "/\\:*?\"<>|".contains(c)) {
        return refuse("it has to do as a folder's name on every system");
    }
    Ok(())
}

/// Copies a file and gives the SHA-256 of what was copied.
pub(crate) fn copy_file(from: &Path, to: &Path, cancel: &AtomicBool) -> Result<FileHash, HubError> {
    let mut source = File::open(from).map_err(|error| HubError::io(from, error))?;
    let mut target = File::create(to).map_err(|error| HubError::io(to, error))?;
    let mut hasher = Hasher::sha256();
    let mut buffer = vec![0; 1 << 18];
    loop {
        if cancel.load(Ordering::Relaxed) {
            return Err(HubError::Cancelled);
        }
        let n = source.read(&mut buffer).map_err(|error| HubError::io(from, error))?;
        let bytes = buffer.get(..n).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        hasher.update(bytes);
        target.write_all(bytes).map_err(|error| HubError::io(to, error))?;
    }
    target.sync_all().map_err(|error| HubError::io(to, error))?;
    Ok(hasher.finish())
}

/// A temporary folder is its owner's alone; a model need not be.
#[cfg(unix)]
fn readable_by_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o755));
}

#[cfg(not(unix))]
fn readable_by_all(_: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folders_of_ours() {
        for name in ["taiyi-102m", "我的模型", "my model", "v1.5"] {
            check_name(name).unwrap();
        }
        for name in
            ["demo", "", ".", "..", "../x", "a/b", "a\\b", ".import-x", " x", "-x", "x.", "a\nb", "CON:"]
        {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name(&"太".repeat(40)).is_err());
    }
}
