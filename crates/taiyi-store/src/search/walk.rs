//! Walking the graph towards a query: greedily down the upper levels, then with a list of candidates
//! on the lowest.
//!
//! The walk is our own, on our own layout: hnsw_rs searches only what it holds in memory, and to load
//! its dump it reads everything, and ends the process where the dump is damaged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use taiyi_core::Score;

use crate::generation::vectors::VectorTable;
use crate::search::top_k::TopK;
use crate::vector::dot;

/// A graph that can be walked.
pub(crate) trait Links {
    /// Where every walk begins, and the level it begins on.
    fn entry(&self) -> (u32, usize);
    /// Neighbours of a row on a level; `None` when the file is damaged.
    fn neighbors(&self, level: usize, row: u32) -> Option<&[u32]>;
}

/// The graph or the vector table has a hole where the walk went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Finds up to `ef` rows near the query, among those that `accept` takes.
///
/// Rows that are not accepted are walked through, so a filter makes the walk longer, not blind.
pub(crate) fn walk(
    links: &impl Links,
    vectors: &VectorTable,
    query: &[f32],
    ef: usize,
    accept: &impl Fn(u32) -> bool,
) -> Result<TopK, Broken> {
    let score = |row: u32| vectors.row(row).map(|v| Score::new(dot(query, v))).ok_or(Broken);
    let (mut at, top_level) = links.entry();
    let mut best = score(at)?;
    for level in (1..=top_level).rev() {
        // The score rises with every step, so this ends.
        loop {
            let before = at;
            for &next in links.neighbors(level, at).ok_or(Broken)? {
                let next_score = score(next)?;
                if next_score > best {
                    (at, best) = (next, next_score);
                }
            }
            if at == before {
                break;
            }
        }
    }

    let mut visited = vec![0u64; vectors.rows().div_ceil(64)];
    let mut visit = |row: u32| -> Result<bool, Broken> {
        let word = visited.get_mut(row as usize / 64).ok_or(Broken)?;
        let bit = 1 << (row % 64);
        let new = *word & bit == 0;
        *word |= bit;
        Ok(new)
    };
    let mut found = TopK::new(ef);
    let mut candidates = BinaryHeap::new();
    visit(at)?;
    candidates.push((best, Reverse(at)));
    if accept(at) {
        found.offer(at, best.get());
    }
    while let Some((candidate_score, Reverse(row))) = candidates.pop() {
        if found.is_full() && candidate_score.get() < found.floor() {
            break;
        }
        for &next in links.neighbors(0, row).ok_or(Broken)? {
            if !visit(next)? {
                continue;
            }
            let next_score = score(next)?;
            if !found.is_full() || next_score.get() > found.floor() {
                candidates.push((next_score, Reverse(next)));
                if accept(next) {
                    found.offer(next, next_score.get());
                }
            }
        }
    }
    Ok(found)
}
