//! The pictures that a measurement is made on. They go through the same path as in `index`, into an index of their
//! own in the cache folder or the one that `--index` names, so that the next measurement embeds only what is new.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use taiyi_core::Embedding;
use taiyi_indexer::{IndexError, Report};
use taiyi_store::{ContentHash, RelativePath, Snapshot, StoreError};

use crate::exit;
use crate::lines;
use crate::models::Model;
use crate::output::text::{count, show_path};
use crate::own_index;
use crate::settings::Settings;

/// How often a lock is tried that another process holds.
const TRY_EVERY: Duration = Duration::from_millis(200);

/// What was embedded: files with the same content are one picture.
#[derive(Default)]
pub(super) struct Pictures {
    /// In the order of their first paths.
    pub(super) embeddings: Vec<Embedding>,
    /// The picture of each file, by its path below the folder.
    pub(super) by_path: HashMap<RelativePath, usize>,
    /// Why files could not be read.
    pub(super) failures: HashMap<RelativePath, String>,
    /// How many were embedded in this run.
    pub(super) embedded: u64,
}

impl Pictures {
    /// Embeds the pictures below `images` that are not in the index yet; `None` when that was stopped. `choose` is
    /// given all files there, before any of them is read, and says which take part.
    pub(super) fn embed(
        settings: &Settings,
        model: &Model,
        images: &Path,
        is_fresh: bool,
        cancel: &AtomicBool,
        choose: impl FnOnce(&HashSet<RelativePath>) -> anyhow::Result<HashSet<RelativePath>>,
    ) -> anyhow::Result<Option<Self>> {
        let place = Place::new(settings, model, images, is_fresh)?;
        let all = own_index::files_below(settings, images, &place.index_dir())?;
        let chosen = choose(&all)?;
        drop(all);
        let Some(_turn) = place.wait_for_turn(settings, cancel)? else { return Ok(None) };
        if is_fresh {
            place.clear()?;
        }
        let job = Job { settings, model, images, cancel, chosen: &chosen };
        match place.check().and_then(|()| job.run(&place.index_dir())) {
            Err(e) if place.is_cache() && is_of_damage(&e) => {
                exit::warn(&format!("{}: embedding anew", exit::one_line(&e)));
                place.clear()?;
                job.run(&place.index_dir())
            }
            done => done,
        }
    }

    /// The first path of each picture.
    pub(super) fn first_paths(&self) -> Vec<RelativePath> {
        let mut paths: Vec<(usize, &RelativePath)> =
            self.by_path.iter().map(|(path, picture)| (*picture, path)).collect();
        paths.sort();
        paths.dedup_by_key(|(picture, _)| *picture);
        paths.into_iter().map(|(_, path)| path.clone()).collect()
    }

    /// Says in a message why none of a row's pictures could be read.
    pub(super) fn why_not(
        &self,
        table: &Path,
        line: usize,
        picture: Option<&RelativePath>,
        images: &Path,
    ) -> String {
        let reason = picture.and_then(|picture| self.failures.get(picture));
        let reason = reason.map_or("it is no picture", String::as_str);
        let path = picture.map_or_else(PathBuf::new, |picture| images.join(picture.to_path()));
        format!("{}: {}: {reason}", lines::place(table, line), show_path(&path))
    }
}

/// Whether an index is of no use any more, which is no loss where it is only a cache.
fn is_of_damage(error: &anyhow::Error) -> bool {
    let store = error.chain().find_map(|cause| match cause.downcast_ref::<IndexError>() {
        Some(IndexError::Store(e)) => Some(e),
        _ => cause.downcast_ref::<StoreError>(),
    });
    matches!(
        store,
        Some(StoreError::Corrupt { .. } | StoreError::NewerFormat { .. } | StoreError::Incompatible { .. })
    )
}

/// Where the embeddings are kept.
enum Place {
    /// The index that `--index` names.
    Own(PathBuf),
    /// A folder of the cache, one for each model, way of decoding and folder of pictures.
    Cache(PathBuf),
}

impl Place {
    fn new(settings: &Settings, model: &Model, images: &Path, is_fresh: bool) -> anyhow::Result<Self> {
        if settings.is_index_named {
            if is_fresh {
                bail!(
                    "--fresh empties the cache, not an index of your own: type taiyi-search index --rebuild"
                );
            }
            return Ok(Self::Own(settings.index_dir.clone()));
        }
        let images = images.canonicalize().with_context(|| show_path(images))?;
        let decoding: &[u8] = if settings.full_decode { b"\0full decode\0" } else { b"\0" };
        let key = [model.id.weights.as_bytes(), decoding, images.as_os_str().as_encoded_bytes()].concat();
        let name: String = ContentHash::of(&key).to_hex().chars().take(16).collect();
        Ok(Self::Cache(settings.cache_dir.join("eval").join("pictures").join(name)))
    }

    fn is_cache(&self) -> bool {
        matches!(self, Self::Cache(_))
    }

    fn index_dir(&self) -> PathBuf {
        match self {
            Self::Own(dir) => dir.clone(),
            Self::Cache(dir) => dir.join("index"),
        }
    }

