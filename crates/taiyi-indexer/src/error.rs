//! What stops a run. A bad file never does: it goes into the report.

use std::path::PathBuf;

use taiyi_core::EncodeError;
use taiyi_store::StoreError;

/// Why an indexing run could not go on.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The index itself failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The model failed on every picture it was given, so no picture is to blame.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A pattern of `--exclude` cannot be read.
    #[error("cannot read the exclude pattern {pattern:?}: {message}")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// A path to index is neither a folder nor a file.
    #[error("{} is neither a folder nor a regular file", path.display())]
    NotIndexable {
        /// The path as given.
        path: PathBuf,
    },
    /// A thread of the run could not be started or died of a fault in this program.
    #[error("the {thread} thread {what}; what was committed before is safe, run the same command again")]
    Thread {
        /// Which thread.
        thread: &'static str,
        /// What happened to it.
        what: String,
    },
}
