//! Files made to hurt: headers that promise far more than they hold, random bytes, damaged pictures. None
//! may take long, take memory, or take the process down.

#![allow(clippy::unwrap_used)] // helpers are not #[test] functions, but serve them alone

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use taiyi_image::{Decoded, ImageError, Limits, decode, sniff};

/// Long enough for a slow machine that builds without optimization, far too short to fill gigabytes.
const PROMPT: Duration = Duration::from_secs(2);

/// Most address space that a whole run of these tests may ask for. One bomb would ask for 12 GiB and more.
#[cfg(target_os = "linux")]
const MAX_PEAK_BYTES: u64 = 1536 << 20;

fn picture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

fn pictures() -> Vec<(String, Vec<u8>)> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/expected");
    let mut names: Vec<String> = fs::read_dir(data)
        .unwrap()
        .map(|entry| {
            entry.unwrap().file_name().into_string().unwrap().strip_suffix(".ppm").unwrap().to_owned()
        })
        .collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), picture(&name))).collect()
}

fn position(bytes: &[u8], of: &[u8]) -> usize {
    bytes.windows(of.len()).position(|w| w == of).unwrap()
}

/// A good picture with other bytes at `at`.
fn patched(name: &str, at: usize, patch: &[u8]) -> Vec<u8> {
    let mut bytes = picture(name);
    bytes[at..at + patch.len()].copy_from_slice(patch);
    bytes
}

/// Decodes, and sees to it that time and memory stay small whatever comes of it.
fn decode_promptly(bytes: &[u8], name: &str, limits: &Limits) -> Result<Decoded, ImageError> {
    let begun = Instant::now();
    let result = decode(bytes, Path::new(name), limits);
    assert!(begun.elapsed() < PROMPT, "{name} took {:?}", begun.elapsed());
    #[cfg(target_os = "linux")]
    {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
        let peak = peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
        assert!(peak < MAX_PEAK_BYTES, "{name}: {peak} bytes of address space");
    }
    result
}

/// Grey TIFF of one strip or tile, by its tags alone.
fn tiff(extra: &[(u16, u32)]) -> Vec<u8> {
    let mut tags = vec![(258, 8), (259, 1), (262, 1)];
    tags.extend_from_slice(extra);
    tags.sort_unstable();
    let mut bytes = b"II\x2a\0\x08\0\0\0".to_vec();
    bytes.extend((tags.len() as u16).to_le_bytes());
    for (tag, value) in tags {
        bytes.extend(tag.to_le_bytes());
        bytes.extend([4, 0, 1, 0, 0, 0]);
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 64]);
    bytes
}

