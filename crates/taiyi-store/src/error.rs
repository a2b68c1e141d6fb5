//! What can go wrong with an index folder, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why the index could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no index in this folder.
    #[error("no index in {}: make one with `taiyi-search index PATH`", dir.display())]
    NotFound {
        /// The index folder.
        dir: PathBuf,
    },
    /// The index has been started, and nothing of it has been published yet.
    #[error(
        "the index in {} has nothing to search yet: let `taiyi-search index` finish, or run it again",
        dir.display()
    )]
    NotPublished {
        /// The index folder.
        dir: PathBuf,
    },
    /// Another process is writing.
    #[error("{holder} is writing to the index in {}: wait for it or stop it", dir.display())]
    Busy {
        /// The index folder.
        dir: PathBuf,
        /// Who, as far as its lock file tells.
        holder: String,
    },
    /// The index holds embeddings of another model.
    #[error(
        "the index in {} was built with {found}, not {wanted}: pass --model {found_name}, or index again with --rebuild",
        dir.display()
    )]
    Incompatible {
        /// The index folder.
        dir: PathBuf,
        /// The model of the index.
        found: String,
        /// Its bare name, as `--model` takes it.
        found_name: String,
        /// The model asked for.
        wanted: String,
    },
    /// A newer version of this program made the index.
    #[error(
        "{} has format version {found}, this program reads up to {supported}: update taiyi-search",
        file.display()
    )]
    NewerFormat {
        /// The file that says so.
        file: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version known here.
        supported: u64,
    },
    /// A file of the index is damaged or missing.
    #[error("{} is damaged: {what}; {remedy}", file.display())]
    Corrupt {
        /// Which file or folder.
        file: PathBuf,
        /// Expected against actual.
        what: String,
        /// What mends it.
        remedy: &'static str,
    },
    /// The operating system refused.
    #[error("{}: {}", path.display(), describe_io(source))]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The caller asked for something that makes no sense.
    #[error("{0}")]
    InvalidArgument(String),
}

/// What mends a damaged generation: the ledger has everything that is in it.
pub(crate) const REMEDY_GENERATION: &str =
    "delete the gen-* folders of the index and index again: nothing is embedded anew";
/// What mends a damaged ledger: only the pictures themselves.
pub(crate) const REMEDY_LEDGER: &str = "index again with --rebuild";

impl StoreError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// A damaged file of a generation, or the manifest.
    pub(crate) fn generation(file: &Path, what: impl Into<String>) -> Self {
        Self::Corrupt { file: file.to_owned(), what: what.into(), remedy: REMEDY_GENERATION }
    }

    /// A damaged ledger.
    pub(crate) fn ledger(dir: &Path, what: impl Into<String>) -> Self {
        Self::Corrupt { file: dir.to_owned(), what: what.into(), remedy: REMEDY_LEDGER }
    }
}

fn describe_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "no space left on the disk: free some and run index again; nothing indexed so far is lost"
                .to_owned()
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("the disk is read-only ({error}): put the index on another one with --index")
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "permission denied ({error}): check who owns the index folder, or choose another with --index"
            )
        }
        _ => error.to_string(),
    }
}
