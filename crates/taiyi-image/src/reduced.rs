//! Large pictures decoded no larger than their use needs.

use std::path::Path;

use taiyi_core::{Area, ImageFormat, Orientation, RgbImage};

use crate::decode::contain_panics;
use crate::metadata::Facts;
use crate::{Decoded, Limits, jpeg, orient};

/// How many pixels are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enough {
    /// This many along the shorter side.
    ShortSide(u32),
    /// This many along the longer side.
    LongSide(u32),
}

impl Enough {
    /// The largest of 8, 4, 2 and 1 by which both sides may be divided.
    fn reduction(self, width: u32, height: u32) -> u32 {
        let (side, enough) = match self {
            Self::ShortSide(enough) => (width.min(height), enough),
            Self::LongSide(enough) => (width.max(height), enough),
        };
        [8, 4, 2].into_iter().find(|reduction| side / reduction >= enough.max(1)).unwrap_or(1)
    }
}

/// Decodes a large JPEG at a half, a quarter or an eighth of its size, if that leaves `enough` pixels: many times quicker than
/// the whole and in a fraction of its memory. The metadata is that of the whole picture.
///
/// `None` for all else (pictures that are not large enough, other formats, rare kinds of JPEG, damaged files, more pixels
/// than the limits allow): [`decode()`](crate::decode()) is to be asked then.
#[must_use]
pub fn decode_reduced(bytes: &[u8], limits: &Limits, enough: Enough) -> Option<Decoded> {
    // Nothing here is known to panic; a file that finds out is left to the other decoder.
    contain_panics(Path::new(""), || Ok(decode(bytes, limits, enough))).ok()?
}

fn decode(bytes: &[u8], limits: &Limits, enough: Enough) -> Option<Decoded> {
    let reduction = |width: u32, height: u32| {
        let is_allowed = u64::from(width) * u64::from(height) <= limits.max_pixels;
        if is_allowed { enough.reduction(width, height) } else { 1 }
    };
    let reduced = jpeg::decode_reduced(bytes, reduction)?;
    let facts = reduced.exif.map_or_else(Facts::default, Facts::read);
    let orientation = facts.orientation.unwrap_or(Orientation::Upright);
    let image = orient::upright(reduced.size.0, reduced.size.1, reduced.pixels, orientation)?;
    let (mut width, mut height) = reduced.stored;
    if orientation.swaps_sides() {
        (width, height) = (height, width);
    }
    let area = area(&image, (width, height), reduced.denominator, orientation);
    let metadata = facts.describe(width, height, ImageFormat::Jpeg, orientation);
    Some(Decoded { image, area, metadata })
}

/// Where in an upright picture its `stored` pixels are, also upright. It ends within its last column and row, which
/// turning may have made the first.
fn area(image: &RgbImage, stored: (u32, u32), denominator: u32, orientation: Orientation) -> Area {
    use Orientation as O;
    let (width, height) =
        (f64::from(stored.0) / f64::from(denominator), f64::from(stored.1) / f64::from(denominator));
    let (beyond_width, beyond_height) =
        (f64::from(image.width()) - width, f64::from(image.height()) - height);
    let is_from_right = matches!(orientation, O::FlipHorizontal | O::Rotate180 | O::Rotate90 | O::Transverse);
    let is_from_below = matches!(orientation, O::FlipVertical | O::Rotate180 | O::Rotate270 | O::Transverse);
    Area {
        left: if is_from_right { beyond_width } else { 0.0 },
        top: if is_from_below { beyond_height } else { 0.0 },
        width,
        height,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_within_a_pixel_is_where_turning_put_it() {
        // Two columns and two rows, of which the last ones are half a pixel; 1 marks the last column, 2 the last row.
        let pixels = [0u8, 1, 2, 3].iter().flat_map(|mark| [*mark; 3]).collect::<Vec<_>>();
        for value in 1..=8 {
            let orientation = Orientation::from_exif(value);
            let image = orient::upright(2, 2, pixels.clone(), orientation).unwrap();
            let area = area(&image, (3, 3), 2, orientation);
            let whole = image.pixels().as_chunks::<3>().0.iter().position(|pixel| pixel[0] == 0).unwrap();
            let begins = (if whole % 2 == 0 { 0.0 } else { 0.5 }, if whole < 2 { 0.0 } else { 0.5 });
            assert_eq!(
                (area.left, area.top, area.width, area.height),
                (begins.0, begins.1, 1.5, 1.5),
                "{value}"
            );
        }
    }

    #[test]
    fn what_is_left_is_enough() {
        let short = |width, height| Enough::ShortSide(448).reduction(width, height);
        assert_eq!([short(4000, 3000), short(3000, 4000), short(7168, 3584)], [4, 4, 8]);
        assert_eq!([short(896, 20_000), short(895, 20_000), short(500, 375), short(1, 1)], [2, 1, 1, 1]);
        assert_eq!(Enough::LongSide(800).reduction(4000, 10), 4);
        assert_eq!(Enough::LongSide(0).reduction(9, 9), 8);
    }
}
