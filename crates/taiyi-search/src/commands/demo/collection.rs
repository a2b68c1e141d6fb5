//! The pictures of the demo, which are part of the program, and their copy in the cache folder.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use taiyi_store::ContentHash;

/// Path with `/` below the collection, and the file's bytes.
type Picture = (&'static str, &'static [u8]);

const PICTURES: &[Picture] = include!(concat!(env!("OUT_DIR"), "/collection.rs"));

/// Says which pictures lie beside it. Hidden, so that no index takes it for one of them.
const MARKER: &str = ".collection";

/// Begins the name of a folder in which a copy is made.
const DRAFT_PREFIX: &str = "photos.";

/// How many pictures there are.
pub(super) fn len() -> usize {
    PICTURES.len()
}

/// Whether the whole collection lies in `photos`, as far as names and lengths tell.
pub(super) fn is_unpacked(photos: &Path) -> bool {
    is_whole(PICTURES, photos, &version(PICTURES))
}

/// Makes `photos` the collection, if it is not yet. Whoever looks sees all of the pictures or none.
/// `before_replacing` is called first if anything has to be written. One process at a time may call this.
pub(super) fn unpack(
    photos: &Path,
    before_replacing: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    unpack_pictures(PICTURES, photos, before_replacing)
}

fn unpack_pictures(
    pictures: &[Picture],
    photos: &Path,
    before_replacing: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let version = version(pictures);
    if is_whole(pictures, photos, &version) {
        return Ok(());
    }
    before_replacing()?;
    let parent = photos.parent().unwrap_or(photos);
    let failed = || format!("cannot write the demo's pictures to {}", photos.display());
    fs::create_dir_all(parent).with_context(failed)?;
    remove_drafts(parent);
    let draft_dir = tempfile::Builder::new().prefix(DRAFT_PREFIX).tempdir_in(parent).with_context(failed)?;
    let draft = draft_dir.path().join("new");
    fs::create_dir(&draft).with_context(failed)?;
    for (name, bytes) in pictures {
        let path = draft.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(failed)?;
        }
        fs::write(&path, bytes).with_context(failed)?;
    }
    fs::write(draft.join(MARKER), &version).with_context(failed)?;
    // What was there goes with the draft's folder.
    match fs::rename(photos, draft_dir.path().join("old")) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e).with_context(failed),
        _ => {}
    }
    fs::rename(&draft, photos).with_context(failed)
}

/// Removes what killed processes have left. What cannot be removed stays: it is only space.
fn remove_drafts(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let is_draft = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(DRAFT_PREFIX);
    for draft in entries.flatten().filter(is_draft) {
        if let Err(e) = fs::remove_dir_all(draft.path()) {
            tracing::debug!("cannot remove {}: {e}", draft.path().display());
        }
    }
}

/// A hash over all names and contents.
fn version(pictures: &[Picture]) -> String {
    let mut parts = Vec::new();
    for (name, bytes) in pictures {
        parts.extend_from_slice(&ContentHash::of(name.as_bytes()).0);
        parts.extend_from_slice(&ContentHash::of(bytes).0);
    }
    ContentHash::of(&parts).0.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_whole(pictures: &[Picture], photos: &Path, version: &str) -> bool {
    fs::read_to_string(photos.join(MARKER)).is_ok_and(|marker| marker == version)
        && pictures.iter().all(|(name, bytes)| {
            fs::metadata(photos.join(name))
                .is_ok_and(|file| file.is_file() && file.len() == bytes.len() as u64)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_made_mended_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let photos = dir.path().join("demo").join("photos");
        let unpack = |pictures: &[Picture]| {
            let mut replaced = false;
            unpack_pictures(pictures, &photos, || {
                replaced = true;
                Ok(())
            })
            .unwrap();
            for (name, bytes) in pictures {
                assert_eq!(fs::read(photos.join(name)).unwrap(), *bytes);
            }
            assert_eq!(fs::read_dir(dir.path().join("demo")).unwrap().count(), 1, "nothing beside it");
            replaced
        };
        let first: &[Picture] = &[("动物/老虎.png", b"one"), ("b.jpg", b"two")];
        assert!(unpack(first));
        assert!(!unpack(first), "it is there");
        fs::remove_file(photos.join("b.jpg")).unwrap();
        // A run that was killed has left its draft.
        fs::create_dir_all(dir.path().join("demo").join("photos.killed").join("new")).unwrap();
        assert!(unpack(first), "mended");
        assert!(unpack(&[("b.jpg", b"2.0")]), "of another version");
        assert!(!photos.join("动物").exists());
    }

    #[test]
    fn the_collection_is_compiled_in() {
        assert!(len() >= 100);
        let is_plain = |name: &str| name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
        assert!(PICTURES.iter().all(|(name, bytes)| is_plain(name) && !bytes.is_empty()));
    }
}
