//! Made-up pictures for measuring: vectors as CLIP makes them, and the entries of an index for them.

#![allow(dead_code, clippy::unwrap_used)] // each that measures uses some of it, and has nobody to report to

use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use taiyi_core::{Embedding, ImageFormat, ModelId, Orientation, PhotoMetadata};
use taiyi_store::{ContentHash, Entry, FileStamp, RelativePath, RootId};

pub(crate) const DIMENSION: usize = 512;
const INTRINSIC: usize = 48;
const CENTRES: usize = 2000;

/// Vectors around centres of few dimensions, off the origin.
pub(crate) struct Source {
    basis: Vec<f32>,
    centres: Vec<f32>,
    bias: Vec<f32>,
}

impl Source {
    pub(crate) fn new() -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut numbers = |n: usize, scale: f32| (0..n).map(|_| normal(&mut rng) * scale).collect::<Vec<_>>();
        Self {
            basis: numbers(INTRINSIC * DIMENSION, 1.0 / (INTRINSIC as f32).sqrt()),
            centres: numbers(CENTRES * INTRINSIC, 1.0),
            bias: numbers(DIMENSION, 1.2),
        }
    }

    pub(crate) fn draw(&self, rng: &mut ChaCha8Rng) -> Embedding {
        let centre = rng.random_range(0..CENTRES) * INTRINSIC;
        let mut x: Vec<f32> = self.bias.iter().map(|b| b + 0.08 * normal(rng)).collect();
        for (c, row) in self.centres[centre..centre + INTRINSIC].iter().zip(self.basis.chunks(DIMENSION)) {
            let z = c + 0.55 * normal(rng);
            x.iter_mut().zip(row).for_each(|(x, b)| *x += z * b);
        }
        Embedding::normalize(x).unwrap()
    }
}

/// A number of the normal distribution.
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let (u, v): (f32, f32) = (1.0 - rng.random::<f32>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

pub(crate) fn model() -> ModelId {
    ModelId { name: "bench".into(), weights: "00".repeat(32), dimension: DIMENSION }
}

pub(crate) fn hash(i: usize) -> ContentHash {
    ContentHash::of(&i.to_le_bytes())
}

/// The `i`th picture, as a camera's.
pub(crate) fn entry(root: RootId, i: usize, embedding: &Embedding) -> Entry {
    Entry::Embedded {
        root,
        path: RelativePath::from_path(Path::new(&format!("2024/{:03}/IMG_{i:07}.jpg", i / 1000))).unwrap(),
        stamp: FileStamp { size: 3_000_000 + i as u64, mtime_ns: i as i64 },
        hash: hash(i),
        metadata: PhotoMetadata {
            width: 4000,
            height: 3000,
            format: Some(ImageFormat::Jpeg),
            orientation: Orientation::Upright,
            taken_s: Some(1_500_000_000 + i as i64 * 60),
            taken_offset_min: Some(480),
            gps: None,
            camera: Some("Canon EOS R5".into()),
        },
        embedding: embedding.clone(),
    }
}
