//! The k best of many scores.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use taiyi_core::Score;

use crate::{Neighbor, Row};

/// Keeps the k best rows seen; of equal scores the lower row is better.
#[derive(Debug)]
pub(crate) struct TopK {
    k: usize,
    /// The worst of the kept on top.
    heap: BinaryHeap<Reverse<(Score, Reverse<u32>)>>,
    /// A score below this cannot enter: spares the heap in a scan's inner loop.
    floor: f32,
}

impl TopK {
    pub(crate) fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new(), floor: f32::NEG_INFINITY }
    }

    /// Offers a row by its dot product.
    #[inline]
    pub(crate) fn offer(&mut self, row: u32, cosine: f32) {
        if cosine < self.floor {
            return;
        }
        self.insert(row, Score::new(cosine));
    }

    fn insert(&mut self, row: u32, score: Score) {
        let entry = Reverse((score, Reverse(row)));
        if self.heap.len() < self.k {
            self.heap.push(entry);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && entry < *worst
        {
            *worst = entry;
        }
        if self.heap.len() == self.k
            && let Some(Reverse((worst, _))) = self.heap.peek()
        {
            self.floor = worst.get();
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for Reverse((score, Reverse(row))) in other.heap {
            self.insert(row, score);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The worst score kept, once full: what is below it cannot enter.
    pub(crate) fn floor(&self) -> f32 {
        self.floor
    }

    /// Best first.
    pub(crate) fn into_sorted(self) -> Vec<Neighbor> {
        let sorted = self.heap.into_sorted_vec();
        sorted.into_iter().map(|Reverse((score, Reverse(row)))| Neighbor { row: Row(row), score }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_k_best_are_those_of_a_full_sort(
            // Few distinct scores, so that ties are common; NaN as from a damaged file.
            scores in prop::collection::vec(prop_oneof![(-9i8..9).prop_map(|s| f32::from(s) / 8.0), Just(f32::NAN)], 0..60),
            k in 0usize..80, split in any::<prop::sample::Index>(),
        ) {
            let split = split.index(scores.len() + 1);
            let (mut top, mut other) = (TopK::new(k), TopK::new(k));
            for (row, &score) in scores.iter().enumerate() {
                if row < split { &mut top } else { &mut other }.offer(row as u32, score);
            }
            top.merge(other);
            let mut all: Vec<_> = scores.iter().enumerate().map(|(row, &s)| (Reverse(Score::new(s)), row as u32)).collect();
            all.sort();
            all.truncate(k);
            let found: Vec<_> = top.into_sorted().into_iter().map(|n| (Reverse(n.score), n.row.0)).collect();
            prop_assert_eq!(found, all);
        }
    }
}
