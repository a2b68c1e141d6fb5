//! What a run will do, from a walk and the ledger alone. Reads no file and writes nothing.

use std::collections::HashSet;
use std::iter::Peekable;
use std::path::{Path, PathBuf};

use taiyi_store::{LocationRecord, LocationState, RelativePath, Root, RootId, StoreError, Writer};

use crate::change::{self, Change};
use crate::pipeline::FileJob;
use crate::walk::{Found, Walker};
use crate::{IndexError, Progress, ProgressEvent, Target, WalkOptions, WalkProblem};

/// Files to read, places to forget, and what stays as it is.
#[derive(Debug, Default)]
pub struct Plan {
    pub(crate) targets: Vec<Target>,
    pub(crate) jobs: Vec<FileJob>,
    /// Target and path below its root.
    pub(crate) gone: Vec<(usize, RelativePath)>,
    /// Places that could not be walked.
    pub problems: Vec<WalkProblem>,
    /// Files as they were.
    pub unchanged: u64,
    /// Files that failed before and have not changed.
    pub known_bad: u64,
    /// Files known not to be pictures.
    pub known_other: u64,
    /// Pictures of the index that were not seen and stay all the same, since their place could not be
    /// walked.
    pub unseen: u64,
}

impl Plan {
    /// How many files have to be read.
    #[must_use]
    pub fn files_to_read(&self) -> usize {
        self.jobs.len()
    }

    /// How many locations are gone from the disk.
    #[must_use]
    pub fn files_gone(&self) -> usize {
        self.gone.len()
    }

    /// Leaves out files to read but for those that `keep` wants. What is left out stays as the index knows it.
    pub fn read_only(&mut self, keep: impl Fn(&Path) -> bool) {
        let targets = &self.targets;
        self.jobs.retain(|job| keep(&job.path_below(targets)));
    }

    /// The files to read, with the reason for each.
    pub fn reading(&self) -> impl Iterator<Item = (PathBuf, Change)> {
        self.jobs.iter().map(|job| (job.path_below(&self.targets), job.change))
    }

    /// The files that are gone.
    pub fn forgetting(&self) -> impl Iterator<Item = PathBuf> {
        self.gone.iter().map(|(target, path)| self.targets[*target].root.join(path.to_path()))
    }
}

/// Walks `targets` and compares what is there with the ledger; without a ledger all is new.
///
/// A place that cannot be walked becomes a problem of the plan, and nothing below it counts as gone.
/// Neither does anything of a root that is suddenly empty: most likely a disk is not mounted.
///
/// # Errors
/// When an exclude pattern or the ledger cannot be read.
pub fn plan(
    ledger: Option<&Writer>,
    targets: &[Target],
    options: &WalkOptions,
    retry_failed: bool,
    progress: &dyn Progress,
) -> Result<Plan, IndexError> {
    let walker = Walker::new(options)?;
    let known_roots = ledger.map(Writer::roots).transpose()?.unwrap_or_default();
    let mut plan = Plan { targets: targets.to_vec(), ..Plan::default() };
    let mut files = 0;
    for (index, target) in targets.iter().enumerate() {
        let mut view = LedgerView::new(ledger, &known_roots, target);
        let apart: Vec<PathBuf> = known_roots
            .iter()
            .filter(|root| !root.partial && root.path != target.root)
            .map(|root| root.path.clone())
            .collect();
        let first_problem = plan.problems.len();
        let (excluded, files_before) = (walker.excluded(), files);
        walker.walk(&target.root, &target.path(), &apart, |found| -> Result<(), IndexError> {
            let Found { path, stamp } = match found {
                Ok(found) => found,
                Err(problem) => {
                    plan.problems.push(problem);
                    return Ok(());
                }
            };
            files += 1;
            if files % 256 == 0 {
                progress.event(ProgressEvent::Walked { files });
            }
            let relative = match path.strip_prefix(&target.root).map(RelativePath::from_path) {
                Ok(Ok(relative)) => relative,
                _ => {
                    plan.problems
                        .push(WalkProblem { path, reason: "has a name that cannot be stored".into() });
                    return Ok(());
                }
            };
            let change = view.decide(&relative, stamp, retry_failed)?;
            if target.known_only && change == Change::New {
                return Ok(());
            }
            match change {
                Change::Unchanged => plan.unchanged += 1,
                Change::KnownBad => plan.known_bad += 1,
                Change::KnownOther => plan.known_other += 1,
                Change::New | Change::Changed | Change::Retry => {
                    plan.jobs.push(FileJob { target: index, path: relative, stamp, change });
                }
            }
            Ok(())
        })?;
        let problems = &plan.problems[first_problem..];
        let gone = view.not_seen(problems)?;
        let pictures = gone.pictures;
        plan.unseen += gone.unseen;
        // What --exclude leaves out is there all the same.
        if files == files_before && walker.excluded() == excluded && target.below.is_none() && pictures > 0 {
            let reason = format!(
                "is empty now (an unmounted disk?): its {pictures} pictures stay in the index; if they are \
                 really gone, type: taiyi-search remove {}",
                target.root.display()
            );
            plan.problems.push(WalkProblem { path: target.root.clone(), reason });
            plan.unseen += pictures;
        } else {
            plan.gone.extend(gone.paths.into_iter().map(|path| (index, path)));
        }
    }
    progress.event(ProgressEvent::Walked { files });
    Ok(plan)
}

