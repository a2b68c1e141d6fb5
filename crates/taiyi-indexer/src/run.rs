//! Carries a plan out: the thread that calls [`run`] is the only one that writes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use taiyi_core::ImageEncoder;
use taiyi_image::Limits;
use taiyi_store::{
    ContentHash, Entry, Failure, PublishOptions, Published, RelativePath, Root, RootId, Writer,
};

use crate::change::Change;
use crate::in_flight::InFlight;
use crate::pipeline::{Embedded, FileJob, Outcome, Pipeline};
use crate::{FailedPath, IndexError, Plan, Progress, ProgressEvent, Report, Target};

/// Outcomes without an embedding are committed in groups: each commit waits for the disk.
const GROUP: usize = 256;

/// Locations are removed in groups, so that a sweep of a million is not one giant batch.
const SWEEP_GROUP: usize = 4096;

/// How a plan is carried out.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Bounds on the pictures that are decoded.
    pub limits: Limits,
    /// Decode workers; inference runs beside them.
    pub threads: usize,
    /// Pictures in a batch of the image tower.
    pub batch_images: usize,
    /// On the way, readers are shown what has been embedded so far, but not more often than this …
    pub publish_every: Duration,
    /// … and not before this share of the index is new, so that publishing costs the same a picture
    /// however large the index is.
    pub publish_growth: f64,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            threads: 1,
            batch_images: 32,
            publish_every: Duration::from_secs(60),
            publish_growth: 0.1,
        }
    }
}

/// Carries `plan` out. `encoder` is called only if there is something to embed or to hash.
///
/// Setting `cancel` lets the batch in flight end, publishes what there is, and returns with
/// [`Report::interrupted`]; nothing is removed from the index then.
///
/// # Errors
/// When the index cannot be written, or when the model fails whatever the picture. What was committed
/// before stays.
pub fn run(
    writer: &Writer,
    mut plan: Plan,
    encoder: impl FnOnce() -> Result<Arc<dyn ImageEncoder>, IndexError>,
    options: &RunOptions,
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<Report, IndexError> {
    let start = Instant::now();
    let roots = add_roots(writer, &plan.targets)?;
    let jobs = std::mem::take(&mut plan.jobs);
    progress.event(ProgressEvent::Planned { files: jobs.len() as u64 });
    let mut run = Run {
        writer,
        targets: &plan.targets,
        roots: &roots,
        in_flight: InFlight::default(),
        pending: Vec::new(),
        options,
        progress,
        since_publish: 0,
        last_publish: start,
        report: Report {
            unchanged: plan.unchanged,
            known_bad: plan.known_bad,
            ignored: plan.known_other,
            ..Report::default()
        },
    };
    if !jobs.is_empty() {
        let encoder = encoder()?;
        let start = Instant::now();
        run.embed(jobs, encoder.as_ref(), cancel)?;
        run.report.encoding = start.elapsed();
    }
    run.report.interrupted = cancel.load(Ordering::Relaxed);
    if !run.report.interrupted {
        run.sweep(&plan.gone)?;
        // A rebuild is through once every root was walked, and no picture was out of reach.
        if writer.is_rebuilding() && plan.unseen == 0 && covers_all(&plan.targets, &writer.roots()?) {
            writer.finish_rebuild()?;
        }
    }
    run.publish_at_end()?;
    let mut report = run.report;
    report.problems = plan.problems;
    report.elapsed = start.elapsed();
    Ok(report)
}

/// Takes `path`, which is absolute, out of the ledger: a whole root, a folder below one, or a single
/// file. The file itself is not touched, and need not be there any more. Returns how many locations
/// went; readers see it after [`publish_if_changed`].
///
/// # Errors
/// When the ledger cannot be written.
pub fn forget(writer: &Writer, path: &Path) -> Result<u64, IndexError> {
    let mut removed = 0;
    for root in writer.roots()? {
        if root.path.starts_with(path) {
            removed += writer.remove_root(root.id)?;
        } else if let Ok(rest) = path.strip_prefix(&root.path)
            && let Ok(below) = RelativePath::from_path(rest)
        {
            let found: Vec<_> = writer
                .locations(root.id, Some(&below))
                .map(|location| location.map(|(path, _)| path))
                .collect::<Result<_, _>>()?;
            for group in found.chunks(SWEEP_GROUP) {
                writer.remove_locations(root.id, group)?;
            }
            removed += found.len() as u64;
        }
    }
    Ok(removed)
}

/// Shows readers the ledger as it is now, if they do not see it yet. Returns the new generation.
///
/// # Errors
/// When the index cannot be written.
pub fn publish_if_changed(writer: &Writer, progress: &dyn Progress) -> Result<Option<u64>, IndexError> {
    if !writer.has_unpublished_changes()? {
        return Ok(None);
    }
    Ok(new_generation(&publish(writer, true, progress)?))
}

/// The root of each target, in their order; roots of single files below one are merged into it.
fn add_roots(writer: &Writer, targets: &[Target]) -> Result<Vec<RootId>, IndexError> {
    let mut ids = Vec::with_capacity(targets.len());
    for target in targets {
        // A part of a known root leaves it as it is; a part of a new one, a file, makes it partial.
        if target.below.is_some() || target.known_only {
            ids.push(writer.add_partial_root(&target.root)?);
            continue;
        }
        let id = writer.add_root(&target.root)?;
        for child in writer.roots()? {
            // A whole folder stays a root of its own: it may be a disk, gone the next time.
            if child.id != id && child.partial && child.path.starts_with(&target.root) {
                writer.merge_root(child.id, id)?;
            }
        }
        ids.push(id);
    }
    Ok(ids)
}

fn covers_all(targets: &[Target], roots: &[Root]) -> bool {
    roots.iter().all(|root| targets.iter().any(|t| t.below.is_none() && root.path == t.root))
}

pub(crate) fn publish(
    writer: &Writer,
    build_graph: bool,
    progress: &dyn Progress,
) -> Result<Published, IndexError> {
    let mut tell = |step: taiyi_store::PublishProgress| progress.event(ProgressEvent::Publishing(&step));
    Ok(writer.publish(&PublishOptions { build_graph }, &mut tell)?)
}

pub(crate) fn new_generation(published: &Published) -> Option<u64> {
    match published {
        Published::New(generation) => Some(generation.generation),
        Published::Unchanged(_) | Published::HeldBack => None,
    }
}

struct Run<'a> {
    writer: &'a Writer,
    targets: &'a [Target],
    roots: &'a [RootId],
    in_flight: InFlight,
    pending: Vec<Entry>,
    options: &'a RunOptions,
    progress: &'a dyn Progress,
    /// Pictures committed since readers last saw a new generation.
    since_publish: u64,
    last_publish: Instant,
    report: Report,
}

