//! Walking the graph towards a query: greedily down the upper levels, then with a list of candidates
//! on the lowest.
//!
//! It compares codes; who calls it compares the vectors of what it found.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::generation::codes::QueryCodes;
use crate::generation::graph::{Graph, Node};
use crate::machine::kernels::prefetch;
use crate::search::visited::Visited;

/// Nodes asked for ahead of the one being scored: as long as it takes memory to answer.
const AHEAD: usize = 4;

/// The graph has a hole where the walk went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// A node and its score by codes in one number: the better is the larger, and of equals the lower node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate(u64);

impl Candidate {
    #[inline]
    fn new(score: f32, node: u32) -> Self {
        let bits = score.to_bits();
        // The order of floats as that of integers.
        let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        Self(u64::from(ordered) << 32 | u64::from(!node))
    }

    pub(crate) fn node(self) -> u32 {
        !(self.0 as u32)
    }
}

/// Finds up to `ef` nodes near the query, best first, among those that `accept` takes.
///
/// Nodes that are not accepted are walked through, so a filter makes the walk longer, not blind.
pub(crate) fn walk(
    graph: Graph<'_>,
    query: &QueryCodes,
    ef: usize,
    accept: &impl Fn(u32, &Node<'_>) -> bool,
) -> Result<Vec<Candidate>, Broken> {
    let node = |number: u32| graph.node(number).ok_or(Broken);
    let score = |number: u32, node: &Node<'_>| Candidate::new(query.score(node.codes, node.scale), number);
    let entry = score(0, &node(0)?);
    let mut best = entry;
    for level in (1..=graph.top_level()).rev() {
        // The score rises with every step, so this ends.
        loop {
            let links = graph.upper_links(level, best.node()).ok_or(Broken)?;
            links.iter().for_each(|&next| prefetch(graph.scored_bytes(next)));
            let mut nearest = best;
            for &next in links {
                nearest = nearest.max(score(next, &node(next)?));
            }
            if nearest == best {
                break;
            }
            best = nearest;
        }
    }

    let mut visited = Visited::new(graph.len());
    let mut found = BinaryHeap::with_capacity(ef.min(graph.len()) + 1);
    let mut open = BinaryHeap::with_capacity(4 * ef.min(graph.len()));
    // The entry as well: links lead from it to every node, which cannot be said of the others.
    for start in [best, entry] {
        if visited.insert(start.node()).ok_or(Broken)? {
            open.push(start);
            if accept(start.node(), &node(start.node())?) {
                found.push(Reverse(start));
                if found.len() > ef {
                    found.pop();
                }
            }
        }
    }
    let mut unseen = Vec::new();
    while let Some(candidate) = open.pop() {
        let mut floor = if found.len() < ef { None } else { found.peek().map(|worst| worst.0) };
        if floor.is_some_and(|floor| candidate < floor) {
            break;
        }
        unseen.clear();
        for &next in node(candidate.node())?.links {
            if visited.insert(next).ok_or(Broken)? {
                if unseen.len() < AHEAD {
                    prefetch(graph.scored_bytes(next));
                }
                unseen.push(next);
            }
        }
        for (i, &number) in unseen.iter().enumerate() {
            if let Some(&ahead) = unseen.get(i + AHEAD) {
                prefetch(graph.scored_bytes(ahead));
            }
            let next = node(number)?;
            let scored = score(number, &next);
            if floor.is_none_or(|floor| scored > floor) {
                open.push(scored);
                if accept(number, &next) {
                    found.push(Reverse(scored));
                    if found.len() > ef {
                        found.pop();
                    }
                    if found.len() == ef {
                        floor = found.peek().map(|worst| worst.0);
                    }
                }
            }
        }
    }
    Ok(found.into_sorted_vec().into_iter().map(|Reverse(candidate)| candidate).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn candidates_are_ordered_by_score_then_node(a in -1f32..1.0, b in -1f32..1.0, n in any::<u32>(), m in any::<u32>()) {
            let (x, y) = (Candidate::new(a, n), Candidate::new(b, m));
            prop_assert_eq!(x.cmp(&y), a.total_cmp(&b).then(m.cmp(&n)));
            prop_assert_eq!(x.node(), n);
        }
    }
}
