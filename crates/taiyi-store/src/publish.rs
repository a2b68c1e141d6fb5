//! Publishing: from the ledger, and the generation before, to one that readers see.
//!
//! The order is what makes it safe: files are written under `gen-N.tmp` and synced, the folder gets its
//! name, the new manifest is synced beside the old one and replaces it; only then is anything deleted,
//! and never what the manifest before names, since a reader may be opening just that.
//!
//! Rows keep their numbers from one generation to the next, so vectors and graph of earlier ones are
//! referenced again: a publication writes the item table, the vectors of new rows, and a graph only when
//! too many rows lie outside of it. Small parts at the end are merged into the new one, so that their
//! number grows with the logarithm of the rows.

use std::collections::HashSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::collect::{Collected, CollectedContent};
use crate::durable;
use crate::fault::{Faults, Step};
use crate::generation::build::{self, GraphSource};
use crate::generation::graph::GraphFile;
use crate::generation::items;
use crate::generation::items::{ItemRow, ItemSource, ItemTable, LiveItem};
use crate::generation::vectors::{VectorTable, VectorWriter};
use crate::graph_work::{GraphWork, Rows};
use crate::ledger::{Batch, Ledger, State};
use crate::lock::unix_now_s;
use crate::manifest::{
    FORMAT_VERSION, GraphEntry, Manifest, PartEntry, VECTORS_NAME, generation_dir, parse_generation_name,
};
use crate::touched::Touched;
use crate::{
    GraphOptions, PublishOptions, PublishProgress, PublishStep, Published, PublishedGeneration, Root,
    StoreError,
};

/// Records between two reports of progress.
const REPORT_EVERY: u64 = 4096;

/// What a publication works with; the caller holds the ledger's state locked.
pub(crate) struct Publisher<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) ledger: &'a Ledger,
    pub(crate) faults: &'a Faults,
    pub(crate) graph: GraphOptions,
    pub(crate) threads: NonZeroUsize,
    pub(crate) dimension: usize,
    pub(crate) touched: &'a mut Touched,
}

/// The published generation, opened to be built upon.
pub(crate) struct Previous {
    pub(crate) manifest: Manifest,
    pub(crate) items: ItemTable,
    vectors: VectorTable,
    /// Its graph, if it has one that can be used again.
    graph: Option<(GraphEntry, GraphFile)>,
}

impl Previous {
    /// Whether its graph is damaged, or of a format that is not walked any more.
    fn lost_its_graph(&self) -> bool {
        self.graph.is_none() && self.manifest.graph.is_some()
    }
}

/// Why an attempt at publishing ended.
enum Failure {
    /// Something of the previous generation is damaged: begin again from the ledger alone.
    PreviousDamaged(StoreError),
    /// So much of the previous generation is removed that nothing is taken from it, its rows included.
    NeedsWholeLedger,
    Other(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Other(error)
    }
}

/// Which content every row has.
struct RowPlan<'a> {
    collected: &'a Collected,
    previous: Option<&'a ItemTable>,
    rows: Vec<Option<u32>>,
}

impl RowPlan<'_> {
    fn content(&self, row: u32) -> Option<&CollectedContent> {
        let index = (*self.rows.get(row as usize)?)?;
        self.collected.contents.get(index as usize)
    }
}

impl ItemSource for RowPlan<'_> {
    fn rows(&self) -> u32 {
        self.rows.len() as u32
    }

    fn row(&self, row: u32) -> ItemRow<'_> {
        match self.content(row) {
            Some(content) => ItemRow {
                hash: content.hash,
                live: Some(LiveItem {
                    time: content.time,
                    metadata: self.collected.metadata(content),
                    location_count: content.location_count,
                    locations: self.collected.locations(content),
                }),
            },
            None => {
                let hash = self.previous.and_then(|items| items.hash(row));
                ItemRow { hash: hash.unwrap_or(crate::ContentHash([0; 32])), live: None }
            }
        }
    }

    fn roots(&self) -> &[Root] {
        &self.collected.roots
    }

    fn location_count(&self) -> usize {
        self.collected.location_count
    }

    fn failure_count(&self) -> usize {
        self.collected.failure_count
    }

    fn failures(&self) -> &[u8] {
        &self.collected.failures
    }
}