    /// Lets only one process at a time use a folder of the cache; `None` when the waiting was stopped.
    fn wait_for_turn(
        &self,
        settings: &Settings,
        cancel: &AtomicBool,
    ) -> anyhow::Result<Option<Option<File>>> {
        // Whoever writes to an index of the user's is told of by the index.
        let Self::Cache(dir) = self else { return Ok(Some(None)) };
        let failed =
            || format!("cannot write to {}: keep the embeddings elsewhere with --index DIR", show_path(dir));
        fs::create_dir_all(dir).with_context(failed)?;
        let path = dir.join("LOCK");
        let turn = own_index::lock_file(&path).with_context(failed)?;
        let mut is_told = settings.is_quiet();
        loop {
            match turn.try_lock() {
                Ok(()) => return Ok(Some(Some(turn))),
                Err(TryLockError::Error(e)) => {
                    // Some file systems know no locks. The index has one of its own.
                    tracing::debug!("cannot lock {}: {e}", path.display());
                    return Ok(Some(None));
                }
                Err(TryLockError::WouldBlock) if cancel.load(Ordering::Relaxed) => return Ok(None),
                Err(TryLockError::WouldBlock) => {
                    if !is_told {
                        exit::note("another measurement embeds these pictures: waiting for it");
                        is_told = true;
                    }
                    thread::sleep(TRY_EVERY);
                }
            }
        }
    }

    /// Removes what is kept in the cache.
    fn clear(&self) -> anyhow::Result<()> {
        if !self.is_cache() {
            return Ok(());
        }
        let dir = self.index_dir();
        match fs::remove_dir_all(&dir) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(e).with_context(|| format!("cannot remove {}", show_path(&dir)))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a cache with a byte that is not as it was written: a measurement shall not depend on it.
    fn check(&self) -> anyhow::Result<()> {
        if !self.is_cache() {
            return Ok(());
        }
        let dir = self.index_dir();
        let problem = match taiyi_store::verify(&dir, &mut |_| {}) {
            Ok(report) => report.problems.into_iter().next(),
            Err(StoreError::NotFound { .. }) => None,
            Err(e) => return Err(e.into()),
        };
        match problem {
            None => Ok(()),
            Some(problem) => {
                Err(StoreError::Corrupt { file: dir, what: problem.what, remedy: "it is only a cache" }
                    .into())
            }
        }
    }
}

struct Job<'a> {
    settings: &'a Settings,
    model: &'a Model,
    images: &'a Path,
    cancel: &'a AtomicBool,
    chosen: &'a HashSet<RelativePath>,
}

impl Job<'_> {
    fn run(&self, index_dir: &Path) -> anyhow::Result<Option<Pictures>> {
        let images = self.images.canonicalize().with_context(|| show_path(self.images))?;
        let below = |path: &Path| RelativePath::from_path(path.strip_prefix(&images).ok()?).ok();
        let is_chosen = |path: &Path| below(path).is_some_and(|path| self.chosen.contains(&path));
        let report =
            own_index::embed_folder(self.settings, self.model, &images, index_dir, self.cancel, |plan| {
                plan.read_only(is_chosen);
            })?;
        if report.interrupted {
            return Ok(None);
        }
        for problem in &report.problems {
            exit::warn(&format!("{} {}", show_path(&problem.path), problem.reason));
        }
        let mut pictures = match Snapshot::open(index_dir) {
            Ok(snapshot) if !snapshot.model().is_same_model(&self.model.id) => bail!(
                "the index in {} is being rebuilt for another model: let taiyi-search index --rebuild finish first",
                show_path(index_dir)
            ),
            Ok(snapshot) => self.read(&snapshot, &below)?,
            // There was not one to publish.
            Err(StoreError::NotPublished { .. }) => Pictures::default(),
            Err(e) => return Err(e.into()),
        };
        self.finish(&mut pictures, report, &below);
        Ok(Some(pictures))
    }

    /// What is there of the chosen files.
    fn read(
        &self,
        snapshot: &Snapshot,
        below: &dyn Fn(&Path) -> Option<RelativePath>,
    ) -> anyhow::Result<Pictures> {
        let chosen = |path: &Path| below(path).filter(|path| self.chosen.contains(path));
        let mut found = Vec::new();
        for row in snapshot.rows() {
            let mut paths: Vec<RelativePath> = snapshot
                .item(row)?
                .locations
                .iter()
                .filter_map(|location| chosen(&location.path()))
                .collect();
            paths.sort();
            if !paths.is_empty() {
                found.push((paths, row));
            }
        }
        // Rows are in the order in which they were embedded, which may differ from run to run.
        found.sort();
        let mut pictures = Pictures::default();
        for (paths, row) in found {
            let picture = pictures.embeddings.len();
            pictures.by_path.extend(paths.into_iter().map(|path| (path, picture)));
            pictures.embeddings.push(snapshot.embedding(row)?);
        }
        for failed in snapshot.failures()? {
            if let Some(path) = chosen(&failed.location.path()) {
                pictures.failures.insert(path, failed.failure.message);
            }
        }
        Ok(pictures)
    }

    fn finish(&self, pictures: &mut Pictures, report: Report, below: &dyn Fn(&Path) -> Option<RelativePath>) {
        pictures.embedded = report.embedded();
        for failed in report.failed {
            if let Some(path) = below(&failed.path) {
                pictures.failures.insert(path, failed.reason);
            }
        }
        let kept = (pictures.embeddings.len() as u64).saturating_sub(pictures.embedded);
        if kept > 0 && !self.settings.is_quiet() {
            exit::note(&format!("{} from an earlier run", count(kept, "picture is", "pictures are")));
        }
    }
}