/// The part of the ledger that lies below one target, seen from the target's root.
///
/// That root may be known, new, or above roots of single files: those are merged into it when the plan is
/// carried out.
struct LedgerView<'a> {
    ledger: Option<&'a Writer>,
    target: &'a Target,
    /// The target's root, if it is known, and roots of single files below it; the deepest first.
    roots: Vec<&'a Root>,
    /// In the ordinary case, the target's root being the only one: the ledger is read once, beside the walk.
    beside: Option<Beside<'a>>,
    /// Paths that the walk has met, where they were looked up one by one.
    seen: HashSet<RelativePath>,
}

/// A place of the ledger, and what is there.
type Location = (RelativePath, LocationRecord);

/// The ledger's locations of one root, taken in the order of their bytes, which is also that of the walk.
struct Beside<'a> {
    root: RootId,
    rest: Peekable<Box<dyn Iterator<Item = Result<Location, StoreError>> + 'a>>,
    /// Those that the walk has passed without meeting them.
    missed: Vec<Location>,
    /// The last path met.
    last: Option<RelativePath>,
}

impl Beside<'_> {
    /// Passes over what comes before `path` and takes what is known of it; `None` if the walk is not in order here.
    fn take(&mut self, path: &RelativePath) -> Option<Result<Option<LocationRecord>, StoreError>> {
        if self.last.as_ref().is_some_and(|last| last >= path) {
            return None;
        }
        self.last = Some(path.clone());
        while let Some(location) =
            self.rest.next_if(|next| next.as_ref().map_or(true, |(known, _)| known <= path))
        {
            match location {
                Ok((known, record)) if known == *path => return Some(Ok(Some(record))),
                Ok(location) => self.missed.push(location),
                Err(e) => return Some(Err(e)),
            }
        }
        Some(Ok(None))
    }
}

struct Gone {
    paths: Vec<RelativePath>,
    /// Pictures among them.
    pictures: u64,
    /// Pictures that are not counted as gone, since their place could not be walked.
    unseen: u64,
}

impl<'a> LedgerView<'a> {
    fn new(ledger: Option<&'a Writer>, known: &'a [Root], target: &'a Target) -> Self {
        let mut roots: Vec<&Root> = known
            .iter()
            .filter(|root| root.path == target.root || root.partial && root.path.starts_with(&target.root))
            .collect();
        roots.sort_by_key(|root| std::cmp::Reverse(root.path.components().count()));
        let beside = match (ledger, roots.as_slice()) {
            (Some(ledger), [only]) if only.path == target.root => {
                let locations = ledger.locations(only.id, target.below.as_ref());
                let rest = (Box::new(locations) as Box<dyn Iterator<Item = _>>).peekable();
                Some(Beside { root: only.id, rest, missed: Vec::new(), last: None })
            }
            _ => None,
        };
        Self { ledger, target, roots, beside, seen: HashSet::new() }
    }

