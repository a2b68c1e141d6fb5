//! Which way to search: walk the graph, or look at every row.

use crate::SearchOptions;
use crate::generation::codes::QueryCodes;
use crate::generation::graph::Graph;
use crate::generation::vectors::VectorTable;
use crate::search::exact::{bound, consider, scan, scan_codes};
use crate::search::top_k::TopK;
use crate::search::walk::{Broken, walk};

/// Candidates of a walk by default: so many times the rows asked for, and never fewer than the second.
const EF_A_NEIGHBOR: usize = 4;
const MIN_EF: usize = 64;
/// How often a walk that may have left something out is made again with twice the candidates.
const MORE_WALKS: usize = 3;
/// Up to so many rows are scanned sooner than walked to.
const SCAN_ROWS: usize = 20_000;
/// Rows that a walk looks at for each candidate it keeps, roughly.
const ROWS_A_CANDIDATE: usize = 16;
/// A scan by codes compares a few vectors for each row asked for, out of order; beyond this share, all in
/// order are faster.
const ROWS_A_COMPARISON: usize = 50;
/// It also goes to every row's codes to see whether the row is accepted; where only one in so many is, comparing the vectors
/// of those takes less.
const ROWS_A_CODE: usize = 4;

/// What is searched.
#[derive(Clone, Copy)]
pub(crate) struct Searched<'a> {
    pub(crate) vectors: &'a VectorTable,
    /// The graph over its first rows, if there is one.
    pub(crate) graph: Option<Graph<'a>>,
}

