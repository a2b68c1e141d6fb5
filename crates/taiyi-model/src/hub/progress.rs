//! What a fetch tells while it is under way.

use std::time::Duration;

/// Receives the events of a fetch.
pub trait FetchProgress {
    /// Something happened.
    fn event(&self, event: FetchEvent<'_>);
}

/// A step of a fetch. Bytes are of all files of the fetch together.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum FetchEvent<'a> {
    /// It is known which files there are.
    Planned {
        /// How many.
        files: usize,
        /// Their sizes together.
        bytes: u64,
        /// How many of these bytes are here already.
        present_bytes: u64,
    },
    /// A file is taken up.
    File {
        /// `repository/name`.
        name: &'a str,
        /// Its size.
        bytes: u64,
        /// Where an earlier fetch was broken off, 0 if it was not.
        resumed_at: u64,
    },
    /// So many bytes are here now.
    Bytes {
        /// Fewer than the time before when a file has to be started over.
        done: u64,
    },
    /// Another process fetches the same file; it is waited for.
    Waiting {
        /// `repository/name`.
        name: &'a str,
    },
    /// Something went wrong that may pass.
    Retrying {
        /// What went wrong.
        problem: &'a str,
        /// How long until the next try.
        wait: Duration,
    },
}
