//! From the samples of any decoder to 8-bit RGB.
//!
//! Grey is replicated, transparency is composited over white, 16-bit samples become the nearest 8-bit
//! value (`v / 257` rounded) and floating-point samples are clamped to [0, 1] first. Pillow instead keeps
//! the high byte of 16-bit colour, which darkens by up to one step, and cuts off 16-bit grey at 255,
//! which turns most of such a picture white.

use image::ColorType;

/// Converts decoded samples (row by row, native byte order) to RGB; `None` for sample types that no
/// decoder here produces.
pub(crate) fn from_samples(color: ColorType, samples: Vec<u8>) -> Option<Vec<u8>> {
    Some(match color {
        ColorType::Rgb8 => samples,
        ColorType::L8 => widen(&samples, |[v]: [u8; 1]| [v; 3]),
        ColorType::La8 => widen(&samples, |[v, a]: [u8; 2]| [over_white(v, a); 3]),
        ColorType::L16 => widen(&samples, |p: [u8; 2]| [narrow(u16_at(&p, 0)); 3]),
        ColorType::Rgba8 => {
            compact(samples, |[r, g, b, a]: [u8; 4]| [over_white(r, a), over_white(g, a), over_white(b, a)])
        }
        ColorType::La16 => compact(samples, |p: [u8; 4]| [over_white_16(u16_at(&p, 0), u16_at(&p, 1)); 3]),
        ColorType::Rgb16 => compact(samples, |p: [u8; 6]| [0, 1, 2].map(|i| narrow(u16_at(&p, i)))),
        ColorType::Rgba16 => compact(samples, |p: [u8; 8]| {
            let alpha = u16_at(&p, 3);
            [0, 1, 2].map(|i| over_white_16(u16_at(&p, i), alpha))
        }),
        ColorType::Rgb32F => compact(samples, |p: [u8; 12]| [0, 1, 2].map(|i| unit_to_u8(f32_at(&p, i)))),
        ColorType::Rgba32F => compact(samples, |p: [u8; 16]| {
            let alpha = clamp_unit(f32_at(&p, 3));
            [0, 1, 2].map(|i| unit_to_u8(clamp_unit(f32_at(&p, i)) * alpha + 1.0 - alpha))
        }),
        _ => return None,
    })
}

/// For pixels of fewer than three bytes.
fn widen<const N: usize>(samples: &[u8], pixel: impl Fn([u8; N]) -> [u8; 3]) -> Vec<u8> {
    let (pixels, _) = samples.as_chunks::<N>();
    let mut rgb = Vec::with_capacity(pixels.len() * 3);
    for p in pixels {
        rgb.extend_from_slice(&pixel(*p));
    }
    rgb
}

/// For pixels of three bytes and more: in place, since a large picture need not be in memory twice.
fn compact<const N: usize>(mut samples: Vec<u8>, pixel: impl Fn([u8; N]) -> [u8; 3]) -> Vec<u8> {
    const { assert!(N >= 3) };
    let pixels = samples.len() / N;
    let mut p = [0; N];
    for i in 0..pixels {
        p.copy_from_slice(&samples[i * N..(i + 1) * N]);
        samples[i * 3..(i + 1) * 3].copy_from_slice(&pixel(p));
    }
    samples.truncate(pixels * 3);
    samples.shrink_to_fit();
    samples
}

fn u16_at(pixel: &[u8], sample: usize) -> u16 {
    u16::from_ne_bytes([pixel[sample * 2], pixel[sample * 2 + 1]])
}

fn f32_at(pixel: &[u8], sample: usize) -> f32 {
    let at = sample * 4;
    f32::from_ne_bytes([pixel[at], pixel[at + 1], pixel[at + 2], pixel[at + 3]])
}

fn narrow(value: u16) -> u8 {
    ((u32::from(value) + 128) / 257) as u8
}

fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// Composited with all 16 bits, then rounded once.
fn over_white_16(value: u16, alpha: u16) -> u8 {
    const MAX: u64 = u16::MAX as u64;
    let (value, alpha) = (u64::from(value), u64::from(alpha));
    ((value * alpha + MAX * (MAX - alpha) + MAX * 257 / 2) / (MAX * 257)) as u8
}

/// Not-a-number becomes black.
fn clamp_unit(value: f32) -> f32 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

fn unit_to_u8(value: f32) -> u8 {
    (clamp_unit(value) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_16(values: &[u16]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_ne_bytes()).collect()
    }

    fn bytes_f32(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_ne_bytes()).collect()
    }

    #[test]
    fn grey_is_replicated() {
        assert_eq!(from_samples(ColorType::L8, vec![0, 7, 255]).unwrap(), [0, 0, 0, 7, 7, 7, 255, 255, 255]);
    }

    #[test]
    fn transparency_shows_white() {
        assert_eq!(
            from_samples(ColorType::Rgba8, vec![10, 20, 30, 255, 10, 20, 30, 0, 0, 0, 0, 128]).unwrap(),
            [10, 20, 30, 255, 255, 255, 127, 127, 127]
        );
        assert_eq!(
            from_samples(ColorType::La8, vec![9, 255, 9, 0, 0, 51]).unwrap(),
            [9, 9, 9, 255, 255, 255, 204, 204, 204]
        );
        assert_eq!(
            from_samples(ColorType::La16, bytes_16(&[0, 0x8000, 0, 0, 514, 0xffff])).unwrap(),
            [127, 127, 127, 255, 255, 255, 2, 2, 2]
        );
        assert_eq!(
            from_samples(ColorType::Rgba16, bytes_16(&[0xffff, 0, 257, 0xffff, 5, 6, 7, 0])).unwrap(),
            [255, 0, 1, 255, 255, 255]
        );
    }

    #[test]
    fn sixteen_bits_become_the_nearest_of_eight() {
        for value in 0..=u16::MAX {
            let exact = (f64::from(value) / 257.0).round() as u8;
            assert_eq!(narrow(value), exact, "{value}");
            assert_eq!(over_white_16(value, u16::MAX), exact, "{value}");
        }
        assert_eq!(from_samples(ColorType::L16, bytes_16(&[128, 129])).unwrap(), [0, 0, 0, 1, 1, 1]);
        assert_eq!(from_samples(ColorType::Rgb16, bytes_16(&[0, 0x8080, 0xffff])).unwrap(), [0, 128, 255]);
    }

    #[test]
    fn floating_point_is_clamped() {
        let samples = bytes_f32(&[-1.0, 0.5, 2.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
        assert_eq!(from_samples(ColorType::Rgb32F, samples).unwrap(), [0, 128, 255, 0, 255, 0]);
        let samples = bytes_f32(&[0.0, 1.0, 0.5, 0.5]);
        assert_eq!(from_samples(ColorType::Rgba32F, samples).unwrap(), [128, 255, 191]);
    }
}
