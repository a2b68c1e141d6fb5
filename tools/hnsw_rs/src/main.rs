//! hnsw_rs on the vectors of a folder, printed as one line of JSON in the form of `tools/benchmark.py nearest`.
//!
//! ```text
//! cargo run --release --manifest-path tools/hnsw_rs/Cargo.toml -- VECTORS THREADS
//! ```
//! `VECTORS` holds `base.f32`, `query.f32` and `gt.u32` (the ten nearest of every query): little-endian, row by row.

use std::time::Instant;

use hnsw_rs::prelude::{DistDot, Hnsw};

const DIMENSION: usize = 512;
const K: usize = 10;
const M: usize = 16;
const EF_CONSTRUCTION: usize = 200;

fn read<T: bytemuck::Pod>(path: String) -> Vec<T> {
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    bytemuck::pod_collect_to_vec(&bytes)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder of vectors");
    let threads: usize = arguments.next().map_or(2, |n| n.parse().expect("a number of threads"));
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("threads");
    let base: Vec<f32> = read(format!("{folder}/base.f32"));
    let queries: Vec<f32> = read(format!("{folder}/query.f32"));
    let truth: Vec<u32> = read(format!("{folder}/gt.u32"));
    let rows: Vec<Vec<f32>> = base.chunks_exact(DIMENSION).map(<[f32]>::to_vec).collect();
    let data: Vec<(&Vec<f32>, usize)> = rows.iter().zip(0..).collect();

    let since = Instant::now();
    let mut graph = Hnsw::<f32, DistDot>::new(M, rows.len(), 16, EF_CONSTRUCTION, DistDot {});
    graph.parallel_insert(&data);
    let build_s = since.elapsed().as_secs_f64();
    graph.set_searching_mode(true);

    let curve: Vec<String> = [16, 32, 64, 128]
        .into_iter()
        .map(|ef| {
            let since = Instant::now();
            let hits: usize = queries
                .chunks_exact(DIMENSION)
                .zip(truth.chunks_exact(K))
                .map(|(query, truth)| {
                    let found = graph.search(query, K, ef);
                    found.iter().filter(|n| truth.contains(&(n.d_id as u32))).count()
                })
                .sum();
            let count = truth.len() / K;
            let rate = count as f64 / since.elapsed().as_secs_f64();
            format!("[{ef}, {:.4}, {rate:.0}]", hits as f64 / truth.len() as f64)
        })
        .collect();
    println!(
        "{{\"peer\": \"hnsw_rs\", \"n\": {}, \"build_s\": {build_s:.1}, \"load_s\": null, \"disk_mb\": null, \
         \"ef_recall_qps1\": [{}]}}",
        rows.len(),
        curve.join(", ")
    );
}