impl Searched<'_> {
    /// The `k` rows nearest to a query among those that `accept` takes, some `count` of them.
    pub(crate) fn nearest(
        self,
        query: &[f32],
        k: usize,
        options: &SearchOptions,
        count: usize,
        accept: &(impl Fn(u32) -> bool + Sync),
    ) -> Result<TopK, Broken> {
        let (vectors, rows, threads) = (self.vectors, self.vectors.rows(), options.threads);
        let scan_all = || scan(vectors, 0..rows, query, k, threads, accept);
        let Some(graph) = self.graph else { return Ok(scan_all()) };
        let codes = QueryCodes::new(query, graph.mean());
        let with_tail = |mut found: TopK| {
            found.merge(scan(vectors, graph.rows()..rows, query, k, threads, accept));
            found
        };
        let exact = || {
            if k.saturating_mul(ROWS_A_COMPARISON) > count || count.saturating_mul(ROWS_A_CODE) < rows {
                return Ok(scan_all());
            }
            scan_codes(graph, &codes, vectors, query, k, threads, accept).map(with_tail)
        };
        let ef = options.ef.unwrap_or_else(|| k.saturating_mul(EF_A_NEIGHBOR).max(MIN_EF)).max(k);
        // The rarer the accepted rows, the more others a walk passes on its way to them.
        let passed = (ef.saturating_mul(ROWS_A_CANDIDATE) as u128 * rows as u128) / count.max(1) as u128;
        let scan_is_cheaper = options.ef.is_none() && (count <= SCAN_ROWS || count as u128 <= passed);
        if options.exact || count == 0 || scan_is_cheaper {
            return exact();
        }
        let more_walks = if options.ef.is_none() { MORE_WALKS } else { 0 };
        let found = with_tail(self.walk(graph, &codes, query, k, ef, more_walks, accept)?);
        if found.len() < k { exact() } else { Ok(found) }
    }

    /// Walks, and compares the vectors of what was found.
    ///
    /// Codes tell near-duplicates apart no better than they are: as long as the worst candidate could be
    /// one of the best, there may be others that were not kept, and the walk is made again for more.
    #[allow(clippy::too_many_arguments)]
    fn walk(
        self,
        graph: Graph<'_>,
        codes: &QueryCodes,
        query: &[f32],
        k: usize,
        ef: usize,
        more_walks: usize,
        accept: &impl Fn(u32) -> bool,
    ) -> Result<TopK, Broken> {
        let candidates = walk(graph, codes, ef, &|_, node| accept(node.row))?;
        let mut found = TopK::new(k);
        for candidate in &candidates {
            let node = graph.node(candidate.node()).ok_or(Broken)?;
            consider(&node, codes, self.vectors, query, &mut found, &|_| true)?;
        }
        let worst = candidates.last().and_then(|worst| graph.node(worst.node()));
        let is_cut_off =
            candidates.len() >= ef && worst.is_some_and(|worst| bound(&worst, codes) >= found.floor());
        if is_cut_off && more_walks > 0 {
            return self.walk(graph, codes, query, k, ef.saturating_mul(2), more_walks - 1, accept);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::GraphOptions;
    use crate::generation::build::{GraphSource, build};
    use crate::generation::graph::GraphFile;
    use crate::generation::vectors::VectorWriter;
    use crate::manifest::{PartEntry, VECTORS_NAME, generation_dir};

    const DIMENSION: usize = 40;
    const KNOTS: usize = 13;
    const KNOT_ROWS: usize = 120;
    const ROWS: usize = 2 * KNOTS * KNOT_ROWS;

    struct Fixture {
        _dir: tempfile::TempDir,
        vectors: VectorTable,
        graph: GraphFile,
        queries: Vec<Vec<f32>>,
    }

    fn threads(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    fn unit(mut vector: Vec<f32>) -> Vec<f32> {
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|x| *x /= length);
        vector
    }

    /// Half of the rows lie alone, half in knots that are as narrow as frames of one burst; one component is far
    /// larger than the others. Every tenth row is not live.
    fn fixture() -> Fixture {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut draw = |spread: f32, around: &[f32]| {
            unit(around.iter().map(|x| x + spread * (rng.random::<f32>() - 0.5)).collect())
        };
        let mut origin = vec![0.0; DIMENSION];
        origin[3] = 2.0;
        let knots: Vec<Vec<f32>> = (0..KNOTS).map(|_| draw(1.0, &origin)).collect();
        let dir = tempfile::tempdir().unwrap();
        let mut writer = VectorWriter::create(dir.path(), DIMENSION, ROWS as u64).unwrap();
        for row in 0..ROWS {
            let vector = if row % 2 == 0 { draw(1.0, &origin) } else { draw(0.002, &knots[row / 2 % KNOTS]) };
            writer.push(&vector).unwrap();
        }
        let sum = writer.finish().unwrap();
        let part = PartEntry { generation: 1, rows: ROWS as u64, sum };
        let path = dir.path().join(VECTORS_NAME);
        let vectors = VectorTable::open_parts(DIMENSION, [(path, &part)].into_iter()).unwrap();
        let options = GraphOptions { min_rows: 1, ..GraphOptions::default() };
        let source = GraphSource { vectors: &vectors, is_live: &is_live, base: None };
        let folder = generation_dir(dir.path(), 1);
        std::fs::create_dir(&folder).unwrap();
        let entry = build(&source, &options, threads(2), (&folder, 1), &mut |_, _| ()).unwrap().unwrap();
        let graph = GraphFile::open(dir.path(), &entry, DIMENSION).unwrap().unwrap();
        graph.check(&vectors, &is_live).unwrap();
        let queries = (0..60).map(|i| draw(0.1, &knots[i % KNOTS])).collect();
        Fixture { _dir: dir, vectors, graph, queries }
    }

    fn is_live(row: u32) -> bool {
        !row.is_multiple_of(10)
    }

    #[test]
    fn scans_by_codes_find_what_scans_find_and_walks_nearly_all_of_it() {
        let fixture = fixture();
        let graph = fixture.graph.graph().unwrap();
        let searched = Searched { vectors: &fixture.vectors, graph: Some(graph) };
        let (mut hits, mut hits_of_one_walk, mut all) = (0, 0, 0);
        for query in &fixture.queries {
            let codes = QueryCodes::new(query, graph.mean());
            for number in 0..graph.len() as u32 {
                let node = graph.node(number).unwrap();
                let exact = codes.kernels().dot(query, fixture.vectors.row(node.row).unwrap());
                let bound = bound(&node, &codes);
                assert!(
                    exact <= bound && bound < exact + 0.1,
                    "{exact} {bound}, or the bound would spare nothing"
                );
            }
            for (k, n) in [(1, 1), (10, 3), (200, 2)] {
                let expected = scan(&fixture.vectors, 0..ROWS, query, k, threads(1), &is_live).into_sorted();
                let found =
                    scan_codes(graph, &codes, &fixture.vectors, query, k, threads(n), &is_live).unwrap();
                assert_eq!(found.into_sorted(), expected, "the same rows, the same bits");
            }
            let expected = scan(&fixture.vectors, 0..ROWS, query, 10, threads(1), &is_live).into_sorted();
            let walk = |more: usize| searched.walk(graph, &codes, query, 10, 32, more, &is_live).unwrap();
            let count = |found: TopK| {
                let found = found.into_sorted();
                expected.iter().filter(|n| found.contains(n)).count()
            };
            hits += count(walk(MORE_WALKS));
            hits_of_one_walk += count(walk(0));
            all += expected.len();
        }
        assert!(hits * 100 >= all * 99, "{hits} of {all}");
        assert!(hits_of_one_walk < hits, "or walking again would be for nothing");
    }

    proptest! {
        #[test]
        fn without_a_graph_every_row_is_looked_at(k in 1usize..20, rows in 0usize..30) {
            let dir = tempfile::tempdir().unwrap();
            let mut writer = VectorWriter::create(dir.path(), 2, rows as u64).unwrap();
            for row in 0..rows {
                writer.push(&unit(vec![row as f32 + 1.0, 3.0])).unwrap();
            }
            let part = PartEntry { generation: 1, rows: rows as u64, sum: writer.finish().unwrap() };
            let path = dir.path().join(VECTORS_NAME);
            let vectors = VectorTable::open_parts(2, [(path, &part)].into_iter()).unwrap();
            let options = SearchOptions { k, exact: false, ef: None, threads: threads(1) };
            let searched = Searched { vectors: &vectors, graph: None };
            let found = searched.nearest(&[1.0, 0.0], k, &options, rows, &|_| true).unwrap().into_sorted();
            let found: Vec<u32> = found.into_iter().map(|n| n.row.0).collect();
            prop_assert_eq!(found, (0..rows as u32).rev().take(k).collect::<Vec<_>>());
        }
    }
}
