//! The one writer of an index: commits to the ledger, publishes generations.

use std::collections::HashSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use taiyi_core::ModelId;

use crate::encoding::ContentRecord;
use crate::fault::{Faults, Step};
use crate::generation::build;
use crate::graph_work::{GraphWork, Rows};
use crate::ledger::{Batch, Ledger, State, stored_root_path};
use crate::lock::WriterLock;
use crate::manifest::{MANIFEST_NAME, Manifest};
use crate::opening::{Opening, open_ledger};
use crate::publish::{Publisher, readable_manifest, sweep_temporary};
use crate::touched::Touched;
use crate::{
    ContentHash, Entry, FailureKind, LocationRecord, LocationState, RelativePath, Root, RootId, StoreError,
};

#[cfg(test)]
mod testing;

/// Locations moved or removed in one batch.
const BATCH_LOCATIONS: usize = 4096;

/// How the nearest-neighbour graph is built, and from when on there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphOptions {
    /// Neighbours a row keeps on the upper levels; twice as many on the lowest.
    pub m: usize,
    /// Candidates looked at for each row.
    pub ef_construction: usize,
    /// Fewer rows than this are scanned exactly, without a graph.
    pub min_rows: usize,
}

impl Default for GraphOptions {
    fn default() -> Self {
        Self { m: 16, ef_construction: 200, min_rows: 50_000 }
    }
}

/// How to open a [`Writer`].
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// The model that makes the embeddings.
    pub model: ModelId,
    /// The graph of a published generation.
    pub graph: GraphOptions,
    /// Threads that build the graph.
    pub threads: NonZeroUsize,
}

/// How to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishOptions {
    /// Also do the long work: build the graph where it is due, drop removed rows, and forget contents
    /// that lie nowhere any more. Leave it off when publishing in the middle of a run: it takes
    /// minutes from a hundred thousand rows on, and an [`Entry::Reused`] still under way could meet
    /// a content just forgotten.
    pub build_graph: bool,
}

/// What [`Writer::publish`] is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishStep {
    /// Reading the ledger, or the generation before and what was changed since.
    Collect,
    /// Writing new vectors.
    Vectors,
    /// Building the graph: the long one.
    Graph,
    /// Writing the item table.
    Items,
}

/// How far [`Writer::publish`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishProgress {
    /// What is being done.
    pub step: PublishStep,
    /// Rows done in this step.
    pub done: u64,
    /// Rows to do in this step; 0 when unknown.
    pub total: u64,
}

/// What [`Writer::publish`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Readers that open the index now see this generation.
    New(PublishedGeneration),
    /// The generation that readers see is up to date already.
    Unchanged(PublishedGeneration),
    /// A rebuild is under way, and the generation from before it stays until
    /// [`Writer::finish_rebuild`].
    HeldBack,
}

/// A published generation in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedGeneration {
    /// Its number.
    pub generation: u64,
    /// Contents that can be found.
    pub rows: u64,
    /// Files that have them.
    pub locations: u64,
    /// Files that failed.
    pub failures: u64,
    /// Rows that the graph covers; 0 without a graph.
    pub graph_rows: u64,
}

/// The one writer of an index. All methods may be called from many threads; those that change something
/// wait for each other.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    model: ModelId,
    epoch: u64,
    rebuilding: AtomicBool,
    graph: GraphOptions,
    threads: NonZeroUsize,
    ledger: Ledger,
    /// Locked by whatever changes the ledger, from reading to syncing.
    state: Mutex<State>,
    /// Locked after the state, and told before the ledger is.
    touched: Mutex<Touched>,
    faults: Faults,
    // Last, so that the lock goes after the ledger is closed.
    _lock: WriterLock,
}

impl Writer {
    /// Opens the index in `dir` for writing, or makes one. A rebuild that was interrupted goes on, if it
    /// was one to this model.
    ///
    /// # Errors
    /// `Busy` when another process writes, `Incompatible` when the index holds embeddings of another
    /// model, `NewerFormat`, `Corrupt`, `Io`, and `InvalidArgument` for impossible graph options.
    pub fn open(dir: &Path, options: WriterOptions) -> Result<Self, StoreError> {
        Self::open_as(dir, &Opening::Continue(options.model), options.graph, options.threads)
    }

