//! Pictures to index: distinct ones by number, in every format.

use std::io::Cursor;

use image::codecs::pnm::{PnmEncoder, PnmSubtype, SampleEncoding};
use image::{DynamicImage, ImageEncoder as _, ImageFormat, Rgb, RgbImage};

/// Random numbers that are the same on every run: splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(crate) fn below(&mut self, n: u32) -> u32 {
        (self.next() % u64::from(n)) as u32
    }
}

/// A picture of a few coloured rectangles, another one for every seed, 48 to 63 pixels wide and 40 high.
pub(crate) fn scene(seed: u64) -> RgbImage {
    let mut random = Random(seed);
    let colour = |random: &mut Random| Rgb([0; 3].map(|_: u8| random.below(256) as u8));
    let (width, height) = (48 + random.below(16), 40);
    let mut image = RgbImage::from_pixel(width, height, colour(&mut random));
    for _ in 0..6 {
        let colour = colour(&mut random);
        let (x, y) = (random.below(width - 12), random.below(height - 12));
        let (w, h) = (6 + random.below(width - x - 6), 6 + random.below(height - y - 6));
        for (x, y) in (x..(x + w).min(width)).flat_map(|x| (y..(y + h).min(height)).map(move |y| (x, y))) {
            image.put_pixel(x, y, colour);
        }
    }
    image
}

/// The same picture after a small change.
pub(crate) fn retouched(seed: u64) -> RgbImage {
    let mut image = scene(seed);
    for (x, y) in [(0, 0), (1, 0), (0, 1)] {
        let Rgb([r, g, b]) = *image.get_pixel(x, y);
        image.put_pixel(x, y, Rgb([r ^ 16, g ^ 16, b ^ 16]));
    }
    image
}

pub(crate) fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub(crate) fn encode_rgb(image: RgbImage, format: ImageFormat) -> Vec<u8> {
    encode(&DynamicImage::ImageRgb8(image), format)
}

pub(crate) fn png(seed: u64) -> Vec<u8> {
    encode_rgb(scene(seed), ImageFormat::Png)
}

pub(crate) fn jpeg(seed: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let image = scene(seed);
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95)
        .write_image(image.as_raw(), image.width(), image.height(), image::ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

/// Portable any-map of one kind.
pub(crate) fn pnm(image: &DynamicImage, subtype: PnmSubtype) -> Vec<u8> {
    let mut bytes = Vec::new();
    let colour = image.color().into();
    PnmEncoder::new(&mut bytes)
        .with_subtype(subtype)
        .write_image(image.as_bytes(), image.width(), image.height(), colour)
        .unwrap();
    bytes
}

pub(crate) fn binary_ppm(seed: u64) -> Vec<u8> {
    pnm(&DynamicImage::ImageRgb8(scene(seed)), PnmSubtype::Pixmap(SampleEncoding::Binary))
}

/// A PNG of nothing but a header that promises `width` × `height` pixels.
pub(crate) fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    chunk(&mut bytes, b"IHDR", &header);
    // An empty zlib stream.
    chunk(&mut bytes, b"IDAT", &[0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01]);
    chunk(&mut bytes, b"IEND", &[]);
    bytes
}

/// A PNG chunk with its checksum.
fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let body = [kind, data].concat();
    out.extend(&body);
    out.extend(crc32(&body).to_be_bytes());
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// A palette PNG of exactly the colours of the picture.
pub(crate) fn palette_png(seed: u64) -> Vec<u8> {
    let image = scene(seed);
    let mut palette: Vec<Rgb<u8>> = Vec::new();
    let mut raw = Vec::new();
    for row in image.rows() {
        raw.push(0);
        for pixel in row {
            let at = palette.iter().position(|colour| colour == pixel).unwrap_or_else(|| {
                palette.push(*pixel);
                palette.len() - 1
            });
            raw.push(at as u8);
        }
    }
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend(image.width().to_be_bytes());
    header.extend(image.height().to_be_bytes());
    header.extend([8, 3, 0, 0, 0]);
    chunk(&mut bytes, b"IHDR", &header);
    chunk(&mut bytes, b"PLTE", &palette.iter().flat_map(|colour| colour.0).collect::<Vec<_>>());
    chunk(&mut bytes, b"IDAT", &stored_zlib(&raw));
    chunk(&mut bytes, b"IEND", &[]);
    bytes
}

