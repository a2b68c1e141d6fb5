//! Small copies of pictures.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use taiyi_core::RgbImage;

use crate::ImageError;

/// A copy whose longer side is at most `max_side` pixels (at least 1), its aspect kept; a picture that
/// is small enough comes back as it is, never enlarged.
///
/// # Errors
/// When the picture cannot be resized, which no picture that was decoded here is known to do.
pub fn thumbnail(image: &RgbImage, max_side: u32) -> Result<RgbImage, ImageError> {
    let (width, height) = thumbnail_size(image.width(), image.height(), max_side);
    if (width, height) == (image.width(), image.height()) {
        return Ok(image.clone());
    }
    let failed = |message: String| ImageError::Resize { message };
    let source = ImageRef::new(image.width(), image.height(), image.pixels(), PixelType::U8x3)
        .map_err(|e| failed(e.to_string()))?;
    let mut small = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new().resize(&source, &mut small, &options).map_err(|e| failed(e.to_string()))?;
    RgbImage::new(width, height, small.into_vec()).map_err(|e| failed(e.to_string()))
}

fn thumbnail_size(width: u32, height: u32, max_side: u32) -> (u32, u32) {
    let longer = u64::from(width.max(height));
    let target = u64::from(max_side.max(1)).min(longer);
    // Rounded to the nearest pixel; `target <= longer`, so neither side grows beyond u32.
    let scaled = |side: u32| ((u64::from(side) * target + longer / 2) / longer).max(1) as u32;
    (scaled(width), scaled(height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gradient(width: u32, height: u32) -> RgbImage {
        let pixels = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| [(x * 255 / width) as u8, (y * 255 / height) as u8, 77])
            .collect();
        RgbImage::new(width, height, pixels).unwrap()
    }

    #[test]
    fn aspect_is_kept_and_nothing_is_enlarged() {
        assert_eq!(thumbnail_size(4000, 3000, 400), (400, 300));
        assert_eq!(thumbnail_size(3000, 4000, 400), (300, 400));
        assert_eq!(thumbnail_size(100, 50, 400), (100, 50));
        assert_eq!(thumbnail_size(100_000, 1, 10), (10, 1));
        assert_eq!(thumbnail_size(5, 5, 0), (1, 1));
        let small = gradient(20, 10);
        assert_eq!(thumbnail(&small, 20).unwrap(), small);
    }

    #[test]
    fn a_thumbnail_looks_like_its_picture() {
        let small = thumbnail(&gradient(640, 480), 64).unwrap();
        assert_eq!((small.width(), small.height()), (64, 48));
        let expected = gradient(64, 48);
        for (i, (a, b)) in small.pixels().iter().zip(expected.pixels()).enumerate() {
            assert!(a.abs_diff(*b) <= 4, "byte {i}: {a} against {b}");
        }
    }

    proptest! {
        #[test]
        fn sizes_fit_and_never_vanish(width in 1u32.., height in 1u32.., max_side: u32) {
            let (w, h) = thumbnail_size(width, height, max_side);
            prop_assert!(w >= 1 && h >= 1 && w <= width && h <= height);
            prop_assert!(w.max(h) <= max_side.max(1));
        }
    }
}
