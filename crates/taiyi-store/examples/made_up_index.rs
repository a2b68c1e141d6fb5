//! Makes a large index of made-up pictures that prompts mean something to, for measuring.
//!
//! ```text
//! cargo run --release -p taiyi-store --example made_up_index -- DIR ROWS LIKE
//! ```
//! `DIR` is made and filled. The model is that of the index `LIKE`, and every vector is a noisy mixture of two
//! of its vectors. The files, `made-up/NNN/NNNNNN.jpg` beside `DIR`, are not there. The same on every run.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use taiyi_core::{Embedding, PhotoMetadata};
use taiyi_store::{
    ContentHash, Entry, FileStamp, GraphOptions, PublishOptions, RelativePath, RootId, Snapshot, Writer,
    WriterOptions,
};

mod made_up;

use made_up::normal;

/// Length of the noise beside a vector of length 1: neighbours stay neighbours, and none are the same.
const NOISE: f32 = 0.4;
const BATCH: usize = 1000;

/// A picture to make others of.
struct Model {
    embedding: Embedding,
    metadata: PhotoMetadata,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [dir, rows, like] = &arguments[..] else {
        return Err("usage: made_up_index DIR ROWS LIKE".into());
    };
    let rows: usize = rows.to_string_lossy().parse().map_err(|e| format!("ROWS {}: {e}", rows.display()))?;
    let like = Snapshot::open(like)?;
    let models = like
        .rows()
        .map(|row| Ok(Model { embedding: like.embedding(row)?, metadata: like.item(row)?.metadata }));
    let models = models.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    if models.is_empty() {
        return Err("the index LIKE is empty: give one with pictures".into());
    }

    let dir = std::path::absolute(dir)?;
    let threads = std::thread::available_parallelism()?;
    let options = WriterOptions { model: like.model().clone(), graph: GraphOptions::default(), threads };
    let writer = Writer::open(&dir, options)?;
    let root = writer.add_root(dir.parent().unwrap_or(&dir))?;
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for start in (0..rows).step_by(BATCH) {
        let entries = (start..rows.min(start + BATCH)).map(|number| entry(number, root, &models, &mut rng));
        writer.commit(&entries.collect::<Result<Vec<_>, _>>()?)?;
    }
    let published = writer.publish(&PublishOptions { build_graph: true }, &mut |_| ())?;
    println!("{published:?}");
    Ok(())
}

fn entry(
    number: usize,
    root: RootId,
    models: &[Model],
    rng: &mut ChaCha8Rng,
) -> Result<Entry, Box<dyn Error>> {
    let [a, b] = [0; 2].map(|_: usize| &models[rng.random_range(0..models.len())]);
    let share: f32 = rng.random();
    let noise = NOISE / (a.embedding.dimension() as f32).sqrt();
    let pairs = a.embedding.as_slice().iter().zip(b.embedding.as_slice());
    let mixed = pairs.map(|(a, b)| share * a + (1.0 - share) * b + noise * normal(rng)).collect();
    let path = format!("made-up/{:03}/{number:06}.jpg", number / 1000);
    Ok(Entry::Embedded {
        root,
        path: RelativePath::from_path(Path::new(&path))?,
        stamp: FileStamp { size: 3_000_000 + number as u64, mtime_ns: number as i64 * 60_000_000_000 },
        hash: ContentHash::of(&number.to_le_bytes()),
        metadata: a.metadata.clone(),
        embedding: Embedding::normalize(mixed)?,
    })
}
