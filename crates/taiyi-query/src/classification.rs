//! Which of several labels fits a picture, how sure that is, and how often it is right.
//!
//! Probabilities are those of CLIP's example code: a softmax over 100 · cosine. As in the literature on
//! ImageNet, top-k is the share of pictures whose own label is among the k that fit best. Equal scores count
//! against the right label, so a model that scores everything alike classifies nothing.

use std::collections::BTreeMap;

use taiyi_core::{Embedding, EmbeddingError};

use crate::metrics::rank_of_best;

/// What a cosine is multiplied by before the softmax: where CLIP stops its training from going higher, and
/// what the published weights say.
pub const LOGIT_SCALE: f64 = 100.0;

/// The embedding of a label that was put into several templates: the unit vectors of the texts are averaged,
/// and the average is scaled to unit length again.
///
/// # Errors
/// When there are no texts, when they differ in dimension, or when they cancel out.
pub fn label_embedding(texts: &[Embedding]) -> Result<Embedding, EmbeddingError> {
    match texts {
        // Bit for bit.
        [one] => Ok(one.clone()),
        texts => Embedding::weighted_sum(texts.iter().map(|text| (1.0, text))),
    }
}

/// Cosine of two unit vectors, summed in f64: the softmax magnifies what f32 rounds off.
#[must_use]
pub fn cosine(a: &Embedding, b: &Embedding) -> f64 {
    a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// The probability of each label, from the cosines of all of them to one picture: softmax over
/// [`LOGIT_SCALE`] · cosine.
///
/// `None` for fewer than two labels: a single one would have a probability of 1 whatever the picture shows.
#[must_use]
pub fn probabilities(cosines: &[f64]) -> Option<Vec<f64>> {
    if cosines.len() < 2 {
        return None;
    }
    let largest = cosines.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = cosines.iter().map(|cosine| (LOGIT_SCALE * (cosine - largest)).exp()).collect();
    let sum: f64 = powers.iter().sum();
    Some(powers.into_iter().map(|power| power / sum).collect())
}

/// What a model made of one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guess {
    /// The right label.
    pub right: usize,
    /// The label that fits best; of equal ones a wrong one, and of those the first.
    pub best: usize,
    /// The rank of the right label, from 1; equal scores stand before it.
    pub rank: usize,
}

impl Guess {
    /// Judges the scores of all labels for a picture; `None` when `right` is not among them.
    #[must_use]
    pub fn of(scores: &[f32], right: usize) -> Option<Self> {
        let rank = rank_of_best(scores, |label| label == right)?;
        let best = if rank == 1 {
            right
        } else {
            let wrong = (0..scores.len()).filter(|&label| label != right);
            let better = |best: usize, label: usize| if scores[label] > scores[best] { label } else { best };
            wrong.reduce(better)?
        };
        Some(Self { right, best, rank })
    }
}

/// How many pictures, and for how many the right label was among the best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// How many pictures; at least one.
    pub pictures: usize,
    /// Share of pictures with the right label first, 0 to 1.
    pub top_1: f64,
    /// Share of pictures with the right label among the first five, 0 to 1.
    pub top_5: f64,
}

impl Accuracy {
    fn of(ranks: &[usize]) -> Option<Self> {
        let pictures = ranks.len();
        let share = |k: usize| ranks.iter().filter(|rank| **rank <= k).count() as f64 / pictures as f64;
        (pictures > 0).then(|| Self { pictures, top_1: share(1), top_5: share(5) })
    }
}

/// What became of the pictures of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassSummary {
    /// `None` when no picture is of this class.
    pub accuracy: Option<Accuracy>,
    /// The wrong labels that came first and how often, the most frequent first; of equals the lower number.
    pub taken_for: Vec<(usize, usize)>,
}

/// What the guesses about many pictures come to.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassificationSummary {
    /// Over all pictures, so that a class counts by its number of pictures.
    pub all: Accuracy,
    /// Each class, by its number.
    pub classes: Vec<ClassSummary>,
}

