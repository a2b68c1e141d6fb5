//! Building a graph over the rows of a table, or making one longer.

use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::path::Path;

use crate::generation::codes::{CodeTable, mean};
use crate::generation::freeze::FrozenGraph;
use crate::generation::graph::{Graph, MAX_LEVELS};
use crate::generation::growing::Growing;
use crate::generation::links::Links;
use crate::generation::vectors::VectorTable;
use crate::manifest::GraphEntry;
use crate::{GraphOptions, StoreError};

/// Points that go in at once, as a share of those that are in, and at most. They do not see each other, so the
/// share is small.
const BATCH_SHARE: usize = 64;
const MOST_IN_A_BATCH: usize = 4096;
/// Rows inserted between two reports of progress, at least.
const REPORT_ROWS: usize = 1024;

/// Checks what was asked for.
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

/// What a graph is built over.
pub(crate) struct GraphSource<'a> {
    pub(crate) vectors: &'a VectorTable,
    /// Which rows can be found.
    pub(crate) is_live: &'a dyn Fn(u32) -> bool,
    /// A sound graph over the first rows, to be made longer.
    pub(crate) base: Option<Graph<'a>>,
}

/// Builds a graph and writes it into the folder of a generation; `None` when there are no live rows.
///
/// `progress` is told how many rows are in, from the calling thread.
pub(crate) fn build(
    source: &GraphSource<'_>,
    options: &GraphOptions,
    threads: NonZeroUsize,
    (folder, generation): (&Path, u64),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<GraphEntry>, StoreError> {
    let vectors = source.vectors;
    let base_rows = source.base.map_or(0, |graph| graph.rows() as u32);
    // Nodes of the base in the order of their rows, and after them the rows that are new.
    let mut nodes: Vec<(u32, u32)> = Vec::new();
    if let Some(graph) = source.base {
        let row_of = |node| graph.node(node).map(|n| (n.row, node));
        nodes = (0..graph.len() as u32).filter_map(row_of).collect();
        nodes.sort_unstable();
    }
    let new = (base_rows..vectors.rows() as u32).filter(|&row| (source.is_live)(row));
    let rows: Vec<u32> = nodes.iter().map(|&(row, _)| row).chain(new).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let mean = match source.base {
        Some(graph) => graph.mean().to_vec(),
        None => mean(vectors, rows.iter().copied()),
    };
    // A pool of its own: the global one belongs to the program, with as many threads as it likes.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.get())
        .thread_name(|i| format!("graph-{i}"))
        .build()
        .map_err(|e| StoreError::InvalidArgument(format!("the graph could not be built: {e}")))?;
    let codes = CodeTable::encode(vectors, &rows, mean);

    let mut heights: Vec<u8> = rows.iter().map(|&row| height(row, options.m)).collect();
    if let Some(graph) = source.base {
        for (&(_, node), height) in nodes.iter().zip(&mut heights) {
            *height = graph.height(node);
        }
    }
    let mut order: Vec<u32> = (nodes.len() as u32..rows.len() as u32).collect();
    // From the highest level down, so that a point finds all of the levels above it; and in no other order,
    // since rows beside each other may be frames of one burst.
    let height_of = |point: &u32| heights.get(*point as usize).copied().unwrap_or(0);
    order.sort_unstable_by_key(|point| {
        (Reverse(height_of(point)), rows.get(*point as usize).map(|&row| mixed(row)))
    });
    // Points of one level go in together.
    let levels: Vec<(usize, Vec<u32>)> = order
        .chunk_by(|a, b| height_of(a) == height_of(b))
        .map(|l| (l.first().map_or(0, height_of).into(), l.to_vec()))
        .collect();
    let mut growing = Growing::new(&codes, heights, options);
    if let Some(graph) = source.base {
        adopt(&mut growing, graph, &nodes);
    }

    let total = rows.len() as u64;
    let mut inside = nodes.len();
    let mut reported = inside;
    for (height, mut rest) in levels.iter().map(|(height, points)| (*height, points.as_slice())) {
        while !rest.is_empty() {
            // Those that look for neighbours on this level find that many.
            let seen = if height == 0 { inside } else { growing.levels().get(height).map_or(0, Links::len) };
            let size = (seen / BATCH_SHARE).clamp(1, MOST_IN_A_BATCH).min(rest.len());
            let (batch, after) = rest.split_at(size);
            pool.install(|| growing.insert(batch));
            rest = after;
            inside += size;
            if inside - reported >= REPORT_ROWS || inside == rows.len() {
                reported = inside;
                progress(inside as u64, total);
            }
        }
    }
    pool.install(|| growing.finish());
    let sum = FrozenGraph::new(growing, &rows, vectors.rows()).write(folder)?;
    Ok(Some(GraphEntry {
        generation,
        rows: vectors.rows() as u64,
        live_rows: total,
        metric: "cosine".to_owned(),
        m: options.m,
        ef_construction: options.ef_construction,
        sum,
    }))
}

/// Takes over the nodes of a graph, given by row and node number, in the order of their points.
fn adopt(growing: &mut Growing<'_>, graph: Graph<'_>, nodes: &[(u32, u32)]) {
    let mut points = vec![None; graph.len()];
    for (point, &(_, node)) in (0u32..).zip(nodes) {
        if let Some(slot) = points.get_mut(node as usize) {
            *slot = Some(point);
        }
    }
    let point_of = |node: u32| points.get(node as usize).copied().flatten();
    // Node 0 first: it is where walks begin.
    for node in 0..graph.len() as u32 {
        let Some(point) = point_of(node) else { continue };
        let links = (0..=usize::from(graph.height(node))).map(|level| {
            let links =
                if level == 0 { graph.node(node).map(|n| n.links) } else { graph.upper_links(level, node) };
            links.unwrap_or(&[]).iter().copied().filter_map(point_of).filter(|&to| to != point).collect()
        });
        growing.adopt(point, &links.collect::<Vec<_>>());
    }
}

/// A number for a row that looks like drawn by chance (splitmix64).
fn mixed(row: u32) -> u64 {
    let mut z = (u64::from(row) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The highest level of a row: of so many rows on a level, one in `m` is on the next.
fn height(row: u32, m: usize) -> u8 {
    // In (0, 1].
    let drawn = ((mixed(row) >> 11) + 1) as f64 / (1u64 << 53) as f64;
    (-drawn.ln() / (m as f64).ln()).min((MAX_LEVELS - 1) as f64) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::generation::codes::QueryCodes;
    use crate::generation::graph::GraphFile;
    use crate::generation::vectors::VectorWriter;
    use crate::manifest::{GRAPH_NAME, PartEntry, VECTORS_NAME, generation_dir};
    use crate::search::walk::walk;

    const DIMENSION: usize = 24;

    fn table(dir: &Path, rows: &[Vec<f32>]) -> VectorTable {
        let mut writer = VectorWriter::create(dir, DIMENSION, rows.len() as u64).unwrap();
        for row in rows {
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            writer.push(&row.iter().map(|x| x / length).collect::<Vec<_>>()).unwrap();
        }
        let part = PartEntry { generation: 1, rows: rows.len() as u64, sum: writer.finish().unwrap() };
        VectorTable::open_parts(DIMENSION, [(dir.join(VECTORS_NAME), &part)].into_iter()).unwrap()
    }

    /// Builds or extends a graph over the live rows, as a generation of a folder.
    fn graph(
        dir: &Path,
        generation: u64,
        vectors: &VectorTable,
        is_live: &dyn Fn(u32) -> bool,
        base: Option<&GraphFile>,
        threads: usize,
    ) -> Option<GraphFile> {
        let options = GraphOptions { m: 8, ef_construction: 20, min_rows: 1 };
        let folder = generation_dir(dir, generation);
        std::fs::create_dir_all(&folder).unwrap();
        let source = GraphSource { vectors, is_live, base: base.and_then(GraphFile::graph) };
        let threads = NonZeroUsize::new(threads).unwrap();
        let entry = build(&source, &options, threads, (&folder, generation), &mut |_, _| ()).unwrap()?;
        let file = GraphFile::open(dir, &entry, DIMENSION).unwrap().unwrap();
        file.check(vectors, is_live).unwrap();
        Some(file)
    }

    fn bytes(dir: &Path, generation: u64) -> Vec<u8> {
        std::fs::read(generation_dir(dir, generation).join(GRAPH_NAME)).unwrap()
    }

    fn drawn(rows: usize, spread: f32) -> Vec<Vec<f32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut row = |at: f32| (0..DIMENSION).map(|_| at + spread * (rng.random::<f32>() - 0.5)).collect();
        (0..rows).map(|_| row(1.0)).collect()
    }

    #[test]
    fn threads_change_no_byte_and_neither_does_adding_nothing() {
        let rows = drawn(1500, 2.0);
        let dir = tempfile::tempdir().unwrap();
        let vectors = table(dir.path(), &rows);
        let file = graph(dir.path(), 1, &vectors, &|_| true, None, 1).unwrap();
        graph(dir.path(), 2, &vectors, &|_| true, None, 2).unwrap();
        graph(dir.path(), 3, &vectors, &|_| true, None, 5).unwrap();
        graph(dir.path(), 4, &vectors, &|_| true, Some(&file), 2).unwrap();
        let first = bytes(dir.path(), 1);
        assert!((2..=4).all(|generation| bytes(dir.path(), generation) == first));
    }

    /// How many of some rows their own vector does not lead to.
    fn missed(rows: &[Vec<f32>], asked: std::ops::Range<u32>, ef: usize) -> usize {
        let dir = tempfile::tempdir().unwrap();
        let vectors = table(dir.path(), rows);
        let file = graph(dir.path(), 1, &vectors, &|_| true, None, 2).unwrap();
        let graph = file.graph().unwrap();
        let is_missed = |row: &u32| {
            let query = QueryCodes::new(vectors.row(*row).unwrap(), graph.mean());
            let found = walk(graph, &query, ef, &|_, _| true).unwrap();
            !found.iter().any(|c| graph.node(c.node()).unwrap().row == *row)
        };
        asked.filter(is_missed).count()
    }

    #[test]
    fn crowds_larger_than_what_building_looks_at_hide_little() {
        // Rows alone, and beside two of them crowds of 300 where building looks at 20, and walks at 40. Some are equal.
        let mut crowd = drawn(300, 0.0005);
        let same = crowd[3].clone();
        crowd[7..20].fill(same);
        let at = |row: &[f32], by: &[f32]| row.iter().zip(by).map(|(x, y)| x + y - 1.0).collect::<Vec<_>>();
        let mut rows = drawn(4000, 2.0);
        let alone = missed(&rows, 4..4000, 40);
        assert!(alone <= 40, "{alone} of 3996 rows alone");
        for centre in [rows[3].clone(), rows[2].clone()] {
            rows.extend(crowd.iter().map(|row| at(row, &centre)));
            let beside = missed(&rows, 4..4000, 40);
            assert!(beside <= alone + 120, "{beside} of 3996 rows beside crowds, {alone} alone");
        }
    }

    #[test]
    fn equal_rows_are_connected_in_no_time() {
        let mut rows = drawn(500, 2.0);
        let equal = rows[3].clone();
        rows.extend(std::iter::repeat_n(equal, 8000));
        let dir = tempfile::tempdir().unwrap();
        let vectors = table(dir.path(), &rows);
        let file = graph(dir.path(), 1, &vectors, &|_| true, None, 2).unwrap();
        assert_eq!(file.graph().unwrap().len(), 8500, "and every one is reached, which was checked");
    }

    proptest! {
        #[test]
        fn every_live_row_can_be_found(
            // Few values, so that there are equal rows, and rows on one line.
            values in prop::collection::vec((0u8..6, 0u8..3), 1..90),
            dead in any::<u64>(),
            grow in prop::collection::vec(1usize..90, 0..3),
        ) {
            let rows: Vec<Vec<f32>> = values
                .iter()
                .map(|&(a, b)| (0..DIMENSION).map(|i| if i < 12 { f32::from(a) } else { f32::from(b) } + 0.1).collect())
                .collect();
            let dir = tempfile::tempdir().unwrap();
            let is_live = |row: u32| dead >> (row % 64) & 1 == 0;
            let mut file: Option<GraphFile> = None;
            let steps = grow.into_iter().filter(|&n| n < rows.len()).chain([rows.len()]);
            let mut steps: Vec<usize> = steps.collect();
            steps.sort_unstable();
            for (generation, step) in (1..).zip(steps) {
                let vectors = table(dir.path(), &rows[..step]);
                let next = graph(dir.path(), generation, &vectors, &is_live, file.as_ref(), 2);
                let expected: Vec<u32> = (0..step as u32).filter(|&row| is_live(row)).collect();
                let Some(next) = next else {
                    prop_assert!(expected.is_empty());
                    continue;
                };
                let graph = next.graph().unwrap();
                let query = QueryCodes::new(vectors.row(0).unwrap(), graph.mean());
                let found = walk(graph, &query, step, &|_, _| true).unwrap();
                let mut found: Vec<u32> = found.iter().map(|c| graph.node(c.node()).unwrap().row).collect();
                found.sort_unstable();
                prop_assert_eq!(found, expected);
                file = Some(next);
            }
        }
    }
}
