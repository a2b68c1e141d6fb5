//! Writing tables: `image_path`, and what else the index knows.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::{HEIGHT_COLUMN, PATH_COLUMN, TAKEN_COLUMN, WIDTH_COLUMN};
use crate::ExchangeError;

/// Rows that are held in memory before they are written.
const GROUP_ROWS: usize = 8192;

/// What a table says of a picture besides its path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableRow {
    /// Absolute.
    pub(crate) image_path: String,
    pub(crate) width: Option<i32>,
    pub(crate) height: Option<i32>,
    /// Capture time in µs since 1970 as the camera's clock showed it.
    pub(crate) taken_us: Option<i64>,
    /// BLAKE3 of the file, hexadecimal.
    pub(crate) blake3: Option<String>,
}

/// A table that grows row by row. Not valid before [`finish`](Self::finish).
pub(crate) struct TableWriter {
    path: PathBuf,
    writer: SerializedFileWriter<BufWriter<File>>,
    rows: Vec<TableRow>,
}

impl TableWriter {
    /// # Errors
    /// `Io`, also when the file is there already.
    pub(crate) fn create(path: &Path) -> Result<Self, ExchangeError> {
        let file = File::create_new(path).map_err(|e| ExchangeError::io(path, e))?;
        let writer = new_writer(BufWriter::new(file)).map_err(|e| failed(path, e))?;
        Ok(Self { path: path.to_owned(), writer, rows: Vec::with_capacity(GROUP_ROWS) })
    }

    /// # Errors
    /// `Io`.
    pub(crate) fn push(&mut self, row: TableRow) -> Result<(), ExchangeError> {
        self.rows.push(row);
        if self.rows.len() < GROUP_ROWS { Ok(()) } else { self.write_group() }
    }

    fn write_group(&mut self) -> Result<(), ExchangeError> {
        let Self { path, writer, rows } = self;
        write_group(writer, rows).map_err(|e| failed(path, e))?;
        rows.clear();
        Ok(())
    }

    /// Writes the end, and puts the file onto the disk.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn finish(mut self) -> Result<(), ExchangeError> {
        if !self.rows.is_empty() {
            self.write_group()?;
        }
        let Self { path, writer, .. } = self;
        let out = writer.into_inner().map_err(|e| failed(&path, e))?;
        let file = out.into_inner().map_err(|e| ExchangeError::io(&path, e.into_error()))?;
        file.sync_all().map_err(|e| ExchangeError::io(&path, e))
    }
}

fn new_writer(out: BufWriter<File>) -> Result<SerializedFileWriter<BufWriter<File>>, ParquetError> {
    let schema = parse_message_type(&format!(
        "message pictures {{
            required binary {PATH_COLUMN} (STRING);
            optional int32 {WIDTH_COLUMN};
            optional int32 {HEIGHT_COLUMN};
            optional int64 {TAKEN_COLUMN} (TIMESTAMP(MICROS,false));
            optional binary blake3 (STRING);
        }}"
    ))?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))
}

fn write_group(
    writer: &mut SerializedFileWriter<BufWriter<File>>,
    rows: &[TableRow],
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    let paths: Vec<ByteArray> = rows.iter().map(|row| row.image_path.as_str().into()).collect();
    write_column::<ByteArrayType>(&mut group, &paths, None)?;
    write_optional::<Int32Type>(&mut group, rows.iter().map(|row| row.width))?;
    write_optional::<Int32Type>(&mut group, rows.iter().map(|row| row.height))?;
    write_optional::<Int64Type>(&mut group, rows.iter().map(|row| row.taken_us))?;
    write_optional::<ByteArrayType>(
        &mut group,
        rows.iter().map(|row| row.blake3.as_deref().map(Into::into)),
    )?;
    group.close().map(drop)
}

fn write_optional<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, BufWriter<File>>,
    values: impl Iterator<Item = Option<T::T>>,
) -> Result<(), ParquetError> {
    let (mut present, mut levels) = (Vec::new(), Vec::new());
    for value in values {
        levels.push(i16::from(value.is_some()));
        present.extend(value);
    }
    write_column::<T>(group, &present, Some(&levels))
}

fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, BufWriter<File>>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("the table has fewer columns than are written".to_owned()));
    };
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

/// All that can go wrong in writing is the disk.
fn failed(path: &Path, error: ParquetError) -> ExchangeError {
    let source = match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => *source,
            Err(other) => std::io::Error::other(other),
        },
        other => std::io::Error::other(other),
    };
    ExchangeError::io(path, source)
}
