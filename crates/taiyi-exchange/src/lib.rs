//! Collections of embeddings as clip-retrieval keeps them, read and written row by row:
//!
//! ```text
//! img_emb/img_emb_N.npy          NumPy: rows × dimension, f16 or f32, each row of unit length
//! metadata/metadata_N.parquet    Parquet: a row for each of these, `image_path` among its columns; perhaps `width`,
//!                                `height` and `taken`
//! ```
//!
//! A [`Collection`] gives the rows of such a folder, checked one by one; a [`CollectionWriter`] makes such a
//! folder, whole or not at all. However many rows there are, one is in memory when reading, with a page of each
//! column of the table, and a few thousand when writing. What a row means to an index is not known here.

#![forbid(unsafe_code)]

mod collection;
mod draft;
mod error;
mod export;
mod layout;
pub mod npy;
mod paths;
mod table;

pub use collection::{Collection, Row, Rows};
pub use error::ExchangeError;
pub use export::{CollectionWriter, ExportOptions, Exported, ExportedPicture};
pub use paths::PathRules;
