//! Reading the columns of a table that say something of a picture, value by value.
//!
//! Text, large text, bytes and categories are all the same to Parquet: byte arrays, with or without a
//! dictionary. Columns that are of no use here are not looked at.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type};
use parquet::column::page::PageReader;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ParquetStatisticsPolicy;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptionsBuilder;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use super::pages::BoundedPages;
use super::schema::read_schema;
use super::{HEIGHT_COLUMN, PATH_COLUMN, TAKEN_COLUMN, WIDTH_COLUMN};
use crate::ExchangeError;

/// No path is longer on any system.
const MAX_PATH_BYTES: usize = 1 << 15;

/// A row of a table.
pub(crate) struct ReadRow {
    /// As it stands there.
    pub(crate) image_path: ByteArray,
    /// Width and height, where the table has both and they can be those of a picture.
    pub(crate) size: Option<(u32, u32)>,
    /// Capture time in seconds since 1970 as the camera's clock showed it.
    pub(crate) taken_s: Option<i64>,
}

/// A table under way.
pub(crate) struct TableReader {
    path: PathBuf,
    /// The file once more, to look into before the reader does.
    file: File,
    reader: SerializedFileReader<File>,
    rows: u64,
    columns: Columns,
    next_group: usize,
    group: Option<Group>,
    /// Rows so far.
    rows_read: u64,
}

/// Where the columns are.
struct Columns {
    path: usize,
    width: Option<usize>,
    height: Option<usize>,
    taken: Option<(usize, Unit)>,
}

/// How many of its unit a point in time has in a second.
#[derive(Clone, Copy)]
struct Unit(i64);

/// A row group under way.
struct Group {
    path: Values<ByteArrayType>,
    width: Option<Numbers>,
    height: Option<Numbers>,
    taken: Option<(Numbers, Unit)>,
    rows_left: u64,
}

