//! Everything that indexing does but the model, timed: `bench_index PICTURES INDEX [LIKE]`.
//!
//! Walks, reads, hashes and decodes PICTURES, commits and publishes, with an encoder that costs nothing; then the same again, when
//! nothing has changed. INDEX must not exist yet, or be of this program. With LIKE, another index, INDEX passes for one of the same
//! model, so that `taiyi-search index --index INDEX` re-checks it; what it finds then means nothing.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use taiyi_core::{Embedding, EncodeError, ImageEncoder, ModelId, PreparedImage, RgbImage};
use taiyi_indexer::{NoProgress, RunOptions, WalkOptions, plan, resolve_targets, run};
use taiyi_store::{GraphOptions, Snapshot, Writer, WriterOptions};

/// Gives every picture a vector of its own.
struct Free {
    dimension: usize,
}

impl ImageEncoder for Free {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn enough_pixels(&self) -> Option<u32> {
        Some(448)
    }

    fn prepare(&self, image: &RgbImage) -> Result<PreparedImage, EncodeError> {
        let pixels = image.pixels().iter().copied().take(192).chain(std::iter::repeat(0)).take(192).collect();
        RgbImage::new(8, 8, pixels).map(PreparedImage).map_err(|e| EncodeError::Input(e.to_string()))
    }

    fn encode_images(&self, batch: &[PreparedImage]) -> Result<Vec<Embedding>, EncodeError> {
        let vector = |PreparedImage(image): &PreparedImage| {
            let mut hasher = DefaultHasher::new();
            image.pixels().hash(&mut hasher);
            let mut state = hasher.finish() | 1;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
            };
            Embedding::normalize((0..self.dimension).map(|_| next()).collect())
                .map_err(|e| EncodeError::Model(e.to_string()))
        };
        batch.iter().map(vector).collect()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(pictures), Some(index)) = (arguments.next(), arguments.next()) else {
        return Err("bench_index PICTURES INDEX [LIKE]".into());
    };
    let model = match arguments.next() {
        Some(like) => Snapshot::open(&like)?.model().clone(),
        None => ModelId { name: "free".into(), weights: "0".repeat(64), dimension: 512 },
    };
    for what in ["all", "again"] {
        once(what, &pictures, &index, &model)?;
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "an example that is run by hand")]
fn once(
    what: &str,
    pictures: &Path,
    index: &Path,
    model: &ModelId,
) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let options = WriterOptions {
        model: model.clone(),
        graph: GraphOptions { min_rows: usize::MAX, ..GraphOptions::default() },
        threads,
    };
    let writer = Writer::open(index, options)?;
    let opened = start.elapsed();
    let targets = resolve_targets(&[pictures.to_path_buf()], &writer.roots()?)?;
    let plan = plan(Some(&writer), &targets.found, &WalkOptions::default(), false, &NoProgress)?;
    let planned = start.elapsed() - opened;
    let encoder: Arc<dyn ImageEncoder> = Arc::new(Free { dimension: model.dimension });
    let options = RunOptions { threads: threads.get(), batch_images: 256, ..RunOptions::default() };
    let report = run(&writer, plan, || Ok(encoder), &options, &NoProgress, &AtomicBool::new(false))?;
    println!(
        "{what}: {} embedded, {} unchanged, {} failed; opened in {opened:.3?}, planned in {planned:.3?}, the rest {:.3?}",
        report.embedded(),
        report.unchanged,
        report.failed.len(),
        report.elapsed
    );
    Ok(())
}
