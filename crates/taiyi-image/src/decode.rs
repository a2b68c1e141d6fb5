//! From the bytes of a file to upright RGB pixels and metadata.

use std::error::Error as _;
use std::io::Cursor;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use image::codecs::{bmp, gif, ico, jpeg, png, pnm, qoi, tga, tiff, webp};
use image::error::UnsupportedErrorKind;
use image::{ImageDecoder, ImageResult};
use taiyi_core::{Area, ImageFormat, PhotoMetadata, RgbImage};

use crate::icon::IconEntry;
use crate::metadata::Facts;
use crate::sniff::recognize;
use crate::truncated::mended_jpeg;
use crate::{ImageError, Limits, header, orient, rgb};

/// What a decoder may allocate besides the pixels: rows, palettes, colour profiles, EXIF.
const SCRATCH_BYTES: u64 = 64 << 20;

/// Longest message of a decoder that is passed on, in characters.
const MESSAGE_CHARS: usize = 200;

/// A decoded file.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The upright pixels.
    pub image: RgbImage,
    /// The part of them that is the picture: all, unless it was decoded smaller than it is.
    pub area: Area,
    /// What the file says of itself.
    pub metadata: PhotoMetadata,
}

/// Decodes a picture of any known format, told by its content; animations give their first frame.
/// `path` serves messages, and formats without magic.
///
/// # Errors
/// When the content is no picture, breaks its format's rules, is of a kind that cannot be read, promises
/// more pixels than the limits allow (known before anything is decoded), or makes its decoder panic.
/// Broken EXIF is no error, nor is a JPEG whose end is missing.
pub fn decode(bytes: &[u8], path: &Path, limits: &Limits) -> Result<Decoded, ImageError> {
    let format = recognize(bytes, path)?;
    contain_panics(path, || decode_as(format, bytes, path, limits))
}

/// Turns a panic in `work` into an error of this file: decoders meet whatever the internet wrote.
pub(crate) fn contain_panics<T>(
    path: &Path,
    work: impl FnOnce() -> Result<T, ImageError>,
) -> Result<T, ImageError> {
    // Nothing outlives the closure but its result, so nothing can be seen half-changed.
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Err(ImageError::DecoderPanicked { path: path.into(), message: tidy(message) })
    })
}

fn decode_as(format: ImageFormat, bytes: &[u8], path: &Path, limits: &Limits) -> Result<Decoded, ImageError> {
    let corrupt = |message: &str| ImageError::Corrupt { path: path.into(), format, message: message.into() };
    let failed = |error| translate(error, format, path);

    if let Some((width, height)) = header::largest_size(format, bytes) {
        limits.check_pixels(width, height, path)?;
    }
    let mut decoder = decoder(format, bytes).map_err(failed)?;
    let (width, height) = decoder.dimensions();
    limits.check_pixels(width, height, path)?;
    if width == 0 || height == 0 {
        return Err(corrupt(&format!("it is {width}×{height} pixels")));
    }
    let color = decoder.color_type();
    let sample_bytes = decoder.total_bytes();

    // The decoder's own default would refuse large but legal pictures; none at all would let other header
    // fields (strips, frames, chunks) ask for any amount. Twice, since some keep a second buffer (CMYK).
    let mut allocations = image::Limits::no_limits();
    allocations.max_alloc = Some(sample_bytes.saturating_mul(2).saturating_add(SCRATCH_BYTES));
    decoder.set_limits(allocations).map_err(failed)?;

    let facts = if format == ImageFormat::Tiff {
        Facts::read(bytes)
    } else {
        decoder.exif_metadata().ok().flatten().map_or_else(Facts::default, |raw| Facts::read(&raw))
    };
    let orientation = orient::stored(facts.orientation, &mut *decoder);

    let buffer_len = usize::try_from(sample_bytes).map_err(|_| corrupt("it does not fit into memory"))?;
    let mut samples = vec![0; buffer_len];
    if let Err(error) = decoder.read_image_boxed(&mut samples) {
        let mended = if format == ImageFormat::Jpeg { mended_jpeg(bytes) } else { None };
        let Some(mended) = mended else { return Err(failed(error)) };
        samples.fill(0);
        self::decoder(format, &mended)
            .and_then(|decoder| decoder.read_image_boxed(&mut samples))
            .map_err(|_| failed(error))?;
    }
    let pixels = rgb::from_samples(color, samples).ok_or_else(|| ImageError::Unsupported {
        path: path.into(),
        message: format!("{format} with {color:?} samples"),
    })?;

    let upright = orient::upright(width, height, pixels, orientation);
    let image = upright.ok_or_else(|| corrupt("the pixels do not fill its size"))?;
    let metadata = facts.describe(image.width(), image.height(), format, orientation);
    Ok(Decoded { area: Area::all(&image), image, metadata })
}

