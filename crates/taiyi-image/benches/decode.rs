//! What a picture costs before the model sees it: decoding, whole and reduced, and small copies.
//!
//! The pictures are drawn here: gradients with the grain of a camera's sensor, which makes a JPEG of 12 megapixels as long as a
//! camera's.

#![allow(clippy::unwrap_used, missing_docs)] // a benchmark has nobody to report to, and criterion's macro no docs

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use taiyi_core::RgbImage;
use taiyi_image::{Enough, Limits, decode, decode_reduced, thumbnail, to_jpeg};

fn photo(width: u32, height: u32) -> RgbImage {
    let mut state = 1u64;
    let mut grain = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 60) as u32
    };
    let pixels = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| {
            let grain = grain();
            [x * 200 / width + grain, y * 200 / height + grain, (x + y) * 200 / (width + height) + grain]
        })
        .map(|value| value as u8)
        .collect();
    RgbImage::new(width, height, pixels).unwrap()
}

fn decoding(criterion: &mut Criterion) {
    let (path, limits) = (Path::new("photo.jpg"), Limits::default());
    let mut group = criterion.benchmark_group("jpeg");
    group.sample_size(10);
    for (name, width, height) in [("500x375", 500, 375), ("4000x3000", 4000, 3000)] {
        let bytes = to_jpeg(&photo(width, height), 90).unwrap();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("{name} whole"), |b| {
            b.iter(|| decode(black_box(&bytes), path, &limits).unwrap());
        });
        for fraction in [2, 4, 8] {
            group.bench_function(format!("{name} at 1/{fraction}"), |b| {
                let enough = Enough::ShortSide(height / fraction);
                b.iter(|| decode_reduced(black_box(&bytes), &limits, enough).unwrap());
            });
        }
    }
    group.finish();
}

fn copying(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("thumbnail");
    group.sample_size(10);
    for (name, width, height) in [("1000x750", 1000, 750), ("4000x3000", 4000, 3000)] {
        let image = photo(width, height);
        group.bench_function(format!("{name} to 400"), |b| {
            b.iter(|| thumbnail(black_box(&image), 400).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, decoding, copying);
criterion_main!(benches);
