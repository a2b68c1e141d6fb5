//! Reading the column `image_path`, a few hundred values at a time.
//!
//! Text, large text, bytes and categories are all the same to Parquet: byte arrays, with or without a
//! dictionary. The other columns are not looked at.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::basic::{Repetition, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};

use super::PATH_COLUMN;
use crate::ExchangeError;

const BATCH_ROWS: usize = 512;
/// No path is longer on any system, ...
const MAX_PATH_BYTES: u64 = 1 << 15;
/// ... and what else stands in a column takes no more than this.
const MAX_OVERHEAD_BYTES: u64 = 64 << 20;

/// A table under way.
pub(crate) struct PathReader {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    rows: u64,
    column: usize,
    is_optional: bool,
    next_group: usize,
    group: Option<Group>,
    batch: std::vec::IntoIter<ByteArray>,
    /// Rows of all batches so far.
    rows_read: u64,
}

struct Group {
    column: ColumnReaderImpl<ByteArrayType>,
    rows_left: u64,
}

impl PathReader {
    /// Opens a table and checks that it has the column.
    ///
    /// # Errors
    /// `Io`, and `File` for what is no Parquet, is damaged, or has no such column.
    pub(crate) fn open(path: &Path) -> Result<Self, ExchangeError> {
        let file = File::open(path).map_err(|e| ExchangeError::io(path, e))?;
        let reader = guarded(path, || SerializedFileReader::new(file))?;
        let metadata = reader.metadata().file_metadata();
        let damaged = |what: &str| ExchangeError::file(path, format!("it is damaged: {what}"));
        let rows =
            u64::try_from(metadata.num_rows()).map_err(|_| damaged("its number of rows is negative"))?;
        let schema = metadata.schema_descr();
        let found = schema.columns().iter().position(|c| c.path().parts() == [PATH_COLUMN]);
        let column = found.ok_or_else(|| {
            let names: Vec<String> =
                schema.root_schema().get_fields().iter().take(20).map(|f| f.name().to_owned()).collect();
            let what = format!("it has no column {PATH_COLUMN}, only {}", names.join(", "));
            ExchangeError::file(path, what)
        })?;
        let descriptor = schema.column(column);
        let is_optional = match descriptor.self_type().get_basic_info().repetition() {
            Repetition::REQUIRED => false,
            Repetition::OPTIONAL => true,
            Repetition::REPEATED => {
                return Err(ExchangeError::file(
                    path,
                    format!("its column {PATH_COLUMN} holds lists, expected text"),
                ));
            }
        };
        if descriptor.physical_type() != Type::BYTE_ARRAY {
            let what = format!(
                "its column {PATH_COLUMN} holds {}, expected text or bytes",
                descriptor.physical_type()
            );
            return Err(ExchangeError::file(path, what));
        }
        Ok(Self {
            path: path.to_owned(),
            reader,
            rows,
            column,
            is_optional,
            next_group: 0,
            group: None,
            batch: Vec::new().into_iter(),
            rows_read: 0,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Rows of the table, as it says itself.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The next value, if there is one.
    ///
    /// # Errors
    /// `Io`, `File` for damage, `Row` for a null.
    pub(crate) fn next_path(&mut self) -> Result<Option<ByteArray>, ExchangeError> {
        loop {
            if let Some(value) = self.batch.next() {
                return Ok(Some(value));
            }
            if self.group.is_none() && !self.open_group()? {
                return Ok(None);
            }
            self.read_batch()?;
        }
    }

    fn open_group(&mut self) -> Result<bool, ExchangeError> {
        let groups = self.reader.metadata();
        if self.next_group >= groups.num_row_groups() {
            return Ok(false);
        }
        let (number, column) = (self.next_group, self.column);
        let damaged = |what: &str| ExchangeError::file(&self.path, format!("it is damaged: {what}"));
        let group = groups.row_group(number);
        let rows_left = u64::try_from(group.num_rows())
            .map_err(|_| damaged("a row group has a negative number of rows"))?;
        let bytes = group.columns().get(column).map_or(0, |chunk| chunk.uncompressed_size());
        // What is unpacked is unpacked in memory, and a few bytes can be made to unpack to gigabytes.
        let plausible = rows_left.saturating_mul(MAX_PATH_BYTES).saturating_add(MAX_OVERHEAD_BYTES);
        if u64::try_from(bytes).map_or(true, |bytes| bytes > plausible) {
            return Err(damaged("its paths are longer than paths are"));
        }
        let reader = guarded(&self.path, || self.reader.get_row_group(number)?.get_column_reader(column))?;
        let ColumnReader::ByteArrayColumnReader(column) = reader else {
            return Err(damaged("a row group has another type than the table"));
        };
        self.group = Some(Group { column, rows_left });
        self.next_group += 1;
        Ok(true)
    }

    fn read_batch(&mut self) -> Result<(), ExchangeError> {
        let Some(group) = self.group.as_mut().filter(|group| group.rows_left > 0) else {
            self.group = None;
            return Ok(());
        };
        let wanted = usize::try_from(group.rows_left).unwrap_or(usize::MAX).min(BATCH_ROWS);
        let (mut values, mut levels) = (Vec::with_capacity(wanted), Vec::with_capacity(wanted));
        let is_optional = self.is_optional;
        let column = &mut group.column;
        let (read, ..) = guarded(&self.path, || {
            column.read_records(wanted, is_optional.then_some(&mut levels), None, &mut values)
        })?;
        if let Some(at) = levels.iter().position(|&level| level == 0) {
            let row = self.rows_read + at as u64;
            return Err(ExchangeError::row(&self.path, row, format!("{PATH_COLUMN} is null")));
        }
        if read == 0 || read > wanted || values.len() != read {
            let what = format!("it is damaged: it ends after {} of its rows", self.rows_read);
            return Err(ExchangeError::file(&self.path, what));
        }
        group.rows_left -= read as u64;
        self.rows_read += read as u64;
        self.batch = values.into_iter();
        Ok(())
    }
}

/// Calls into the Parquet reader, which may panic over damaged files.
fn guarded<T>(path: &Path, action: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ExchangeError> {
    match catch_unwind(AssertUnwindSafe(action)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => {
            let what = e.to_string();
            let what = what.strip_prefix("Parquet error: ").unwrap_or(&what);
            let what =
                format!("it cannot be read as Parquet: {what}; write it again, as pandas does by itself");
            Err(ExchangeError::file(path, what))
        }
        Err(_) => {
            Err(ExchangeError::file(path, "it is damaged and cannot be read as Parquet: write it again"))
        }
    }
}
