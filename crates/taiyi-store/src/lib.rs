//! The index folder: what is known of every picture (the ledger), what readers search (published
//! generations), and the nearest neighbours in them.
//!
//! ```text
//! manifest.json   names the published generation; replaced last, by rename
//! ledger/         sled: the durable truth, opened by the one writer alone
//! gen-N/          mapped by readers, immutable once the manifest names it, rebuildable from the ledger
//! LOCK            held by the one writer
//! ```
//!
//! A [`Writer`] commits what it learns of files to the ledger and publishes generations; a
//! [`Snapshot`] is one published generation, searched by any number of threads and processes while
//! the writer goes on. An embedding belongs to *content* (the BLAKE3 of a file's bytes); a file is a
//! *location* of that content, so a rename or a copy never embeds again.
//!
//! Every byte of these files is described in `docs/FORMAT.md`.

#[cfg(target_endian = "big")]
compile_error!("index files are mapped as little-endian numbers, and this target is big-endian");

mod collect;
#[cfg(test)]
mod crash_tests;
mod durable;
mod encoding;
mod error;
mod fault;
mod generation;
mod graph_work;
mod ledger;
mod lock;
mod machine;
mod manifest;
mod opening;
mod path;
mod publish;
mod recollect;
mod record;
mod search;
mod snapshot;
mod touched;
mod verify;
mod vouch;
mod writer;

pub use error::StoreError;
pub use path::{RelativePath, RelativePathError};
pub use record::{
    ContentHash, Entry, Failure, FailureKind, FileStamp, LocationRecord, LocationState, Root, RootId,
};
pub use snapshot::{
    FailedFile, Item, Location, Neighbor, Row, RowFilter, RowTime, RowView, SearchOptions, Snapshot,
};
pub use verify::{DiskUsage, Problem, VerifyProgress, VerifyReport, disk_usage, verify};
pub use writer::{
    GraphOptions, PublishOptions, PublishProgress, PublishStep, Published, PublishedGeneration, Writer,
    WriterOptions,
};
