//! The committed models and reference numbers (`tools/model-fixtures` makes them), and the pictures drawn
//! for them.

use std::collections::HashMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde::Deserialize;
use taiyi_core::RgbImage;
use taiyi_model::{ModelFolder, TowerOptions};
use tempfile::TempDir;

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

pub(crate) fn threads(threads: usize) -> TowerOptions {
    TowerOptions { threads: NonZeroUsize::new(threads).unwrap() }
}

pub(crate) fn open(name: &str) -> ModelFolder {
    ModelFolder::open(&data(name)).unwrap()
}

/// A copy of a committed model that a test may change.
pub(crate) fn copy_of(name: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for half in ["text", "image"] {
        fs::create_dir(copy.path().join(half)).unwrap();
        for file in fs::read_dir(data(name).join(half)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.path().join(half).join(file.file_name())).unwrap();
        }
    }
    copy
}

pub(crate) fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} in {}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// What transformers and Pillow made of the inputs.
#[derive(Deserialize)]
pub(crate) struct Reference {
    pub(crate) prompts: Vec<String>,
    pub(crate) token_ids: Vec<Vec<u32>>,
    /// Name, columns, rows.
    pub(crate) pictures: Vec<(String, u32, u32)>,
    /// Of every prepared picture, rows 0, step, 2·step, … are kept.
    pub(crate) row_step: usize,
    pub(crate) card: Card,
    #[serde(skip)]
    pub(crate) card_embeddings_as_padded: Vec<Vec<f32>>,
    #[serde(skip)]
    pub(crate) text_embeddings: Vec<Vec<f32>>,
    #[serde(skip)]
    pub(crate) image_embeddings: Vec<Vec<f32>>,
    #[serde(skip)]
    pub(crate) prepared: HashMap<String, Vec<u8>>,
}

/// The example of the model card.
#[derive(Deserialize)]
pub(crate) struct Card {
    pub(crate) prompts: Vec<String>,
}

impl Reference {
    pub(crate) fn read() -> Self {
        let mut reference: Self = serde_json::from_slice(&fs::read(data("reference.json")).unwrap()).unwrap();
        let bytes = fs::read(data("reference.safetensors")).unwrap();
        let arrays = SafeTensors::deserialize(&bytes).unwrap();
        let rows = |name: &str| -> Vec<Vec<f32>> {
            let array = arrays.tensor(name).unwrap();
            let values = array.data().as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes);
            values.collect::<Vec<_>>().chunks(array.shape()[1]).map(<[f32]>::to_vec).collect()
        };
        reference.text_embeddings = rows("text_embeddings");
        reference.image_embeddings = rows("image_embeddings");
        reference.card_embeddings_as_padded = rows("card_embeddings_as_padded");
        for (name, _, _) in &reference.pictures {
            let array = arrays.tensor(&format!("prepared.{name}")).unwrap();
            reference.prepared.insert(name.clone(), array.data().to_vec());
        }
        reference
    }

    pub(crate) fn images(&self) -> Vec<RgbImage> {
        self.pictures.iter().map(|(_, columns, rows)| picture(*columns, *rows)).collect()
    }
}

/// Ramps, hard edges and noise, in integers alone: the same as in `tools/model-fixtures/make.py`.
pub(crate) fn picture(columns: u32, rows: u32) -> RgbImage {
    let mut pixels = Vec::with_capacity(columns as usize * rows as usize * 3);
    for y in 0..u64::from(rows) {
        for x in 0..u64::from(columns) {
            for c in 0..3 {
                let ramps = ((x * (3 + 2 * c) + y * (5 - c)) / 2 % 511).abs_diff(255);
                let checks = if (x / 5 + y / 7 + c) % 2 == 0 { 230 } else { 20 };
                let noise = x * 73_856_093 + y * 19_349_663 + c * 83_492_791;
                let noise = noise.wrapping_mul(2_654_435_761) % (1 << 32) / (1 << 24);
                pixels.push(if x * 3 < u64::from(columns) && y * 3 < u64::from(rows) {
                    noise
                } else if y * 5 > u64::from(rows) * 3 {
                    checks
                } else {
                    ramps
                } as u8);
            }
        }
    }
    RgbImage::new(columns, rows, pixels).unwrap()
}

/// The largest difference between components.
pub(crate) fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The mean over all pairs of the largest difference between components: what a wrong tower would be
/// off by.
pub(crate) fn spread(vectors: &[Vec<f32>]) -> f32 {
    let mut differences = Vec::new();
    for (index, a) in vectors.iter().enumerate() {
        differences.extend(vectors[..index].iter().map(|b| difference(a, b)));
    }
    differences.iter().sum::<f32>() / differences.len() as f32
}
