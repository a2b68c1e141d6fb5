//! The item table: for every row its content hash, its time, and behind an offset its metadata and
//! every location; besides, the roots and the files that failed.
//!
//! Columns that filters and sorting read stand apart from the records, so a filter by date touches eight
//! bytes a row.

use std::path::Path;

use crate::durable::{FileSum, HashingWriter};
use crate::encoding::{Cursor, StoredLocation, put_bytes};
use crate::generation::{head_version, usize_at};
use crate::machine::mmap::MappedFile;
use crate::manifest::{FORMAT_VERSION, ITEMS_NAME, Manifest, generation_dir};
use crate::path::root_path;
use crate::{ContentHash, Failure, Root, RootId, RowTime, StoreError};

const MAGIC: &[u8; 8] = b"TAIYIITM";
const HEADER_BYTES: usize = 128;

/// The row's content lies nowhere any more.
const FLAG_REMOVED: u8 = 1;
/// The time column holds the capture time.
const FLAG_TAKEN: u8 = 2;
/// The time column holds the earliest modification time.
const FLAG_MODIFIED: u8 = 4;

/// Where the sections are. All are aligned to eight bytes, in this order.
#[derive(Clone, Copy, Debug)]
struct Layout {
    hashes: usize,
    times: usize,
    offsets: usize,
    order: usize,
    flags: usize,
    items: usize,
    roots: usize,
    failures: usize,
    end: usize,
}

/// Sizes of the sections, as the header has them from byte 16 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    rows: usize,
    live: usize,
    locations: usize,
    failures: usize,
    item_bytes: usize,
    root_bytes: usize,
    failure_bytes: usize,
}

impl Sizes {
    fn layout(&self) -> Option<Layout> {
        let mut end = HEADER_BYTES;
        let mut section = |bytes: Option<usize>| {
            let start = end;
            end = end.checked_add(bytes?)?.checked_next_multiple_of(8)?;
            Some(start)
        };
        Some(Layout {
            hashes: section(self.rows.checked_mul(32))?,
            times: section(self.rows.checked_mul(8))?,
            offsets: section(self.rows.checked_add(1)?.checked_mul(8))?,
            order: section(self.live.checked_mul(4))?,
            flags: section(Some(self.rows))?,
            items: section(Some(self.item_bytes))?,
            roots: section(Some(self.root_bytes))?,
            failures: section(Some(self.failure_bytes))?,
            end,
        })
    }

    fn fields(&self) -> [usize; 7] {
        [
            self.rows,
            self.live,
            self.locations,
            self.failures,
            self.item_bytes,
            self.root_bytes,
            self.failure_bytes,
        ]
    }
}

/// A mapped item table.
#[derive(Debug)]
pub(crate) struct ItemTable {
    file: MappedFile,
    version: u64,
    sizes: Sizes,
    layout: Layout,
}

