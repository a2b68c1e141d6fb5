//! What can go wrong with the models on this machine.

use crate::ModelError;
use crate::hub::HubError;

/// Why a model could not be imported, checked or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// It makes no sense as asked; the text says what would.
    #[error("{0}")]
    Refused(String),
    /// A file that was to be imported is not what its folder's record says.
    #[error("{file} is damaged: its hash is {actual}, it was recorded with {expected}; bring it again")]
    Damaged {
        /// The file.
        file: String,
        /// The hash recorded.
        expected: String,
        /// The hash that it has.
        actual: String,
    },
    /// A file that was to be imported is not there any more.
    #[error("{file} is gone, though its folder's taiyi-model.json has it recorded; bring the folder again")]
    Gone {
        /// The file.
        file: String,
    },
    /// Reading or writing failed, or was stopped.
    #[error(transparent)]
    Files(#[from] HubError),
    /// The files are no model.
    #[error(transparent)]
    Model(#[from] ModelError),
}