impl TableReader {
    /// Opens a table and checks that it has the paths.
    ///
    /// # Errors
    /// `Io`, and `File` for what is no Parquet, is damaged, or has no such column.
    pub(crate) fn open(path: &Path) -> Result<Self, ExchangeError> {
        let failed = |e| ExchangeError::io(path, e);
        let file = File::open(path).map_err(failed)?;
        let reader_file = file.try_clone().map_err(failed)?;
        let reader = guarded(path, || open(reader_file))?;
        let metadata = reader.metadata().file_metadata();
        let rows = u64::try_from(metadata.num_rows())
            .map_err(|_| ExchangeError::file(path, "it is damaged: its number of rows is negative"))?;
        let columns =
            Columns::find(metadata.schema_descr()).map_err(|what| ExchangeError::file(path, what))?;
        let path = path.to_owned();
        Ok(Self { path, file, reader, rows, columns, next_group: 0, group: None, rows_read: 0 })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Rows of the table, as it says itself.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The next row, if there is one.
    ///
    /// # Errors
    /// `Io`, `File` for damage, `Row` for a path that is null or cannot be one.
    pub(crate) fn next_row(&mut self) -> Result<Option<ReadRow>, ExchangeError> {
        while self.group.as_ref().is_none_or(|group| group.rows_left == 0) {
            if !self.open_group()? {
                return Ok(None);
            }
        }
        let Some(group) = &mut self.group else { return Ok(None) };
        let (path, row) = (&self.path, self.rows_read);
        let (image_path, size, taken_s) = guarded(path, || {
            let image_path = group.path.next()?;
            let size = (side(&mut group.width)?, side(&mut group.height)?);
            let taken_s = match &mut group.taken {
                Some((taken, Unit(unit))) => taken.next()?.map(|taken| taken.div_euclid(*unit)),
                None => None,
            };
            Ok((image_path, size.0.zip(size.1), taken_s))
        })?;
        let image_path =
            image_path.ok_or_else(|| ExchangeError::row(path, row, format!("{PATH_COLUMN} is null")))?;
        if image_path.len() > MAX_PATH_BYTES {
            let what =
                format!("{PATH_COLUMN} is {} bytes long, which no path on any system is", image_path.len());
            return Err(ExchangeError::row(path, row, what));
        }
        group.rows_left -= 1;
        self.rows_read += 1;
        Ok(Some(ReadRow { image_path, size, taken_s }))
    }

    fn open_group(&mut self) -> Result<bool, ExchangeError> {
        let number = self.next_group;
        if number >= self.reader.metadata().num_row_groups() {
            return Ok(false);
        }
        let rows = self.reader.metadata().row_group(number).num_rows();
        let rows_left = u64::try_from(rows).map_err(|_| {
            ExchangeError::file(&self.path, "it is damaged: a row group has a negative number of rows")
        })?;
        let columns = &self.columns;
        self.group = Some(guarded(&self.path, || {
            let numbers = |column: &usize| Numbers::open(self, number, *column);
            Ok(Group {
                path: Values::open(self, number, columns.path)?,
                width: columns.width.as_ref().map(numbers).transpose()?,
                height: columns.height.as_ref().map(numbers).transpose()?,
                taken: match &columns.taken {
                    Some((column, unit)) => Some((numbers(column)?, *unit)),
                    None => None,
                },
                rows_left,
            })
        })?);
        self.next_group += 1;
        Ok(true)
    }
}

fn open(file: File) -> ParquetResult<SerializedFileReader<File>> {
    // What the file says of its values is of no use here.
    let options = ReadOptionsBuilder::new()
        .with_parquet_schema(read_schema(&file)?)
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .build();
    SerializedFileReader::new_with_options(file, options)
}

/// What can be a side of a picture.
fn side(sides: &mut Option<Numbers>) -> ParquetResult<Option<u32>> {
    let Some(sides) = sides else { return Ok(None) };
    Ok(sides.next()?.and_then(|side| u32::try_from(side).ok()).filter(|side| *side > 0))
}

impl Columns {
    /// The error says what is wrong with the table.
    fn find(schema: &SchemaDescriptor) -> Result<Self, String> {
        let find = |name: &str| {
            let columns = schema.columns();
            let position = columns.iter().position(|column| column.path().parts() == [name])?;
            columns.get(position).map(|column| (position, column))
        };
        let (path, column) = find(PATH_COLUMN).ok_or_else(|| {
            let fields = schema.root_schema().get_fields();
            let names: Vec<String> = fields.iter().take(20).map(|field| field.name().to_owned()).collect();
            format!("it has no column {PATH_COLUMN}, only {}", names.join(", "))
        })?;
        if repetition(column) == Repetition::REPEATED {
            return Err(format!("its column {PATH_COLUMN} holds lists, expected text"));
        }
        if column.physical_type() != Type::BYTE_ARRAY {
            let found = column.physical_type();
            return Err(format!("its column {PATH_COLUMN} holds {found}, expected text or bytes"));
        }
        // What is not as expected belongs to somebody else, and a picture is found without it.
        let plain = |name| find(name).filter(|(_, column)| repetition(column) != Repetition::REPEATED);
        let number = |name| {
            let (position, column) = plain(name)?;
            let is_number = matches!(column.physical_type(), Type::INT32 | Type::INT64 | Type::DOUBLE);
            is_number.then_some(position)
        };
        let taken = plain(TAKEN_COLUMN).and_then(|(position, column)| Some((position, Unit::of(column)?)));
        Ok(Self { path, width: number(WIDTH_COLUMN), height: number(HEIGHT_COLUMN), taken })
    }
}

fn repetition(column: &ColumnDescPtr) -> Repetition {
    column.self_type().get_basic_info().repetition()
}

impl Unit {
    /// Of points in time on a clock on the wall; in UTC, they would be other ones.
    fn of(column: &ColumnDescPtr) -> Option<Self> {
        match column.logical_type_ref() {
            Some(LogicalType::Timestamp(time))
                if !time.is_adjusted_to_u_t_c && column.physical_type() == Type::INT64 =>
            {
                Some(Self(match time.unit {
                    TimeUnit::MILLIS => 1_000,
                    TimeUnit::MICROS => 1_000_000,
                    TimeUnit::NANOS => 1_000_000_000,
                }))
            }
            _ => None,
        }
    }
}

/// The values of a column in one row group.
struct Values<T: DataType> {
    column: ColumnReaderImpl<T>,
    is_optional: bool,
    levels: Vec<i16>,
    values: Vec<T::T>,
}

impl<T: DataType> Values<T> {
    fn open(table: &TableReader, group: usize, column: usize) -> ParquetResult<Self> {
        let group = table.reader.get_row_group(group)?;
        let chunk = group.metadata().column(column);
        let descriptor = chunk.column_descr_ptr();
        if descriptor.physical_type() != T::get_physical_type() {
            return Err(ParquetError::General("a row group has another type than the table".to_owned()));
        }
        let is_optional = descriptor.max_def_level() > 0;
        let pages = group.get_column_page_reader(column)?;
        let pages: Box<dyn PageReader> =
            Box::new(BoundedPages::new(pages, table.file.try_clone()?, chunk, is_optional));
        let column = ColumnReaderImpl::new(descriptor, pages);
        Ok(Self { column, is_optional, levels: Vec::new(), values: Vec::new() })
    }

    /// The next value, `None` for a null. One at a time: values may share most of what they are stored as, and
    /// many of them unpacked could be larger than any page.
    fn next(&mut self) -> ParquetResult<Option<T::T>> {
        self.levels.clear();
        self.values.clear();
        let levels = self.is_optional.then_some(&mut self.levels);
        let (rows, ..) = self.column.read_records(1, levels, None, &mut self.values)?;
        if rows == 0 {
            return Err(ParquetError::EOF("a row group ends before its last row".to_owned()));
        }
        Ok(self.values.pop())
    }
}

/// The values of a column of numbers.
enum Numbers {
    Int32(Values<Int32Type>),
    Int64(Values<Int64Type>),
    /// What pandas makes of whole numbers where one is missing.
    Double(Values<DoubleType>),
}

impl Numbers {
    fn open(table: &TableReader, group: usize, column: usize) -> ParquetResult<Self> {
        match table.reader.metadata().file_metadata().schema_descr().column(column).physical_type() {
            Type::INT32 => Ok(Self::Int32(Values::open(table, group, column)?)),
            Type::INT64 => Ok(Self::Int64(Values::open(table, group, column)?)),
            _ => Ok(Self::Double(Values::open(table, group, column)?)),
        }
    }

    fn next(&mut self) -> ParquetResult<Option<i64>> {
        match self {
            Self::Int32(values) => Ok(values.next()?.map(i64::from)),
            Self::Int64(values) => values.next(),
            // Casts give the nearest there is, and 0 for NaN: no side of a picture.
            Self::Double(values) => Ok(values.next()?.map(|value| value as i64)),
        }
    }
}

/// Calls into the Parquet reader, which may panic over damaged files.
fn guarded<T>(path: &Path, action: impl FnOnce() -> ParquetResult<T>) -> Result<T, ExchangeError> {
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