impl Manifest {
    pub(crate) fn summary(&self) -> PublishedGeneration {
        PublishedGeneration {
            generation: self.generation,
            rows: self.live_rows,
            locations: self.locations,
            failures: self.failures,
            graph_rows: self.graph.as_ref().map_or(0, |g| g.rows),
        }
    }

    /// Whether it has as much as was collected now.
    fn counts(&self, collected: &Collected) -> bool {
        let has = (self.live_rows, self.locations, self.failures);
        has == (
            collected.contents.len() as u64,
            collected.location_count as u64,
            collected.failure_count as u64,
        )
    }

    /// Whether this was made from the ledger as it is.
    pub(crate) fn is_of(&self, state: &State) -> bool {
        self.ledger == state.id && self.epoch == state.epoch && self.change == state.change
    }
}

/// The manifest as far as it can be read: what cannot be is replaced by the next publication.
pub(crate) fn readable_manifest(dir: &Path) -> Result<Option<Manifest>, StoreError> {
    match Manifest::read(dir) {
        Err(StoreError::Corrupt { what, .. }) => {
            tracing::warn!("the manifest is damaged ({what}) and will be replaced");
            Ok(None)
        }
        read => read,
    }
}

impl Publisher<'_> {
    /// Publishes the ledger as it is.
    pub(crate) fn publish(
        &mut self,
        state: &mut State,
        options: &PublishOptions,
        progress: &mut dyn FnMut(PublishProgress),
    ) -> Result<Published, StoreError> {
        let current = readable_manifest(self.dir)?;
        let is_same_build = |m: &Manifest| m.ledger == state.id && m.epoch == state.epoch;
        if state.rebuilding && current.as_ref().is_some_and(|m| !is_same_build(m)) {
            return Ok(Published::HeldBack);
        }
        let previous = current.clone().filter(is_same_build).and_then(|m| open_previous(self.dir, m));
        if let Some(p) = &previous
            && p.manifest.is_of(state)
            && !p.lost_its_graph()
            && !options.build_graph
        {
            return Ok(Published::Unchanged(p.manifest.summary()));
        }
        let (mut collected, is_whole) = self.collect(state, previous.as_ref(), progress)?;
        if collected.contents.len() >= u32::MAX as usize {
            return Err(StoreError::InvalidArgument("an index holds at most 4294967294 contents".into()));
        }
        let first = (&collected, is_whole);
        let mut attempted = self.attempt(state, options, first, previous, current.as_ref(), progress);
        if let Err(Failure::PreviousDamaged(_) | Failure::NeedsWholeLedger) = &attempted {
            if let Err(Failure::PreviousDamaged(e)) = &attempted {
                tracing::warn!("publishing everything anew: {e}");
            }
            if !is_whole {
                (collected, _) = self.collect(state, None, progress)?;
            }
            attempted = self.attempt(state, options, (&collected, true), None, current.as_ref(), progress);
        }
        let (published, manifest) = attempted.map_err(|failure| match failure {
            Failure::PreviousDamaged(e) | Failure::Other(e) => e,
            Failure::NeedsWholeLedger => {
                StoreError::InvalidArgument("the ledger was not read whole".to_owned())
            }
        })?;
        let is_tidy = options.build_graph && self.forget(state, &collected.orphans);
        self.take_stock(state, &manifest, &collected, is_tidy);
        Ok(published)
    }

    fn attempt(
        &self,
        state: &mut State,
        options: &PublishOptions,
        (collected, is_whole): (&Collected, bool),
        previous: Option<Previous>,
        current: Option<&Manifest>,
        progress: &mut dyn FnMut(PublishProgress),
    ) -> Result<(Published, Manifest), Failure> {
        let (previous, rows) = self.plan_rows(collected, previous, options);
        if previous.is_none() && !is_whole {
            // Every vector will be asked of the ledger, so it has to tell which there are.
            return Err(Failure::NeedsWholeLedger);
        }
        let reused_rows = previous.as_ref().map_or(0, |p| p.items.rows());
        let plan = RowPlan { collected, previous: previous.as_ref().map(|p| &p.items), rows };
        let old_graph = previous.as_ref().and_then(|p| p.graph.as_ref());
        let work = if options.build_graph {
            self.graph_work(old_graph.map(|(entry, _)| entry), &plan)
        } else {
            GraphWork::Keep
        };
        if let Some(p) = &previous {
            if p.manifest.is_of(state)
                && p.manifest.counts(collected)
                && !p.lost_its_graph()
                && work == GraphWork::Keep
            {
                return Ok((Published::Unchanged(p.manifest.summary()), p.manifest.clone()));
            }
            if work != GraphWork::Keep {
                // Hours of walking a graph of damaged vectors would be worth a second of reading.
                check_parts(self.dir, &p.manifest.vectors)?;
            }
        }

        let generation = self.next_generation(state, current)?;
        let folder = self.dir.join(format!("gen-{generation}.tmp"));
        let written = (|| {
            self.faults.pass(Step::Folder)?;
            fs::create_dir_all(&folder).map_err(|e| StoreError::io(&folder, e))?;
            let vectors =
                self.write_vectors(generation, &folder, &plan, reused_rows, previous.as_ref(), progress)?;
            let graph = match work {
                GraphWork::Keep => old_graph.map(|(entry, _)| entry.clone()),
                GraphWork::Extend | GraphWork::Build => {
                    let base = old_graph.filter(|_| work == GraphWork::Extend).map(|(_, file)| file);
                    self.write_graph(generation, &folder, &vectors, &plan, base, progress)?
                }
            };
            self.faults.pass(Step::Items)?;
            let rows = plan.rows.len() as u64;
            progress(PublishProgress { step: PublishStep::Items, done: 0, total: rows });
            let items = items::write(&folder, &plan)?;
            progress(PublishProgress { step: PublishStep::Items, done: rows, total: rows });
            durable::sync_dir(&folder)?;
            Ok(Manifest {
                generation,
                published_s: unix_now_s(),
                ledger: state.id.clone(),
                epoch: state.epoch,
                change: state.change,
                model: state.model.clone(),
                rows,
                live_rows: collected.contents.len() as u64,
                locations: collected.location_count as u64,
                failures: collected.failure_count as u64,
                vectors,
                items,
                graph,
            })
        })();
        let manifest = match written {
            Ok(manifest) => manifest,
            Err(e) => {
                // On a full disk, half a generation is in the way of everything else.
                let _ = fs::remove_dir_all(&folder);
                return Err(e);
            }
        };
        self.faults.pass(Step::RenameFolder)?;
        durable::rename(&folder, &generation_dir(self.dir, generation))?;
        self.faults.pass(Step::WriteManifest)?;
        manifest.prepare(self.dir)?;
        self.faults.pass(Step::RenameManifest)?;
        Manifest::commit(self.dir)?;
        self.faults.pass(Step::Sweep)?;
        sweep(self.dir, &[Some(&manifest), current]);
        Ok((Published::New(manifest.summary()), manifest))
    }

    /// Gives rows to contents. Without a previous generation, or when too much of it is removed, all rows
    /// are new.
    fn plan_rows(
        &self,
        collected: &Collected,
        previous: Option<Previous>,
        options: &PublishOptions,
    ) -> (Option<Previous>, Vec<Option<u32>>) {
        let all = || (0..collected.contents.len() as u32).map(Some).collect();
        let Some(previous) = previous else { return (None, all()) };
        let mut placed = vec![false; collected.contents.len()];
        let mut rows: Vec<Option<u32>> = Vec::with_capacity(placed.len());
        for row in 0..previous.items.rows() as u32 {
            // A removed row stays removed: its content may come back with other bits in its embedding.
            let hash = previous.items.hash(row).filter(|_| previous.items.is_live(row));
            let index = hash.and_then(|hash| collected.position(&hash));
            let first = index.filter(|&i| placed.get_mut(i).is_some_and(|p| !std::mem::replace(p, true)));
            rows.push(first.map(|i| i as u32));
        }
        rows.extend((0u32..).zip(&placed).filter(|(_, placed)| !**placed).map(|(i, _)| Some(i)));
        let removed = rows.iter().filter(|row| row.is_none()).count();
        let has_graph = previous.graph.is_some();
        // Compaction costs the graph, so with one it waits for a publication that may build another.
        if removed * 4 > rows.len() && (options.build_graph || !has_graph) || rows.len() >= u32::MAX as usize
        {
            return (None, all());
        }
        (Some(previous), rows)
    }

    fn graph_work(&self, graph: Option<&GraphEntry>, plan: &RowPlan<'_>) -> GraphWork {
        let removed_nodes = graph.map_or(0, |graph| {
            let covered = plan.rows.iter().take(graph.rows as usize);
            let removed = covered.filter(|row| row.is_none()).count() as u64;
            removed.saturating_sub(graph.rows - graph.live_rows)
        });
        let (all, live) = (plan.rows.len() as u64, plan.collected.contents.len() as u64);
        GraphWork::due(&self.graph, graph, &Rows { all, live, removed_nodes })
    }

    /// A number that no folder ever had, made durable before it is used.
    fn next_generation(&self, state: &mut State, current: Option<&Manifest>) -> Result<u64, StoreError> {
        let on_disk = generation_folders(self.dir)?.into_iter().map(|(number, ..)| number);
        let last = on_disk.chain(current.map(|m| m.generation)).chain([state.generation]).max().unwrap_or(0);
        state.generation = last + 1;
        // What is written from here on is of this version.
        state.format = FORMAT_VERSION;
        let mut batch = Batch::default();
        batch.put_state(state);
        self.ledger.apply(batch)?;
        self.ledger.sync()?;
        Ok(state.generation)
    }

    /// Writes the new rows as a part, and the small parts before it along.
    fn write_vectors(
        &self,
        generation: u64,
        folder: &Path,
        plan: &RowPlan<'_>,
        reused_rows: usize,
        previous: Option<&Previous>,
        progress: &mut dyn FnMut(PublishProgress),
    ) -> Result<Vec<PartEntry>, Failure> {
        let mut parts = previous.map_or_else(Vec::new, |p| p.manifest.vectors.clone());
        let new_rows = (plan.rows.len() - reused_rows) as u64;
        if new_rows == 0 {
            return Ok(parts);
        }
        let mut rows = new_rows;
        let mut absorbed = Vec::new();
        while let Some(part) = parts.pop_if(|part| part.rows <= rows * 2) {
            rows += part.rows;
            absorbed.push(part);
        }
        // A new checksum must not cover up what the old one would reveal.
        check_parts(self.dir, &absorbed)?;
        self.faults.pass(Step::Vectors)?;
        let mut writer = VectorWriter::create(folder, self.dimension, rows)?;
        let mut reporter = Reporter { step: PublishStep::Vectors, progress };
        let first_row = plan.rows.len() - rows as usize;
        for row in first_row..plan.rows.len() {
            let old = previous.filter(|_| row < reused_rows).and_then(|p| p.vectors.row(row as u32));
            match (old, plan.content(row as u32)) {
                (Some(vector), _) => writer.push(vector)?,
                (None, Some(content)) => {
                    writer.push(self.ledger.embedding(&content.hash, self.dimension)?.as_slice())?;
                }
                (None, None) => writer.push(&vec![0.0; self.dimension])?,
            }
            reporter.report((row - first_row + 1) as u64, rows);
        }
        parts.push(PartEntry { generation, rows, sum: writer.finish()? });
        Ok(parts)
    }

    fn write_graph(
        &self,
        generation: u64,
        folder: &Path,
        parts: &[PartEntry],
        plan: &RowPlan<'_>,
        base: Option<&GraphFile>,
        progress: &mut dyn FnMut(PublishProgress),
    ) -> Result<Option<GraphEntry>, StoreError> {
        self.faults.pass(Step::Graph)?;
        let path = |part: &PartEntry| {
            let home = if part.generation == generation {
                folder.to_owned()
            } else {
                generation_dir(self.dir, part.generation)
            };
            home.join(VECTORS_NAME)
        };
        let vectors = VectorTable::open_parts(self.dimension, parts.iter().map(|p| (path(p), p)))?;
        let is_live = |row: u32| plan.content(row).is_some();
        // A new checksum must not cover up what is wrong in the old graph.
        let base = base.filter(|file| {
            file.check(&vectors, &is_live)
                .inspect_err(|e| tracing::warn!("building the graph anew: {}: {e}", file.path().display()))
                .is_ok()
        });
        let source =
            GraphSource { vectors: &vectors, is_live: &is_live, base: base.and_then(GraphFile::graph) };
        let mut tell = |done, total| progress(PublishProgress { step: PublishStep::Graph, done, total });
        build::build(&source, &self.graph, self.threads, (folder, generation), &mut tell)
    }
}