    /// Opens the index in `dir` to embed everything anew, with the same model or another. What was known
    /// stays searchable until [`finish_rebuild`](Self::finish_rebuild) and a publication. A rebuild
    /// to this model that was interrupted goes on where it was. A damaged ledger is replaced.
    ///
    /// # Errors
    /// As [`open`](Self::open), but never `Incompatible`.
    pub fn open_for_rebuild(dir: &Path, options: WriterOptions) -> Result<Self, StoreError> {
        Self::open_as(dir, &Opening::Rebuild(options.model), options.graph, options.threads)
    }

    /// Opens an index that exists, whatever its model: to remove from it, or to publish again.
    ///
    /// # Errors
    /// As [`open`](Self::open), and `NotFound` when there is no index.
    pub fn open_any_model(
        dir: &Path,
        graph: GraphOptions,
        threads: NonZeroUsize,
    ) -> Result<Self, StoreError> {
        if !Ledger::exists(dir) && !dir.join(MANIFEST_NAME).exists() {
            return Err(StoreError::NotFound { dir: dir.to_owned() });
        }
        Self::open_as(dir, &Opening::AnyModel, graph, threads)
    }

    fn open_as(
        dir: &Path,
        opening: &Opening,
        graph: GraphOptions,
        threads: NonZeroUsize,
    ) -> Result<Self, StoreError> {
        build::check_options(&graph)?;
        if let Opening::Continue(model) | Opening::Rebuild(model) = opening
            && (model.dimension == 0 || model.dimension > 1 << 20)
        {
            return Err(StoreError::InvalidArgument(format!("{model} cannot be indexed")));
        }
        fs::create_dir_all(dir).map_err(|e| StoreError::io(dir, e))?;
        let lock = WriterLock::acquire(dir)?;
        sweep_temporary(dir);
        let (ledger, state) = open_ledger(dir, opening)?;
        let published = Manifest::read(dir).ok().flatten().filter(|m| m.is_vouched_for(&state));
        let touched = published.map_or_else(Touched::default, |m| Touched::since(m.generation, []));
        let writer = Self {
            dir: dir.to_owned(),
            model: state.model.clone(),
            epoch: state.epoch,
            rebuilding: AtomicBool::new(state.rebuilding),
            graph,
            threads,
            ledger,
            state: Mutex::new(state),
            touched: Mutex::new(touched),
            faults: Faults::default(),
            _lock: lock,
        };
        Ok(writer)
    }

    /// The model whose embeddings this writer takes.
    #[must_use]
    pub fn model(&self) -> &ModelId {
        &self.model
    }

    /// Whether a rebuild is under way.
    #[must_use]
    pub fn is_rebuilding(&self) -> bool {
        self.rebuilding.load(Ordering::Acquire)
    }