impl ItemTable {
    pub(crate) fn open(dir: &Path, manifest: &Manifest) -> Result<Self, StoreError> {
        let path = generation_dir(dir, manifest.generation).join(ITEMS_NAME);
        let file = MappedFile::open(&path, manifest.items.bytes)?;
        let version = head_version(&file, MAGIC)?;
        let cut_off = || file.corrupt("its header is cut off");
        let field = |i: usize| usize_at(&file, 16 + 8 * i).ok_or_else(cut_off);
        let sizes = Sizes {
            rows: field(0)?,
            live: field(1)?,
            locations: field(2)?,
            failures: field(3)?,
            item_bytes: field(4)?,
            root_bytes: field(5)?,
            failure_bytes: field(6)?,
        };
        let counts = [sizes.rows, sizes.live, sizes.locations, sizes.failures].map(|n| n as u64);
        let expected = [manifest.rows, manifest.live_rows, manifest.locations, manifest.failures];
        if counts != expected {
            return Err(file.corrupt(format!("expected counts {expected:?}, it has {counts:?}")));
        }
        match sizes.layout() {
            Some(layout) if layout.end == file.bytes().len() => Ok(Self { file, version, sizes, layout }),
            _ => Err(file.corrupt("its sections do not fill it")),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Whether records of it are as [`write`] writes them.
    pub(crate) fn is_of_this_version(&self) -> bool {
        self.version == FORMAT_VERSION
    }

    pub(crate) fn rows(&self) -> usize {
        self.sizes.rows
    }

    pub(crate) fn hash(&self, row: u32) -> Option<ContentHash> {
        let at = self.layout.hashes + row as usize * 32;
        self.flags(row)?;
        self.file.bytes().get(at..)?.first_chunk().copied().map(ContentHash)
    }

    fn flags(&self, row: u32) -> Option<u8> {
        self.flag_column().get(row as usize).copied()
    }

    fn flag_column(&self) -> &[u8] {
        self.file.bytes().get(self.layout.flags..self.layout.flags + self.sizes.rows).unwrap_or(&[])
    }

    /// Whether the row exists and its content lies somewhere.
    #[inline]
    pub(crate) fn is_live(&self, row: u32) -> bool {
        self.flags(row).is_some_and(|flags| flags & FLAG_REMOVED == 0)
    }

    pub(crate) fn time(&self, row: u32) -> Option<RowTime> {
        let flags = self.flags(row)?;
        let at = self.layout.times + row as usize * 8;
        let seconds = i64::from_le_bytes(self.file.bytes().get(at..)?.first_chunk().copied()?);
        match flags & (FLAG_TAKEN | FLAG_MODIFIED) {
            FLAG_TAKEN => Some(RowTime::Taken(seconds)),
            FLAG_MODIFIED => Some(RowTime::Modified(seconds)),
            _ => None,
        }
    }

    /// The bytes of a row's record: metadata, number of locations, locations.
    pub(crate) fn item(&self, row: u32) -> Result<&[u8], StoreError> {
        let at = self.layout.offsets + row as usize * 8;
        let bounds = usize_at(&self.file, at).zip(usize_at(&self.file, at + 8));
        self.flags(row)
            .and(bounds)
            .filter(|&(_, to)| to <= self.sizes.item_bytes)
            .and_then(|(from, to)| self.section(self.layout.items, self.sizes.item_bytes)?.get(from..to))
            .ok_or_else(|| self.file.corrupt(format!("the record of row {row} is out of bounds")))
    }

    /// A `Corrupt` error about the record of a row.
    pub(crate) fn bad_item(&self, row: u32) -> StoreError {
        self.file.corrupt(format!("the record of row {row} cannot be read"))
    }

    /// The live row with this content.
    pub(crate) fn find(&self, hash: &ContentHash) -> Option<u32> {
        let order = self.order();
        let at = order.partition_point(|&row| self.hash(row).is_some_and(|h| h < *hash));
        order.get(at).copied().filter(|&row| self.hash(row) == Some(*hash))
    }

    /// Live rows in the order of their hashes.
    pub(crate) fn order(&self) -> &[u32] {
        self.section(self.layout.order, self.sizes.live * 4)
            .and_then(|bytes| bytemuck::try_cast_slice(bytes).ok())
            .unwrap_or(&[])
    }

    pub(crate) fn roots(&self) -> Result<Vec<Root>, StoreError> {
        let bytes = self.section(self.layout.roots, self.sizes.root_bytes).unwrap_or(&[]);
        let mut cursor = Cursor::new(bytes);
        let mut roots = Vec::new();
        while !cursor.is_empty() {
            let (id, partial) = (cursor.u32(), cursor.u8().filter(|&flag| flag <= 1));
            let root = id.zip(partial).zip(cursor.bytes().and_then(root_path));
            let ((id, partial), path) = root.ok_or_else(|| self.file.corrupt("its roots cannot be read"))?;
            roots.push(Root { id: RootId(id), path, partial: partial == 1 });
        }
        Ok(roots)
    }

    pub(crate) fn failures(&self) -> Result<Vec<(StoredLocation, Failure)>, StoreError> {
        let bytes = self.section(self.layout.failures, self.sizes.failure_bytes).unwrap_or(&[]);
        let mut cursor = Cursor::new(bytes);
        let mut failures = Vec::new();
        while !cursor.is_empty() {
            let failed = cursor.failed_location();
            failures.push(failed.ok_or_else(|| self.file.corrupt("its failed files cannot be read"))?);
        }
        Ok(failures)
    }

    fn section(&self, start: usize, bytes: usize) -> Option<&[u8]> {
        self.file.bytes().get(start..start.checked_add(bytes)?)
    }
}

/// Metadata and locations out of the record of a row.
pub(crate) fn split_item(bytes: &[u8]) -> Option<(taiyi_core::PhotoMetadata, Vec<StoredLocation>)> {
    let mut cursor = Cursor::new(bytes);
    let metadata = cursor.metadata()?;
    let count = cursor.u32()?;
    // A location takes 25 bytes at least: a damaged count must not reserve memory.
    let mut locations = Vec::with_capacity((count as usize).min(bytes.len() / 25));
    for _ in 0..count {
        locations.push(cursor.location()?);
    }
    cursor.is_empty().then_some((metadata, locations))
}

/// One row to be written.
pub(crate) struct ItemRow<'a> {
    pub(crate) hash: ContentHash,
    /// `None` for a removed content.
    pub(crate) live: Option<LiveItem<'a>>,
}

/// What there is to a row that lies somewhere.
pub(crate) struct LiveItem<'a> {
    pub(crate) time: Option<RowTime>,
    /// Encoded metadata.
    pub(crate) metadata: &'a [u8],
    pub(crate) location_count: u32,
    /// Encoded locations.
    pub(crate) locations: &'a [u8],
}