    /// Where the ledger keeps a path of the target: the deepest root that contains it.
    fn locate(&self, relative: &RelativePath) -> Option<(RootId, RelativePath)> {
        let absolute = self.target.root.join(relative.to_path());
        self.roots.iter().find_map(|root| {
            let rest = absolute.strip_prefix(&root.path).ok()?;
            Some((root.id, RelativePath::from_path(rest).ok()?))
        })
    }

    fn decide(
        &mut self,
        relative: &RelativePath,
        stamp: taiyi_store::FileStamp,
        retry_failed: bool,
    ) -> Result<Change, IndexError> {
        let Some(ledger) = self.ledger else { return Ok(Change::New) };
        let known = match self.beside.as_mut().and_then(|beside| beside.take(relative)) {
            Some(known) => known?,
            None => self.look_up(ledger, relative)?,
        };
        let is_current = match &known {
            Some(record) if record.stamp == stamp => ledger.is_current(record)?,
            _ => false,
        };
        Ok(change::decide(known.as_ref(), stamp, is_current, retry_failed))
    }

    fn look_up(
        &mut self,
        ledger: &Writer,
        relative: &RelativePath,
    ) -> Result<Option<LocationRecord>, IndexError> {
        self.seen.insert(relative.clone());
        let located = match &self.beside {
            Some(beside) => Some((beside.root, relative.clone())),
            None => self.locate(relative),
        };
        Ok(located.map(|(root, path)| ledger.location(root, &path)).transpose()?.flatten())
    }

    /// Locations that the walk has not seen, relative to the target's root, but for those at or below
    /// a place that could not be walked.
    fn not_seen(mut self, problems: &[WalkProblem]) -> Result<Gone, IndexError> {
        let mut gone = Gone { paths: Vec::new(), pictures: 0, unseen: 0 };
        let Some(ledger) = self.ledger else { return Ok(gone) };
        let target = self.target;
        let mut count = |relative: RelativePath, record: &LocationRecord| {
            // Nobody has ever said that its file is here.
            if record.stamp.is_imported() {
                return;
            }
            let picture = u64::from(matches!(record.state, LocationState::Indexed(_)));
            let absolute = target.root.join(relative.to_path());
            if problems.iter().any(|problem| absolute.starts_with(&problem.path)) {
                gone.unseen += picture;
            } else {
                gone.pictures += picture;
                gone.paths.push(relative);
            }
        };
        if let Some(beside) = self.beside.take() {
            for location in beside.missed.into_iter().map(Ok).chain(beside.rest) {
                let (relative, record) = location?;
                if !self.seen.contains(&relative) {
                    count(relative, &record);
                }
            }
            return Ok(gone);
        }
        let walked = target.path();
        for root in &self.roots {
            // A root is walked from itself or, where only a part of it is, from that part.
            let below = match walked.strip_prefix(&root.path) {
                Ok(rest) if !rest.as_os_str().is_empty() => RelativePath::from_path(rest).ok(),
                Ok(_) => None,
                Err(_) if root.path.starts_with(&walked) => None,
                Err(_) => continue,
            };
            for location in ledger.locations(root.id, below.as_ref()) {
                let (path, record) = location?;
                let absolute = root.path.join(path.to_path());
                let Ok(rest) = absolute.strip_prefix(&target.root) else { continue };
                let Ok(relative) = RelativePath::from_path(rest) else { continue };
                if !self.seen.contains(&relative) {
                    count(relative, &record);
                }
            }
        }
        Ok(gone)
    }
}
