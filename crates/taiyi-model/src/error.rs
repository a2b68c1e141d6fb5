//! What can be wrong with a model folder, told so that its owner can mend it.

use std::io;
use std::path::{Path, PathBuf};

use taiyi_core::EncodeError;

/// Why a model cannot be found, opened or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// There is no such model; the text says what would be one.
    #[error("{0}")]
    NotFound(String),
    /// A published model is not on this machine.
    #[error("model {name} is not here: {how_to_get}")]
    NotHere {
        /// The name that it is known by.
        name: &'static str,
        /// What to type.
        how_to_get: String,
    },
    /// A file or folder of the model cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A configuration file is not what it should be, or asks for something that is not built in.
    #[error("{}: {problem}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, expected against actual.
        problem: String,
    },
    /// A weight file or vocabulary is damaged; copying or fetching it again is the remedy.
    #[error("{} is damaged: {problem}; fetch or copy the file again", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Weights and configuration are not of the same model.
    #[error("{}: {problem}; the weights and the config.json beside them are not of the same model", path.display())]
    Mismatch {
        /// The weight file.
        path: PathBuf,
        /// Which tensor, expected against actual.
        problem: String,
    },
    /// The towers ran and failed, or gave numbers that are no embedding.
    #[error("{}: {problem}", path.display())]
    Run {
        /// The weight file of the tower.
        path: PathBuf,
        /// What happened.
        problem: String,
    },
}

impl ModelError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn config(path: &Path, problem: impl Into<String>) -> Self {
        Self::Config { path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn corrupt(path: &Path, problem: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn mismatch(path: &Path, problem: impl Into<String>) -> Self {
        Self::Mismatch { path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn run(path: &Path, problem: impl Into<String>) -> Self {
        Self::Run { path: path.to_owned(), problem: problem.into() }
    }
}

impl From<ModelError> for EncodeError {
    fn from(error: ModelError) -> Self {
        Self::Model(error.to_string())
    }
}