/// What an item table is written from.
pub(crate) trait ItemSource {
    fn rows(&self) -> u32;
    fn row(&self, row: u32) -> ItemRow<'_>;
    fn roots(&self) -> &[Root];
    fn location_count(&self) -> usize;
    fn failure_count(&self) -> usize;
    /// Encoded failed files.
    fn failures(&self) -> &[u8];
}

/// Writes an item table.
pub(crate) fn write(folder: &Path, source: &impl ItemSource) -> Result<FileSum, StoreError> {
    let path = folder.join(ITEMS_NAME);
    let rows = source.rows();
    let mut roots = Vec::new();
    for root in source.roots() {
        roots.extend_from_slice(&root.id.0.to_le_bytes());
        roots.push(u8::from(root.partial));
        put_bytes(&mut roots, crate::path::root_bytes(&root.path).unwrap_or_default());
    }
    let mut order: Vec<(ContentHash, u32)> = Vec::new();
    let mut item_bytes = 0;
    for number in 0..rows {
        let row = source.row(number);
        if let Some(item) = &row.live {
            order.push((row.hash, number));
            item_bytes += item.metadata.len() + 4 + item.locations.len();
        }
    }
    order.sort_unstable();
    let sizes = Sizes {
        rows: rows as usize,
        live: order.len(),
        locations: source.location_count(),
        failures: source.failure_count(),
        item_bytes,
        root_bytes: roots.len(),
        failure_bytes: source.failures().len(),
    };

    let mut out = HashingWriter::create(&path)?;
    out.write(MAGIC)?;
    out.write(&(FORMAT_VERSION as u32).to_le_bytes())?;
    out.write(&[0; 4])?;
    for field in sizes.fields() {
        out.write(&(field as u64).to_le_bytes())?;
    }
    out.pad_to(HEADER_BYTES as u64)?;
    for number in 0..rows {
        out.write(&source.row(number).hash.0)?;
    }
    for number in 0..rows {
        let (RowTime::Taken(seconds) | RowTime::Modified(seconds)) =
            source.row(number).live.and_then(|item| item.time).unwrap_or(RowTime::Modified(0));
        out.write(&seconds.to_le_bytes())?;
    }
    let mut offset = 0u64;
    for number in 0..rows {
        out.write(&offset.to_le_bytes())?;
        if let Some(item) = source.row(number).live {
            offset += (item.metadata.len() + 4 + item.locations.len()) as u64;
        }
    }
    out.write(&offset.to_le_bytes())?;
    for (_, number) in order {
        out.write(&number.to_le_bytes())?;
    }
    out.pad_to(8)?;
    for number in 0..rows {
        let flags = match source.row(number).live {
            None => FLAG_REMOVED,
            Some(LiveItem { time: Some(RowTime::Taken(_)), .. }) => FLAG_TAKEN,
            Some(LiveItem { time: Some(RowTime::Modified(_)), .. }) => FLAG_MODIFIED,
            Some(LiveItem { time: None, .. }) => 0,
        };
        out.write(&[flags])?;
    }
    out.pad_to(8)?;
    for number in 0..rows {
        if let Some(item) = source.row(number).live {
            out.write(item.metadata)?;
            out.write(&item.location_count.to_le_bytes())?;
            out.write(item.locations)?;
        }
    }
    out.pad_to(8)?;
    out.write(&roots)?;
    out.pad_to(8)?;
    out.write(source.failures())?;
    out.pad_to(8)?;
    out.finish()
}
