//! Every committed picture against the pixels it stands for, and every way in which a file can be bad.

#![allow(clippy::unwrap_used)] // helpers are not #[test] functions, but serve them alone

use std::fs;
use std::path::{Path, PathBuf};

use taiyi_core::{ImageFormat, Orientation, RgbImage};
use taiyi_image::{Decoded, ImageError, Limits, SNIFF_BYTES, decode, open, read, sniff, thumbnail};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(data().join(name)).unwrap()
}

fn decoded(name: &str) -> Decoded {
    open(&data().join(name), &Limits::default()).unwrap()
}

fn decode_named(bytes: &[u8], name: &str) -> Result<Decoded, ImageError> {
    decode(bytes, Path::new(name), &Limits::default())
}

/// Names of all pictures that have expected pixels.
fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(data().join("expected"))
        .unwrap()
        .map(|entry| {
            entry.unwrap().file_name().into_string().unwrap().strip_suffix(".ppm").unwrap().to_owned()
        })
        .collect();
    names.sort();
    assert!(names.len() > 60, "the test pictures are incomplete");
    names
}

/// Binary PPM, parsed here so that no decoder is its own judge.
fn expected(name: &str) -> RgbImage {
    let file = bytes(&format!("expected/{name}.ppm"));
    let header = file.splitn(4, |b| b.is_ascii_whitespace()).collect::<Vec<_>>();
    let number = |i: usize| std::str::from_utf8(header[i]).unwrap().parse::<u32>().unwrap();
    assert_eq!(header[0], b"P6");
    RgbImage::new(number(1), number(2), header[3].strip_prefix(b"255\n").unwrap().to_vec()).unwrap()
}

/// Largest and mean difference of a channel.
fn difference(a: &RgbImage, b: &RgbImage) -> (u8, f64) {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let differences = a.pixels().iter().zip(b.pixels()).map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = differences.clone().map(u64::from).sum();
    (differences.max().unwrap(), sum as f64 / a.pixels().len() as f64)
}

fn format_of(name: &str) -> ImageFormat {
    match name.rsplit('.').next().unwrap() {
        "jpg" => ImageFormat::Jpeg,
        "png" => ImageFormat::Png,
        "webp" => ImageFormat::WebP,
        "gif" => ImageFormat::Gif,
        "bmp" => ImageFormat::Bmp,
        "tif" => ImageFormat::Tiff,
        "pbm" | "pgm" | "ppm" | "pam" => ImageFormat::Pnm,
        "ico" => ImageFormat::Ico,
        "tga" => ImageFormat::Tga,
        "qoi" => ImageFormat::Qoi,
        other => panic!("{other}"),
    }
}

#[test]
fn every_picture_gives_its_pixels() {
    for name in names().iter().filter(|name| *name != "palette.tif") {
        let decoded = decoded(name);
        let expected = expected(name);
        assert_eq!((decoded.metadata.width, decoded.metadata.height), (expected.width(), expected.height()));
        assert_eq!(decoded.metadata.format, Some(format_of(name)), "{name}");
        let (largest, mean) = difference(&decoded.image, &expected);
        // Two correct JPEG decoders round and upsample differently, by little; all else is exact.
        let (allowed, allowed_mean) = if name.ends_with(".jpg") { (4, 0.4) } else { (0, 0.0) };
        assert!(largest <= allowed && mean <= allowed_mean, "{name}: largest {largest}, mean {mean}");
    }
}

#[test]
fn the_name_does_not_matter() {
    for name in names().iter().filter(|name| !name.ends_with(".tga") && *name != "palette.tif") {
        let bytes = bytes(name);
        let expected = decoded(name);
        for other in ["IMG_1.JPG", "no extension", "鸟.PnG", "x.tga", ".hidden"] {
            assert_eq!(sniff(&bytes, Path::new(other)), Some(format_of(name)), "{name} as {other}");
            let head = &bytes[..bytes.len().min(SNIFF_BYTES)];
            assert_eq!(sniff(head, Path::new(other)), Some(format_of(name)), "{name} as {other}");
        }
        assert_eq!(decode_named(&bytes, "IMG_1.JPG").unwrap(), expected, "{name}");
    }
    assert!(matches!(decode_named(&bytes("rgb.tga"), "rgb.xyz"), Err(ImageError::NotAPicture { .. })));
    assert!(decode_named(&bytes("rgb.tga"), "RGB.TGA").is_ok());
}

