//! The Parquet tables of a collection: a row a picture, of which the column `image_path` is read.

mod reader;
mod writer;

pub(crate) use reader::PathReader;
pub(crate) use writer::{TableRow, TableWriter};

/// Where a picture is: text or bytes, never null.
const PATH_COLUMN: &str = "image_path";
