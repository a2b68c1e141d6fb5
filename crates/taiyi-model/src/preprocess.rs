//! Pictures to the pixels that the image tower takes.

use taiyi_core::{ImageSizeError, PreparedImage, RgbImage};

use crate::config::{PreprocessConfig, Resize};
use crate::resample::{Axis, resize_window};

/// Scales and crops an upright picture: bicubic, 8 bits in and out, `[crop, crop]` pixels of RGB.
pub(crate) fn prepare(image: &RgbImage, config: &PreprocessConfig) -> Result<PreparedImage, ImageSizeError> {
    let (columns, rows) = scaled_size(image.width(), image.height(), config.resize);
    let window = |from, to| Axis { from, to, start: crop_start(to, config.crop), length: config.crop };
    let pixels = resize_window(image.pixels(), window(image.width(), columns), window(image.height(), rows));
    RgbImage::new(config.crop, config.crop, pixels).map(PreparedImage)
}

/// Columns and rows after scaling. The long side is rounded down, and may be enormous.
fn scaled_size(columns: u32, rows: u32, resize: Resize) -> (u64, u64) {
    match resize {
        Resize::Exact(columns, rows) => (u64::from(columns), u64::from(rows)),
        Resize::ShortSide(side) => {
            let short = u64::from(columns.min(rows)).max(1);
            let scaled = |length: u32| u64::from(side) * u64::from(length) / short;
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
        assert_eq!(scaled_size(640, 427, Resize::ShortSide(224)), (335, 224));
        assert_eq!(scaled_size(20_000, 3, Resize::ShortSide(224)), (1_493_333, 224));
        assert_eq!(scaled_size(u32::MAX, 1, Resize::ShortSide(224)), (224 * u64::from(u32::MAX), 224));
        assert_eq!(scaled_size(9, 7, Resize::Exact(224, 224)), (224, 224));
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
