//! Decoding at a fraction of the size against decoding the whole and averaging it.

#![allow(clippy::unwrap_used)] // helpers are not #[test] functions, but serve them alone

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use taiyi_core::RgbImage;
use taiyi_image::{Enough, Limits, decode, decode_reduced};

fn bytes(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

/// Means of squares of `side` pixels; the last ones may be less than squares.
fn averaged(image: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = (image.width().div_ceil(side), image.height().div_ceil(side));
    let at = |x: u32, y: u32, channel: u32| {
        let index = (y * image.width() + x) * 3 + channel;
        u32::from(image.pixels()[index as usize])
    };
    let mut pixels = Vec::new();
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let rows = y * side..((y + 1) * side).min(image.height());
        let columns = x * side..((x + 1) * side).min(image.width());
        let count = rows.len() * columns.len();
        for channel in 0..3 {
            let sum: u32 = rows
                .clone()
                .flat_map(|y| columns.clone().map(move |x| (x, y)))
                .map(|(x, y)| at(x, y, channel))
                .sum();
            pixels.push((sum as f64 / count as f64).round() as u8);
        }
    }
    RgbImage::new(width, height, pixels).unwrap()
}

#[test]
fn a_fraction_looks_like_the_whole() {
    let mut names: Vec<String> =
        ["baseline_420", "baseline_422", "baseline_444", "grey", "restart_420", "travel"]
            .map(|n| format!("{n}.jpg"))
            .into();
    names.extend((1..=8).map(|n| format!("orientation_{n}.jpg")));
    for name in names {
        let bytes = bytes(&name);
        let whole = decode(&bytes, Path::new(&name), &Limits::default()).unwrap();
        let long = whole.image.width().max(whole.image.height());
        for side in [2, 4, 8] {
            let what = format!("{name} at 1/{side}");
            let reduced =
                decode_reduced(&bytes, &Limits::default(), Enough::LongSide(long / side)).expect(&what);
            assert_eq!(reduced.metadata, whole.metadata, "{what}");
            let area = reduced.area;
            assert_eq!(area.width * f64::from(side), f64::from(whole.image.width()), "{what}");
            assert_eq!(area.height * f64::from(side), f64::from(whole.image.height()), "{what}");
            // Those that are turned are whole blocks, so that the squares are the same on all sides.
            let expected = averaged(&whole.image, side);
            assert_eq!(
                (reduced.image.width(), reduced.image.height()),
                (expected.width(), expected.height()),
                "{what}"
            );
            let differences =
                reduced.image.pixels().iter().zip(expected.pixels()).map(|(a, b)| a.abs_diff(*b));
            let mean = differences.clone().map(f64::from).sum::<f64>() / expected.pixels().len() as f64;
            // What is finer than the fraction shows is dropped, where the average blurs what it can show.
            assert!(mean < 6.0, "{what}: {mean:.2} off on average");
            if side == 8 && !name.starts_with("baseline") && name != "restart_420.jpg" {
                assert!(differences.max().unwrap() <= 2, "{what}: the mean of a block is what is stored");
            }
        }
    }
}

#[test]
fn what_is_not_plain_or_not_large_is_left_to_the_other_decoder() {
    let reduced = |name: &str, enough| decode_reduced(&bytes(name), &Limits::default(), enough).is_some();
    for name in ["progressive.jpg", "cmyk.jpg", "ycck.jpg", "rgb.png", "lossy.webp"] {
        assert!(!reduced(name, Enough::ShortSide(1)), "{name}");
    }
    assert!(reduced("baseline_420.jpg", Enough::ShortSide(12)));
    assert!(!reduced("baseline_420.jpg", Enough::ShortSide(13)));
    assert!(!reduced("baseline_420.jpg", Enough::LongSide(u32::MAX)));
    let limits = Limits { max_pixels: 40 * 24 - 1, ..Limits::default() };
    assert!(decode_reduced(&bytes("baseline_420.jpg"), &limits, Enough::ShortSide(1)).is_none());
}

#[test]
fn a_file_cut_anywhere_is_left_to_the_other_decoder() {
    let whole = bytes("restart_420.jpg");
    let reduced = |bytes: &[u8]| decode_reduced(bytes, &Limits::default(), Enough::ShortSide(8));
    assert!(reduced(&whole).is_some());
    for length in 0..whole.len() {
        assert!(reduced(&whole[..length]).is_none(), "{length}");
    }
    // A restart marker out of turn.
    let mut damaged = whole;
    let at =
        damaged.windows(2).rposition(|pair| pair[0] == 0xff && (0xd0..=0xd7).contains(&pair[1])).unwrap();
    damaged[at + 1] = 0xd0 + (damaged[at + 1] + 1) % 8;
    assert!(reduced(&damaged).is_none());
}

proptest! {
    #[test]
    fn whatever_is_in_a_file_it_comes_to_an_end(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        side in 1u32..40,
    ) {
        let mut damaged = bytes("restart_420.jpg");
        for (at, value) in changes {
            let at = at.index(damaged.len());
            damaged[at] = value;
        }
        let limits = Limits { max_pixels: 1 << 20, ..Limits::default() };
        if let Some(decoded) = decode_reduced(&damaged, &limits, Enough::ShortSide(side)) {
            prop_assert!(decoded.image.width().min(decoded.image.height()) >= side);
        }
    }
}