pub(crate) struct Reporter<'a> {
    pub(crate) step: PublishStep,
    pub(crate) progress: &'a mut dyn FnMut(PublishProgress),
}

impl Reporter<'_> {
    pub(crate) fn report(&mut self, done: u64, total: u64) {
        if done.is_multiple_of(REPORT_EVERY) || done == total {
            (self.progress)(PublishProgress { step: self.step, done, total });
        }
    }
}

/// Opens a published generation to build upon; `None` when it is damaged in any way.
fn open_previous(dir: &Path, manifest: Manifest) -> Option<Previous> {
    let opened = ItemTable::open(dir, &manifest)
        .and_then(|items| {
            check_sum(items.path(), &manifest.items)?;
            Ok((items, VectorTable::open(dir, &manifest)?))
        })
        .inspect_err(|e| tracing::warn!("publishing everything anew: {e}"));
    let (items, vectors) = opened.ok()?;
    let entry = manifest.graph.clone();
    let graph = entry.and_then(|entry| {
        let graph = open_graph(dir, &entry, manifest.model.dimension)?;
        Some((entry, graph))
    });
    Some(Previous { manifest, items, vectors, graph })
}

/// Opens a graph to be used again; `None` when it cannot be.
fn open_graph(dir: &Path, entry: &GraphEntry, dimension: usize) -> Option<GraphFile> {
    let opened = GraphFile::open(dir, entry, dimension).and_then(|graph| {
        graph.as_ref().map_or(Ok(()), |graph| check_sum(graph.path(), &entry.sum))?;
        Ok(graph)
    });
    match opened {
        Ok(None) => {
            tracing::info!("the graph is of an older format, and will be built anew");
            None
        }
        Ok(graph) => graph,
        Err(e) => {
            tracing::warn!("leaving the graph behind: {e}");
            None
        }
    }
}

