//! The Parquet tables of a collection: a row a picture, whose path is all that must be there.

mod compact;
mod page_header;
mod pages;
mod reader;
mod schema;
mod writer;

pub(crate) use reader::{ReadRow, TableReader};
pub(crate) use writer::{TableRow, TableWriter};

/// Where a picture is: text or bytes, never null.
const PATH_COLUMN: &str = "image_path";
/// Columns of the picture in that file. What it was before somebody made it smaller is in columns of other names.
const WIDTH_COLUMN: &str = "width";
const HEIGHT_COLUMN: &str = "height";
/// When it was taken: a point in time without a zone.
const TAKEN_COLUMN: &str = "taken";
