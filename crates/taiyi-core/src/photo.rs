//! What a picture file says of itself besides its pixels.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Facts read from a picture's header and EXIF. All of them are claims of the file, none is needed
/// to search it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhotoMetadata {
    /// Columns of the upright picture; 0 where they are not known.
    pub width: u32,
    /// Rows of the upright picture; 0 where they are not known.
    pub height: u32,
    /// Format by content, whatever the name says; `None` where the file was never read.
    pub format: Option<ImageFormat>,
    /// Orientation stored in the file; already applied to `width`, `height` and the pixels.
    pub orientation: Orientation,
    /// Capture time, in seconds since 1970-01-01T00:00:00 **as the camera's clock showed it**, as if
    /// that clock were UTC. Cameras rarely know their zone, and people search by the date they lived.
    pub taken_s: Option<i64>,
    /// Offset of the camera's clock from UTC, in minutes, where EXIF has it.
    pub taken_offset_min: Option<i16>,
    /// Where it was taken.
    pub gps: Option<GpsPosition>,
    /// Maker and model, e.g. `Canon EOS R5`.
    pub camera: Option<String>,
}

impl PhotoMetadata {
    /// Of a picture whose file was never read, only its embedding.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            width: 0,
            height: 0,
            format: None,
            orientation: Orientation::Upright,
            taken_s: None,
            taken_offset_min: None,
            gps: None,
            camera: None,
        }
    }

    /// Columns and rows of the upright picture, where they are known.
    #[must_use]
    pub fn size(&self) -> Option<(u32, u32)> {
        (self.width > 0 && self.height > 0).then_some((self.width, self.height))
    }
}

/// A position on earth in degrees, WGS 84.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GpsPosition {
    /// North is positive, in [-90, 90].
    pub latitude: f64,
    /// East is positive, in [-180, 180].
    pub longitude: f64,
    /// Metres above sea level.
    pub altitude: Option<f64>,
}

/// How the stored pixels have to be turned to stand upright: EXIF tag 0x0112.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Orientation {
    /// 1: as stored.
    #[default]
    Upright,
    /// 2: mirrored left to right.
    FlipHorizontal,
    /// 3: upside down.
    Rotate180,
    /// 4: mirrored top to bottom.
    FlipVertical,
    /// 5: mirrored along the main diagonal.
    Transpose,
    /// 6: to be turned clockwise by 90°.
    Rotate90,
    /// 7: mirrored along the other diagonal.
    Transverse,
    /// 8: to be turned clockwise by 270°.
    Rotate270,
}

impl Orientation {
    /// From the EXIF value, 1 to 8; anything else reads as upright.
    #[must_use]
    pub fn from_exif(value: u32) -> Self {
        match value {
            2 => Self::FlipHorizontal,
            3 => Self::Rotate180,
            4 => Self::FlipVertical,
            5 => Self::Transpose,
            6 => Self::Rotate90,
            7 => Self::Transverse,
            8 => Self::Rotate270,
            _ => Self::Upright,
        }
    }

    /// The EXIF value, 1 to 8.
    #[must_use]
    pub fn to_exif(self) -> u32 {
        self as u32 + 1
    }

    /// Whether width and height trade places.
    #[must_use]
    pub fn swaps_sides(self) -> bool {
        matches!(self, Self::Transpose | Self::Rotate90 | Self::Transverse | Self::Rotate270)
    }
}

/// The picture formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// JPEG/JFIF.
    Jpeg,
    /// Portable Network Graphics.
    Png,
    /// WebP, still or animated.
    WebP,
    /// GIF, still or animated.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// Tagged Image File Format.
    Tiff,
    /// PBM, PGM, PPM, PAM.
    Pnm,
    /// Windows icon.
    Ico,
    /// Truevision Targa.
    Tga,
    /// Quite OK Image.
    Qoi,
}

impl ImageFormat {
    /// Lower-case name, as in `--format json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Gif => "gif",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
            Self::Pnm => "pnm",
            Self::Ico => "ico",
            Self::Tga => "tga",
            Self::Qoi => "qoi",
        }
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exif_orientations_round_trip() {
        for value in 1..=8 {
            assert_eq!(Orientation::from_exif(value).to_exif(), value);
        }
        assert_eq!(Orientation::from_exif(0), Orientation::Upright);
        assert_eq!(Orientation::from_exif(99), Orientation::Upright);
        assert!(Orientation::from_exif(6).swaps_sides() && !Orientation::from_exif(3).swaps_sides());
    }
}
