//! The vector table: unit vectors as f32, one after the other, in parts.
//!
//! A publication appends a part for its new rows and leaves the older parts where they are, so ten new
//! pictures never rewrite a million old ones.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::StoreError;
use crate::durable::{FileSum, HashingWriter};
use crate::generation::{head_version, number, u64_at};
use crate::machine::mmap::MappedFile;
use crate::manifest::{FORMAT_VERSION, Manifest, PartEntry, VECTORS_NAME, generation_dir};

const MAGIC: &[u8; 8] = b"TAIYIVEC";
/// A cache line, so that rows of the usual dimensions are aligned to one.
const HEADER_BYTES: usize = 64;

/// The mapped parts.
#[derive(Debug)]
pub(crate) struct VectorTable {
    dimension: usize,
    rows: usize,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    /// Its first row.
    start: usize,
    rows: usize,
    file: MappedFile,
}

impl VectorTable {
    pub(crate) fn open(dir: &Path, manifest: &Manifest) -> Result<Self, StoreError> {
        let parts =
            manifest.vectors.iter().map(|p| (generation_dir(dir, p.generation).join(VECTORS_NAME), p));
        Self::open_parts(manifest.model.dimension, parts)
    }

    pub(crate) fn open_parts<'a>(
        dimension: usize,
        entries: impl Iterator<Item = (PathBuf, &'a PartEntry)>,
    ) -> Result<Self, StoreError> {
        let mut rows = 0;
        let mut parts = Vec::new();
        for (path, entry) in entries {
            let file = MappedFile::open(&path, entry.sum.bytes)?;
            head_version(&file, MAGIC)?;
            let part_rows = entry.rows as usize;
            let head = number(&file, 12).map(u32::from_le_bytes).zip(u64_at(&file, 16));
            let expected_bytes =
                part_rows.checked_mul(dimension * 4).and_then(|n| n.checked_add(HEADER_BYTES));
            if head != Some((dimension as u32, entry.rows)) || expected_bytes != Some(file.bytes().len()) {
                return Err(file.corrupt(format!("expected {} rows of {dimension}", entry.rows)));
            }
            parts.push(Part { start: rows, rows: part_rows, file });
            rows += part_rows;
        }
        Ok(Self { dimension, rows, parts })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn dimension(&self) -> usize {
        self.dimension
    }

    /// The vector of a row. From a damaged file it may be anything, NaN included.
    pub(crate) fn row(&self, row: u32) -> Option<&[f32]> {
        let row = row as usize;
        let part = match self.parts.as_slice() {
            [only] => only,
            parts => parts.get(parts.partition_point(|p| p.start + p.rows <= row))?,
        };
        let at = row.checked_sub(part.start)?.checked_mul(self.dimension)?;
        part.floats().get(at..at.checked_add(self.dimension)?)
    }

    /// Calls `visit` with each row of a range and its vector, in order.
    #[inline]
    pub(crate) fn scan<'a>(&'a self, range: Range<usize>, mut visit: impl FnMut(u32, &'a [f32])) {
        for part in &self.parts {
            let from = range.start.clamp(part.start, part.start + part.rows);
            let to = range.end.clamp(from, part.start + part.rows);
            let floats = part.floats().get((from - part.start) * self.dimension..).unwrap_or(&[]);
            for (row, vector) in (from..to).zip(floats.chunks_exact(self.dimension)) {
                visit(row as u32, vector);
            }
        }
    }
}

impl Part {
    fn floats(&self) -> &[f32] {
        // A mapping begins at a page, so this is aligned.
        self.file.bytes().get(HEADER_BYTES..).and_then(|b| bytemuck::try_cast_slice(b).ok()).unwrap_or(&[])
    }
}

/// Writes one part.
pub(crate) struct VectorWriter {
    out: HashingWriter,
}

impl VectorWriter {
    pub(crate) fn create(folder: &Path, dimension: usize, rows: u64) -> Result<Self, StoreError> {
        let mut out = HashingWriter::create(&folder.join(VECTORS_NAME))?;
        out.write(MAGIC)?;
        out.write(&(FORMAT_VERSION as u32).to_le_bytes())?;
        out.write(&(dimension as u32).to_le_bytes())?;
        out.write(&rows.to_le_bytes())?;
        out.pad_to(HEADER_BYTES as u64)?;
        Ok(Self { out })
    }

    pub(crate) fn push(&mut self, vector: &[f32]) -> Result<(), StoreError> {
        self.out.write(bytemuck::cast_slice(vector))
    }

    pub(crate) fn finish(self) -> Result<FileSum, StoreError> {
        self.out.finish()
    }
}
