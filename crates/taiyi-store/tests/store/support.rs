//! Pictures that never were, and an index to put them in.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use taiyi_core::{Embedding, ImageFormat, ModelId, Orientation, PhotoMetadata};
use taiyi_store::{
    ContentHash, Entry, FileStamp, GraphOptions, PublishOptions, Published, PublishedGeneration,
    RelativePath, RootId, Row, SearchOptions, Snapshot, Writer, WriterOptions,
};

pub(crate) const ROOT: &str = if cfg!(windows) { "C:\\照片" } else { "/照片" };

pub(crate) fn model(dimension: usize) -> ModelId {
    ModelId { name: "fake".into(), weights: "ab".repeat(32), dimension }
}

pub(crate) fn other_model(dimension: usize) -> ModelId {
    ModelId { name: "other".into(), weights: "cd".repeat(32), dimension }
}

pub(crate) fn threads(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

pub(crate) fn options(model: ModelId, min_rows: usize) -> WriterOptions {
    let graph = GraphOptions { min_rows, ..GraphOptions::default() };
    WriterOptions { model, graph, threads: threads(2) }
}

pub(crate) fn open(dir: &Path, dimension: usize) -> Writer {
    Writer::open(dir, options(model(dimension), 50_000)).unwrap()
}

pub(crate) fn path(name: &str) -> RelativePath {
    RelativePath::from_path(&PathBuf::from(name)).unwrap()
}

pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Roughly normal: the sum of uniform numbers.
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    (0..6).map(|_| rng.random::<f32>() - 0.5).sum::<f32>() * 1.414
}

/// Vectors as CLIP makes them: around centres in a space of few dimensions, off the origin.
pub(crate) struct ClipLike {
    basis: Vec<Vec<f32>>,
    centres: Vec<Vec<f32>>,
    bias: Vec<f32>,
    dimension: usize,
}

impl ClipLike {
    pub(crate) fn new(dimension: usize, intrinsic: usize, centres: usize, seed: u64) -> Self {
        let mut rng = rng(seed);
        let scale = 1.0 / (intrinsic as f32).sqrt();
        let mut matrix = |rows: usize, columns: usize, scale: f32| -> Vec<Vec<f32>> {
            (0..rows).map(|_| (0..columns).map(|_| normal(&mut rng) * scale).collect()).collect()
        };
        Self {
            basis: matrix(intrinsic, dimension, scale),
            centres: matrix(centres, intrinsic, 1.0),
            bias: matrix(1, dimension, 1.2).remove(0),
            dimension,
        }
    }

    pub(crate) fn draw(&self, rng: &mut ChaCha8Rng) -> Embedding {
        let centre = &self.centres[rng.random_range(0..self.centres.len())];
        let mut vector: Vec<f32> = self.bias.iter().map(|b| b + 0.08 * normal(rng)).collect();
        for (c, direction) in centre.iter().zip(&self.basis) {
            let z = c + 0.55 * normal(rng);
            for (x, d) in vector.iter_mut().zip(direction) {
                *x += z * d;
            }
        }
        assert_eq!(vector.len(), self.dimension);
        Embedding::normalize(vector).unwrap()
    }
}

pub(crate) fn embedding(dimension: usize, seed: u64) -> Embedding {
    let mut rng = rng(seed);
    Embedding::normalize((0..dimension).map(|_| normal(&mut rng)).collect()).unwrap()
}

pub(crate) fn hash(seed: u64) -> ContentHash {
    ContentHash::of(&seed.to_le_bytes())
}

pub(crate) fn stamp(seed: u64) -> FileStamp {
    FileStamp { size: 1000 + seed, mtime_ns: 1_600_000_000_000_000_000 + seed as i64 * 1_000_000_000 }
}

pub(crate) fn metadata(seed: u64) -> PhotoMetadata {
    PhotoMetadata {
        width: 640,
        height: 480 + seed as u32,
        format: Some(ImageFormat::Jpeg),
        orientation: Orientation::Upright,
        taken_s: seed.is_multiple_of(2).then_some(1_500_000_000 + seed as i64),
        taken_offset_min: None,
        gps: None,
        camera: seed.is_multiple_of(3).then(|| "Canon EOS R5".to_owned()),
    }
}

/// Picture `seed`, embedded, as `name`.
pub(crate) fn embedded(root: RootId, name: &str, seed: u64, dimension: usize) -> Entry {
    Entry::Embedded {
        root,
        path: path(name),
        stamp: stamp(seed),
        hash: hash(seed),
        metadata: metadata(seed),
        embedding: embedding(dimension, seed),
    }
}

/// Commits pictures `seeds` as `SEED.jpg`.
pub(crate) fn fill(writer: &Writer, root: RootId, seeds: std::ops::Range<u64>, dimension: usize) {
    let entries: Vec<Entry> =
        seeds.map(|seed| embedded(root, &format!("{seed}.jpg"), seed, dimension)).collect();
    for batch in entries.chunks(512) {
        writer.commit(batch).unwrap();
    }
}

pub(crate) fn publish(writer: &Writer) -> PublishedGeneration {
    match writer.publish(&PublishOptions { build_graph: true }, &mut |_| ()).unwrap() {
        Published::New(generation) | Published::Unchanged(generation) => generation,
        Published::HeldBack => panic!("held back"),
    }
}

pub(crate) fn search_options(k: usize) -> SearchOptions {
    SearchOptions { k, exact: false, ef: None, threads: threads(2) }
}

/// Every file of a snapshot with its picture's hash, sorted; rows checked to have the right vector.
pub(crate) fn contents(snapshot: &Snapshot) -> Vec<(PathBuf, ContentHash)> {
    let mut all = Vec::new();
    for row in snapshot.rows() {
        let item = snapshot.item(row).unwrap();
        assert_eq!(snapshot.find_content(&item.hash), Some(row));
        all.extend(item.locations.iter().map(|location| (location.path(), item.hash)));
    }
    assert_eq!(all.len(), snapshot.location_count());
    all.sort();
    all
}

/// Searches for a picture of [`embedded`] by its own vector.
pub(crate) fn finds(snapshot: &Snapshot, seed: u64) -> bool {
    let query = embedding(snapshot.model().dimension, seed);
    let found = snapshot.search(&query, &search_options(1), None).unwrap();
    found.first().is_some_and(|n| n.score.get() > 0.999 && Some(n.row) == snapshot.find_content(&hash(seed)))
}

pub(crate) fn row_of(snapshot: &Snapshot, seed: u64) -> Row {
    snapshot.find_content(&hash(seed)).unwrap()
}
