//! The committed models and reference numbers (`tools/model-fixtures` makes them), and the pictures drawn
//! for them.

use std::collections::HashMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde::Deserialize;
use taiyi_core::{Embedding, RgbImage};
use taiyi_model::{Device, ModelError, ModelFolder, TowerOptions};
use tempfile::TempDir;

/// Per component of a unit vector.
pub(crate) const TOLERANCE: f32 = 2e-5;

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

pub(crate) fn threads(threads: usize) -> TowerOptions {
    TowerOptions { threads: NonZeroUsize::new(threads).unwrap(), device: Device::Cpu }
}

pub(crate) fn open(name: &str) -> ModelFolder {
    ModelFolder::open(&data(name)).unwrap()
}

/// A copy of a committed model that a test may change.
pub(crate) fn copy_of(name: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_files(&data(name), copy.path());
    copy
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_files(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
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
    /// Of `tiny` alone.
    #[serde(default)]
    pub(crate) card: Option<Card>,
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
    /// Of `tiny` and `tiny-bin`.
    pub(crate) fn read() -> Self {
        Self::read_files("reference")
    }

    /// Of a model of another kind.
    pub(crate) fn of(model: &str) -> Self {
        Self::read_files(&format!("{model}.reference"))
    }

    fn read_files(stem: &str) -> Self {
        let json = fs::read(data(&format!("{stem}.json"))).unwrap();
        let mut reference: Self = serde_json::from_slice(&json).unwrap();
        let bytes = fs::read(data(&format!("{stem}.safetensors"))).unwrap();
        let arrays = SafeTensors::deserialize(&bytes).unwrap();
        let rows = |name: &str| -> Vec<Vec<f32>> {
            let array = arrays.tensor(name).unwrap();
            let values = array.data().as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes);
            values.collect::<Vec<_>>().chunks(array.shape()[1]).map(<[f32]>::to_vec).collect()
        };
        reference.text_embeddings = rows("text_embeddings");
        reference.image_embeddings = rows("image_embeddings");
        if reference.card.is_some() {
            reference.card_embeddings_as_padded = rows("card_embeddings_as_padded");
        }
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

/// Ramps, hard edges and noise, in integers alone: the same as in `tools/model-fixtures/common.py`.
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

/// Every embedding is the reference's, within [`TOLERANCE`] and by a small part of what inputs differ by.
pub(crate) fn close(ours: &[Embedding], reference: &[Vec<f32>]) {
    assert_eq!(ours.len(), reference.len());
    let worst = ours.iter().zip(reference).map(|(a, b)| difference(a.as_slice(), b)).fold(0.0, f32::max);
    let spread = spread(reference);
    assert!(worst < TOLERANCE, "off by {worst}, inputs differ by {spread}");
    assert!(worst < spread / 1000.0, "off by {worst}, but inputs differ only by {spread}");
}

/// The mean over all pairs of the largest difference between components: what a wrong tower would be
/// off by.
fn spread(vectors: &[Vec<f32>]) -> f32 {
    let mut differences = Vec::new();
    for (index, a) in vectors.iter().enumerate() {
        differences.extend(vectors[..index].iter().map(|b| difference(a, b)));
    }
    differences.iter().sum::<f32>() / differences.len() as f32
}

/// Opens and loads everything, so that damage shows wherever it is met.
pub(crate) fn load(dir: &Path) -> Result<(), ModelError> {
    let model = ModelFolder::open(dir)?;
    model.id("damaged", None)?;
    model.text_tower(&threads(1))?;
    model.image_tower(&threads(1))?;
    Ok(())
}

pub(crate) fn error(dir: &Path) -> String {
    let error = load(dir).expect_err("it is damaged").to_string();
    assert!(!error.contains('\n') && !error.ends_with('.'), "{error:?}");
    error
}

/// Rewrites a safetensors file by its tensors.
pub(crate) fn rewrite(
    path: &Path,
    change: impl Fn(&str, Dtype, Vec<usize>, Vec<u8>) -> Option<(Dtype, Vec<usize>, Vec<u8>)>,
) {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let changed: Vec<_> = file
        .tensors()
        .into_iter()
        .filter_map(|(name, tensor)| {
            let new = change(&name, tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec())?;
            Some((name, new))
        })
        .collect();
    let views = changed
        .iter()
        .map(|(name, (dtype, shape, data))| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    fs::write(path, serialize(views, None).unwrap()).unwrap();
}
