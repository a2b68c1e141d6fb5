//! The one writer of an index: commits to the ledger, publishes generations.

use std::num::NonZeroUsize;
use std::path::Path;

use taiyi_core::ModelId;

use crate::{ContentHash, Entry, LocationRecord, RelativePath, Root, RootId, StoreError};

/// How the nearest-neighbour graph is built, and from when on there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphOptions {
    /// Neighbours a row keeps on the upper levels; twice as many on the lowest.
    pub m: usize,
    /// Candidates looked at for each row.
    pub ef_construction: usize,
    /// Fewer rows than this are scanned exactly, without a graph.
    pub min_rows: usize,
}

impl Default for GraphOptions {
    fn default() -> Self {
        Self { m: 16, ef_construction: 200, min_rows: 50_000 }
    }
}

/// How to open a [`Writer`].
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// The model that makes the embeddings.
    pub model: ModelId,
    /// The graph of a published generation.
    pub graph: GraphOptions,
    /// Threads that build the graph.
    pub threads: NonZeroUsize,
}

/// How to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishOptions {
    /// Also do the long work: build the graph where it is due, drop removed rows, and forget contents
    /// that lie nowhere any more. Leave it off when publishing in the middle of a run: it takes
    /// minutes from a hundred thousand rows on, and an [`Entry::Reused`] still under way could meet
    /// a content just forgotten.
    pub build_graph: bool,
}

/// What [`Writer::publish`] is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishStep {
    /// Reading the ledger.
    Collect,
    /// Writing new vectors.
    Vectors,
    /// Building the graph: the long one.
    Graph,
    /// Writing the item table.
    Items,
}

/// How far [`Writer::publish`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishProgress {
    /// What is being done.
    pub step: PublishStep,
    /// Rows done in this step.
    pub done: u64,
    /// Rows to do in this step; 0 when unknown.
    pub total: u64,
}

/// What [`Writer::publish`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Readers that open the index now see this generation.
    New(PublishedGeneration),
    /// The generation that readers see is up to date already.
    Unchanged(PublishedGeneration),
    /// A rebuild is under way, and the generation from before it stays until
    /// [`Writer::finish_rebuild`].
    HeldBack,
}

/// A published generation in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedGeneration {
    /// Its number.
    pub generation: u64,
    /// Contents that can be found.
    pub rows: u64,
    /// Files that have them.
    pub locations: u64,
    /// Files that failed.
    pub failures: u64,
    /// Rows that the graph covers; 0 without a graph.
    pub graph_rows: u64,
}

/// The one writer of an index. All methods may be called from many threads.
#[derive(Debug)]
pub struct Writer {
    model: ModelId,
}

#[allow(clippy::todo, unused_variables, missing_docs)]
impl Writer {
    pub fn open(dir: &Path, options: WriterOptions) -> Result<Self, StoreError> {
        todo!()
    }
    pub fn open_for_rebuild(dir: &Path, options: WriterOptions) -> Result<Self, StoreError> {
        todo!()
    }
    pub fn open_any_model(
        dir: &Path,
        graph: GraphOptions,
        threads: NonZeroUsize,
    ) -> Result<Self, StoreError> {
        todo!()
    }
    pub fn model(&self) -> &ModelId {
        &self.model
    }
    pub fn is_rebuilding(&self) -> bool {
        todo!()
    }
    pub fn roots(&self) -> Result<Vec<Root>, StoreError> {
        todo!()
    }
    pub fn add_root(&self, path: &Path) -> Result<RootId, StoreError> {
        todo!()
    }
    pub fn merge_root(&self, child: RootId, parent: RootId) -> Result<(), StoreError> {
        todo!()
    }
    /// How many locations went with it.
    pub fn remove_root(&self, root: RootId) -> Result<u64, StoreError> {
        todo!()
    }
    pub fn location(&self, root: RootId, path: &RelativePath) -> Result<Option<LocationRecord>, StoreError> {
        todo!()
    }
    /// Whether the record still holds under the present model: false when its content is yet to be
    /// embedded anew by a rebuild. Does not look at the file.
    pub fn is_current(&self, record: &LocationRecord) -> Result<bool, StoreError> {
        todo!()
    }
    pub fn knows_content(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        todo!()
    }
    pub fn commit(&self, entries: &[Entry]) -> Result<(), StoreError> {
        todo!()
    }
    pub fn locations(
        &self,
        root: RootId,
        below: Option<&RelativePath>,
    ) -> impl Iterator<Item = Result<(RelativePath, LocationRecord), StoreError>> + use<> {
        std::iter::empty()
    }
    pub fn remove_locations(&self, root: RootId, paths: &[RelativePath]) -> Result<(), StoreError> {
        todo!()
    }
    /// Locations dropped, because the rebuild never came by them.
    pub fn finish_rebuild(&self) -> Result<u64, StoreError> {
        todo!()
    }
    pub fn has_unpublished_changes(&self) -> Result<bool, StoreError> {
        todo!()
    }
    pub fn publish(
        &self,
        options: &PublishOptions,
        progress: &mut dyn FnMut(PublishProgress),
    ) -> Result<Published, StoreError> {
        todo!()
    }
}
