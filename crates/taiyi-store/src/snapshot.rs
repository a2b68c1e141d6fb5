//! One published generation, as readers see it.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use taiyi_core::{Embedding, ModelId, PhotoMetadata, Score};

use crate::{ContentHash, Failure, FileStamp, RelativePath, Root, StoreError};

/// A content in one [`Snapshot`]. Means nothing in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row(pub(crate) u32);

/// Which rows a search may return.
pub type RowFilter<'a> = dyn Fn(RowView<'_>) -> bool + Sync + 'a;

/// How to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchOptions {
    /// How many neighbours, at most.
    pub k: usize,
    /// Look at every row, even where there is a graph.
    pub exact: bool,
    /// Candidates that the walk of the graph keeps; more find more and take longer. By default
    /// chosen from `k`.
    pub ef: Option<usize>,
    /// Threads for exact scans and filters.
    pub threads: NonZeroUsize,
}

/// A row that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// Which.
    pub row: Row,
    /// How close.
    pub score: Score,
}

/// When a picture was made, as well as the index knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowTime {
    /// Capture time, in seconds since 1970 as the camera's clock showed it
    /// (see [`PhotoMetadata::taken_s`]).
    Taken(i64),
    /// For want of a capture time, the earliest modification time of its files, in seconds since
    /// 1970-01-01T00:00:00Z.
    Modified(i64),
}

/// A file that has some content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Where its root is mounted.
    pub root_path: PathBuf,
    /// The file below the root.
    pub relative: RelativePath,
    /// The file as it was read.
    pub stamp: FileStamp,
}

impl Location {
    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.root_path.join(self.relative.to_path())
    }
}

/// All that is known of a content.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its identity.
    pub hash: ContentHash,
    /// What the picture says of itself.
    pub metadata: PhotoMetadata,
    /// Every file that has it, sorted by root and path; at least one for a live row.
    pub locations: Vec<Location>,
}

/// A file that could not be embedded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedFile {
    /// Which file.
    pub location: Location,
    /// Why.
    pub failure: Failure,
}

/// A row under the eyes of a filter: columns are cheap, the item is decoded on demand.
#[derive(Clone, Copy, Debug)]
pub struct RowView<'a> {
    snapshot: &'a Snapshot,
    row: Row,
}

#[allow(clippy::todo, unused_variables, missing_docs)]
impl RowView<'_> {
    pub fn row(&self) -> Row {
        self.row
    }
    pub fn hash(&self) -> ContentHash {
        todo!()
    }
    pub fn time(&self) -> Option<RowTime> {
        todo!()
    }
    /// Decodes metadata and locations: costs a microsecond or so.
    pub fn item(&self) -> Result<Item, StoreError> {
        self.snapshot.item(self.row)
    }
}

/// An immutable view of one published generation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Snapshot {}

#[allow(clippy::todo, unused_variables, missing_docs)]
impl Snapshot {
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        todo!()
    }
    pub fn is_newest(&self) -> Result<bool, StoreError> {
        todo!()
    }
    pub fn model(&self) -> &ModelId {
        todo!()
    }
    pub fn generation(&self) -> u64 {
        todo!()
    }
    /// When it was published, in seconds since 1970-01-01T00:00:00Z.
    pub fn published_s(&self) -> i64 {
        todo!()
    }
    pub fn roots(&self) -> &[Root] {
        todo!()
    }
    /// Contents that can be found.
    pub fn len(&self) -> usize {
        todo!()
    }
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    pub fn location_count(&self) -> usize {
        todo!()
    }
    pub fn failure_count(&self) -> usize {
        todo!()
    }
    pub fn failures(&self) -> Result<Vec<FailedFile>, StoreError> {
        todo!()
    }
    /// Rows that the graph covers; 0 without a graph.
    pub fn graph_rows(&self) -> usize {
        todo!()
    }
    pub fn search(
        &self,
        query: &Embedding,
        options: &SearchOptions,
        filter: Option<&RowFilter<'_>>,
    ) -> Result<Vec<Neighbor>, StoreError> {
        todo!()
    }
    pub fn item(&self, row: Row) -> Result<Item, StoreError> {
        todo!()
    }
    pub fn time(&self, row: Row) -> Option<RowTime> {
        todo!()
    }
    pub fn find_content(&self, hash: &ContentHash) -> Option<Row> {
        todo!()
    }
    pub fn embedding(&self, row: Row) -> Result<Embedding, StoreError> {
        todo!()
    }
    /// The live rows.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        std::iter::empty()
    }
}
