//! Which columns a table has, read off its end.
//!
//! The Parquet reader would read them itself, but calls itself once for every level that they are nested: a megabyte
//! of groups in groups is more than the stack holds, and ends the process. So it is given the columns found here, and
//! passes over its own account of them. Nothing nested is ever read; such a column is only counted, and named for
//! messages by its outermost group and itself.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, TimestampType, Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::FooterTail;
use parquet::file::reader::{ChunkReader as _, Length as _};
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type as Field};

use super::compact::{Compact, kind};

/// What stands last in a file: the length of the footer, and that it is Parquet.
const TAIL_BYTES: usize = 8;
/// Bytes of a footer: some hundred a row group and column. In memory it takes many times that.
const MAX_FOOTER_BYTES: usize = 16 << 20;
/// Groups in groups.
const MAX_DEPTH: usize = 64;
/// Columns, nested ones included.
const MAX_COLUMNS: usize = 1 << 14;
const MAX_NAME_BYTES: usize = 1 << 10;

/// The footer's field that lists columns and groups.
const SCHEMA: i64 = 2;

/// Physical types and repetitions, as the format numbers them.
const TYPES: [Type; 8] = [
    Type::BOOLEAN,
    Type::INT32,
    Type::INT64,
    Type::INT96,
    Type::FLOAT,
    Type::DOUBLE,
    Type::BYTE_ARRAY,
    Type::FIXED_LEN_BYTE_ARRAY,
];
const REPETITIONS: [Repetition; 3] = [Repetition::REQUIRED, Repetition::OPTIONAL, Repetition::REPEATED];

/// The columns of the table in `file`, for the Parquet reader.
pub(super) fn read_schema(file: &File) -> Result<SchemaDescPtr> {
    let is_cut = || ParquetError::EOF("the file is shorter than its footer".to_owned());
    let tail_at = file.len().checked_sub(TAIL_BYTES as u64).ok_or_else(is_cut)?;
    let tail = FooterTail::try_from(file.get_bytes(tail_at, TAIL_BYTES)?.as_ref())?;
    if tail.is_encrypted_footer() {
        return Err(ParquetError::General("it is encrypted".to_owned()));
    }
    let length = tail.metadata_length();
    let start = tail_at.checked_sub(length as u64).ok_or_else(is_cut)?;
    if length > MAX_FOOTER_BYTES {
        return Err(ParquetError::General(format!(
            "a footer of {length} bytes is more than is read at once: larger row groups have a smaller one"
        )));
    }
    schema_of(&file.get_bytes(start, length)?)
}

