//! How large a file and a picture may be.

use std::path::Path;

use crate::ImageError;

/// How large a file and a picture may be: what is beyond is refused by its size on disk or by its
/// header, at no cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels, width × height by the header.
    pub max_pixels: u64,
    /// Most bytes of a file.
    pub max_file_bytes: u64,
}

impl Default for Limits {
    /// 200 million pixels, 1 GiB.
    fn default() -> Self {
        Self { max_pixels: 200_000_000, max_file_bytes: 1 << 30 }
    }
}

impl Limits {
    /// Refuses a size that a header promises.
    pub(crate) fn check_pixels(&self, width: u32, height: u32, path: &Path) -> Result<(), ImageError> {
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(ImageError::TooManyPixels {
                path: path.into(),
                width,
                height,
                limit_megapixels: self.max_pixels as f64 / 1e6,
            });
        }
        Ok(())
    }
}
