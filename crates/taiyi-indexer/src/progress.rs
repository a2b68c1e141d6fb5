//! What a run tells while it works. Telling cannot fail, and cannot stop a run.

use std::path::Path;

use taiyi_store::PublishProgress;

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub enum ProgressEvent<'a> {
    /// The walk goes on.
    Walked {
        /// Files seen so far.
        files: u64,
    },
    /// The walk is over; this many files are to be read.
    Planned {
        /// Files to read.
        files: u64,
    },
    /// Files are done with: embedded, reused, ignored or failed.
    Done {
        /// How many, since the last such event.
        files: u64,
        /// How many of these were embedded.
        embedded: u64,
        /// How many of these failed.
        failed: u64,
    },
    /// A file failed.
    Failed {
        /// The file.
        path: &'a Path,
        /// Why.
        reason: &'a str,
    },
    /// A generation is being published.
    Publishing(&'a PublishProgress),
    /// A generation was published.
    Published {
        /// Its number.
        generation: u64,
    },
}

/// Receives [`ProgressEvent`]s, from several threads.
pub trait Progress: Sync {
    /// Called often: it should return quickly.
    fn event(&self, event: ProgressEvent<'_>);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn event(&self, _: ProgressEvent<'_>) {}
}