#[test]
fn a_decompression_bomb_is_refused_by_its_header() {
    let big = [0xff; 4];
    let frame = position(&picture("grey.jpg"), b"\xff\xc0");
    let vp8 = position(&picture("alpha_lossy.webp"), b"\x9d\x01\x2a") + 3;
    let bitmap = u32::from_le_bytes(*picture("bitmap_inside.ico")[34..].first_chunk().unwrap()) as usize;
    let bombs = [
        ("bomb.png", picture("bomb.png")),
        ("bomb.jpg", patched("grey.jpg", frame + 5, &big)),
        ("bomb.gif", patched("still.gif", 6, &big)),
        ("bomb.bmp", patched("rgb.bmp", 18, &[0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0])),
        ("bomb.tga", patched("rgb.tga", 12, &big)),
        ("bomb.qoi", patched("rgb.qoi", 4, &[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff])),
        ("bomb.ppm", b"P6 65535 65535 255\n".to_vec()),
        ("bomb.pbm", b"P1 4294967295 4294967295\n".to_vec()),
        (
            "bomb.pam",
            b"P7\nWIDTH 65535\nHEIGHT 65535\nDEPTH 4\nMAXVAL 65535\nTUPLTYPE RGB_ALPHA\nENDHDR\n".to_vec(),
        ),
        ("canvas.webp", patched("alpha_lossy.webp", 24, &[0xfe, 0xff, 0, 0xfe, 0xff, 0])),
        ("lossless.webp", patched("lossless.webp", 21, &[0xfe, 0xbf, 0xff, 0x0f])),
        // The frame is larger than its canvas.
        ("frame.webp", patched("alpha_lossy.webp", vp8, &[0xff, 0x3f, 0xff, 0x3f])),
        // The picture inside is larger than its directory says.
        ("bomb.ico", patched("bitmap_inside.ico", bitmap + 4, &[0xff, 0x7f, 0, 0, 0xfe, 0xff, 0, 0])),
        ("bomb.tif", tiff(&[(256, 65_535), (257, 65_535), (273, 8), (278, 65_535), (279, 64)])),
    ];
    for (name, bytes) in bombs {
        match decode_promptly(&bytes, name, &Limits::default()) {
            Err(ImageError::TooManyPixels { limit_megapixels: 200.0, .. }) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_small_picture_cannot_ask_for_much_memory() {
    let frame = position(&picture("still.gif"), &[0x2c, 0, 0, 0, 0]);
    let anmf = position(&picture("animated.webp"), b"ANMF") + 8;
    let greedy = [
        ("frame.gif", patched("still.gif", frame + 5, &[0xff; 4])),
        ("frame.webp", patched("animated.webp", anmf + 6, &[0xff, 0x3f, 0, 0xff, 0x3f, 0])),
        ("strip.tif", tiff(&[(256, 16), (257, 16), (273, 8), (278, u32::MAX), (279, u32::MAX)])),
        ("tile.tif", tiff(&[(256, 16), (257, 16), (322, 65_520), (323, 65_520), (324, 8), (325, 64)])),
        ("deflated_tile.tif", {
            let mut bytes = tiff(&[(256, 16), (257, 16), (322, 65_520), (323, 65_520), (324, 8), (325, 64)]);
            let compression = position(&bytes, &[0x03, 0x01, 4, 0]) + 8;
            bytes[compression] = 8;
            bytes
        }),
        ("runs.tga", patched("rgb.tga", 5, &[0xff, 0xff])),
    ];
    for (name, bytes) in greedy {
        if let Ok(decoded) = decode_promptly(&bytes, name, &Limits::default()) {
            assert!(decoded.image.pixels().len() <= 40 * 24 * 3, "{name}: {decoded:?}");
        }
    }
}

/// Small enough for hundreds of cases, and beyond every test picture.
const SMALL: Limits = Limits { max_pixels: 1 << 20, max_file_bytes: 1 << 20 };

fn check(bytes: &[u8], name: &str) -> Result<(), TestCaseError> {
    match decode_promptly(bytes, name, &SMALL) {
        Ok(decoded) => {
            let (width, height) = (decoded.image.width(), decoded.image.height());
            prop_assert!(u64::from(width) * u64::from(height) <= SMALL.max_pixels);
            prop_assert_eq!((decoded.metadata.width, decoded.metadata.height), (width, height));
            prop_assert_eq!(sniff(bytes, Path::new(name)), decoded.metadata.format);
        }
        Err(error) => {
            prop_assert_eq!(error.path(), Path::new(name));
            prop_assert!(!error.reason().is_empty() && !error.reason().contains('\n'));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_harmless(
        magic in prop::sample::select(vec![
            &b""[..], b"\xff\xd8\xff", b"\xff\xd8\xff\xc0\0\x11\x08\0\x10\0\x10", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR",
            b"GIF89a", b"RIFF\0\x01\0\0WEBPVP8 ", b"RIFF\0\x01\0\0WEBPVP8L", b"RIFF\0\x01\0\0WEBPVP8X\x0a\0\0\0",
            b"BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0", b"II\x2a\0\x08\0\0\0", b"MM\0\x2b\0\x08\0\0\0\0\0\0\0\x10",
            b"P5 9 9 ", b"P7\nWIDTH ", b"qoif\0\0\0\x10\0\0\0\x10\x04\0", b"\0\0\x01\0\x01\0\x10\x10\0\0",
            b"\0\0\x02\0\0\0\0\0\0\0\0\0\x10\0\x10\0\x18",
        ]),
        tail in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        check(&[magic, &tail].concat(), "random.tga")?;
    }

    #[test]
    fn damaged_pictures_are_harmless(
        (name, bytes) in prop::sample::select(pictures()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        head in any::<bool>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = bytes;
        for (at, value) in damage {
            // Most of the mischief is in headers.
            let within = if head { bytes.len().min(120) } else { bytes.len() };
            bytes[at.index(within)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check(&bytes, &name)?;
    }
}
