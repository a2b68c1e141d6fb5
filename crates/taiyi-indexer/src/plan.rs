//! What a run will do, from a walk and the ledger alone. Reads no file and writes nothing.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use taiyi_store::{LocationState, RelativePath, Root, RootId, Writer};

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
    let hasher = RandomState::new();
    let mut files = 0;
    for (index, target) in targets.iter().enumerate() {
        let view = LedgerView::new(ledger, &known_roots, target);
        let apart: Vec<PathBuf> = known_roots
            .iter()
            .filter(|root| !root.partial && root.path != target.root)
            .map(|root| root.path.clone())
            .collect();
        let first_problem = plan.problems.len();
        let mut seen: HashSet<u64> = HashSet::new();
        let (excluded, files_before) = (walker.excluded(), files);
        for found in walker.walk(&target.root, &target.path(), &apart) {
            let Found { path, stamp } = match found {
                Ok(found) => found,
                Err(problem) => {
                    plan.problems.push(problem);
                    continue;
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
                    continue;
                }
            };
            let change = view.decide(&relative, stamp, retry_failed)?;
            if target.known_only && change == Change::New {
                continue;
            }
            seen.insert(hasher.hash_one(relative.as_bytes()));
            match change {
                Change::Unchanged => plan.unchanged += 1,
                Change::KnownBad => plan.known_bad += 1,
                Change::KnownOther => plan.known_other += 1,
                Change::New | Change::Changed | Change::Retry => {
                    plan.jobs.push(FileJob { target: index, path: relative, stamp, change });
                }
            }
        }
        let problems = &plan.problems[first_problem..];
        let gone = view.not_in(|relative| seen.contains(&hasher.hash_one(relative.as_bytes())), problems)?;
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
        Self { ledger, target, roots }
    }

    /// Where the ledger keeps a path of the target: the deepest root that contains it.
    fn locate(&self, relative: &RelativePath) -> Option<(RootId, RelativePath)> {
        // The ordinary case: the target's root is the only one.
        if let [only] = self.roots.as_slice()
            && only.path == self.target.root
        {
            return Some((only.id, relative.clone()));
        }
        let absolute = self.target.root.join(relative.to_path());
        self.roots.iter().find_map(|root| {
            let rest = absolute.strip_prefix(&root.path).ok()?;
            Some((root.id, RelativePath::from_path(rest).ok()?))
        })
    }

    fn decide(
        &self,
        relative: &RelativePath,
        stamp: taiyi_store::FileStamp,
        retry_failed: bool,
    ) -> Result<Change, IndexError> {
        let Some(ledger) = self.ledger else { return Ok(Change::New) };
        let Some((root, path)) = self.locate(relative) else { return Ok(Change::New) };
        let known = ledger.location(root, &path)?;
        let is_current = match &known {
            // Asked only where it matters: it costs a look-up of the content.
            Some(record) if record.stamp == stamp => ledger.is_current(record)?,
            _ => false,
        };
        Ok(change::decide(known.as_ref(), stamp, is_current, retry_failed))
    }

    /// Locations that the walk has not seen, relative to the target's root, but for those at or below
    /// a place that could not be walked.
    fn not_in(
        &self,
        seen: impl Fn(&RelativePath) -> bool,
        problems: &[WalkProblem],
    ) -> Result<Gone, IndexError> {
        let mut gone = Gone { paths: Vec::new(), pictures: 0, unseen: 0 };
        let Some(ledger) = self.ledger else { return Ok(gone) };
        let walked = self.target.path();
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
                // Nobody has ever said that its file is here.
                if record.stamp.is_imported() {
                    continue;
                }
                let absolute = root.path.join(path.to_path());
                let Ok(rest) = absolute.strip_prefix(&self.target.root) else { continue };
                let Ok(relative) = RelativePath::from_path(rest) else { continue };
                if seen(&relative) {
                    continue;
                }
                let picture = u64::from(matches!(record.state, LocationState::Indexed(_)));
                if problems.iter().any(|problem| absolute.starts_with(&problem.path)) {
                    gone.unseen += picture;
                    continue;
                }
                gone.pictures += picture;
                gone.paths.push(relative);
            }
        }
        Ok(gone)
    }
}
