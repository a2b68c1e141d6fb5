//! Looking at every row: exact, and fast enough for tens of thousands.

use std::num::NonZeroUsize;
use std::ops::Range;

use crate::generation::vectors::VectorTable;
use crate::search::top_k::TopK;
use crate::vector::dot;

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
    let scan_share = |share: Range<usize>| {
        let mut top = TopK::new(k);
        vectors.scan(share, |row, vector| {
            if accept(row) {
                top.offer(row, dot(query, vector));
            }
        });
        top
    };
    let mut shares = split(range, threads);
    let first = shares.next().unwrap_or(0..0);
    std::thread::scope(|scope| {
        let others: Vec<_> = shares.map(|share| scope.spawn(|| scan_share(share))).collect();
        let mut top = scan_share(first);
        for other in others {
            match other.join() {
                Ok(found) => top.merge(found),
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
