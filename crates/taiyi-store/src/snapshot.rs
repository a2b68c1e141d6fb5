//! One published generation, as readers see it.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use taiyi_core::{Embedding, ModelId, PhotoMetadata, Score};

use crate::encoding::StoredLocation;
use crate::generation::graph::GraphFile;
use crate::generation::items::{ItemTable, split_item};
use crate::generation::vectors::VectorTable;
use crate::ledger::Ledger;
use crate::manifest::Manifest;
use crate::search::exact::{self, RowSet};
use crate::search::nearest::Searched;
use crate::search::walk::Broken;
use crate::{ContentHash, Failure, FileStamp, RelativePath, Root, StoreError};

/// Rows that a filter is tried on to see how many pass.
const ASKED_ROWS: usize = 512;
/// When at least one row in so many passes, the filter is asked of the rows that a walk meets.
const LAZY_SHARE: usize = 8;
/// How often opening tries again when the writer replaces the generation in the middle of it.
const OPEN_ATTEMPTS: usize = 10;

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

impl RowView<'_> {
    /// Which row.
    #[must_use]
    pub fn row(&self) -> Row {
        self.row
    }

    /// The identity of its content.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        // A view is only made of rows that exist, and opening has checked that all of those have a hash.
        self.snapshot.0.items.hash(self.row.0).unwrap_or(ContentHash([0; 32]))
    }

    /// When it was made.
    #[must_use]
    pub fn time(&self) -> Option<RowTime> {
        self.snapshot.time(self.row)
    }

    /// Decodes metadata and locations, which takes a microsecond or so.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged.
    pub fn item(&self) -> Result<Item, StoreError> {
        self.snapshot.item(self.row)
    }
}

/// An immutable view of one published generation. Cheap to clone, and searched by any number of threads.
#[derive(Clone, Debug)]
pub struct Snapshot(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    manifest: Manifest,
    roots: Vec<Root>,
    items: ItemTable,
    vectors: VectorTable,
    graph: Option<GraphFile>,
}