    /// The roots, in the order they were added.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn roots(&self) -> Result<Vec<Root>, StoreError> {
        self.ledger.roots()
    }

    /// Adds a root of which everything is indexed; a path that is a root already keeps its name.
    ///
    /// # Errors
    /// `InvalidArgument` when the path is not absolute; when the ledger cannot be written.
    pub fn add_root(&self, path: &Path) -> Result<RootId, StoreError> {
        self.put_root(path, false)
    }

    /// Adds a root of which only named files are indexed; a path that is a root already stays as it is.
    ///
    /// # Errors
    /// As [`add_root`](Self::add_root).
    pub fn add_partial_root(&self, path: &Path) -> Result<RootId, StoreError> {
        self.put_root(path, true)
    }

    fn put_root(&self, path: &Path, partial: bool) -> Result<RootId, StoreError> {
        if !path.is_absolute() {
            return Err(StoreError::InvalidArgument(format!("the root {} is not absolute", path.display())));
        }
        let stored = stored_root_path(path)?;
        let mut state = self.lock_state();
        if let Some(root) = self.ledger.roots()?.into_iter().find(|root| root.path == path) {
            if root.partial && !partial {
                let mut batch = Batch::default();
                batch.put_partial(root.id, false);
                self.apply(&mut state, batch)?;
            }
            return Ok(root.id);
        }
        let id = RootId(state.next_root);
        state.next_root = state
            .next_root
            .checked_add(1)
            .ok_or_else(|| StoreError::InvalidArgument("the index has had too many roots".to_owned()))?;
        let mut batch = Batch::default();
        batch.put_root(id, stored);
        batch.put_partial(id, partial);
        self.apply(&mut state, batch)?;
        Ok(id)
    }

    /// Moves all locations of `child` (a folder below `parent`) under `parent`, and forgets `child`.
    /// Where both know a file, what `parent` knows stays. Interrupted, it can be called again.
    ///
    /// # Errors
    /// `InvalidArgument` when one is no root or they do not lie so; when the ledger fails.
    pub fn merge_root(&self, child: RootId, parent: RootId) -> Result<(), StoreError> {
        let mut state = self.lock_state();
        let roots = self.ledger.roots()?;
        let path_of = |id: RootId| {
            let root = roots.iter().find(|root| root.id == id);
            root.map(|root| &root.path).ok_or_else(|| no_such_root(id))
        };
        let (child_path, parent_path) = (path_of(child)?, path_of(parent)?);
        let prefix = child_path.strip_prefix(parent_path).ok().and_then(|p| RelativePath::from_path(p).ok());
        let prefix = prefix.ok_or_else(|| {
            let (child, parent) = (child_path.display(), parent_path.display());
            StoreError::InvalidArgument(format!("{child} is not a folder below {parent}"))
        })?;
        loop {
            let mut batch = Batch::default();
            let mut moved = 0;
            for location in self.ledger.locations(child, None).take(BATCH_LOCATIONS) {
                let (path, record) = location?;
                let target = path.below(&prefix);
                if self.ledger.location(parent, &target)?.is_none() {
                    batch.put_location(parent, &target, &record);
                }
                batch.remove_location(child, &path);
                let mut touched = self.lock_touched();
                touched.location(parent, &target);
                touched.location(child, &path);
                moved += 1;
            }
            if moved < BATCH_LOCATIONS {
                batch.remove_root(child);
                return self.apply(&mut state, batch);
            }
            self.apply(&mut state, batch)?;
        }
    }

    /// Forgets a root with all its locations; their number. Interrupted, it can be called again.
    ///
    /// # Errors
    /// `InvalidArgument` when there is no such root; when the ledger fails.
    pub fn remove_root(&self, root: RootId) -> Result<u64, StoreError> {
        let mut state = self.lock_state();
        if !self.ledger.roots()?.iter().any(|r| r.id == root) {
            return Err(no_such_root(root));
        }
        let mut total = 0;
        loop {
            let mut batch = Batch::default();
            let mut removed = 0;
            for location in self.ledger.locations(root, None).take(BATCH_LOCATIONS) {
                let (path, _) = location?;
                batch.remove_location(root, &path);
                self.lock_touched().location(root, &path);
                removed += 1;
            }
            total += removed as u64;
            if removed < BATCH_LOCATIONS {
                batch.remove_root(root);
                self.apply(&mut state, batch)?;
                return Ok(total);
            }
            self.apply(&mut state, batch)?;
        }
    }

    /// What is known of a file.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn location(&self, root: RootId, path: &RelativePath) -> Result<Option<LocationRecord>, StoreError> {
        self.ledger.location(root, path)
    }

    /// Whether a record still holds, its file being unchanged: false when its content is yet to be
    /// embedded anew by a rebuild. Does not look at the file.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn is_current(&self, record: &LocationRecord) -> Result<bool, StoreError> {
        match &record.state {
            // What a location points to stays in the ledger as long as it does, and only a rebuild makes it old: no
            // look-up of the content for each of a million files that have not changed.
            LocationState::Indexed(hash) => Ok(!self.is_rebuilding() || self.knows_content(hash)?),
            // Another model may take what this one would not.
            LocationState::Failed(failure) => {
                Ok(!(self.is_rebuilding() && failure.kind == FailureKind::Encoder))
            }
            LocationState::Ignored => Ok(true),
        }
    }

    /// Whether the content has an embedding of the present model.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn knows_content(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.ledger.content_epoch(hash)? == Some(self.epoch))
    }

    /// Takes note of files: all of the entries or none, and durably once this returns.
    ///
    /// A content that has its embedding already keeps it, so the rows of a generation never disagree with
    /// the ledger.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown root, an embedding of another dimension, or a reused content that
    /// is not known; when the ledger cannot be written.
    pub fn commit(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut state = self.lock_state();
        let roots: HashSet<RootId> = self.ledger.roots()?.into_iter().map(|root| root.id).collect();
        let mut in_batch = HashSet::new();
        let mut batch = Batch::default();
        let mut touched = self.lock_touched();
        for entry in entries {
            let (root, path, stamp, found) = match entry {
                Entry::Embedded { root, path, stamp, hash, metadata, embedding } => {
                    if embedding.dimension() != self.model.dimension {
                        return Err(StoreError::InvalidArgument(format!(
                            "an embedding of {} components does not go into an index of {}",
                            embedding.dimension(),
                            self.model
                        )));
                    }
                    if in_batch.insert(*hash) && !self.knows_content(hash)? {
                        let record = ContentRecord { epoch: self.epoch, metadata: metadata.clone() };
                        batch.put_content(hash, &record, embedding);
                        touched.content(*hash);
                    }
                    (root, path, stamp, LocationState::Indexed(*hash))
                }
                Entry::Reused { root, path, stamp, hash } => {
                    if !in_batch.contains(hash) && !self.knows_content(hash)? {
                        return Err(StoreError::InvalidArgument(format!(
                            "{path:?} reuses the content {hash}, which the index does not know"
                        )));
                    }
                    (root, path, stamp, LocationState::Indexed(*hash))
                }
                Entry::Failed { root, path, stamp, failure } => {
                    (root, path, stamp, LocationState::Failed(failure.clone()))
                }
                Entry::Ignored { root, path, stamp } => (root, path, stamp, LocationState::Ignored),
            };
            if !roots.contains(root) {
                return Err(no_such_root(*root));
            }
            batch.put_location(*root, path, &LocationRecord { stamp: *stamp, state: found });
            touched.location(*root, path);
        }
        drop(touched);
        if entries.is_empty() { Ok(()) } else { self.apply(&mut state, batch) }
    }

    /// Locations under a root in the order of their bytes, or only those at and below one path.
    pub fn locations(
        &self,
        root: RootId,
        below: Option<&RelativePath>,
    ) -> impl Iterator<Item = Result<(RelativePath, LocationRecord), StoreError>> + use<> {
        self.ledger.locations(root, below)
    }

    /// Forgets files. Their contents stay known until a publication finds them nowhere else.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn remove_locations(&self, root: RootId, paths: &[RelativePath]) -> Result<(), StoreError> {
        let mut state = self.lock_state();
        for paths in paths.chunks(BATCH_LOCATIONS) {
            let mut batch = Batch::default();
            for path in paths {
                batch.remove_location(root, path);
                self.lock_touched().location(root, path);
            }
            self.apply(&mut state, batch)?;
        }
        Ok(())
    }

    /// Ends a rebuild that has been through all files: contents that it did not come by are forgotten,
    /// and so are the locations that still have them. The number of those locations; 0 when no rebuild
    /// is under way. Interrupted, it can be called again.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn finish_rebuild(&self) -> Result<u64, StoreError> {
        let mut state = self.lock_state();
        if !state.rebuilding {
            return Ok(0);
        }
        self.lock_touched().give_up();
        let mut dropped = 0;
        for root in self.ledger.roots()? {
            let mut stale = Vec::new();
            for location in self.ledger.locations(root.id, None) {
                let (path, record) = location?;
                if let LocationState::Indexed(hash) = record.state
                    && !self.knows_content(&hash)?
                {
                    stale.push(path);
                }
            }
            dropped += stale.len() as u64;
            for paths in stale.chunks(BATCH_LOCATIONS) {
                let mut batch = Batch::default();
                for path in paths {
                    batch.remove_location(root.id, path);
                }
                self.apply(&mut state, batch)?;
            }
        }
        let mut stale = Vec::new();
        for content in self.ledger.contents() {
            let (hash, record) = content?;
            if record.epoch != self.epoch {
                stale.push(hash);
            }
        }
        for hashes in stale.chunks(BATCH_LOCATIONS) {
            let mut batch = Batch::default();
            for hash in hashes {
                batch.remove_content(hash);
            }
            self.apply(&mut state, batch)?;
        }
        state.rebuilding = false;
        self.apply(&mut state, Batch::default())?;
        self.rebuilding.store(false, Ordering::Release);
        Ok(dropped)
    }

    /// Whether a publication would change what readers see, as after a crash between committing and
    /// publishing, or when a file of the published generation is missing, or a graph is due.
    ///
    /// # Errors
    /// When the manifest is of a newer format, or cannot be read for another reason than damage.
    pub fn has_unpublished_changes(&self) -> Result<bool, StoreError> {
        let Some(manifest) = readable_manifest(&self.dir)? else { return Ok(true) };
        let intact = manifest
            .files(&self.dir)
            .all(|(path, sum)| fs::metadata(path).is_ok_and(|file| file.len() == sum.bytes));
        let is_published = intact && manifest.is_of(&self.lock_state()) && !self.is_graph_missing(&manifest);
        // After the last publication on the way, contents that lie nowhere are still there.
        Ok(!is_published || self.lock_touched().has_contents())
    }

    /// Whether a graph is due that an interrupted run did not stay to build.
    fn is_graph_missing(&self, manifest: &Manifest) -> bool {
        let graph = manifest.graph.as_ref();
        // How many of the removed rows lie after the graph is not known: at least the rest have a node.
        let without_node = graph.map_or(0, |graph| manifest.rows.saturating_sub(graph.live_rows));
        let removed = manifest.rows.saturating_sub(manifest.live_rows);
        let removed_nodes = removed.saturating_sub(without_node);
        let rows = Rows { all: manifest.rows, live: manifest.live_rows, removed_nodes };
        GraphWork::due(&self.graph, graph, &rows) != GraphWork::Keep
    }

    /// Makes what was committed visible to readers. Commits of other threads wait until it is done.
    ///
    /// # Errors
    /// When the ledger cannot be read or the generation cannot be written; what was published before
    /// stays then.
    pub fn publish(
        &self,
        options: &PublishOptions,
        progress: &mut dyn FnMut(PublishProgress),
    ) -> Result<Published, StoreError> {
        let mut state = self.lock_state();
        let mut publisher = Publisher {
            dir: &self.dir,
            ledger: &self.ledger,
            faults: &self.faults,
            graph: self.graph,
            threads: self.threads,
            dimension: self.model.dimension,
            touched: &mut self.lock_touched(),
        };
        publisher.publish(&mut state, options, progress)
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        // A panic leaves the state no further than the ledger may be, which is what matters of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_touched(&self) -> MutexGuard<'_, Touched> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a batch as one more change, durably.
    fn apply(&self, state: &mut State, mut batch: Batch) -> Result<(), StoreError> {
        // Counted even if applying fails: a number skipped costs nothing, one used twice would hide a change.
        state.change += 1;
        batch.put_state(state);
        self.faults.pass(Step::Apply)?;
        self.ledger.apply(batch)?;
        self.faults.pass(Step::Sync)?;
        self.ledger.sync()
    }
}

fn no_such_root(id: RootId) -> StoreError {
    StoreError::InvalidArgument(format!("the index has no root {}", id.get()))
}
