//! Building the graph with hnsw_rs, the one place that knows it.
//!
//! hnsw_rs is given numbers of points, not vectors: its distance looks up their codes, which lie beside each
//! other and take a quarter of the vectors' memory. It panics on distances that are NaN or negative, so
//! the distance is neither; it prints and exits on an `m` above 256, so the options are validated.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hnsw_rs::prelude::{Distance, Hnsw};

use crate::generation::codes::CodeTable;
use crate::generation::freeze::{FrozenGraph, Levels};
use crate::generation::graph::MAX_LEVELS;
use crate::generation::vectors::VectorTable;
use crate::{GraphOptions, StoreError};

/// Rows inserted between two reports of progress.
const CHUNK_ROWS: usize = 2048;

/// The distance of two points.
///
/// hnsw_rs takes a slice for every point and asks for the distance of two slices. Ours are of `()`, and as long
/// as the point's number: a length lies in hnsw_rs's own record of the point, where anything that has
/// bytes would be one more place in memory to wait for, with every distance.
struct CodeDistance<'a>(&'a CodeTable<'a>);

impl Distance<()> for CodeDistance<'_> {
    fn eval(&self, a: &[()], b: &[()]) -> f32 {
        self.0.distance(a.len(), b.len())
    }
}

/// Checks options before hnsw_rs sees them.
pub(crate) fn check_options(options: &GraphOptions) -> Result<(), StoreError> {
    if !(2..=128).contains(&options.m) {
        return Err(StoreError::InvalidArgument(format!(
            "a graph needs 2 to 128 neighbours a row, not {}",
            options.m
        )));
    }
    if options.ef_construction < options.m || options.ef_construction > 10_000 {
        return Err(StoreError::InvalidArgument(format!(
            "ef_construction must be between m ({}) and 10000, not {}",
            options.m, options.ef_construction
        )));
    }
    Ok(())
}

/// Builds a graph over the live rows of a table; `None` when there are none.
///
/// `progress` is told how many rows are in, from the calling thread.
pub(crate) fn build(
    vectors: &VectorTable,
    is_live: &dyn Fn(u32) -> bool,
    options: &GraphOptions,
    threads: NonZeroUsize,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<FrozenGraph>, StoreError> {
    let rows: Vec<u32> = (0..vectors.rows() as u32).filter(|&row| is_live(row)).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let failed = |what: String| StoreError::InvalidArgument(format!("the graph could not be built: {what}"));
    // A pool of its own: the global one belongs to the program, with as many threads as it likes.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.get())
        .thread_name(|i| format!("graph-{i}"))
        .build()
        .map_err(|e| failed(e.to_string()))?;
    let codes = CodeTable::encode(vectors, &rows);
    let numbers = vec![(); rows.len()];
    let points: Vec<usize> = (0..rows.len()).collect();
    let built = catch_unwind(AssertUnwindSafe(|| {
        let hnsw =
            Hnsw::new(options.m, points.len(), MAX_LEVELS, options.ef_construction, CodeDistance(&codes));
        let total = points.len() as u64;
        let mut done = 0;
        for chunk in points.chunks(CHUNK_ROWS) {
            let data: Vec<(&[()], usize)> =
                chunk.iter().map(|&point| (numbers.get(..point).unwrap_or(&[]), point)).collect();
            pool.install(|| hnsw.parallel_insert_slice(&data));
            done += chunk.len() as u64;
            progress(done, total);
        }
        let levels = extract(&hnsw);
        // Its destructor uses rayon, too.
        pool.install(|| drop(hnsw));
        levels
    }));
    let (levels, entry) = built.map_err(|_| failed("hnsw_rs gave up".to_owned()))?;
    let mut graph = FrozenGraph::new(&levels, entry, &rows, vectors.rows(), &codes)
        .ok_or_else(|| failed("it is too large".to_owned()))?;
    drop((levels, codes));
    graph.connect().ok_or_else(|| failed("it has a hole".to_owned()))?;
    Ok(Some(graph))
}

/// The lists of neighbours, and the point that a walk begins at.
fn extract(hnsw: &Hnsw<'_, (), CodeDistance<'_>>) -> (Levels, u32) {
    let points = hnsw.get_point_indexation();
    let top = usize::from(hnsw.get_max_level_observed());
    let mut levels: Levels = vec![Vec::new(); top + 1];
    let mut entry = 0;
    for point_level in 0..=top {
        for point in points.get_layer_iterator(point_level) {
            let number = point.get_origin_id() as u32;
            if point_level == top {
                entry = number;
            }
            let neighborhood = point.get_neighborhood_id();
            for (height, level) in levels.iter_mut().enumerate().take(point_level + 1) {
                let links = neighborhood.get(height).map_or(&[][..], Vec::as_slice);
                // hnsw_rs may link to a point that does not reach up to this level.
                let links = links
                    .iter()
                    .filter(|n| usize::from(n.p_id.0) >= height)
                    .map(|n| n.get_origin_id() as u32)
                    .filter(|&to| to != number)
                    .collect();
                level.push((number, links));
            }
        }
    }
    for level in &mut levels {
        level.sort_unstable_by_key(|(point, _)| *point);
    }
    (levels, entry)
}
