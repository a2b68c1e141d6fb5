//! Pixels, as decoders make them and preprocessing takes them.

use std::fmt;

/// An upright 8-bit RGB picture: row by row from the top left, three bytes a pixel.
#[derive(Clone, PartialEq, Eq)]
pub struct RgbImage {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

/// A part of a picture, in pixels of it and fractions of them.
///
/// A picture that was decoded at a quarter of its size ends within a pixel, unless its sides are multiples of four. Seen
/// as a whole number of pixels it would be a little longer than it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Where it begins, from the left edge.
    pub left: f64,
    /// Where it begins, from the upper edge.
    pub top: f64,
    /// Columns, more than 0.
    pub width: f64,
    /// Rows, more than 0.
    pub height: f64,
}

impl Area {
    /// All of a picture.
    #[must_use]
    pub fn all(image: &RgbImage) -> Self {
        Self { left: 0.0, top: 0.0, width: image.width.into(), height: image.height.into() }
    }
}

/// The pixels of an [`RgbImage`] do not fill its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{width}×{height} pixels of RGB need {} bytes, got {actual}", expected_bytes(*.width, *.height))]
pub struct ImageSizeError {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes given.
    pub actual: usize,
}

fn expected_bytes(width: u32, height: u32) -> u128 {
    u128::from(width) * u128::from(height) * 3
}

impl RgbImage {
    /// Wraps `pixels`, `width * height * 3` bytes.
    ///
    /// # Errors
    /// When either side is zero or the number of bytes is another.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Result<Self, ImageSizeError> {
        if width == 0 || height == 0 || expected_bytes(width, height) != pixels.len() as u128 {
            return Err(ImageSizeError { width, height, actual: pixels.len() });
        }
        Ok(Self { width, height, pixels })
    }

    /// Columns, at least 1.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows, at least 1.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// `height` rows of `width` pixels of R, G, B.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Gives the pixels back without a copy.
    #[must_use]
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }
}

impl fmt::Debug for RgbImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RgbImage({}×{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_must_fit_the_pixels() {
        assert!(RgbImage::new(2, 1, vec![0; 6]).is_ok());
        assert!(RgbImage::new(0, 1, vec![]).is_err());
        let e = RgbImage::new(u32::MAX, u32::MAX, vec![0; 6]).unwrap_err();
        assert!(e.to_string().contains("got 6"), "{e}");
    }
}
