//! The write path: walk → skip what the ledger knows → decode and prepare → embed in batches →
//! commit → publish.
//!
//! [`plan`] walks the folders and decides, file by file, from a `stat` and the ledger alone.
//! [`run`] carries a plan out: decode workers, one inference thread, and the calling thread as the
//! only one that writes. Nothing here knows a model: pictures go through a
//! [`taiyi_core::ImageEncoder`], so tests run on a fake.
//!
//! [`import()`] takes in embeddings that were made elsewhere, without reading a file.
//!
//! What holds at any moment, `kill -9` included: a file is either in the ledger with its embedding,
//! or the next run finds it again. Nothing is ever written below the folders that are indexed.

#![forbid(unsafe_code)]

mod change;
mod error;
mod import;
mod in_flight;
mod pipeline;
mod plan;
mod progress;
mod report;
mod run;
mod target;
mod walk;

pub use change::Change;
pub use error::IndexError;
pub use import::{ImportReport, ImportRoots, ImportedPicture, import, imported_without_file, is_imported};
pub use plan::{Plan, plan};
pub use progress::{NoProgress, Progress, ProgressEvent};
pub use report::{FailedPath, Report};
pub use run::{RunOptions, absolute_even_if_gone, forget, publish_if_changed, run};
pub use target::{Target, Targets, resolve_targets, resolve_with_roots};
pub use walk::{WalkOptions, WalkProblem};
