//! The words that every other crate speaks: [`Embedding`] and [`Score`], [`RgbImage`] and
//! [`PhotoMetadata`], and the two encoder traits that keep the models behind a seam.
//!
//! This crate does no I/O and knows no model, no file format and no index.

#![forbid(unsafe_code)]

mod embedding;
mod encoder;
mod image;
mod model_id;
mod photo;
mod precision;
mod score;

pub use embedding::{Embedding, EmbeddingError, UNIT_TOLERANCE};
pub use encoder::{EncodeError, ImageEncoder, PreparedImage, TextEncoder};
pub use image::{Area, ImageSizeError, RgbImage};
pub use model_id::ModelId;
pub use photo::{GpsPosition, ImageFormat, Orientation, PhotoMetadata};
pub use precision::Precision;
pub use score::Score;
