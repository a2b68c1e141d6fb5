//! Writing a collection: whole, or not at all.

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use taiyi_core::Embedding;

use crate::ExchangeError;
use crate::draft::Draft;
use crate::layout::new_part;
use crate::npy::{Dtype, NpyWriter};
use crate::table::{TableRow, TableWriter};

/// How to write a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// Components of a vector.
    pub dimension: usize,
    /// How numbers are stored.
    pub dtype: Dtype,
    /// Rows of a file, at most.
    pub part_rows: NonZeroU64,
}

/// A picture to write.
#[derive(Clone, Copy, Debug)]
pub struct ExportedPicture<'a> {
    /// Absolute.
    pub path: &'a Path,
    /// Its place in the model's space.
    pub embedding: &'a Embedding,
    /// Width and height of the upright picture, where they are known.
    pub size: Option<(u32, u32)>,
    /// Capture time in seconds since 1970, as the camera's clock showed it, where it is known.
    pub taken_s: Option<i64>,
    /// BLAKE3 of the file in hexadecimal, where it is known.
    pub blake3: Option<&'a str>,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Rows in all.
    pub rows: u64,
    /// Pairs of files.
    pub parts: u64,
}

/// A collection that grows row by row, beside the place where it will be; gone when it is dropped before
/// [`finish`](Self::finish).
pub struct CollectionWriter {
    dir: PathBuf,
    draft: Draft,
    options: ExportOptions,
    part: Option<OpenPart>,
    done: Exported,
}

struct OpenPart {
    vectors: NpyWriter,
    table: TableWriter,
    rows: u64,
}

impl CollectionWriter {
    /// Begins a collection that is to be `dir`.
    ///
    /// What an export that was killed has left of the same collection is cleared away.
    ///
    /// # Errors
    /// `Exists` when there is something, `Busy`, `InTheWay`, `Io`.
    pub fn create(dir: &Path, options: ExportOptions) -> Result<Self, ExchangeError> {
        check_absent(dir)?;
        let draft = Draft::new(dir)?;
        let done = Exported { rows: 0, parts: 0 };
        Ok(Self { dir: dir.to_owned(), draft, options, part: None, done })
    }

    /// Adds a row. False, and nothing is added, when the path is not UTF-8: tables hold text.
    ///
    /// # Errors
    /// `Io`; `File` for an embedding of another dimension.
    pub fn push(&mut self, picture: &ExportedPicture<'_>) -> Result<bool, ExchangeError> {
        let Some(image_path) = picture.path.to_str().map(str::to_owned) else { return Ok(false) };
        if picture.embedding.dimension() != self.options.dimension {
            let (found, expected) = (picture.embedding.dimension(), self.options.dimension);
            let what = format!("its vector has {found} components, expected {expected}");
            return Err(ExchangeError::file(picture.path, what));
        }
        let part = match &mut self.part {
            Some(part) => part,
            None => self.part.insert(OpenPart::create(self.draft.dir(), self.done.parts, &self.options)?),
        };
        part.vectors.push(picture.embedding)?;
        let side = |side: u32| i32::try_from(side).ok();
        part.table.push(TableRow {
            image_path,
            width: picture.size.and_then(|(width, _)| side(width)),
            height: picture.size.and_then(|(_, height)| side(height)),
            taken_us: picture.taken_s.and_then(|s| s.checked_mul(1_000_000)),
            blake3: picture.blake3.map(str::to_owned),
        })?;
        part.rows += 1;
        self.done.rows += 1;
        if part.rows >= self.options.part_rows.get() {
            self.close_part()?;
        }
        Ok(true)
    }

    fn close_part(&mut self) -> Result<(), ExchangeError> {
        if let Some(part) = self.part.take() {
            part.vectors.finish()?;
            part.table.finish()?;
            self.done.parts += 1;
        }
        Ok(())
    }

    /// Gives the collection its name. An empty one has one pair of empty files.
    ///
    /// # Errors
    /// `Io`, and `Exists` when something has come into its place meanwhile.
    pub fn finish(mut self) -> Result<Exported, ExchangeError> {
        if self.done.rows == 0 {
            self.part = Some(OpenPart::create(self.draft.dir(), 0, &self.options)?);
        }
        self.close_part()?;
        check_absent(&self.dir)?;
        self.draft.finish(&self.dir)?;
        Ok(self.done)
    }
}

impl OpenPart {
    fn create(dir: &Path, number: u64, options: &ExportOptions) -> Result<Self, ExchangeError> {
        let part = new_part(dir, number);
        let vectors = NpyWriter::create(&part.vectors, options.dtype, options.dimension)?;
        Ok(Self { vectors, table: TableWriter::create(&part.table)?, rows: 0 })
    }
}

fn check_absent(dir: &Path) -> Result<(), ExchangeError> {
    match fs::symlink_metadata(dir) {
        Ok(_) => Err(ExchangeError::Exists { dir: dir.to_owned() }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(ExchangeError::io(dir, e)),
    }
}