impl ClassificationSummary {
    /// Sums up guesses among `classes` labels; `None` when there are none.
    #[must_use]
    pub fn of(guesses: &[Guess], classes: usize) -> Option<Self> {
        let ranks: Vec<usize> = guesses.iter().map(|guess| guess.rank).collect();
        let mut by_class = vec![(Vec::new(), BTreeMap::new()); classes];
        for guess in guesses {
            let Some((ranks, taken_for)) = by_class.get_mut(guess.right) else { continue };
            ranks.push(guess.rank);
            if guess.best != guess.right {
                *taken_for.entry(guess.best).or_insert(0) += 1;
            }
        }
        let summary = |(ranks, taken_for): (Vec<usize>, BTreeMap<usize, usize>)| {
            let mut taken_for: Vec<_> = taken_for.into_iter().collect();
            taken_for.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
            ClassSummary { accuracy: Accuracy::of(&ranks), taken_for }
        };
        Some(Self { all: Accuracy::of(&ranks)?, classes: by_class.into_iter().map(summary).collect() })
    }

    /// The classes of which a picture was taken for another, the lowest top-1 first; of equals those with more
    /// pictures, then the lower number.
    #[must_use]
    pub fn worst(&self) -> Vec<usize> {
        let mut worst: Vec<(usize, Accuracy)> = self
            .classes
            .iter()
            .enumerate()
            .filter_map(|(class, summary)| Some((class, summary.accuracy?)))
            .filter(|(_, accuracy)| accuracy.top_1 < 1.0)
            .collect();
        worst.sort_by(|(_, a), (_, b)| a.top_1.total_cmp(&b.top_1).then(b.pictures.cmp(&a.pictures)));
        worst.into_iter().map(|(class, _)| class).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn probabilities_by_hand() {
        // 100 · 0.01 · ln 2 apart: one is twice the other.
        let step = std::f64::consts::LN_2 / 100.0;
        let found = probabilities(&[0.2, 0.2 + step, 0.2 + 2.0 * step]).unwrap();
        for (found, expected) in found.iter().zip([1.0 / 7.0, 2.0 / 7.0, 4.0 / 7.0]) {
            assert!(close(*found, expected), "{found}");
        }
        assert_eq!(probabilities(&[0.3, 0.3]).unwrap(), [0.5, 0.5]);
        assert_eq!(probabilities(&[1.0, -1.0]).unwrap()[0], 1.0);
        // Of one label it would always be 1, and say nothing.
        assert_eq!(probabilities(&[0.3]), None);
        assert_eq!(probabilities(&[]), None);
    }

    #[test]
    fn templates_are_averaged_as_unit_vectors() {
        let unit = |v: [f32; 2]| Embedding::normalize(v.to_vec()).unwrap();
        let (x, y) = (unit([1.0, 0.0]), unit([0.0, 5.0]));
        assert_eq!(label_embedding(std::slice::from_ref(&x)).unwrap(), x);
        // Halfway between the two directions, whatever the lengths were.
        let between = label_embedding(&[x.clone(), y.clone()]).unwrap();
        assert!(close(cosine(&between, &x), cosine(&between, &y)));
        assert!((cosine(&between, &x) - 0.5f64.sqrt()).abs() < 1e-6);
        assert_eq!(label_embedding(&[x, unit([-1.0, 0.0])]), Err(EmbeddingError::Zero));
        assert!(label_embedding(&[]).is_err());
    }

    #[test]
    fn guesses_by_hand() {
        let guess = |scores: &[f32], right| {
            let Guess { right: told, best, rank } = Guess::of(scores, right).unwrap();
            assert_eq!(told, right);
            (best, rank)
        };
        let scores = [0.1, 0.4, 0.3, 0.2];
        assert_eq!(guess(&scores, 1), (1, 1));
        assert_eq!(guess(&scores, 2), (1, 2));
        assert_eq!(guess(&scores, 0), (1, 4));
        // Equal scores count against the right label, and the first of the wrong ones is named.
        assert_eq!(guess(&[0.5, 0.5, 0.5], 1), (0, 3));
        assert_eq!(guess(&[0.5, 0.5, 0.5], 0), (1, 3));
        assert_eq!(guess(&[0.5], 0), (0, 1));
        assert_eq!(Guess::of(&scores, 4), None);
    }

    #[test]
    fn a_summary_by_hand() {
        let guess = |right, best, rank| Guess { right, best, rank };
        let guesses = [
            guess(0, 0, 1),
            guess(0, 2, 2),
            guess(0, 1, 6),
            guess(0, 1, 3),
            guess(2, 0, 7),
            guess(2, 2, 1),
            guess(3, 3, 1),
            guess(4, 0, 2),
        ];
        let summary = ClassificationSummary::of(&guesses, 6).unwrap();
        assert_eq!(summary.all, Accuracy { pictures: 8, top_1: 3.0 / 8.0, top_5: 6.0 / 8.0 });
        let of = |class: usize| summary.classes[class].accuracy;
        assert_eq!(of(0), Some(Accuracy { pictures: 4, top_1: 0.25, top_5: 0.75 }));
        assert_eq!(of(1), None);
        assert_eq!(of(2), Some(Accuracy { pictures: 2, top_1: 0.5, top_5: 0.5 }));
        assert_eq!(of(4), Some(Accuracy { pictures: 1, top_1: 0.0, top_5: 1.0 }));
        assert_eq!(summary.classes.len(), 6);
        assert_eq!(summary.classes[0].taken_for, [(1, 2), (2, 1)]);
        assert_eq!(summary.classes[2].taken_for, [(0, 1)]);
        assert!(summary.classes[3].taken_for.is_empty());
        // Neither class 3, which is always right, nor 1 and 5, which have no pictures.
        assert_eq!(summary.worst(), [4, 0, 2]);
        assert_eq!(ClassificationSummary::of(&[], 3), None);
    }

    #[test]
    fn of_equally_bad_classes_the_larger_is_worse() {
        let wrong = |right| Guess { right, best: 3, rank: 2 };
        let summary = ClassificationSummary::of(&[wrong(0), wrong(1), wrong(1), wrong(2)], 4).unwrap();
        assert_eq!(summary.worst(), [1, 0, 2]);
    }

    proptest! {
        #[test]
        fn probabilities_sum_to_one_in_the_order_of_cosines(
            cosines in proptest::collection::vec(-1.0f64..=1.0, 2..30),
        ) {
            let found = probabilities(&cosines).unwrap();
            prop_assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            for index in 1..found.len() {
                prop_assert!(cosines[index - 1] < cosines[index] || found[index - 1] >= found[index]);
            }
        }

        #[test]
        fn each_picture_is_counted_once(
            pairs in proptest::collection::vec((0usize..4, proptest::collection::vec(0u8..6, 4)), 1..40),
        ) {
            let guesses: Vec<Guess> = pairs
                .iter()
                .map(|(right, scores)| {
                    let scores: Vec<f32> = scores.iter().map(|score| f32::from(*score)).collect();
                    Guess::of(&scores, *right).unwrap()
                })
                .collect();
            prop_assert!(guesses.iter().all(|guess| (guess.rank == 1) == (guess.best == guess.right)));
            let summary = ClassificationSummary::of(&guesses, 4).unwrap();
            let pictures: usize = summary.classes.iter().filter_map(|class| class.accuracy).map(|a| a.pictures).sum();
            let wrong: usize = summary.classes.iter().flat_map(|class| &class.taken_for).map(|(_, times)| times).sum();
            prop_assert_eq!(pictures, guesses.len());
            prop_assert_eq!(wrong, guesses.iter().filter(|guess| guess.rank > 1).count());
            // Among four labels the right one is always among the first five.
            prop_assert_eq!(summary.all.top_5, 1.0);
        }
    }
}