/// A decoder that has read the header and nothing else.
fn decoder(format: ImageFormat, bytes: &[u8]) -> ImageResult<Box<dyn ImageDecoder + '_>> {
    let r = Cursor::new(bytes);
    Ok(match format {
        ImageFormat::Jpeg => Box::new(jpeg::JpegDecoder::new(r)?),
        ImageFormat::Png => png_decoder(bytes)?,
        ImageFormat::WebP => Box::new(webp::WebPDecoder::new(r)?),
        ImageFormat::Gif => Box::new(gif::GifDecoder::new(r)?),
        ImageFormat::Bmp => Box::new(bmp::BmpDecoder::new(r)?),
        ImageFormat::Tiff => Box::new(tiff::TiffDecoder::new(r)?),
        ImageFormat::Pnm => Box::new(pnm::PnmDecoder::new(r)?),
        ImageFormat::Ico => match IconEntry::largest(bytes) {
            Some(IconEntry::Png(png)) => png_decoder(png)?,
            Some(IconEntry::Bitmap(icon)) => Box::new(ico::IcoDecoder::new(Cursor::new(icon))?),
            // Whatever is wrong, the decoder finds it too, and has the words for it.
            None => Box::new(ico::IcoDecoder::new(r)?),
        },
        ImageFormat::Tga => Box::new(tga::TgaDecoder::new(r)?),
        ImageFormat::Qoi => Box::new(qoi::QoiDecoder::new(r)?),
    })
}

/// The PNG decoder takes its limits when it is made, not later.
fn png_decoder(bytes: &[u8]) -> ImageResult<Box<dyn ImageDecoder + '_>> {
    let mut allocations = image::Limits::no_limits();
    allocations.max_alloc = Some(SCRATCH_BYTES);
    Ok(Box::new(png::PngDecoder::with_limits(Cursor::new(bytes), allocations)?))
}

fn translate(error: image::ImageError, format: ImageFormat, path: &Path) -> ImageError {
    let corrupt = |message: String| ImageError::Corrupt { path: path.into(), format, message };
    match error {
        image::ImageError::Unsupported(e) => {
            let feature = match e.kind() {
                UnsupportedErrorKind::Color(color) => format!("{color:?} samples"),
                UnsupportedErrorKind::GenericFeature(feature) => feature,
                _ => e.to_string(),
            };
            ImageError::Unsupported { path: path.into(), message: tidy(&format!("{format} with {feature}")) }
        }
        image::ImageError::Limits(_) => {
            corrupt("its header asks for more memory than a picture of its size needs".into())
        }
        image::ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            corrupt("the file ends too early".into())
        }
        image::ImageError::IoError(e) => corrupt(tidy(&e.to_string())),
        // The outer message only repeats the format.
        e => corrupt(tidy(&e.source().map_or_else(|| e.to_string(), ToString::to_string))),
    }
}

/// A decoder's message in the manner of ours: one short line that opens in lower case and may quote
/// nothing that upsets a terminal.
fn tidy(message: &str) -> String {
    let one_line = message.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = one_line.filter(|word| !word.is_empty()).collect();
    let joined = words.join(" ");
    let mut letters = joined.trim_matches(['.', '!', '"', ' ']).chars().take(MESSAGE_CHARS);
    let (first, rest) = (letters.next(), letters.collect::<String>());
    // Abbreviations such as IHDR keep their capitals.
    let is_word = rest.starts_with(char::is_lowercase);
    first
        .into_iter()
        .flat_map(|c| if is_word { c.to_lowercase().collect() } else { vec![c] })
        .chain(rest.chars())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_its_file() {
        let path = Path::new("holiday/cursed.png");
        let quiet = panic::take_hook();
        panic::set_hook(Box::new(|_| {}));
        let of_str = contain_panics::<()>(path, || panic!("Row 7 is\nmissing."));
        let of_string = contain_panics::<()>(path, || std::panic::panic_any(format!("index {}", 9)));
        let of_else = contain_panics::<()>(path, || std::panic::panic_any(7));
        panic::set_hook(quiet);

        let text = of_str.unwrap_err().to_string();
        assert_eq!(text, "holiday/cursed.png: the decoder failed on it: row 7 is missing");
        assert!(of_string.unwrap_err().reason().ends_with(": index 9"));
        assert!(matches!(of_else, Err(ImageError::DecoderPanicked { .. })));
        assert_eq!(contain_panics(path, || Ok(5)).unwrap(), 5);
    }

    #[test]
    fn messages_of_decoders_become_ours() {
        assert_eq!(tidy("Corrupt  bitstream.\r\n"), "corrupt bitstream");
        assert_eq!(tidy("IHDR chunk missing"), "IHDR chunk missing");
        assert_eq!(tidy("\"Too small\u{1b}[31m\""), "too small [31m");
        assert_eq!(tidy(""), "");
        assert_eq!(tidy(&"长".repeat(1000)).chars().count(), MESSAGE_CHARS);
    }
}
