//! Measures an index of made-up vectors: committing, publishing, opening, scanning, walking, recall.
//!
//! ```text
//! cargo run --release -p taiyi-store --example bench_store -- DIR ROWS [BASE.f32 QUERY.f32]
//! ```
//! `DIR` is made, filled and left behind. Vectors have 512 components: those of the two files (f32
//! little-endian, row by row), or seeded ones around 2,000 centres of intrinsic dimension 48, off the
//! origin as CLIP's are.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use taiyi_core::{Embedding, ImageFormat, ModelId, Orientation, PhotoMetadata};
use taiyi_store::{
    ContentHash, Entry, FileStamp, GraphOptions, Neighbor, PublishOptions, RelativePath, SearchOptions,
    Snapshot, Writer, WriterOptions, disk_usage, verify,
};

const DIMENSION: usize = 512;
const INTRINSIC: usize = 48;
const QUERIES: usize = 500;

fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let (u, v): (f32, f32) = (1.0 - rng.random::<f32>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

struct Source {
    basis: Vec<f32>,
    centres: Vec<f32>,
    bias: Vec<f32>,
}

impl Source {
    fn new() -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut numbers = |n: usize, scale: f32| (0..n).map(|_| normal(&mut rng) * scale).collect::<Vec<_>>();
        Self {
            basis: numbers(INTRINSIC * DIMENSION, 1.0 / (INTRINSIC as f32).sqrt()),
            centres: numbers(2000 * INTRINSIC, 1.0),
            bias: numbers(DIMENSION, 1.2),
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Embedding {
        let centre = rng.random_range(0..2000) * INTRINSIC;
        let mut x: Vec<f32> = self.bias.iter().map(|b| b + 0.08 * normal(rng)).collect();
        for (c, row) in self.centres[centre..centre + INTRINSIC].iter().zip(self.basis.chunks(DIMENSION)) {
            let z = c + 0.55 * normal(rng);
            x.iter_mut().zip(row).for_each(|(x, b)| *x += z * b);
        }
        Embedding::normalize(x).unwrap()
    }
}

fn read_vectors(path: &str, limit: usize) -> Vec<Embedding> {
    let bytes = std::fs::read(path).unwrap();
    let floats: Vec<f32> = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    floats.chunks_exact(DIMENSION).take(limit).map(|v| Embedding::normalize(v.to_vec()).unwrap()).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let dir = Path::new(&arguments[1]);
    let rows: usize = arguments[2].parse().unwrap();
    let (base, queries) = if let Some(path) = arguments.get(3) {
        (read_vectors(path, rows), read_vectors(&arguments[4], QUERIES))
    } else {
        let source = Source::new();
        let draw = |n: usize, seed: u64| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (0..n).map(|_| source.draw(&mut rng)).collect::<Vec<_>>()
        };
        (draw(rows, 1), draw(QUERIES, 2))
    };
    let threads = std::thread::available_parallelism().unwrap();
    let time = |what: &str, since: Instant| println!("{what}: {:.3} s", since.elapsed().as_secs_f64());

    let model = ModelId { name: "bench".into(), weights: "00".repeat(32), dimension: DIMENSION };
    let options = WriterOptions { model, graph: GraphOptions::default(), threads };
    let writer = Writer::open(dir, options.clone()).unwrap();
    let root = writer.add_root(&std::env::temp_dir()).unwrap();
    let metadata = PhotoMetadata {
        width: 4000,
        height: 3000,
        format: Some(ImageFormat::Jpeg),
        orientation: Orientation::Upright,
        taken_s: Some(1_500_000_000),
        taken_offset_min: Some(480),
        gps: None,
        camera: Some("Canon EOS R5".into()),
    };
    let since = Instant::now();
    let numbered: Vec<(usize, &Embedding)> = base.iter().enumerate().collect();
    for chunk in numbered.chunks(32) {
        let entries: Vec<Entry> = chunk
            .iter()
            .map(|&(i, embedding)| Entry::Embedded {
                root,
                path: RelativePath::from_path(Path::new(&format!("2024/{:03}/IMG_{i:07}.jpg", i / 1000)))
                    .unwrap(),
                stamp: FileStamp { size: 3_000_000 + i as u64, mtime_ns: i as i64 },
                hash: ContentHash::of(&i.to_le_bytes()),
                metadata: metadata.clone(),
                embedding: embedding.clone(),
            })
            .collect();
        writer.commit(&entries).unwrap();
    }
    time("commit in batches of 32", since);
    for build_graph in [false, true] {
        let since = Instant::now();
        let published = writer.publish(&PublishOptions { build_graph }, &mut |_| ()).unwrap();
        time(&format!("publish, build_graph {build_graph}: {published:?}"), since);
    }
    println!("{:?}", disk_usage(dir).unwrap());
    drop(writer);
    let since = Instant::now();
    let writer = Writer::open(dir, options).unwrap();
    time("open the writer", since);
    drop(writer);

    let since = Instant::now();
    let snapshot = Snapshot::open(dir).unwrap();
    time("open a snapshot", since);
    let search = |query: &Embedding, exact: bool, ef: Option<usize>, threads: NonZeroUsize| {
        snapshot.search(query, &SearchOptions { k: 10, exact, ef, threads }, None).unwrap()
    };
    let truth: Vec<_> = queries.iter().map(|q| search(q, true, None, threads)).collect();
    for threads in [NonZeroUsize::MIN, threads] {
        let since = Instant::now();
        queries.iter().take(100).for_each(|q| drop(search(q, true, None, threads)));
        println!("exact, {threads} threads: {:.0}/s", 100.0 / since.elapsed().as_secs_f64());
    }
    if snapshot.graph_rows() > 0 {
        for ef in [None, Some(16), Some(32), Some(64), Some(128), Some(256)] {
            let since = Instant::now();
            let found: Vec<_> = queries.iter().map(|q| search(q, false, ef, NonZeroUsize::MIN)).collect();
            let seconds = since.elapsed().as_secs_f64();
            let same = |(f, t): (&Vec<Neighbor>, &Vec<Neighbor>)| f.iter().filter(|n| t.contains(n)).count();
            let hits: usize = found.iter().zip(&truth).map(same).sum();
            let recall = hits as f64 / (10 * queries.len()) as f64;
            println!("walk, ef {ef:?}: {:.0}/s, recall@10 {recall:.4}", queries.len() as f64 / seconds);
        }
    }
    let since = Instant::now();
    let report = verify(dir, &mut |_| ()).unwrap();
    time(&format!("verify: {} problems", report.problems.len()), since);
}
