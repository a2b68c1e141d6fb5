//! What can be wrong with a collection, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a collection could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The folder is no collection: another one was meant.
    #[error("{} is no collection of embeddings: {what}", dir.display())]
    NotACollection {
        /// The folder.
        dir: PathBuf,
        /// What it lacks.
        what: String,
    },
    /// A file as a whole cannot be used: it has to be made again, in the form that the message names.
    #[error("{}: {what}", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// Expected against actual, and the remedy.
        what: String,
    },
    /// One row cannot be used.
    #[error("{}, row {row} (the first is 0): {what}", file.display())]
    Row {
        /// Which file.
        file: PathBuf,
        /// Which of its rows, counted from 0 as NumPy and pandas do.
        row: u64,
        /// Expected against actual, and the remedy.
        what: String,
    },
    /// The folder to write is there already: nothing is overwritten.
    #[error("{} is there already, and nothing is overwritten: choose a folder that is not there yet", dir.display())]
    Exists {
        /// The folder.
        dir: PathBuf,
    },
    /// Another process writes the same collection.
    #[error("{} is being written by another export: wait for it, or choose another folder", dir.display())]
    Busy {
        /// The folder.
        dir: PathBuf,
    },
    /// Something else has the name under which a collection grows.
    #[error(
        "{} is in the way: a collection grows under that name, and this is none of ours; move it away, or choose \
         another folder",
        path.display()
    )]
    InTheWay {
        /// What is there.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ExchangeError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn file(file: &Path, what: impl Into<String>) -> Self {
        Self::File { file: file.to_owned(), what: what.into() }
    }

    pub(crate) fn row(file: &Path, row: u64, what: impl Into<String>) -> Self {
        Self::Row { file: file.to_owned(), row, what: what.into() }
    }
}
