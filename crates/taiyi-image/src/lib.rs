//! Picture files to upright 8-bit RGB and metadata, within limits; thumbnails.
//!
//! The only user of image decoders and of EXIF parsers. Whatever a file holds, reading it ends in
//! pixels or in an [`ImageError`] that names the file: a decoder's panic is that file's failure, and
//! a header's size is checked before memory is spent on it. Nothing here starts threads, and all of
//! it may run on many at a time.

#![forbid(unsafe_code)]

mod decode;
mod encode;
mod error;
mod header;
mod icon;
mod jpeg;
mod limits;
mod metadata;
mod open;
mod orient;
mod reduced;
mod rgb;
mod sniff;
mod thumbnail;
mod truncated;

pub use decode::{Decoded, decode};
pub use encode::to_jpeg;
pub use error::ImageError;
pub use limits::Limits;
pub use open::{open, read};
pub use reduced::{Enough, decode_reduced};
pub use sniff::{SNIFF_BYTES, has_picture_extension, recognize, sniff};
pub use thumbnail::thumbnail;
