//! How well texts and pictures find each other: ranks, recall at k, mean reciprocal rank, median rank.
//!
//! As in the literature on CLIP and its kin (Flickr30k, COCO): a text has one right picture, a picture may
//! have several right texts and counts as found at the rank of the best of them. Equal scores count against
//! the right answer: whatever scores the same stands before it. So a model that scores everything alike finds
//! nothing, and results do not depend on the order of the files.

/// The rank, from 1, of the best right candidate: one more than the wrong candidates that score at least as
/// well. `None` when no candidate is right.
///
/// `scores[i]` belongs to candidate `i`; a score that is not a number is below every finite one.
pub fn rank_of_best(scores: &[f32], is_right: impl Fn(usize) -> bool) -> Option<usize> {
    let score = |index: usize| scores.get(index).copied().filter(|score| !score.is_nan());
    let best = (0..scores.len())
        .filter(|&index| is_right(index))
        .map(|index| score(index).unwrap_or(f32::NEG_INFINITY))
        .reduce(f32::max)?;
    let before = (0..scores.len())
        .filter(|&index| !is_right(index) && score(index).unwrap_or(f32::NEG_INFINITY) >= best)
        .count();
    Some(before + 1)
}

/// The k of [`RankSummary::mean_recall`].
const MEAN_KS: [usize; 3] = [1, 5, 10];

/// What the ranks of many queries come to.
#[derive(Clone, Debug, PartialEq)]
pub struct RankSummary {
    /// How many queries.
    pub queries: usize,
    /// For each `k` asked for, in that order: the share of queries with a rank of at most `k`, 0 to 1.
    pub recall: Vec<(usize, f64)>,
    /// The mean of R@1, R@5 and R@10, whatever k was asked for, 0 to 1: the one number that Chinese-CLIP's
    /// evaluation puts first.
    pub mean_recall: f64,
    /// Mean of 1/rank, above 0 to 1.
    pub mean_reciprocal_rank: f64,
    /// The rank in the middle; with an even number of queries the mean of the two in the middle.
    pub median_rank: f64,
}

impl RankSummary {
    /// Sums up `ranks`, which count from 1, for each of `ks`; `None` when there are no ranks.
    #[must_use]
    pub fn of(ranks: &[usize], ks: &[usize]) -> Option<Self> {
        let mut sorted = ranks.to_vec();
        sorted.sort_unstable();
        let queries = sorted.len();
        let (lower, upper) = (sorted.get(queries.checked_sub(1)? / 2)?, sorted.get(queries / 2)?);
        let median_rank = (*lower as f64 + *upper as f64) / 2.0;
        let share = |k: usize| sorted.partition_point(|&rank| rank <= k) as f64 / queries as f64;
        let recall = ks.iter().map(|&k| (k, share(k))).collect();
        let mean_recall = MEAN_KS.map(share).iter().sum::<f64>() / MEAN_KS.len() as f64;
        let reciprocals: f64 = sorted.iter().map(|&rank| 1.0 / rank.max(1) as f64).sum();
        let mean_reciprocal_rank = reciprocals / queries as f64;
        Some(Self { queries, recall, mean_recall, mean_reciprocal_rank, median_rank })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranks_count_what_stands_before() {
        let scores = [0.1, 0.9, 0.5, 0.7];
        for (right, rank) in [(1, 1), (3, 2), (2, 3), (0, 4)] {
            assert_eq!(rank_of_best(&scores, |i| i == right), Some(rank));
        }
        assert_eq!(rank_of_best(&scores, |_| false), None);
        assert_eq!(rank_of_best(&[], |_| true), None);
    }

    #[test]
    fn equal_scores_count_against_the_right_one() {
        assert_eq!(rank_of_best(&[0.5, 0.5, 0.5, 0.4], |i| i == 0), Some(3));
        assert_eq!(rank_of_best(&[0.5, 0.5, 0.5], |i| i == 2), Some(3), "wherever it stands");
        assert_eq!(rank_of_best(&[0.0, -0.0], |i| i == 0), Some(2));
    }

    #[test]
    fn of_several_right_ones_the_best_counts() {
        // Right: 0.3 and 0.8; before the better one stands only 0.9.
        assert_eq!(rank_of_best(&[0.3, 0.9, 0.8, 0.5], |i| i == 0 || i == 2), Some(2));
        // Right ones do not stand in each other's way, even when they are equal.
        assert_eq!(rank_of_best(&[0.8, 0.8, 0.8], |i| i != 1), Some(2));
        assert_eq!(rank_of_best(&[0.8, 0.7, 0.8], |i| i != 1), Some(1));
    }

    #[test]
    fn what_is_no_number_is_last() {
        assert_eq!(rank_of_best(&[f32::NAN, 0.1], |i| i == 0), Some(2));
        assert_eq!(rank_of_best(&[f32::NAN, 0.1], |i| i == 1), Some(1));
        // Nor does a model that yields nothing else find anything.
        assert_eq!(rank_of_best(&[f32::NAN, f32::NAN], |i| i == 0), Some(2));
    }

    #[test]
    fn a_summary_by_hand() {
        let summary = RankSummary::of(&[4, 1, 2, 1], &[1, 2, 5]).unwrap();
        assert_eq!(summary.queries, 4);
        assert_eq!(summary.recall, [(1, 0.5), (2, 0.75), (5, 1.0)]);
        // 1/2 within 1, all within 5 and within 10.
        assert_eq!(summary.mean_recall, 2.5 / 3.0);
        // (1/4 + 1 + 1/2 + 1) / 4
        assert_eq!(summary.mean_reciprocal_rank, 0.6875);
        // In the middle of 1 1 2 4 are 1 and 2.
        assert_eq!(summary.median_rank, 1.5);
        assert_eq!(RankSummary::of(&[7, 3, 3], &[]).unwrap().median_rank, 3.0);
        assert_eq!(RankSummary::of(&[], &[1]), None);
    }

    proptest! {
        #[test]
        fn recall_grows_with_k_and_order_is_no_matter(
            mut ranks in proptest::collection::vec(1usize..50, 1..40),
        ) {
            let ks = [1, 2, 5, 10, 50];
            let summary = RankSummary::of(&ranks, &ks).unwrap();
            prop_assert!(summary.recall.windows(2).all(|pair| pair[0].1 <= pair[1].1));
            prop_assert_eq!(summary.recall[4].1, 1.0);
            prop_assert!(summary.mean_reciprocal_rank > 0.0 && summary.mean_reciprocal_rank <= 1.0);
            prop_assert!(summary.recall[0].1 <= summary.mean_reciprocal_rank + 1e-12);
            ranks.reverse();
            prop_assert_eq!(RankSummary::of(&ranks, &ks).unwrap(), summary);
        }

        #[test]
        fn the_rank_is_the_place_in_the_sorted_list(
            scores in proptest::collection::vec(-8i8..8, 1..30),
            right in any::<proptest::sample::Index>(),
        ) {
            let right = right.index(scores.len());
            let scores: Vec<f32> = scores.into_iter().map(|score| f32::from(score) / 8.0).collect();
            let mut order: Vec<usize> = (0..scores.len()).collect();
            // The right one behind its equals.
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then((a == right).cmp(&(b == right))));
            let place = order.iter().position(|&i| i == right).unwrap() + 1;
            // `total_cmp` tells the zeros apart, and -0.0 does not occur here.
            prop_assert_eq!(rank_of_best(&scores, |i| i == right), Some(place));
        }
    }
}
