//! From pixels to the bytes of a file, for caches of small copies.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use taiyi_core::RgbImage;

/// A picture as the bytes of a JPEG file, `quality` from 1 to 100. `None` if a side is longer than such a
/// file can say, 65,535 pixels.
///
/// JPEG, because photographs take about a tenth of their size as PNG and are read back faster, and a small
/// copy that is only looked at loses nothing that anyone sees at a quality of 85.
#[must_use]
pub fn to_jpeg(image: &RgbImage, quality: u8) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100))
        .write_image(image.pixels(), image.width(), image.height(), ExtendedColorType::Rgb8)
        .ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Limits, decode};

    #[test]
    fn a_jpeg_looks_like_its_picture() {
        let pixels = (0..48u32)
            .flat_map(|y| (0..64u32).flat_map(move |x| [(x * 4) as u8, (y * 5) as u8, 77]))
            .collect();
        let image = RgbImage::new(64, 48, pixels).unwrap();
        let bytes = to_jpeg(&image, 85).unwrap();
        let back = decode(&bytes, Path::new("small.jpg"), &Limits::default()).unwrap().image;
        assert_eq!((back.width(), back.height()), (64, 48));
        for (i, (a, b)) in image.pixels().iter().zip(back.pixels()).enumerate() {
            assert!(a.abs_diff(*b) <= 16, "byte {i}: {a} against {b}");
        }
        assert!(to_jpeg(&image, 0).unwrap().len() < bytes.len());
    }

    #[test]
    fn a_side_may_be_too_long_for_jpeg() {
        let line = |width: u32| RgbImage::new(width, 1, vec![9; width as usize * 3]).unwrap();
        assert!(to_jpeg(&line(65_535), 85).is_some());
        assert!(to_jpeg(&line(65_536), 85).is_none());
    }
}
