//! Measures what a picture costs as an index grows: taking it in, publishing, searching.
//!
//! ```text
//! cargo run --release -p taiyi-store --example bench_growth -- DIR ROWS [FIRST]
//! ```
//! `DIR` is made, and filled with made-up pictures up to 1,000 (or `FIRST`), 2,000, 5,000, 10,000 and so on up to `ROWS`, each
//! time by one run: committed in batches of 32, as `index` does, and published with its graph. Prints a row of a
//! Markdown table for each: what one of the new pictures has cost (making it up is not counted), what ten more take, and what
//! searching does, the files being in the page cache.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use taiyi_core::Embedding;
use taiyi_store::{
    Entry, GraphOptions, PublishOptions, RootId, RowView, SearchOptions, Snapshot, Writer, WriterOptions,
};

mod made_up;

use made_up::{Source, entry, model};

const QUERIES: usize = 500;
/// Queries of which recall is measured, by scans.
const COMPARED: usize = 50;
const K: usize = 10;
const BATCH: usize = 32;

struct Growth {
    source: Source,
    rng: ChaCha8Rng,
    rows: usize,
}

impl Growth {
    /// Commits pictures up to a number of rows; how long committing took.
    fn grow(&mut self, writer: &Writer, root: RootId, rows: usize) -> Duration {
        let mut took = Duration::ZERO;
        while self.rows < rows {
            let batch = self.rows..rows.min(self.rows + BATCH);
            let entries: Vec<Entry> =
                batch.clone().map(|i| entry(root, i, &self.source.draw(&mut self.rng))).collect();
            let since = Instant::now();
            writer.commit(&entries).unwrap();
            took += since.elapsed();
            self.rows = batch.end;
        }
        took
    }
}

fn publish(writer: &Writer) -> Duration {
    let since = Instant::now();
    writer.publish(&PublishOptions { build_graph: true }, &mut |_| ()).unwrap();
    since.elapsed()
}

fn main() {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let number = |i: usize| arguments.get(i).map(|n| n.to_str().unwrap().parse::<usize>().unwrap());
    let (most, first) = (number(1).unwrap(), number(2).unwrap_or(1000));
    let steps = (0..).map(|i| [1, 2, 5][i % 3] * 10usize.pow(i as u32 / 3));
    let steps = steps.skip_while(|&rows| rows < first).take_while(|&rows| rows <= most);

    let threads = std::thread::available_parallelism().unwrap();
    let options = WriterOptions { model: model(), graph: GraphOptions::default(), threads };
    let source = Source::new();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let queries: Vec<Embedding> = (0..QUERIES).map(|_| source.draw(&mut rng)).collect();
    let mut growth = Growth { source, rng: ChaCha8Rng::seed_from_u64(1), rows: 0 };
    println!(
        "| pictures | commit, µs each | publish, µs each | ten more, s | open, ms | one search, ms | recall@10 | \
         1 in 2, ms, recall | 1 in 100 | 1 in 10,000 | peak memory, MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for rows in steps {
        let new = (rows - growth.rows) as f64;
        // A writer for each step, as a run of the program has.
        let writer = Writer::open(&arguments[0], options.clone()).unwrap();
        let root = writer.add_root(&std::env::temp_dir()).unwrap();
        let committing = growth.grow(&writer, root, rows);
        let publishing = publish(&writer);
        let memory_mb = peak_memory_mb();
        drop(writer);
        let since = Instant::now();
        let snapshot = Snapshot::open(&arguments[0]).unwrap();
        let open = since.elapsed();
        let searches =
            [None, Some(2), Some(100), Some(10_000)].map(|one_in| search(&snapshot, &queries, one_in));
        drop(snapshot);

        let since = Instant::now();
        let writer = Writer::open(&arguments[0], options.clone()).unwrap();
        let opening = since.elapsed();
        let ten_more = opening + growth.grow(&writer, root, rows + 10) + publish(&writer);
        let [(all_ms, recall), filtered @ ..] = searches;
        let filtered = filtered.map(|(ms, recall)| format!("{ms:.2}, {recall:.4}"));
        println!(
            "| {rows} | {:.0} | {:.0} | {:.3} | {:.2} | {all_ms:.2} | {recall:.4} | {} | {memory_mb} |",
            committing.as_secs_f64() * 1e6 / new,
            publishing.as_secs_f64() * 1e6 / new,
            ten_more.as_secs_f64(),
            open.as_secs_f64() * 1e3,
            filtered.join(" | "),
        );
    }
}

/// What a search takes in ms, and its recall, on one thread and with a filter that one row in so many passes.
fn search(snapshot: &Snapshot, queries: &[Embedding], one_in: Option<i64>) -> (f64, f64) {
    let passes = |view: RowView<'_>| {
        let time = view.time();
        one_in.is_none_or(|n| matches!(time, Some(taiyi_store::RowTime::Taken(s)) if (s / 60) % n == 0))
    };
    let options = |exact| SearchOptions { k: K, exact, ef: None, threads: NonZeroUsize::MIN };
    let filter = one_in.is_some().then_some(&passes as &(dyn Fn(RowView<'_>) -> bool + Sync));
    let queries = if one_in.is_some() { &queries[..COMPARED] } else { queries };
    let since = Instant::now();
    let found: Vec<_> =
        queries.iter().map(|q| snapshot.search(q, &options(false), filter).unwrap()).collect();
    let ms = since.elapsed().as_secs_f64() * 1e3 / queries.len() as f64;
    let (mut hits, mut all) = (0, 0);
    for (query, found) in queries.iter().zip(&found).take(COMPARED) {
        let expected = snapshot.search(query, &options(true), filter).unwrap();
        hits += expected.iter().filter(|n| found.contains(n)).count();
        all += expected.len();
    }
    (ms, if all == 0 { 1.0 } else { hits as f64 / all as f64 })
}

/// The most memory that the process has had, pages of mapped files included.
fn peak_memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