impl Snapshot {
    /// Opens what is published in an index folder: maps its files and checks their headers and lengths.
    /// Checksums are for [`verify`](crate::verify()), since they would read every byte.
    ///
    /// # Errors
    /// `NotFound`, `NotPublished`, `NewerFormat`, `Corrupt`, `Io`.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let mut manifest = read_manifest(dir)?;
        for _ in 0..OPEN_ATTEMPTS {
            match Self::open_manifest(dir, manifest.clone()) {
                Err(StoreError::Io { path, source }) if source.kind() == io::ErrorKind::NotFound => {
                    // The writer deletes a generation two publications later: is there a newer one?
                    let newest = read_manifest(dir)?;
                    if newest.generation == manifest.generation {
                        return Err(StoreError::generation(&path, "it is missing"));
                    }
                    manifest = newest;
                }
                opened => return opened,
            }
        }
        Err(StoreError::Busy {
            dir: dir.to_owned(),
            holder: "a writer that publishes without pause".to_owned(),
        })
    }

    pub(crate) fn open_manifest(dir: &Path, manifest: Manifest) -> Result<Self, StoreError> {
        let items = ItemTable::open(dir, &manifest)?;
        let vectors = VectorTable::open(dir, &manifest)?;
        let dimension = manifest.model.dimension;
        let graph =
            manifest.graph.as_ref().map(|entry| GraphFile::open(dir, entry, dimension)).transpose()?;
        let graph = graph.flatten();
        let roots = items.roots()?;
        Ok(Self(Arc::new(Inner { dir: dir.to_owned(), manifest, roots, items, vectors, graph })))
    }

    /// Whether this is still what is published. Reads only the manifest.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn is_newest(&self) -> Result<bool, StoreError> {
        let newest = read_manifest(&self.0.dir)?;
        Ok(newest.generation == self.0.manifest.generation && newest.ledger == self.0.manifest.ledger)
    }

    /// The model whose embeddings these are.
    #[must_use]
    pub fn model(&self) -> &ModelId {
        &self.0.manifest.model
    }

    /// The number of the generation.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.manifest.generation
    }

    /// When it was published, in seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn published_s(&self) -> i64 {
        self.0.manifest.published_s
    }

    /// The roots, in the order they were added.
    #[must_use]
    pub fn roots(&self) -> &[Root] {
        &self.0.roots
    }

    /// Contents that can be found.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.manifest.live_rows as usize
    }

    /// Whether nothing can be found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Files that have one of the contents.
    #[must_use]
    pub fn location_count(&self) -> usize {
        self.0.manifest.locations as usize
    }

    /// Files that could not be embedded.
    #[must_use]
    pub fn failure_count(&self) -> usize {
        self.0.manifest.failures as usize
    }

    /// Files that could not be embedded, by root and path.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged.
    pub fn failures(&self) -> Result<Vec<FailedFile>, StoreError> {
        let stored = self.0.items.failures()?;
        stored
            .into_iter()
            .map(|(location, failure)| Ok(FailedFile { location: self.resolve(location)?, failure }))
            .collect()
    }

    /// Rows that the graph covers; 0 without a graph.
    #[must_use]
    pub fn graph_rows(&self) -> usize {
        self.0.graph.as_ref().map_or(0, GraphFile::rows)
    }

    /// The rows nearest to a query, best first; of equal scores the lower row comes first.
    ///
    /// With a filter, only rows that it takes are returned. It is asked of as many rows as needed, on several threads.
    ///
    /// # Errors
    /// `InvalidArgument` when the query has another dimension than the model, or `k` is 0; `Corrupt` when
    /// a file is damaged.
    pub fn search(
        &self,
        query: &Embedding,
        options: &SearchOptions,
        filter: Option<&RowFilter<'_>>,
    ) -> Result<Vec<Neighbor>, StoreError> {
        let inner = &*self.0;
        if query.dimension() != inner.vectors.dimension() {
            return Err(StoreError::InvalidArgument(format!(
                "a query of {} components does not fit an index of {}",
                query.dimension(),
                self.model()
            )));
        }
        if options.k == 0 {
            return Err(StoreError::InvalidArgument("no neighbours were asked for: k is 0".to_owned()));
        }
        let graph = inner.graph.as_ref().and_then(GraphFile::graph);
        let searched = Searched { vectors: &inner.vectors, graph };
        let (query, rows) = (query.as_slice(), inner.items.rows());
        let live = |row: u32| inner.items.is_live(row);
        let found = if let Some(filter) = filter {
            let test = |row: u32| live(row) && filter(RowView { snapshot: self, row: Row(row) });
            let passing = self.estimate(&test);
            if graph.is_some() && !options.exact && passing >= rows / LAZY_SHARE {
                // A walk asks of the rows it meets alone.
                searched.nearest(query, options.k, options, passing, &test)
            } else {
                let set = RowSet::collect(rows, options.threads, &test);
                searched
                    .nearest(query, options.k.min(set.len()), options, set.len(), &|row| set.contains(row))
            }
        } else {
            searched.nearest(query, options.k.min(self.len()), options, self.len(), &live)
        };
        let path = || inner.graph.as_ref().map_or(inner.dir.as_path(), GraphFile::path);
        let found =
            found.map_err(|Broken| StoreError::generation(path(), "its nodes or rows lead nowhere"))?;
        Ok(found.into_sorted())
    }

    /// How many rows pass a test, judging by some of them.
    fn estimate(&self, test: &impl Fn(u32) -> bool) -> usize {
        let rows = self.0.items.rows();
        let asked = rows.min(ASKED_ROWS);
        let passed = (0..asked).filter(|i| test((i * rows / asked) as u32)).count();
        passed * rows / asked.max(1)
    }

    /// What is known of a row.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged; `InvalidArgument` for a row of another snapshot that is none
    /// here, or is removed.
    pub fn item(&self, row: Row) -> Result<Item, StoreError> {
        let items = &self.0.items;
        let hash = items.hash(row.0).filter(|_| items.is_live(row.0));
        let hash = hash.ok_or_else(|| StoreError::InvalidArgument(format!("there is no row {}", row.0)))?;
        let (metadata, stored) = split_item(items.item(row.0)?).ok_or_else(|| items.bad_item(row.0))?;
        let locations = stored.into_iter().map(|l| self.resolve(l)).collect::<Result<_, _>>()?;
        Ok(Item { hash, metadata, locations })
    }

    fn resolve(&self, stored: StoredLocation) -> Result<Location, StoreError> {
        let root = self.0.roots.iter().find(|root| root.id == stored.root).ok_or_else(|| {
            StoreError::generation(self.0.items.path(), "a location is below a root that is not there")
        })?;
        Ok(Location { root_path: root.path.clone(), relative: stored.path, stamp: stored.stamp })
    }

    /// When a row's picture was made.
    #[must_use]
    pub fn time(&self, row: Row) -> Option<RowTime> {
        self.0.items.time(row.0)
    }

    /// The row with this content, as of a query picture that is to be left out of its own results.
    #[must_use]
    pub fn find_content(&self, hash: &ContentHash) -> Option<Row> {
        self.0.items.find(hash).map(Row)
    }

    /// The embedding of a row.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged; `InvalidArgument` for a row of another snapshot that is none
    /// here.
    pub fn embedding(&self, row: Row) -> Result<Embedding, StoreError> {
        let vector = self.0.vectors.row(row.0);
        let vector =
            vector.ok_or_else(|| StoreError::InvalidArgument(format!("there is no row {}", row.0)))?;
        Embedding::from_unit(vector.to_vec())
            .map_err(|e| StoreError::generation(&self.0.dir, format!("the vector of row {}: {e}", row.0)))
    }

    /// The live rows, ascending.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        (0..self.0.items.rows() as u32).filter(|&row| self.0.items.is_live(row)).map(Row)
    }

    /// The live rows as a filter sees them, ascending, and cut into one share each for at most `threads`
    /// threads. Few rows are one share: another thread would cost more than it saves.
    pub fn shares(
        &self,
        threads: NonZeroUsize,
    ) -> Vec<impl DoubleEndedIterator<Item = RowView<'_>> + Send + use<'_>> {
        exact::split(0..self.0.items.rows(), threads)
            .map(|share| {
                // Rows are counted in 32 bits.
                (share.start as u32..share.end as u32)
                    .filter(|&row| self.0.items.is_live(row))
                    .map(|row| RowView { snapshot: self, row: Row(row) })
            })
            .collect()
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    pub(crate) fn tables(&self) -> (&ItemTable, &VectorTable, Option<&GraphFile>) {
        (&self.0.items, &self.0.vectors, self.0.graph.as_ref())
    }
}

fn read_manifest(dir: &Path) -> Result<Manifest, StoreError> {
    match Manifest::read(dir)? {
        Some(manifest) => Ok(manifest),
        None if Ledger::exists(dir) => Err(StoreError::NotPublished { dir: dir.to_owned() }),
        None => Err(StoreError::NotFound { dir: dir.to_owned() }),
    }
}
