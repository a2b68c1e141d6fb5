//! What a run did.

use std::path::PathBuf;
use std::time::Duration;

use taiyi_store::FailureKind;

use crate::WalkProblem;

/// The sum of a run. Every file that the walk met is counted once.
#[derive(Debug, Default)]
pub struct Report {
    /// Pictures new to the index, embedded in this run.
    pub added: u64,
    /// Pictures whose file changed, embedded anew.
    pub updated: u64,
    /// Files whose content was embedded already: renamed, moved, copied, or touched.
    pub reused: u64,
    /// Files gone from the disk and now from the index.
    pub removed: u64,
    /// Files as they were.
    pub unchanged: u64,
    /// Files that failed in an earlier run and have not changed.
    pub known_bad: u64,
    /// Files that are not pictures and do not claim to be.
    pub ignored: u64,
    /// Files that failed in this run.
    pub failed: Vec<FailedPath>,
    /// Places that could not be walked; nothing below them was removed.
    pub problems: Vec<WalkProblem>,
    /// Whether the run was cancelled before its end.
    pub interrupted: bool,
    /// The generation that readers now see, if this run published one.
    pub generation: Option<u64>,
    /// Whether a rebuild is not through yet, so that readers still see the index as it was before.
    pub held_back: bool,
    /// Time from the start of reading to the end of publishing.
    pub elapsed: Duration,
    /// Time spent reading, decoding and embedding.
    pub encoding: Duration,
}

/// A file that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedPath {
    /// The file.
    pub path: PathBuf,
    /// What kind of failure.
    pub kind: FailureKind,
    /// Why, without the file's name.
    pub reason: String,
}

impl Report {
    /// Pictures embedded in this run.
    #[must_use]
    pub fn embedded(&self) -> u64 {
        self.added + self.updated
    }
}
