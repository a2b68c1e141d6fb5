//! Checks everything in an index folder.
//!
//! Three questions: are the published files what the manifest says, byte for byte; can everything in
//! them be read, and is the graph sound; and does the ledger say the same. The last one needs the
//! writer's lock; when another process holds it, the first two are answered and that is said.

use std::fs;
use std::io;
use std::path::Path;

use crate::collect::collect;
use crate::durable;
use crate::error::REMEDY_GENERATION;
use crate::ledger::{Ledger, State};
use crate::lock::WriterLock;
use crate::manifest::{LEDGER_NAME, Manifest};
use crate::opening::check_not_behind;
use crate::{LocationState, Row, Snapshot, StoreError};

/// Records between two reports of progress.
const REPORT_EVERY: u64 = 4096;
/// Problems of one kind that are told one by one.
const MAX_ALIKE: usize = 5;
const REMEDY_LOCATION: &str = "index again with --rebuild: everything is embedded anew";

/// What an index takes on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Bytes of the ledger.
    pub ledger_bytes: u64,
    /// Bytes of all generations.
    pub generations_bytes: u64,
    /// Bytes of everything.
    pub total_bytes: u64,
}

/// How far [`verify`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyProgress {
    /// What is being checked, e.g. `checksums`.
    pub step: &'static str,
    /// Units done in this step: bytes or records.
    pub done: u64,
    /// Units to do in this step; 0 when unknown.
    pub total: u64,
}

/// Something broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What, naming the file.
    pub what: String,
    /// What mends it.
    pub remedy: &'static str,
}

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// The published generation, if one could be read.
    pub generation: Option<u64>,
    /// Files whose checksum was compared.
    pub files_checked: u64,
    /// Contents compared.
    pub contents_checked: u64,
    /// Locations compared.
    pub locations_checked: u64,
    /// False when the ledger could not be looked at, so that only the published part was checked.
    pub ledger_checked: bool,
    /// False when the ledger holds changes that readers do not see yet, as after a killed run: the next
    /// run publishes them.
    pub is_published: bool,
    /// Everything broken; empty when all is well.
    pub problems: Vec<Problem>,
}

/// Bytes on disk.
///
/// # Errors
/// `NotFound` when there is no such folder; `Io`.
pub fn disk_usage(dir: &Path) -> Result<DiskUsage, StoreError> {
    let mut usage = DiskUsage::default();
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::NotFound { dir: dir.to_owned() });
        }
        entries => entries.map_err(|e| StoreError::io(dir, e))?,
    };
    for entry in entries {
        let entry = entry.map_err(|e| StoreError::io(dir, e))?;
        let bytes = tree_bytes(&entry.path())?;
        let name = entry.file_name();
        if name == LEDGER_NAME {
            usage.ledger_bytes += bytes;
        } else if name.to_string_lossy().starts_with("gen-") {
            usage.generations_bytes += bytes;
        }
        usage.total_bytes += bytes;
    }
    Ok(usage)
}

/// Bytes of a file, or of all files below a folder; what vanishes meanwhile counts nothing.
fn tree_bytes(path: &Path) -> Result<u64, StoreError> {
    let ok_if_gone = |result: io::Result<u64>| match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        result => result.map_err(|e| StoreError::io(path, e)),
    };
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => match fs::read_dir(path) {
            Ok(entries) => entries.flatten().map(|entry| tree_bytes(&entry.path())).sum(),
            Err(e) => ok_if_gone(Err(e)),
        },
        metadata => ok_if_gone(metadata.map(|m| m.len())),
    }
}

/// Checks every checksum, and that ledger and generation agree.
///
/// # Errors
/// `NotFound`, `NewerFormat`, or `Io` when the folder cannot be read at all; damage is reported, not
/// returned.
pub fn verify(dir: &Path, progress: &mut dyn FnMut(VerifyProgress)) -> Result<VerifyReport, StoreError> {
    let mut check = Check {
        dir,
        progress,
        report: VerifyReport { is_published: true, ..VerifyReport::default() },
        alike: 0,
    };
    let has_ledger = Ledger::exists(dir);
    // Before the manifest is read: nobody may publish in between.
    let lock = match has_ledger.then(|| WriterLock::acquire(dir)).transpose() {
        Err(StoreError::Busy { .. }) => None,
        // On a read-only disk nobody else can write either, and neither can sled open its files.
        Err(StoreError::Io { path, source }) => {
            tracing::warn!("{}: {source}: checking only what is published", path.display());
            None
        }
        lock => lock?,
    };
    let manifest = match Manifest::read(dir) {
        Err(error @ StoreError::Corrupt { .. }) => {
            check.problem_of(&error);
            None
        }
        manifest => manifest?,
    };
    if manifest.is_none() && !has_ledger {
        return Err(StoreError::NotFound { dir: dir.to_owned() });
    }
    let snapshot = manifest.and_then(|manifest| check.generation(manifest));
    if lock.is_some() {
        check.report.ledger_checked = true;
        if let Err(error) = check.ledger(snapshot.as_ref()) {
            check.problem_of(&error);
        }
    } else if !has_ledger {
        let missing = StoreError::ledger(&dir.join(LEDGER_NAME), "it is missing");
        check.problem_of(&missing);
    }
    Ok(check.report)
}