fn schema_of(footer: &[u8]) -> Result<SchemaDescPtr> {
    let columns = find_columns(&mut Compact::new(footer))
        .map_err(|e| ParquetError::General(format!("its list of columns cannot be read: {e}")))?;
    let fields = columns.iter().map(|column| column.to_field().map(Arc::new)).collect::<Result<_>>()?;
    let table = Field::group_type_builder("table").with_fields(fields).build()?;
    Ok(Arc::new(SchemaDescriptor::new(Arc::new(table))))
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

/// A group is followed by what is in it.
fn find_columns(footer: &mut Compact<impl Read>) -> io::Result<Vec<Element>> {
    let mut last = 0;
    loop {
        match footer.field(last)? {
            Some((SCHEMA, kind::LIST)) => break,
            Some((number, kind)) => {
                footer.pass_over(kind)?;
                last = number;
            }
            None => return Err(invalid("there is none")),
        }
    }
    let (count, kind::STRUCT) = footer.list()? else { return Err(invalid("it holds something else")) };
    if count == 0 {
        return Err(invalid("it is empty"));
    }
    let mut columns = Vec::new();
    let mut outermost = String::new();
    // How many elements each open group still has, the table itself first.
    let mut open = vec![Element::read(footer)?.children];
    for _ in 1..count {
        while open.last() == Some(&0) {
            open.pop();
        }
        let depth = open.len();
        let left = open.last_mut().ok_or_else(|| invalid("it goes on behind the last group"))?;
        *left -= 1;
        let mut element = Element::read(footer)?;
        if depth == 1 {
            outermost.clone_from(&element.name);
        } else {
            element.name = format!("{outermost}.{}", element.name);
        }
        if element.children > 0 {
            if depth > MAX_DEPTH {
                return Err(invalid(format!("groups are nested more than {MAX_DEPTH} levels deep")));
            }
            open.push(element.children);
        } else if element.physical_type.is_some() {
            if columns.len() == MAX_COLUMNS {
                return Err(invalid(format!("there are more than {MAX_COLUMNS}")));
            }
            columns.push(element);
        }
    }
    if open.iter().any(|left| *left > 0) {
        return Err(invalid("it ends within a group"));
    }
    Ok(columns)
}

/// A column, or a group of them.
#[derive(Default)]
struct Element {
    name: String,
    /// How many columns and groups are in a group.
    children: u64,
    /// Of a column.
    physical_type: Option<Type>,
    repetition: Option<Repetition>,
    /// Bytes of a value, where all have as many.
    length: Option<i32>,
    /// What its numbers are, where they are points in time.
    timestamp: Option<TimestampType>,
}

impl Element {
    fn read(input: &mut Compact<impl Read>) -> io::Result<Self> {
        let mut element = Self::default();
        input.fields(|input, number, kind| {
            match (number, kind) {
                (1, kind::I32) => element.physical_type = Some(one_of(&TYPES, input.integer()?)?),
                (2, kind::I32) => element.length = i32::try_from(input.integer()?).ok(),
                (3, kind::I32) => element.repetition = Some(one_of(&REPETITIONS, input.integer()?)?),
                (4, kind::BINARY) => element.name = input.text(MAX_NAME_BYTES)?,
                (5, kind::I32) => {
                    element.children = u64::try_from(input.integer()?)
                        .map_err(|_| invalid("a group has a negative number of columns"))?;
                }
                (10, kind::STRUCT) => element.timestamp = read_timestamp(input)?,
                (_, kind) => input.pass_over(kind)?,
            }
            Ok(())
        })?;
        Ok(element)
    }

    fn to_field(&self) -> Result<Field> {
        let (Some(physical_type), Some(repetition)) = (self.physical_type, self.repetition) else {
            return Err(ParquetError::General(format!("the column {:?} has no repetition", self.name)));
        };
        let timestamp = self.timestamp.clone().filter(|_| physical_type == Type::INT64);
        Field::primitive_type_builder(&self.name, physical_type)
            .with_repetition(repetition)
            .with_length(self.length.unwrap_or(-1))
            .with_logical_type(timestamp.map(LogicalType::Timestamp))
            .build()
    }
}

fn one_of<T: Copy>(values: &[T], number: i64) -> io::Result<T> {
    let value = usize::try_from(number).ok().and_then(|number| values.get(number));
    value.copied().ok_or_else(|| invalid("a column is of a kind that the format does not have"))
}

/// Of all that a column's values may mean, only points in time are of use here.
fn read_timestamp(input: &mut Compact<impl Read>) -> io::Result<Option<TimestampType>> {
    let (mut is_utc, mut unit) = (None, None);
    input.fields(|input, number, kind| match (number, kind) {
        (8, kind::STRUCT) => input.fields(|input, number, kind| match (number, kind) {
            (1, kind::TRUE | kind::FALSE) => {
                is_utc = Some(kind == kind::TRUE);
                Ok(())
            }
            (2, kind::STRUCT) => input.fields(|input, number, kind| {
                unit = match number {
                    1 => Some(TimeUnit::MILLIS),
                    2 => Some(TimeUnit::MICROS),
                    3 => Some(TimeUnit::NANOS),
                    _ => None,
                };
                input.pass_over(kind)
            }),
            (_, kind) => input.pass_over(kind),
        }),
        (_, kind) => input.pass_over(kind),
    })?;
    Ok(is_utc.zip(unit).map(|(is_adjusted_to_u_t_c, unit)| TimestampType { is_adjusted_to_u_t_c, unit }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A group of so many, or a column of text.
    fn element(name: &str, children: Option<u8>) -> Vec<u8> {
        let (name_bytes, length) = (name.as_bytes(), u8::try_from(name.len()).unwrap());
        match children {
            Some(children) => {
                [&[0x35, 0x00, 0x18, length], name_bytes, &[0x15, children << 1, 0x00]].concat()
            }
            None => [&[0x15, 0x0c, 0x25, 0x02, 0x18, length], name_bytes, &[0x00]].concat(),
        }
    }

    /// A footer up to the end of its list of elements.
    fn footer(elements: &[Vec<u8>]) -> Vec<u8> {
        let count = u32::try_from(elements.len()).unwrap();
        let varint = [0x80 | (count & 0x7f) as u8, 0x80 | (count >> 7 & 0x7f) as u8, (count >> 14) as u8];
        [&[0x15, 0x04, 0x19, 0xfc][..], &varint, &elements.concat()].concat()
    }

    fn names(footer: &[u8]) -> std::result::Result<Vec<String>, String> {
        let schema = schema_of(footer).map_err(|e| e.to_string())?;
        Ok(schema.columns().iter().map(|column| column.name().to_owned()).collect())
    }

    fn nested(depth: usize) -> Vec<u8> {
        let mut elements = vec![element("g", Some(1)); depth + 1];
        elements.push(element("image_path", None));
        footer(&elements)
    }

    #[test]
    fn columns_are_found_in_groups_and_behind_them() {
        let columns = footer(&[
            element("table", Some(4)),
            element("url", None),
            element("a", Some(2)),
            element("b", Some(1)),
            element("c", None),
            element("d", None),
            element("empty", Some(0)),
            element("image_path", None),
        ]);
        assert_eq!(names(&columns).unwrap(), ["url", "a.c", "a.d", "image_path"]);
        for cut in 0..columns.len() {
            assert!(names(&columns[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn what_has_no_end_is_refused() {
        assert_eq!(names(&nested(MAX_DEPTH)).unwrap(), ["g.image_path"]);
        for depth in [MAX_DEPTH + 1, 200_000] {
            let error = names(&nested(depth)).unwrap_err();
            assert!(error.contains("groups are nested more than 64 levels deep"), "{error}");
        }
        let table = |children, columns: usize| {
            let mut elements = vec![element("table", Some(children))];
            elements.resize(columns + 1, element("c", None));
            footer(&elements)
        };
        assert!(names(&table(2, 1)).unwrap_err().contains("it ends within a group"));
        assert!(names(&table(1, 2)).unwrap_err().contains("it goes on behind the last group"));
        let mut many = vec![element("table", Some(63))];
        for _ in 0..63 {
            many.push(element("g", Some(63)));
            for _ in 0..63 {
                many.push(element("g", Some(63)));
                many.resize(many.len() + 63, element("c", None));
            }
        }
        assert!(names(&footer(&many)).unwrap_err().contains("there are more than 16384"));
        let named = |length: [u8; 2], name: &str| {
            let column = [&[0x15, 0x0c, 0x25, 0x02, 0x18], &length[..], name.as_bytes(), &[0x00]].concat();
            footer(&[element("table", Some(1)), column])
        };
        let name = "a".repeat(MAX_NAME_BYTES);
        assert_eq!(names(&named([0x80, 0x08], &name)).unwrap(), [name.as_str()]);
        assert!(names(&named([0x81, 0x08], &(name + "a"))).unwrap_err().contains("invalid data"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let _ = schema_of(&bytes);
            let mut damaged = footer(&[element("table", Some(2)), element("a", Some(1)), element("b", None), element("c", None)]);
            let at = at.index(damaged.len());
            damaged[at] = byte;
            let _ = schema_of(&damaged);
        }
    }
}
