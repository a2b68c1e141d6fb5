//! The threads that one pass through a tower runs on.

use std::ops::Range;

use crate::machine::{Lanes, Level, Panels};

/// Rows that a kernel computes at a time: ranges are split at multiples of it.
const ROWS: usize = 12;

/// One thread, or several that split the rows of every layer.
pub(crate) struct Team {
    level: Level,
    threads: usize,
}

impl Team {
    /// `threads` of the rayon pool that the caller runs in.
    pub(crate) fn new(level: Level, threads: usize) -> Self {
        Self { level, threads: threads.max(1) }
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `work` for parts of the features `at` of `y`, side by side. `work` is given the part, counted from
    /// the start of `at`, and its rows in every panel.
    pub(crate) fn split_rows(
        &self,
        y: &mut Panels,
        at: Range<usize>,
        work: impl Fn(Range<usize>, &mut [&mut [Lanes]]) + Sync,
    ) {
        let rows = at.len();
        let size = rows.div_ceil(self.threads).next_multiple_of(ROWS).max(1);
        let mut parts: Vec<(Range<usize>, Vec<&mut [Lanes]>)> = (0..rows)
            .step_by(size)
            .map(|start| (start..rows.min(start + size), Vec::with_capacity(y.tokens().div_ceil(16))))
            .collect();
        for panel in y.panels_mut() {
            let part = &mut panel[at.clone()];
            for ((_, slices), slice) in parts.iter_mut().zip(part.chunks_mut(size)) {
                slices.push(slice);
            }
        }
        self.each(parts, |(range, mut slices)| work(range, &mut slices));
    }

    /// Runs `work` on every item, side by side.
    pub(crate) fn each<T: Send>(&self, items: Vec<T>, work: impl Fn(T) + Sync) {
        if self.threads == 1 || items.len() <= 1 {
            items.into_iter().for_each(work);
        } else {
            rayon::scope(|scope| {
                for item in items {
                    let work = &work;
                    scope.spawn(move |_| work(item));
                }
            });
        }
    }
}
