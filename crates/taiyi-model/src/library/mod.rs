//! The models on this machine: which there are, and bringing, checking and removing them.

mod error;
mod import;
mod inventory;
mod record;
mod removal;
mod turn;
mod verify;

pub use error::LibraryError;
pub use import::import;
pub use inventory::{Standing, inventory, standing};
pub use removal::{Removal, plan_removal, remove};
pub use verify::{FileCheck, FileState, verify_files};

pub(crate) use import::copy_file;
pub(crate) use record::Record;
