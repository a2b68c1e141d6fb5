//! Pictures to the pixels that the image tower takes.

use taiyi_core::{Area, ImageSizeError, PreparedImage, RgbImage};

use crate::config::{PreprocessConfig, Resize};
use crate::resample::{Axis, resize_window};

/// Scales and crops an area of an upright picture: bicubic, 8 bits in and out, `[crop, crop]` pixels of RGB.
pub(crate) fn prepare(
    image: &RgbImage,
    area: Area,
    config: &PreprocessConfig,
) -> Result<PreparedImage, ImageSizeError> {
    let (columns, rows) = scaled_size(area.width, area.height, config.resize);
    let window = |from, (origin, span), to| {
        let start = crop_start(to, config.crop);
        Axis { from, origin, span, to, start, length: config.crop }
    };
    let columns = window(image.width(), (area.left, area.width), columns);
    let rows = window(image.height(), (area.top, area.height), rows);
    let pixels = resize_window(image.pixels(), columns, rows);
    RgbImage::new(config.crop, config.crop, pixels).map(PreparedImage)
}

/// Columns and rows after scaling. The long side is rounded down, and may be enormous.
///
/// Exact, though not with whole numbers: sides are below 2³², or that divided by a power of two.
fn scaled_size(columns: f64, rows: f64, resize: Resize) -> (u64, u64) {
    match resize {
        Resize::Exact(columns, rows) => (u64::from(columns), u64::from(rows)),
        Resize::ShortSide(side) => {
            let short = columns.min(rows);
            let scaled = |length: f64| (f64::from(side) * length / short) as u64;
            (scaled(columns), scaled(rows))
        }
    }
}

/// Where the centre crop starts: half the excess, and of two equally near pixels the even one.
fn crop_start(scaled: u64, crop: u32) -> u64 {
    let excess = scaled.saturating_sub(u64::from(crop));
    let half = excess / 2;
    if excess % 2 == 1 { half + half % 2 } else { half }
}

/// What each of a channel's 256 values is to the tower: `x / 255`, less the mean, over the deviation.
pub(crate) fn normalized(config: &PreprocessConfig) -> [[f32; 256]; 3] {
    std::array::from_fn(|channel| {
        let (mean, std) = (config.mean[channel], config.std[channel]);
        std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_down_and_crops_to_even() {
        let short =
            |columns: u32, rows: u32| scaled_size(columns.into(), rows.into(), Resize::ShortSide(224));
        assert_eq!(short(640, 427), (335, 224));
        assert_eq!(short(20_000, 3), (1_493_333, 224));
        assert_eq!(short(u32::MAX, 1), (224 * u64::from(u32::MAX), 224));
        assert_eq!(scaled_size(9.0, 7.0, Resize::Exact(224, 224)), (224, 224));
        // A part of a pixel more or less is a column more or less.
        assert_eq!(scaled_size(4090.0 / 4.0, 2934.0 / 4.0, Resize::ShortSide(224)), short(4090, 2934));
        let starts: Vec<u64> = (224..232).map(|length| crop_start(length, 224)).collect();
        assert_eq!(starts, [0, 0, 1, 2, 2, 2, 3, 4]);
    }

    #[test]
    fn channels_have_their_own_mean_and_deviation() {
        let config = PreprocessConfig {
            resize: Resize::ShortSide(1),
            crop: 1,
            mean: [0.5, 0.5, 0.0],
            std: [0.5, 0.25, 1.0],
        };
        let [red, green, blue] = normalized(&config);
        assert_eq!((red[0], green[255], blue[51]), (-1.0, 2.0, 0.2));
    }
}