struct Check<'a> {
    dir: &'a Path,
    progress: &'a mut dyn FnMut(VerifyProgress),
    report: VerifyReport,
    /// Problems told with [`alike`](Self::alike) since the count was last reset.
    alike: usize,
}

impl Check<'_> {
    fn problem(&mut self, what: String, remedy: &'static str) {
        self.report.problems.push(Problem { what, remedy });
    }

    fn problem_of(&mut self, error: &StoreError) {
        match error {
            StoreError::Corrupt { file, what, remedy } => {
                self.problem(format!("{} is damaged: {what}", file.display()), remedy);
            }
            other => self.problem(other.to_string(), "mend that and verify again"),
        }
    }

    /// One of possibly very many problems.
    fn alike(&mut self, what: impl FnOnce() -> String, remedy: &'static str) {
        self.alike += 1;
        if self.alike <= MAX_ALIKE {
            self.problem(what(), remedy);
        }
    }

    /// Ends a series of problems of one kind.
    fn alike_end(&mut self, kind: &str, remedy: &'static str) {
        let more = std::mem::take(&mut self.alike).saturating_sub(MAX_ALIKE);
        if more > 0 {
            self.problem(format!("… and {more} more {kind}"), remedy);
        }
    }

    fn tick(&mut self, step: &'static str, done: u64, total: u64) {
        if done.is_multiple_of(REPORT_EVERY) || done == total {
            (self.progress)(VerifyProgress { step, done, total });
        }
    }

    /// The published files.
    fn generation(&mut self, manifest: Manifest) -> Option<Snapshot> {
        self.report.generation = Some(manifest.generation);
        let total = manifest.files(self.dir).map(|(_, sum)| sum.bytes).sum();
        let mut done = 0;
        let mut sound = true;
        for (path, expected) in manifest.files(self.dir) {
            let progress = &mut self.progress;
            let actual = durable::sum_file(&path, &mut |bytes| {
                done += bytes;
                progress(VerifyProgress { step: "checksums", done, total });
            });
            self.report.files_checked += 1;
            let what = match actual {
                Ok(actual) if actual == *expected => continue,
                Ok(actual) if actual.bytes != expected.bytes => {
                    format!("{}: expected {} bytes, it has {}", path.display(), expected.bytes, actual.bytes)
                }
                Ok(_) => format!("{}: its checksum does not match", path.display()),
                Err(e) => e.to_string(),
            };
            sound = false;
            self.problem(what, REMEDY_GENERATION);
        }
        let snapshot = match Snapshot::open_manifest(self.dir, manifest) {
            Ok(snapshot) => snapshot,
            Err(e) => {
                if sound {
                    self.problem_of(&e);
                }
                return None;
            }
        };
        self.rows(&snapshot);
        Some(snapshot)
    }

    /// Everything readable, and the graph sound.
    fn rows(&mut self, snapshot: &Snapshot) {
        let total = snapshot.len() as u64;
        let mut locations = 0;
        let mut live = 0;
        for (done, row) in snapshot.rows().enumerate() {
            live += 1;
            self.tick("rows", done as u64 + 1, total);
            match snapshot.item(row).and_then(|item| snapshot.embedding(row).map(|_| item)) {
                Ok(item) => {
                    locations += item.locations.len();
                    if snapshot.find_content(&item.hash) != Some(row) {
                        self.alike(
                            || format!("row {} is not found by its content", row.0),
                            REMEDY_GENERATION,
                        );
                    }
                }
                Err(e) => self.alike(|| e.to_string(), REMEDY_GENERATION),
            }
        }
        self.alike_end("damaged rows", REMEDY_GENERATION);
        if live != snapshot.len() || locations != snapshot.location_count() {
            let (rows, files) = (snapshot.len(), snapshot.location_count());
            let what = format!(
                "the item table has {live} rows and {locations} locations, the manifest says {rows} and {files}"
            );
            self.problem(what, REMEDY_GENERATION);
        }
        if let Err(e) = snapshot.failures() {
            self.problem_of(&e);
        }
        let (items, vectors, graph) = snapshot.tables();
        if let Some(graph) = graph
            && let Err(what) = graph.check(vectors, &|row| items.is_live(row))
        {
            self.problem(format!("{}: {what}", graph.path().display()), REMEDY_GENERATION);
        }
    }

    /// The ledger, and whether the generation is what it says.
    fn ledger(&mut self, snapshot: Option<&Snapshot>) -> Result<(), StoreError> {
        let ledger = Ledger::open(self.dir)?;
        let Some(state) = ledger.state()? else {
            return if snapshot.is_some() {
                Err(StoreError::ledger(ledger.dir(), "it is empty"))
            } else {
                Ok(())
            };
        };
        check_not_behind(&ledger, &state, snapshot.map(Snapshot::manifest))?;
        self.contents(&ledger, &state)?;
        if state.rebuilding {
            // What is published is of before the rebuild, on purpose.
            return Ok(());
        }
        match snapshot {
            Some(snapshot) if snapshot.manifest().is_of(&state) => self.agreement(&ledger, &state, snapshot),
            _ => {
                self.report.is_published = false;
                Ok(())
            }
        }
    }

    /// Every record readable, every content with its embedding, every location with its content.
    fn contents(&mut self, ledger: &Ledger, state: &State) -> Result<(), StoreError> {
        let remedy = crate::error::REMEDY_LEDGER;
        let mut done = 0;
        let mut contents = Vec::new();
        for content in ledger.contents() {
            done += 1;
            self.tick("ledger", done, 0);
            let (hash, record) = content?;
            // What a rebuild has not come by yet has the dimension of the old model.
            if record.epoch == state.epoch
                && let Err(e) = ledger.embedding(&hash, state.model.dimension)
            {
                self.alike(|| e.to_string(), remedy);
            }
            contents.push(hash);
        }
        self.report.contents_checked = contents.len() as u64;
        self.alike_end("damaged embeddings", remedy);
        for root in ledger.roots()? {
            for location in ledger.locations(root.id, None) {
                done += 1;
                self.tick("ledger", done, 0);
                let (path, record) = location?;
                self.report.locations_checked += 1;
                if let LocationState::Indexed(hash) = record.state
                    && contents.binary_search(&hash).is_err()
                {
                    let file = root.path.join(path.to_path());
                    self.alike(
                        || format!("{} has the content {hash}, which is missing", file.display()),
                        REMEDY_LOCATION,
                    );
                }
            }
        }
        self.alike_end("locations without content", REMEDY_LOCATION);
        Ok(())
    }

    /// The generation row by row against the ledger.
    fn agreement(&mut self, ledger: &Ledger, state: &State, snapshot: &Snapshot) -> Result<(), StoreError> {
        let collected = collect(ledger, state.epoch, &mut |_| ())?;
        let (items, vectors, _) = snapshot.tables();
        if collected.roots != snapshot.roots() {
            self.problem("the roots differ from the ledger's".to_owned(), REMEDY_GENERATION);
        }
        if collected.contents.len() != snapshot.len() || collected.failure_count != snapshot.failure_count() {
            self.problem(
                format!(
                    "{} contents and {} failures are published, the ledger has {} and {}",
                    snapshot.len(),
                    snapshot.failure_count(),
                    collected.contents.len(),
                    collected.failure_count
                ),
                REMEDY_GENERATION,
            );
        }
        let total = collected.contents.len() as u64;
        for (done, content) in collected.contents.iter().enumerate() {
            self.tick("agreement", done as u64 + 1, total);
            let Some(Row(row)) = snapshot.find_content(&content.hash) else {
                self.alike(|| format!("content {} is not published", content.hash), REMEDY_GENERATION);
                continue;
            };
            let mut expected = collected.metadata(content).to_vec();
            expected.extend_from_slice(&content.location_count.to_le_bytes());
            expected.extend_from_slice(collected.locations(content));
            let same_item = items.item(row).is_ok_and(|item| item == expected);
            // Compared as bits: that is what was stored. What cannot be read was reported above.
            let same_vector = match ledger.embedding(&content.hash, state.model.dimension) {
                Ok(embedding) => vectors.row(row).is_some_and(|v| {
                    bytemuck::cast_slice::<f32, u8>(v)
                        == bytemuck::cast_slice::<f32, u8>(embedding.as_slice())
                }),
                Err(_) => true,
            };
            if !same_item || !same_vector || items.time(row) != content.time {
                self.alike(|| format!("row {row} differs from the ledger"), REMEDY_GENERATION);
            }
        }
        self.alike_end("differing rows", REMEDY_GENERATION);
        Ok(())
    }
}