#[test]
fn the_eight_orientations_are_one_picture() {
    for value in 1..=8 {
        let turned = decoded(&format!("orientation_{value}.jpg"));
        assert_eq!(turned.metadata.orientation, Orientation::from_exif(value));
        let (largest, _) = difference(&turned.image, &expected("rgb.png"));
        assert!(largest <= 4, "{value}: {largest}");
    }
    for name in ["orientation_6.png", "orientation_6.webp", "orientation_6.tif"] {
        assert_eq!(decoded(name).metadata.orientation, Orientation::Rotate90, "{name}");
        assert_eq!(decoded(name).image, expected("rgb.png"), "{name}");
    }
}

#[test]
fn a_travelling_camera_tells_when_where_and_what() {
    let metadata = decoded("travel.jpg").metadata;
    assert_eq!(metadata.taken_s, Some(1_556_717_862)); // 2019-05-01 13:37:42 on the camera's clock
    assert_eq!(metadata.taken_offset_min, Some(480));
    assert_eq!(metadata.camera.as_deref(), Some("NIKON D90"));
    let gps = metadata.gps.unwrap();
    assert!((gps.latitude - 39.9166).abs() < 1e-6 && (gps.longitude - 116.3915).abs() < 1e-6);
    assert_eq!(gps.altitude, Some(43.5));
    assert_eq!(metadata.orientation, Orientation::Rotate90);

    let plain = decoded("rgb.png").metadata;
    assert_eq!((plain.taken_s, plain.gps, plain.camera), (None, None, None));
}

#[test]
fn broken_exif_costs_only_itself() {
    let whole = bytes("travel.jpg");
    let start = whole.windows(6).position(|w| w == b"Exif\0\0").unwrap() + 6;
    let length = usize::from(u16::from_be_bytes([whole[start - 8], whole[start - 7]])) - 8;
    for damage in [0x00, 0x5a, 0xff] {
        for from in (start..start + length).step_by(3) {
            let mut broken = whole.clone();
            broken[from..start + length].fill(damage);
            let decoded = decode_named(&broken, "x.jpg").unwrap();
            assert_eq!(decoded.image.pixels().len(), 40 * 24 * 3);
        }
    }
}

#[test]
fn a_jpeg_cut_in_its_pixels_keeps_what_is_there() {
    for name in ["baseline_444.jpg", "baseline_420.jpg", "grey.jpg", "cmyk.jpg", "progressive.jpg"] {
        let whole = bytes(name);
        let scan = whole.windows(2).position(|w| w == b"\xff\xda").unwrap();
        let header = usize::from(u16::from_be_bytes([whole[scan + 2], whole[scan + 3]]));
        for cut in scan + 2 + header..whole.len() {
            let part = decode_named(&whole[..cut], name).unwrap();
            assert_eq!((part.image.width(), part.image.height()), (40, 24), "{name} cut at {cut}");
        }
    }
    let whole = bytes("baseline_444.jpg");
    let part = decode_named(&whole[..whole.len() * 85 / 100], "x.jpg").unwrap();
    let (top, _) = part.image.pixels().split_at(40 * 8 * 3);
    assert_eq!(top, &decoded("baseline_444.jpg").image.pixels()[..40 * 8 * 3]);
    assert_eq!(part.image.pixels().last_chunk::<3>(), Some(&[128; 3]), "the rest is grey");
    // Without the end marker alone, nothing is lost.
    assert_eq!(decode_named(&whole[..whole.len() - 2], "x.jpg").unwrap(), decoded("baseline_444.jpg"));
}

