//! Indexes that a command makes for itself, apart from the user's own.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use taiyi_core::{EncodeError, ImageEncoder};
use taiyi_image::Limits;
use taiyi_indexer::{IndexError, Report, RunOptions, WalkOptions, absolute_even_if_gone, resolve_targets};
use taiyi_model::TowerOptions;
use taiyi_store::{GraphOptions, RelativePath, Writer, WriterOptions};
use tempfile::TempDir;

use crate::models::Model;
use crate::output::text::show_path;
use crate::progress::Reporter;
use crate::settings::Settings;

/// Embeds every picture below `photos` into the index in `index_dir`, which is made if there is none.
///
/// `check` is called with the files that are about to be read, paths below `photos`, before any of them is.
pub(crate) fn embed_folder(
    settings: &Settings,
    model: &Model,
    photos: &Path,
    index_dir: &Path,
    cancel: &AtomicBool,
    check: impl FnOnce(&mut dyn Iterator<Item = RelativePath>) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    let threads = settings.threads;
    let options = WriterOptions { model: model.id.clone(), graph: GraphOptions::default(), threads };
    let writer = Writer::open(index_dir, options)?;
    let targets = resolve_targets(&[photos.to_path_buf()], &[])?;
    let reporter = Reporter::new(settings);
    let walk = WalkOptions {
        follow_links: settings.follow_links,
        hidden: settings.hidden,
        exclude: settings.exclude.clone(),
        skip: vec![absolute_even_if_gone(index_dir)],
    };
    let plan = taiyi_indexer::plan(Some(&writer), &targets.found, &walk, false, &reporter)?;
    let below_photos = |path: &Path| {
        let below = targets.found.iter().find_map(|target| path.strip_prefix(&target.root).ok())?;
        RelativePath::from_path(below).ok()
    };
    let checked = check(&mut plan.reading().filter_map(|(path, _)| below_photos(&path)));
    if checked.is_err() {
        reporter.finish();
    }
    checked?;
    let load = || -> Result<Arc<dyn ImageEncoder>, IndexError> {
        Ok(Arc::new(model.folder.image_tower(&TowerOptions { threads }).map_err(EncodeError::from)?))
    };
    let options = RunOptions {
        limits: Limits { max_pixels: settings.max_megapixels.saturating_mul(1_000_000), ..Limits::default() },
        threads: threads.get(),
        ..RunOptions::default()
    };
    let report = taiyi_indexer::run(&writer, plan, load, &options, &reporter, cancel)?;
    reporter.finish();
    Ok(report)
}

/// A folder for an index that is thrown away.
pub(crate) struct Scratch {
    dir: TempDir,
    /// Says that the folder is in use. The system takes the lock back however the process ends.
    _alive: File,
}

impl Scratch {
    /// Makes one below `parent`, and removes those that killed processes have left there.
    pub(crate) fn below(parent: &Path) -> anyhow::Result<Self> {
        let failed = || format!("cannot write to {}", show_path(parent));
        fs::create_dir_all(parent).with_context(failed)?;
        // Nobody sweeps while another has a folder, but not yet the lock in it.
        let sweeping = lock_file(&parent.join("LOCK")).with_context(failed)?;
        if let Err(e) = sweeping.lock() {
            tracing::debug!("no locks in {}: {e}", parent.display());
        }
        sweep(parent);
        let dir = tempfile::Builder::new().prefix("run-").tempdir_in(parent).with_context(failed)?;
        let alive = lock_file(&dir.path().join(ALIVE)).with_context(failed)?;
        if let Err(e) = alive.try_lock() {
            tracing::debug!("no lock on {}: {e}", dir.path().display());
        }
        fs::create_dir(dir.path().join(INDEX)).with_context(failed)?;
        Ok(Self { dir, _alive: alive })
    }

    pub(crate) fn index_dir(&self) -> std::path::PathBuf {
        self.dir.path().join(INDEX)
    }
}

const ALIVE: &str = "alive";
const INDEX: &str = "index";

/// Opens a file to lock, which is made if there is none.
pub(crate) fn lock_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Removes the folders of processes that are gone. What cannot be removed stays: it is only space.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for dir in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let is_dead = match OpenOptions::new().write(true).open(dir.join(ALIVE)) {
            // Closed, and with that unlocked, before the folder is removed.
            Ok(alive) => alive.try_lock().is_ok(),
            Err(e) => e.kind() == std::io::ErrorKind::NotFound,
        };
        if is_dead && let Err(e) = fs::remove_dir_all(&dir) {
            tracing::debug!("cannot remove {}: {e}", dir.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_runs_left_is_removed_and_what_is_in_use_stays() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path().join("eval");
        let folders =
            || fs::read_dir(&parent).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
        for (name, file) in [("run-dead", ALIVE), ("run-early", "other")] {
            fs::create_dir_all(parent.join(name).join(INDEX)).unwrap();
            fs::write(parent.join(name).join(file), "").unwrap();
        }
        let first = Scratch::below(&parent).unwrap();
        assert_eq!(folders(), 1, "only its own");
        let second = Scratch::below(&parent).unwrap();
        assert!(first.index_dir().is_dir() && second.index_dir().is_dir());
        assert_eq!(folders(), 2);
        drop((first, second));
        assert_eq!(folders(), 0);
    }
}