impl Run<'_> {
    fn embed(
        &mut self,
        jobs: Vec<FileJob>,
        encoder: &dyn ImageEncoder,
        cancel: &AtomicBool,
    ) -> Result<(), IndexError> {
        // Moved out for the time of the run: the threads share it while `self` handles outcomes.
        let in_flight = Arc::new(std::mem::take(&mut self.in_flight));
        let pipeline = Pipeline {
            writer: self.writer,
            encoder,
            targets: self.targets,
            limits: self.options.limits,
            threads: self.options.threads.max(1),
            batch_images: self.options.batch_images.max(1),
            cancel,
            in_flight: &in_flight,
        };
        pipeline.run(jobs, |outcome| self.handle(outcome, &in_flight))?;
        self.commit()
    }

    fn handle(&mut self, outcome: Outcome, in_flight: &InFlight) -> Result<(), IndexError> {
        match outcome {
            Outcome::Embedded(batch) => self.embedded(batch, in_flight)?,
            Outcome::Reused { job, hash } => self.reused(job, hash),
            Outcome::Failed { job, claim, failure, remember } => {
                let waiting = claim.map(|hash| in_flight.release(&hash)).unwrap_or_default();
                for job in std::iter::once(job).chain(waiting) {
                    self.failed(job, failure.clone(), remember);
                }
            }
            Outcome::Ignored(job) => {
                self.report.ignored += 1;
                self.done(1, 0, 0);
                let FileJob { target, path, stamp, .. } = job;
                self.pending.push(Entry::Ignored { root: self.roots[target], path, stamp });
            }
            Outcome::Vanished => self.done(1, 0, 0),
            Outcome::Fatal(e) => return Err(e),
        }
        if self.pending.len() >= GROUP {
            self.commit()?;
        }
        self.publish_on_the_way()
    }

    fn embedded(&mut self, batch: Vec<Embedded>, in_flight: &InFlight) -> Result<(), IndexError> {
        let count = batch.len() as u64;
        let hashes: Vec<ContentHash> = batch.iter().map(|embedded| embedded.hash).collect();
        for Embedded { job: FileJob { target, path, stamp, change }, hash, metadata, embedding } in batch {
            match change {
                Change::Changed => self.report.updated += 1,
                _ => self.report.added += 1,
            }
            let root = self.roots[target];
            self.pending.push(Entry::Embedded { root, path, stamp, hash, metadata, embedding });
        }
        self.commit()?;
        self.since_publish += count;
        self.done(count, count, 0);
        // Only now is the content in the ledger, so only now may its claims end.
        for hash in hashes {
            for job in in_flight.release(&hash) {
                self.reused(job, hash);
            }
        }
        Ok(())
    }

    fn reused(&mut self, job: FileJob, hash: ContentHash) {
        self.report.reused += 1;
        self.done(1, 0, 0);
        let FileJob { target, path, stamp, .. } = job;
        self.pending.push(Entry::Reused { root: self.roots[target], path, stamp, hash });
    }

    fn failed(&mut self, job: FileJob, failure: Failure, remember: bool) {
        let path = job.path_below(self.targets);
        self.progress.event(ProgressEvent::Failed { path: &path, reason: &failure.message });
        self.done(1, 0, 1);
        self.report.failed.push(FailedPath { path, kind: failure.kind, reason: failure.message.clone() });
        if remember {
            let FileJob { target, path, stamp, .. } = job;
            self.pending.push(Entry::Failed { root: self.roots[target], path, stamp, failure });
        }
    }

    fn done(&self, files: u64, embedded: u64, failed: u64) {
        self.progress.event(ProgressEvent::Done { files, embedded, failed });
    }

    fn commit(&mut self) -> Result<(), IndexError> {
        if !self.pending.is_empty() {
            self.writer.commit(&self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }

    fn sweep(&mut self, gone: &[(usize, RelativePath)]) -> Result<(), IndexError> {
        for same_target in gone.chunk_by(|a, b| a.0 == b.0) {
            for group in same_target.chunks(SWEEP_GROUP) {
                let paths: Vec<RelativePath> = group.iter().map(|(_, path)| path.clone()).collect();
                self.writer.remove_locations(self.roots[group[0].0], &paths)?;
                self.report.removed += group.len() as u64;
            }
        }
        Ok(())
    }

    fn publish_on_the_way(&mut self) -> Result<(), IndexError> {
        if self.writer.is_rebuilding() || self.last_publish.elapsed() < self.options.publish_every {
            return Ok(());
        }
        let known = (self.report.unchanged + self.report.embedded()) as f64;
        if (self.since_publish as f64) < known * self.options.publish_growth || self.since_publish == 0 {
            return Ok(());
        }
        self.commit()?;
        // The graph is left for the end: until then the new rows are scanned.
        let published = publish(self.writer, false, self.progress)?;
        self.since_publish = 0;
        self.last_publish = Instant::now();
        self.tell_published(&published);
        Ok(())
    }

    fn publish_at_end(&mut self) -> Result<(), IndexError> {
        if !self.writer.has_unpublished_changes()? {
            return Ok(());
        }
        // Whoever pressed Ctrl-C is not made to wait for a graph.
        let published = publish(self.writer, !self.report.interrupted, self.progress)?;
        self.tell_published(&published);
        Ok(())
    }

    fn tell_published(&mut self, published: &Published) {
        self.report.held_back = matches!(published, Published::HeldBack);
        if let Some(generation) = new_generation(published) {
            self.report.generation = Some(generation);
            self.progress.event(ProgressEvent::Published { generation });
        }
    }
}

/// The absolute form of a path that may not exist any more: links in what does exist are resolved.
#[must_use]
pub fn absolute_even_if_gone(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut rest = Vec::new();
    let mut existing = absolute.as_path();
    loop {
        if let Ok(real) = existing.canonicalize() {
            return rest.iter().rev().fold(real, |path, name| path.join(name));
        }
        match (existing.parent(), existing.file_name()) {
            (Some(parent), Some(name)) => {
                rest.push(name.to_owned());
                existing = parent;
            }
            _ => return absolute,
        }
    }
}
