//! Looking at every row: exact, and fast enough for tens of thousands.
//!
//! Where a graph has their codes, rows are looked at by those, and only the few that could be among the best by what
//! the codes leave open are compared: a quarter of the memory is read, and nothing is missed.

use std::cmp::Ordering;
use std::num::NonZeroUsize;
use std::ops::Range;

use crate::generation::codes::QueryCodes;
use crate::generation::graph::{Graph, Node};
use crate::generation::vectors::VectorTable;
use crate::machine::kernels::Kernels;
use crate::search::top_k::TopK;
use crate::search::walk::Broken;

/// Rows below which another thread costs more than it saves.
const MIN_ROWS_A_THREAD: usize = 4096;

/// A set of rows.
#[derive(Debug)]
pub(crate) struct RowSet {
    words: Vec<u64>,
    count: usize,
}

impl RowSet {
    /// The rows below `rows` for which `test` holds, asked on several threads.
    pub(crate) fn collect(rows: usize, threads: NonZeroUsize, test: &(dyn Fn(u32) -> bool + Sync)) -> Self {
        let mut words = vec![0u64; rows.div_ceil(64)];
        let threads = threads.get().min(rows.div_ceil(MIN_ROWS_A_THREAD)).max(1);
        let share = words.len().div_ceil(threads).max(1);
        let fill = |first_word: usize, words: &mut [u64]| {
            for (i, word) in words.iter_mut().enumerate() {
                let from = (first_word + i) * 64;
                for row in from..(from + 64).min(rows) {
                    if test(row as u32) {
                        *word |= 1 << (row - from);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            let mut shares = words.chunks_mut(share).enumerate();
            let first = shares.next();
            for (i, words) in shares {
                let fill = &fill;
                scope.spawn(move || fill(i * share, words));
            }
            if let Some((_, words)) = first {
                fill(0, words);
            }
        });
        let count = words.iter().map(|w| w.count_ones() as usize).sum();
        Self { words, count }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    #[inline]
    pub(crate) fn contains(&self, row: u32) -> bool {
        self.words.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}

/// Cuts rows into one share each for at most `threads` threads, of enough rows to be worth one.
pub(crate) fn split(range: Range<usize>, threads: NonZeroUsize) -> impl Iterator<Item = Range<usize>> {
    let threads = threads.get().min(range.len() / MIN_ROWS_A_THREAD).max(1);
    let share = range.len().div_ceil(threads);
    (0..threads).map(move |i| {
        let from = (range.start + i * share).min(range.end);
        from..(from + share).min(range.end)
    })
}

/// The k best of a range of rows, among those that `accept` takes.
pub(crate) fn scan(
    vectors: &VectorTable,
    range: Range<usize>,
    query: &[f32],
    k: usize,
    threads: NonZeroUsize,
    accept: &(impl Fn(u32) -> bool + Sync),
) -> TopK {
    let kernels = Kernels::best();
    in_shares(range, k, threads, &|share, top| {
        vectors.scan(share, |row, vector| {
            if accept(row) {
                top.offer(row, kernels.dot(query, vector));
            }
        });
        Ok(())
    })
    .unwrap_or_else(|Broken| TopK::new(k))
}

/// The k best of the rows of a graph, among those that `accept` takes: the same as by [`scan`].
pub(crate) fn scan_codes(
    graph: Graph<'_>,
    codes: &QueryCodes,
    vectors: &VectorTable,
    query: &[f32],
    k: usize,
    threads: NonZeroUsize,
    accept: &(impl Fn(u32) -> bool + Sync),
) -> Result<TopK, Broken> {
    in_shares(0..graph.len(), k, threads, &|share, top| {
        for number in share {
            let node = graph.node(number as u32).ok_or(Broken)?;
            consider(&node, codes, vectors, query, top, accept)?;
        }
        Ok(())
    })
}

/// What the dot product of a node's vector and the query cannot be above.
#[inline]
pub(crate) fn bound(node: &Node<'_>, codes: &QueryCodes) -> f32 {
    codes.upper_bound(codes.score(node.codes, node.scale), node.scale)
}

/// Compares the vector of a node, if it could be among the best.
#[inline]
pub(crate) fn consider(
    node: &Node<'_>,
    codes: &QueryCodes,
    vectors: &VectorTable,
    query: &[f32],
    top: &mut TopK,
    accept: &impl Fn(u32) -> bool,
) -> Result<(), Broken> {
    let bound = bound(node, codes);
    // What is not a number, in a damaged file, is no reason to leave a row out.
    if bound.partial_cmp(&top.floor()) != Some(Ordering::Less) && accept(node.row) {
        let vector = vectors.row(node.row).ok_or(Broken)?;
        top.offer(node.row, codes.kernels().dot(query, vector));
    }
    Ok(())
}

/// Lets threads look at a share of a range each, and puts together what they find.
fn in_shares(
    range: Range<usize>,
    k: usize,
    threads: NonZeroUsize,
    look: &(impl Fn(Range<usize>, &mut TopK) -> Result<(), Broken> + Sync),
) -> Result<TopK, Broken> {
    let look_at = |share: Range<usize>| {
        let mut top = TopK::new(k);
        look(share, &mut top).map(|()| top)
    };
    let mut shares = split(range, threads);
    let first = shares.next().unwrap_or(0..0);
    std::thread::scope(|scope| {
        let others: Vec<_> = shares.map(|share| scope.spawn(|| look_at(share))).collect();
        let mut top = look_at(first);
        for other in others {
            match other.join() {
                Ok(found) => {
                    top = top.and_then(|mut top| {
                        top.merge(found?);
                        Ok(top)
                    });
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        top
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_are_worth_a_thread_and_cover_every_row_once(
            start in 0usize..1000,
            rows in 0usize..100_000,
            threads in 1usize..40,
        ) {
            let range = start..start + rows;
            let shares: Vec<_> = split(range.clone(), NonZeroUsize::new(threads).unwrap()).collect();
            prop_assert!((1..=threads).contains(&shares.len()));
            // As many as there is work for.
            prop_assert_eq!(shares.len(), threads.min(rows / MIN_ROWS_A_THREAD).max(1));
            prop_assert!(shares.iter().cloned().flatten().eq(range));
        }
    }
}
