//! Nearest neighbours among 20,000 made-up pictures: every row, those that a filter passes, the walk of the graph; and
//! what publishing costs, with the graph and without.

#![allow(clippy::unwrap_used, missing_docs)] // a benchmark has nobody to report to, and criterion's macro no docs

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread::available_parallelism;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use taiyi_core::Embedding;
use taiyi_store::{
    GraphOptions, PublishOptions, RowTime, RowView, SearchOptions, Snapshot, Writer, WriterOptions,
};

#[path = "../examples/made_up/mod.rs"]
mod made_up;

use made_up::{Source, entry, model};

const ROWS: usize = 20_000;
const K: usize = 10;

fn filled(dir: &Path, pictures: &[Embedding]) -> Writer {
    let graph = GraphOptions { min_rows: 1, ..GraphOptions::default() };
    let options = WriterOptions { model: model(), graph, threads: available_parallelism().unwrap() };
    let writer = Writer::open(dir, options).unwrap();
    let root = writer.add_root(&std::env::temp_dir()).unwrap();
    let entries: Vec<_> = pictures.iter().enumerate().map(|(i, e)| entry(root, i, e)).collect();
    entries.chunks(4096).for_each(|batch| writer.commit(batch).unwrap());
    writer
}

fn searching(criterion: &mut Criterion) {
    let source = Source::new();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let pictures: Vec<Embedding> = (0..ROWS).map(|_| source.draw(&mut rng)).collect();
    let queries: Vec<Embedding> = (0..64).map(|_| source.draw(&mut rng)).collect();
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), &pictures).publish(&PublishOptions { build_graph: true }, &mut |_| ()).unwrap();
    let snapshot = Snapshot::open(dir.path()).unwrap();

    let passes = |one_in: i64| move |view: RowView<'_>| matches!(view.time(), Some(RowTime::Taken(s)) if (s / 60) % one_in == 0);
    let mut group = criterion.benchmark_group("search");
    group.throughput(Throughput::Elements(1));
    let mut measure = |name: &str, exact: bool, ef: Option<usize>, one_in: Option<i64>| {
        let options = SearchOptions { k: K, exact, ef, threads: NonZeroUsize::MIN };
        let filter = one_in.map(passes);
        let mut queries = queries.iter().cycle();
        group.bench_function(name, |b| {
            b.iter(|| {
                let filter = filter.as_ref().map(|f| f as &(dyn Fn(RowView<'_>) -> bool + Sync));
                black_box(snapshot.search(queries.next().unwrap(), &options, filter).unwrap())
            });
        });
    };
    measure("scan", true, None, None);
    measure("scan, 1 in 100", true, None, Some(100));
    for ef in [16, 64, 256] {
        measure(&format!("walk, ef {ef}"), false, Some(ef), None);
    }
    measure("walk, ef 64, 1 in 2", false, Some(64), Some(2));
    group.finish();

    let mut group = criterion.benchmark_group("publish");
    group.sample_size(10).throughput(Throughput::Elements(ROWS as u64 / 4));
    for build_graph in [false, true] {
        group.bench_function(if build_graph { "with graph" } else { "without graph" }, |b| {
            let fresh = || {
                let dir = tempfile::tempdir().unwrap();
                (filled(dir.path(), &pictures[..ROWS / 4]), dir)
            };
            // Handed back, so that closing and deleting are not counted.
            let publish = |(writer, dir): (Writer, tempfile::TempDir)| {
                writer.publish(&PublishOptions { build_graph }, &mut |_| ()).unwrap();
                (writer, dir)
            };
            b.iter_batched(fresh, publish, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, searching);
criterion_main!(benches);