#[test]
fn a_file_cut_in_its_header_is_corrupt() {
    let jpeg = bytes("baseline_420.jpg");
    let pixels = jpeg.windows(2).position(|w| w == b"\xff\xda").unwrap();
    for cut in [4, 30, pixels / 2, pixels - 1, pixels + 4] {
        let result = decode_named(&jpeg[..cut], "x.jpg");
        assert!(matches!(result, Err(ImageError::Corrupt { .. })), "{cut}: {result:?}");
    }
}

#[test]
fn other_formats_cut_short_are_corrupt() {
    for name in [
        "rgb.png",
        "grey16.png",
        "lossless.webp",
        "lossy.webp",
        "still.gif",
        "rgb.bmp",
        "raw.tif",
        "raw.ppm",
        "plain.pgm",
        "png_inside.ico",
        "bitmap_inside.ico",
        "rgb.tga",
        "rgb.qoi",
    ] {
        let whole = bytes(name);
        let result = decode_named(&whole[..whole.len() * 6 / 10], name);
        assert!(matches!(result, Err(ImageError::Corrupt { .. })), "{name}: {result:?}");
    }
}

#[test]
fn the_limit_on_pixels_is_exact() {
    let (bytes, path) = (bytes("rgb.png"), Path::new("rgb.png"));
    let limit = |max_pixels| Limits { max_pixels, ..Limits::default() };
    assert!(decode(&bytes, path, &limit(960)).is_ok());
    match decode(&bytes, path, &limit(959)) {
        Err(ImageError::TooManyPixels { width: 40, height: 24, .. }) => {}
        other => panic!("{other:?}"),
    }
    for name in names().iter().filter(|name| *name != "palette.tif") {
        let result = decode(&self::bytes(name), Path::new(name), &limit(100));
        assert!(matches!(result, Err(ImageError::TooManyPixels { .. })), "{name}: {result:?}");
    }
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let reason = |path: &Path, limits: &Limits| {
        let error = open(path, limits).unwrap_err();
        assert_eq!(error.path(), path);
        assert_eq!(error.to_string(), format!("{}: {}", path.display(), error.reason()));
        error
    };
    let defaults = Limits::default();
    assert!(matches!(reason(&folder.path().join("gone.jpg"), &defaults), ImageError::Io { .. }));
    assert!(reason(folder.path(), &defaults).reason().contains("is a folder"));

    let empty = folder.path().join("空.jpg");
    fs::write(&empty, b"").unwrap();
    assert_eq!(reason(&empty, &defaults).reason(), "the file is empty");

    let text = folder.path().join("notes.png");
    fs::write(&text, "Not a picture at all.").unwrap();
    assert!(matches!(reason(&text, &defaults), ImageError::NotAPicture { is_empty: false, .. }));

    let heic = folder.path().join("IMG_0001.jpg");
    fs::write(&heic, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap();
    assert_eq!(reason(&heic, &defaults).reason(), "not supported: HEIC pictures");

    let small = Limits { max_file_bytes: 20, ..defaults };
    assert!(matches!(reason(&text, &small), ImageError::FileTooLarge { limit_bytes: 20, .. }));
    assert_eq!(read(&text, &Limits { max_file_bytes: 21, ..defaults }).unwrap().len(), 21);
}

#[test]
fn what_the_decoders_cannot_read_is_unsupported() {
    let error = open(&data().join("palette.tif"), &Limits::default()).unwrap_err();
    assert!(matches!(error, ImageError::Unsupported { .. }), "{error:?}");
}

#[test]
fn any_decoded_picture_has_a_thumbnail() {
    for name in ["rgb.png", "grey.jpg", "orientation_6.tif"] {
        let small = thumbnail(&decoded(name).image, 20).unwrap();
        assert_eq!((small.width(), small.height()), (20, 12));
    }
}
