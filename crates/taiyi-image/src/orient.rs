//! Turning pictures upright.

use image::{DynamicImage, ImageBuffer, ImageDecoder};
use taiyi_core::{Orientation, RgbImage};

/// How the stored pixels are turned: by EXIF, else by what the decoder knows (TIFF has a tag of its own).
pub(crate) fn stored(exif: Option<Orientation>, decoder: &mut dyn ImageDecoder) -> Orientation {
    exif.unwrap_or_else(|| {
        decoder.orientation().map_or(Orientation::Upright, |o| Orientation::from_exif(o.to_exif().into()))
    })
}

/// Turns `pixels`, RGB of the stored size, as `orientation` says; `None` when they do not fill that size.
pub(crate) fn upright(
    width: u32,
    height: u32,
    pixels: Vec<u8>,
    orientation: Orientation,
) -> Option<RgbImage> {
    let turn = u8::try_from(orientation.to_exif()).ok().and_then(image::metadata::Orientation::from_exif)?;
    let mut picture = DynamicImage::ImageRgb8(ImageBuffer::from_raw(width, height, pixels)?);
    picture.apply_orientation(turn);
    let (width, height) = (picture.width(), picture.height());
    RgbImage::new(width, height, picture.into_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each stored value means, by the table of the EXIF standard: where row 0 and column 0 are seen.
    #[test]
    fn every_orientation_is_undone() {
        // a b c
        // d e f
        let upright_letters = ["abc", "def"];
        let stored_letters: [(u32, &[&str]); 8] = [
            (1, &["abc", "def"]),
            (2, &["cba", "fed"]),
            (3, &["fed", "cba"]),
            (4, &["def", "abc"]),
            (5, &["ad", "be", "cf"]),
            (6, &["cf", "be", "ad"]),
            (7, &["fc", "eb", "da"]),
            (8, &["da", "eb", "fc"]),
        ];
        let pixels = |rows: &[&str]| -> Vec<u8> {
            rows.iter()
                .flat_map(|row| row.bytes())
                .flat_map(|letter| [letter, letter + 50, letter + 100])
                .collect()
        };
        for (value, rows) in stored_letters {
            let orientation = Orientation::from_exif(value);
            let turned = upright(rows[0].len() as u32, rows.len() as u32, pixels(rows), orientation).unwrap();
            assert_eq!((turned.width(), turned.height()), (3, 2), "{value}");
            assert_eq!(turned.pixels(), pixels(&upright_letters), "{value}");
        }
    }

    #[test]
    fn pixels_that_do_not_fill_the_size_are_refused() {
        assert!(upright(2, 2, vec![0; 11], Orientation::Upright).is_none());
        assert!(upright(0, 2, vec![], Orientation::Rotate90).is_none());
    }
}
