//! Measures an index of made-up vectors: committing, publishing, opening, scanning, walking, recall.
//!
//! ```text
//! cargo run --release -p taiyi-store --example bench_store -- DIR ROWS [VECTORS [THREADS]]
//! ```
//! `DIR` is made, filled and left behind; one that is there is measured as it is. Vectors have 512 components: those in the folder `VECTORS` (`base.f32`,
//! `query.f32`, and `gt.u32`, the ten nearest of every query; little-endian, row by row), or seeded ones around
//! 2,000 centres of intrinsic dimension 48, off the origin as CLIP's are. What is found on the way goes to
//! standard error, the sum of it to standard output, as one line of JSON.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use taiyi_core::Embedding;
use taiyi_store::{
    Entry, GraphOptions, PublishOptions, Row, SearchOptions, Snapshot, Writer, WriterOptions, disk_usage,
    verify,
};

mod made_up;

use made_up::{DIMENSION, Source, entry, hash, model};

const QUERIES: usize = 1000;
const K: usize = 10;

fn read_numbers<T>(path: &Path, limit: usize, number: fn([u8; 4]) -> T) -> Vec<T> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).unwrap();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, 4 * limit as u64), &mut bytes).unwrap();
    bytes.as_chunks().0.iter().map(|&b| number(b)).collect()
}

fn read_vectors(path: &Path, limit: usize) -> Vec<Embedding> {
    let floats = read_numbers(path, limit * DIMENSION, f32::from_le_bytes);
    floats.chunks_exact(DIMENSION).map(|v| Embedding::normalize(v.to_vec()).unwrap()).collect()
}

fn main() {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let dir = &arguments[0];
    let rows: usize = arguments[1].to_str().unwrap().parse().unwrap();
    let vectors = arguments.get(2);
    let (base, queries) = if let Some(folder) = vectors {
        (read_vectors(&folder.join("base.f32"), rows), read_vectors(&folder.join("query.f32"), QUERIES))
    } else {
        let source = Source::new();
        let draw = |n: usize, seed: u64| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (0..n).map(|_| source.draw(&mut rng)).collect::<Vec<_>>()
        };
        (draw(rows, 1), draw(QUERIES, 2))
    };
    let threads = match arguments.get(3) {
        Some(threads) => threads.to_str().unwrap().parse().unwrap(),
        None => std::thread::available_parallelism().unwrap(),
    };
    let time = |what: &str, since: Instant| {
        let seconds = since.elapsed().as_secs_f64();
        eprintln!("{what}: {seconds:.4} s");
        seconds
    };

    let options = WriterOptions { model: model(), graph: GraphOptions::default(), threads };
    let writer = Writer::open(dir, options.clone()).unwrap();
    let root = writer.add_root(&std::env::temp_dir()).unwrap();
    let since = Instant::now();
    let missing = if writer.knows_content(&hash(rows - 1)).unwrap() { 0 } else { rows };
    let numbered: Vec<(usize, &Embedding)> = base.iter().enumerate().take(missing).collect();
    for chunk in numbered.chunks(32) {
        writer
            .commit(&chunk.iter().map(|&(i, embedding)| entry(root, i, embedding)).collect::<Vec<_>>())
            .unwrap();
    }
    let commit_s = time("commit in batches of 32", since);
    let publish = |build_graph: bool, what: &str| {
        let since = Instant::now();
        let published = writer.publish(&PublishOptions { build_graph }, &mut |_| ()).unwrap();
        time(&format!("{what}: {published:?}"), since)
    };
    let publish_s = publish(false, "publish without graph");
    let build_s = publish(true, "publish with graph");
    let usage = disk_usage(dir).unwrap();
    eprintln!("{usage:?}");
    drop(writer);
    let since = Instant::now();
    let writer = Writer::open(dir, options).unwrap();
    time("open the writer", since);

    let since = Instant::now();
    let snapshot = Snapshot::open(dir).unwrap();
    let load_s = time("open a snapshot", since);
    let search = |query: &Embedding, exact: bool, ef: Option<usize>, threads: NonZeroUsize| {
        snapshot.search(query, &SearchOptions { k: K, exact, ef, threads }, None).unwrap()
    };
    let truth: Vec<Vec<Row>> = match vectors.filter(|_| rows == whole(&arguments[2])) {
        Some(folder) => {
            let numbers = read_numbers(&folder.join("gt.u32"), K * QUERIES, u32::from_le_bytes);
            let row = |&i: &u32| snapshot.find_content(&hash(i as usize)).unwrap();
            numbers.chunks_exact(K).map(|nearest| nearest.iter().map(row).collect()).collect()
        }
        None => {
            queries.iter().map(|q| search(q, true, None, threads).iter().map(|n| n.row).collect()).collect()
        }
    };
    let curve = |exact: bool, ef: Option<usize>, threads: NonZeroUsize, queries: &[Embedding]| {
        let since = Instant::now();
        let found: Vec<_> = queries.iter().map(|q| search(q, exact, ef, threads)).collect();
        let rate = queries.len() as f64 / since.elapsed().as_secs_f64();
        let hits: usize =
            found.iter().zip(&truth).map(|(f, t)| f.iter().filter(|n| t.contains(&n.row)).count()).sum();
        let recall = hits as f64 / (K * queries.len()) as f64;
        eprintln!("exact {exact}, ef {ef:?}, {threads} threads: {rate:.0}/s, recall@10 {recall:.4}");
        format!("[{}, {recall:.4}, {rate:.0}]", ef.unwrap_or(0))
    };
    let one = NonZeroUsize::MIN;
    curve(true, None, threads, &queries[..200]);
    let exact = curve(true, None, one, &queries[..200]);
    let mut walks = Vec::new();
    if snapshot.graph_rows() > 0 {
        curve(false, Some(64), one, &queries);
        walks = [16, 32, 64, 128].map(|ef| curve(false, Some(ef), one, &queries)).to_vec();
    }
    let default = curve(false, None, one, &queries);

    let since = Instant::now();
    let report = verify(dir, &mut |_| ()).unwrap();
    time(&format!("verify without the ledger: {} problems", report.problems.len()), since);
    // Ten more pictures, as by a run over a collection that hardly changed.
    let more: Vec<Entry> = (0..10).map(|i| entry(root, rows + i, &queries[i])).collect();
    writer.commit(&more).unwrap();
    let since = Instant::now();
    let published = writer.publish(&PublishOptions { build_graph: true }, &mut |_| ()).unwrap();
    let ten_more_s = time(&format!("publish ten more: {published:?}"), since);

    let mb = usage.generations_bytes as f64 / 1e6;
    println!(
        "{{\"peer\": \"taiyi-search\", \"n\": {rows}, \"build_s\": {build_s:.1}, \"load_s\": {load_s:.4}, \
         \"disk_mb\": {mb:.1}, \"ef_recall_qps1\": [{}], \"default\": {default}, \"exact\": {exact}, \
         \"commit_s\": {commit_s:.2}, \"publish_s\": {publish_s:.2}, \"ten_more_s\": {ten_more_s:.3}, \
         \"ledger_mb\": {:.1}}}",
        walks.join(", "),
        usage.ledger_bytes as f64 / 1e6,
    );
}

/// How many vectors a folder has.
fn whole(folder: &Path) -> usize {
    let bytes = std::fs::metadata(folder.join("base.f32")).unwrap().len();
    bytes as usize / (4 * DIMENSION)
}