fn check_parts(dir: &Path, parts: &[PartEntry]) -> Result<(), Failure> {
    parts.iter().try_for_each(|part| {
        check_sum(&generation_dir(dir, part.generation).join(VECTORS_NAME), &part.sum)
            .map_err(Failure::PreviousDamaged)
    })
}

fn check_sum(path: &Path, expected: &durable::FileSum) -> Result<(), StoreError> {
    if durable::sum_file(path, &mut |_| ())? == *expected {
        Ok(())
    } else {
        Err(StoreError::generation(path, "its checksum does not match"))
    }
}

/// Folders of generations: number, whether temporary, path.
fn generation_folders(dir: &Path) -> Result<Vec<(u64, bool, PathBuf)>, StoreError> {
    let entries = fs::read_dir(dir).map_err(|e| StoreError::io(dir, e))?;
    Ok(entries
        .flatten()
        .filter_map(|entry| {
            let (number, temporary) = parse_generation_name(entry.file_name().to_str()?)?;
            Some((number, temporary, entry.path()))
        })
        .collect())
}

/// Deletes what an interrupted publication left; a failure only leaves it for the next time.
pub(crate) fn sweep_temporary(dir: &Path) {
    for (_, temporary, path) in generation_folders(dir).unwrap_or_default() {
        if temporary && let Err(e) = fs::remove_dir_all(&path) {
            tracing::debug!("{}: {e}", path.display());
        }
    }
}

/// Deletes generation files that none of the manifests names; a failure (Windows does not delete what a
/// reader has mapped) only leaves them for the next time.
fn sweep(dir: &Path, manifests: &[Option<&Manifest>]) {
    sweep_temporary(dir);
    let kept: HashSet<PathBuf> =
        manifests.iter().flatten().flat_map(|m| m.files(dir)).map(|(path, _)| path).collect();
    for (_, _, folder) in generation_folders(dir).unwrap_or_default() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !kept.contains(&entry.path())
                && let Err(e) = fs::remove_file(entry.path())
            {
                tracing::debug!("{}: {e}", entry.path().display());
            }
        }
        if fs::read_dir(&folder).is_ok_and(|mut files| files.next().is_none()) {
            let _ = fs::remove_dir(&folder);
        }
    }
}
