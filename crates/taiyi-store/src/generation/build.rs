//! Building the graph with hnsw_rs, the one place that knows it.
//!
//! hnsw_rs is given row numbers, not vectors: its distance looks the vectors up in the mapped table, so a
//! million rows cost the graph's memory and not another two gigabytes of copies. It panics on distances
//! that are NaN or negative, so the table is validated first and the distance cannot be negative; it
//! prints and exits on an `m` above 256, so the options are validated too.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hnsw_rs::prelude::{Distance, Hnsw};

use crate::generation::graph::MAX_LEVELS;
use crate::generation::vectors::VectorTable;
use crate::search::walk::{Links, walk};
use crate::vector::dot;
use crate::{GraphOptions, StoreError};

/// Rows inserted between two reports of progress.
const CHUNK_ROWS: usize = 2048;

/// A graph in memory.
#[derive(Debug)]
pub(crate) struct BuiltGraph {
    /// Rows of the vector table when it was built; removed ones have no node.
    pub(crate) rows: usize,
    pub(crate) entry: u32,
    /// Per level the nodes in ascending order, each with its neighbours.
    pub(crate) levels: Vec<Vec<(u32, Vec<u32>)>>,
}

impl Links for BuiltGraph {
    fn entry(&self) -> (u32, usize) {
        (self.entry, self.levels.len().saturating_sub(1))
    }

    fn neighbors(&self, level: usize, row: u32) -> Option<&[u32]> {
        let nodes = self.levels.get(level)?;
        let at = nodes.binary_search_by_key(&row, |(node, _)| *node).ok()?;
        nodes.get(at).map(|(_, links)| links.as_slice())
    }
}

/// One minus the cosine of two rows, named by their numbers.
struct RowDistance<'a>(&'a VectorTable);

impl Distance<u32> for RowDistance<'_> {
    fn eval(&self, a: &[u32], b: &[u32]) -> f32 {
        let vector = |row: &[u32]| row.first().and_then(|&row| self.0.row(row)).unwrap_or(&[]);
        (1.0 - dot(vector(a), vector(b))).max(0.0)
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
) -> Result<Option<BuiltGraph>, StoreError> {
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
    let built = catch_unwind(AssertUnwindSafe(|| {
        let hnsw =
            Hnsw::new(options.m, rows.len(), MAX_LEVELS, options.ef_construction, RowDistance(vectors));
        let total = rows.len() as u64;
        let mut done = 0;
        for chunk in rows.chunks(CHUNK_ROWS) {
            let data: Vec<(&[u32], usize)> =
                chunk.iter().map(|row| (std::slice::from_ref(row), *row as usize)).collect();
            pool.install(|| hnsw.parallel_insert_slice(&data));
            done += chunk.len() as u64;
            progress(done, total);
        }
        let graph = extract(&hnsw, vectors.rows());
        // Its destructor uses rayon, too.
        pool.install(|| drop(hnsw));
        graph
    }));
    let mut graph = built.map_err(|_| failed("hnsw_rs gave up".to_owned()))?;
    connect(&mut graph, vectors);
    Ok(Some(graph))
}

fn extract(hnsw: &Hnsw<'_, u32, RowDistance<'_>>, rows: usize) -> BuiltGraph {
    let points = hnsw.get_point_indexation();
    let top = usize::from(hnsw.get_max_level_observed());
    let mut levels: Vec<Vec<(u32, Vec<u32>)>> = vec![Vec::new(); top + 1];
    let mut entry = 0;
    for point_level in 0..=top {
        for point in points.get_layer_iterator(point_level) {
            let row = point.get_origin_id() as u32;
            if point_level == top {
                entry = row;
            }
            let neighborhood = point.get_neighborhood_id();
            for (number, level) in levels.iter_mut().enumerate().take(point_level + 1) {
                let links = neighborhood.get(number).map_or(&[][..], Vec::as_slice);
                // hnsw_rs may link to a point that does not reach up to this level.
                let links = links
                    .iter()
                    .filter(|n| usize::from(n.p_id.0) >= number)
                    .map(|n| n.get_origin_id() as u32)
                    .filter(|&to| to != row)
                    .collect();
                level.push((row, links));
            }
        }
    }
    for level in &mut levels {
        level.sort_unstable_by_key(|(row, _)| *row);
    }
    BuiltGraph { rows, entry, levels }
}

/// Gives every node on level 0 a link that leads to it.
///
/// hnsw_rs keeps the nearest neighbours of a node and drops the farthest, so a knot of near-duplicates
/// can end up linked only among themselves, and no walk would ever find it.
fn connect(graph: &mut BuiltGraph, vectors: &VectorTable) {
    let mut reached = vec![false; graph.rows];
    spread(graph, &mut reached, graph.entry);
    let nodes: Vec<u32> = graph.levels.first().into_iter().flatten().map(|(row, _)| *row).collect();
    for row in nodes {
        if reached.get(row as usize).copied().unwrap_or(true) {
            continue;
        }
        // The nearest row that can be left from; a walk may pass this one on the upper levels.
        let nearest = vectors
            .row(row)
            .and_then(|vector| {
                walk(graph, vectors, vector, 64, &|to| reached.get(to as usize) == Some(&true)).ok()
            })
            .and_then(|found| found.into_sorted().first().map(|n| n.row.0))
            .unwrap_or(graph.entry);
        if let Some(nodes) = graph.levels.first_mut()
            && let Ok(at) = nodes.binary_search_by_key(&nearest, |(node, _)| *node)
            && let Some((_, links)) = nodes.get_mut(at)
        {
            links.push(row);
        }
        spread(graph, &mut reached, row);
    }
}

fn spread(graph: &BuiltGraph, reached: &mut [bool], from: u32) {
    let mut open = VecDeque::from([from]);
    while let Some(row) = open.pop_front() {
        let new = reached.get_mut(row as usize).is_some_and(|seen| !std::mem::replace(seen, true));
        if new {
            open.extend(graph.neighbors(0, row).unwrap_or(&[]));
        }
    }
}
