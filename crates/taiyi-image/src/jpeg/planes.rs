//! Decoded components, and their way to RGB.

/// The samples of one component.
pub(super) struct Plane {
    pub(super) stride: usize,
    pub(super) samples: Vec<u8>,
}

impl Plane {
    pub(super) fn new(stride: usize, rows: usize) -> Self {
        Self { stride, samples: vec![0; stride * rows] }
    }

    fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.samples.chunks_exact(self.stride)
    }
}

/// The top left of one plane of grey or three of YCbCr, as RGB; `None` when the planes are smaller than that.
pub(super) fn to_rgb(planes: &[Plane], width: usize, height: usize) -> Option<Vec<u8>> {
    let is_large_enough =
        |plane: &Plane| plane.stride >= width && plane.samples.len() >= plane.stride * height;
    if !planes.iter().all(is_large_enough) {
        return None;
    }
    let mut pixels = vec![0; width * height * 3];
    let rows = pixels.chunks_exact_mut(width * 3);
    match planes {
        [grey] => {
            for (out, grey) in rows.zip(grey.rows()) {
                for (pixel, value) in out.as_chunks_mut().0.iter_mut().zip(grey) {
                    *pixel = [*value; 3];
                }
            }
        }
        [luma, blue, red] => {
            for (((out, luma), blue), red) in rows.zip(luma.rows()).zip(blue.rows()).zip(red.rows()) {
                let samples = luma.iter().zip(blue).zip(red);
                for (pixel, ((luma, blue), red)) in out.as_chunks_mut().0.iter_mut().zip(samples) {
                    *pixel = rgb(*luma, *blue, *red);
                }
            }
        }
        _ => return None,
    }
    Some(pixels)
}

/// By JFIF, in 16 fractional bits: red is Y + 1.402 Cr, green Y - 0.344136 Cb - 0.714136 Cr, blue Y + 1.772 Cb.
#[inline]
fn rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let luma = (i32::from(luma) << 16) + (1 << 15);
    let (blue, red) = (i32::from(blue) - 128, i32::from(red) - 128);
    [luma + 91_881 * red, luma - 22_554 * blue - 46_802 * red, luma + 116_130 * blue]
        .map(|value| (value >> 16).clamp(0, 255) as u8)
}