/// A zlib stream of one uncompressed block.
fn stored_zlib(raw: &[u8]) -> Vec<u8> {
    let length = u16::try_from(raw.len()).unwrap();
    let mut bytes = vec![0x78, 0x01, 0x01];
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(raw);
    let (a, b) = raw.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    bytes.extend(((b << 16) | a).to_be_bytes());
    bytes
}

/// What a JPEG says of itself.
#[derive(Clone, Copy, Default)]
pub(crate) struct Exif<'a> {
    /// As in `2023:05:01 12:34:56`.
    pub(crate) taken: Option<&'a str>,
    /// 1 to 8.
    pub(crate) orientation: Option<u16>,
    pub(crate) make: Option<&'a str>,
    pub(crate) model: Option<&'a str>,
    /// Whole degrees and minutes, north and east.
    pub(crate) place: Option<[u32; 4]>,
}

/// A JPEG with EXIF in it.
pub(crate) fn jpeg_with_exif(seed: u64, exif: &Exif<'_>) -> Vec<u8> {
    let jpeg = jpeg(seed);
    let body = [b"Exif\0\0".as_slice(), &exif.tiff()].concat();
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend([0xff, 0xe1]);
    bytes.extend(u16::try_from(body.len() + 2).unwrap().to_be_bytes());
    bytes.extend(body);
    bytes.extend(&jpeg[2..]);
    bytes
}

/// Tag, type, number of values, and the values as bytes.
type Field = (u16, u16, u32, Vec<u8>);

const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;

impl Exif<'_> {
    fn tiff(&self) -> Vec<u8> {
        let text = |tag: u16, text: &str| -> Field {
            let bytes = [text.as_bytes(), b"\0"].concat();
            (tag, ASCII, bytes.len() as u32, bytes)
        };
        let mut first: Vec<Field> = Vec::new();
        first.extend(self.make.map(|make| text(0x010f, make)));
        first.extend(self.model.map(|model| text(0x0110, model)));
        first.extend(self.orientation.map(|o| (0x0112, SHORT, 1, o.to_le_bytes().to_vec())));
        let details: Vec<Field> = self.taken.map(|taken| text(0x9003, taken)).into_iter().collect();
        let place: Vec<Field> = self.place.map_or(Vec::new(), |[north, north_min, east, east_min]| {
            let angle = |degrees: u32, minutes: u32| {
                [degrees, 1, minutes, 1, 0, 1].iter().flat_map(|n: &u32| n.to_le_bytes()).collect::<Vec<_>>()
            };
            vec![
                text(1, "N"),
                (2, RATIONAL, 3, angle(north, north_min)),
                text(3, "E"),
                (4, RATIONAL, 3, angle(east, east_min)),
            ]
        });
        let size = |fields: &[Field]| {
            let values = fields.iter().filter(|f| f.3.len() > 4).map(|f| f.3.len().next_multiple_of(2));
            2 + 12 * fields.len() + 4 + values.sum::<usize>()
        };
        let pointers = [(0x8769, &details), (0x8825, &place)].into_iter().filter(|(_, d)| !d.is_empty());
        let pointers: Vec<_> = pointers.collect();
        let mut at = 8 + size(&first) + 12 * pointers.len();
        for (tag, directory) in &pointers {
            first.push((*tag, LONG, 1, (at as u32).to_le_bytes().to_vec()));
            at += size(directory);
        }
        let mut bytes = b"II\x2a\0\x08\0\0\0".to_vec();
        for directory in [&first].into_iter().chain(pointers.iter().map(|(_, directory)| *directory)) {
            put_directory(&mut bytes, directory);
        }
        bytes
    }
}

fn put_directory(bytes: &mut Vec<u8>, fields: &[Field]) {
    bytes.extend((fields.len() as u16).to_le_bytes());
    let mut values_at = bytes.len() + 12 * fields.len() + 4;
    let mut values = Vec::new();
    for (tag, kind, count, value) in fields {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        if value.len() <= 4 {
            let mut inline = value.clone();
            inline.resize(4, 0);
            bytes.extend(inline);
        } else {
            bytes.extend((values_at as u32).to_le_bytes());
            let mut value = value.clone();
            value.resize(value.len().next_multiple_of(2), 0);
            values_at += value.len();
            values.extend(value);
        }
    }
    bytes.extend(0u32.to_le_bytes());
    bytes.extend(values);
}
