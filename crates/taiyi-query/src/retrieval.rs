//! Texts against pictures, all with all: the rank of the best right answer of every text and of every picture,
//! and the answers themselves.
//!
//! A text may have several right pictures and a picture several right texts; each counts at the rank of the best
//! of them. That is what Chinese-CLIP's evaluation counts: a query is found within k when any of its right answers
//! is among the first k. The ranks are those of [`rank_of_best`](crate::metrics::rank_of_best), equal scores against the right answer, but
//! no score is kept: what is needed is one number a text and one a picture, so that 50,000 × 50,000 scores pass
//! through memory as they are made.

use std::cmp::Ordering as Order;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use taiyi_core::{Embedding, Score};

/// Texts that are compared between two looks at the flag to stop.
const TEXT_BLOCK: usize = 32;
/// Pictures that stay in the processor's cache while a block of texts passes.
const PICTURE_BLOCK: usize = 64;
/// Sums that a scalar product is kept in, so that the compiler may use vector instructions.
const LANES: usize = 8;
/// Pictures compared with a text at once.
const AT_ONCE: usize = 4;

/// Which pictures are right for which texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RightAnswers {
    /// Of each text its pictures, ascending.
    of_texts: Vec<Vec<usize>>,
    /// Of each picture its texts, ascending.
    of_pictures: Vec<Vec<usize>>,
}

impl RightAnswers {
    /// From the right pictures of each text, among pictures 0 to `pictures` − 1. Numbers beyond are left out, and
    /// repeated ones count once.
    #[must_use]
    pub fn new(mut of_texts: Vec<Vec<usize>>, pictures: usize) -> Self {
        let mut of_pictures = vec![Vec::new(); pictures];
        for (text, right) in of_texts.iter_mut().enumerate() {
            right.retain(|&picture| picture < pictures);
            right.sort_unstable();
            right.dedup();
            for &picture in right.iter() {
                of_pictures[picture].push(text);
            }
        }
        Self { of_texts, of_pictures }
    }

    /// The right pictures of a text, ascending.
    #[must_use]
    pub fn of_text(&self, text: usize) -> &[usize] {
        self.of_texts.get(text).map_or(&[], Vec::as_slice)
    }

    /// The right texts of a picture, ascending.
    #[must_use]
    pub fn of_picture(&self, picture: usize) -> &[usize] {
        self.of_pictures.get(picture).map_or(&[], Vec::as_slice)
    }

    /// How many pictures have no right text.
    #[must_use]
    pub fn pictures_without_text(&self) -> usize {
        self.of_pictures.iter().filter(|texts| texts.is_empty()).count()
    }
}

/// How texts and pictures found each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The rank, from 1, of each text's best right picture; `None` for a text without one.
    pub text_ranks: Vec<Option<usize>>,
    /// The rank, from 1, of each picture's best right text; `None` for a picture without one.
    pub picture_ranks: Vec<Option<usize>>,
    /// The first `top` pictures of each text, best first; of equals the wrong ones first, then the lower number.
    pub pictures_of_texts: Vec<Vec<usize>>,
    /// The first `top` texts of each picture, in the same order.
    pub texts_of_pictures: Vec<Vec<usize>>,
}

/// How much is compared with how much help.
#[derive(Clone, Copy, Debug)]
pub struct CompareOptions {
    /// Threads to compare on.
    pub threads: usize,
    /// How many answers of each text and picture are kept; none for 0.
    pub top: usize,
}

/// Compares every text with every picture; `None` once `cancel` is set. `progress` is told of texts that are done,
/// from several threads.
///
/// `right` speaks of these texts and these pictures. Memory grows with their sum, and on each thread with the
/// number of pictures.
#[must_use]
pub fn compare(
    texts: &[Embedding],
    pictures: &[Embedding],
    right: &RightAnswers,
    options: CompareOptions,
    progress: &(dyn Fn(u64) + Sync),
    cancel: &AtomicBool,
) -> Option<Comparison> {
    let work = Work {
        texts,
        pictures,
        right,
        top: options.top,
        // The score that a wrong answer has to reach in order to stand before the right one.
        text_bars: bars(texts, |text| right.of_text(text).iter().filter_map(|&p| pictures.get(p))),
        picture_bars: bars(pictures, |picture| {
            right.of_picture(picture).iter().filter_map(|&t| texts.get(t))
        }),
        next: AtomicUsize::new(0),
    };
    let threads = options.threads.clamp(1, texts.len().div_ceil(TEXT_BLOCK).max(1));
    let parts: Vec<Part> = thread::scope(|scope| {
        let spawned: Vec<_> = (0..threads).map(|_| scope.spawn(|| work.part(progress, cancel))).collect();
        // A thread that panicked has told why; what is missing makes the comparison stop below.
        spawned.into_iter().filter_map(|part| part.join().ok()).collect()
    });
    if cancel.load(Ordering::Relaxed) || parts.len() != threads {
        return None;
    }
    Some(work.sum_up(parts))
}

/// The best score of each query with what is right for it; infinite, so never reached, where nothing is.
fn bars<'a, I: Iterator<Item = &'a Embedding>>(
    queries: &[Embedding],
    right: impl Fn(usize) -> I,
) -> Vec<f32> {
    let best =
        |query: usize, of: &Embedding| right(query).map(|candidate| score(of, candidate)).reduce(f32::max);
    queries.iter().enumerate().map(|(query, of)| best(query, of).unwrap_or(f32::INFINITY)).collect()
}

struct Work<'a> {
    texts: &'a [Embedding],
    pictures: &'a [Embedding],
    right: &'a RightAnswers,
    top: usize,
    text_bars: Vec<f32>,
    picture_bars: Vec<f32>,
    /// The first text that no thread has taken yet.
    next: AtomicUsize,
}

/// What one thread has found.
struct Part {
    /// A text, how many pictures reach its bar, and its best pictures.
    texts: Vec<(usize, usize, Best)>,
    /// Of each picture, how many of the thread's texts reach its bar, and the best of them.
    reached: Vec<usize>,
    best_texts: Vec<Best>,
}

impl Work<'_> {
    fn part(&self, progress: &(dyn Fn(u64) + Sync), cancel: &AtomicBool) -> Part {
        let mut part = Part {
            texts: Vec::new(),
            reached: vec![0; self.pictures.len()],
            best_texts: vec![Best::default(); if self.top > 0 { self.pictures.len() } else { 0 }],
        };
        while !cancel.load(Ordering::Relaxed) {
            let start = self.next.fetch_add(TEXT_BLOCK, Ordering::Relaxed);
            let end = self.texts.len().min(start.saturating_add(TEXT_BLOCK));
            if start >= end {
                break;
            }
            self.block(start..end, &mut part);
            progress((end - start) as u64);
        }
        part
    }

    fn block(&self, texts: std::ops::Range<usize>, part: &mut Part) {
        let first = part.texts.len();
        part.texts.extend(texts.map(|text| (text, 0, Best::default())));
        for from in (0..self.pictures.len()).step_by(PICTURE_BLOCK) {
            let to = self.pictures.len().min(from + PICTURE_BLOCK);
            for (text, reached, best) in &mut part.texts[first..] {
                let mut scores = [0.0; PICTURE_BLOCK];
                scores_of(&self.texts[*text], &self.pictures[from..to], &mut scores);
                let bar = self.text_bars[*text];
                for (picture, &score) in (from..to).zip(&scores) {
                    *reached += usize::from(score >= bar);
                    part.reached[picture] += usize::from(score >= self.picture_bars[picture]);
                    if self.top > 0 {
                        let is_wrong = || self.right.of_text(*text).binary_search(&picture).is_err();
                        best.offer(score, picture, is_wrong, self.top);
                        part.best_texts[picture].offer(score, *text, is_wrong, self.top);
                    }
                }
            }
        }
    }

    fn sum_up(&self, parts: Vec<Part>) -> Comparison {
        let mut comparison = Comparison {
            text_ranks: vec![None; self.texts.len()],
            pictures_of_texts: vec![Vec::new(); if self.top > 0 { self.texts.len() } else { 0 }],
            ..Comparison::default()
        };
        let mut reached = vec![0; self.pictures.len()];
        let mut best_texts = vec![Best::default(); if self.top > 0 { self.pictures.len() } else { 0 }];
        for part in parts {
            for (text, reached, best) in part.texts {
                // The right ones that reach the bar stand in nobody's way.
                let right = self.right.of_text(text).iter().map(|&picture| &self.pictures[picture]);
                comparison.text_ranks[text] = rank(&self.texts[text], right, self.text_bars[text], reached);
                if self.top > 0 {
                    comparison.pictures_of_texts[text] = best.numbers();
                }
            }
            for (sum, of_part) in reached.iter_mut().zip(part.reached) {
                *sum += of_part;
            }
            for (best, of_part) in best_texts.iter_mut().zip(part.best_texts) {
                for answer in of_part.0 {
                    best.insert(answer, self.top);
                }
            }
        }
        let rank = |(picture, embedding): (usize, &Embedding)| {
            let right = self.right.of_picture(picture).iter().map(|&text| &self.texts[text]);
            rank(embedding, right, self.picture_bars[picture], reached[picture])
        };
        comparison.picture_ranks = self.pictures.iter().enumerate().map(rank).collect();
        comparison.texts_of_pictures = best_texts.iter().map(Best::numbers).collect();
        comparison
    }
}

/// The rank of the best right answer, when `reached` answers, right ones among them, score at least `bar`, which is
/// its score.
fn rank<'a>(
    query: &Embedding,
    right: impl Iterator<Item = &'a Embedding>,
    bar: f32,
    reached: usize,
) -> Option<usize> {
    let right = right.filter(|candidate| score(query, candidate) >= bar).count();
    (right > 0).then(|| reached.saturating_sub(right) + 1)
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Answer {
    score: f32,
    is_wrong: bool,
    number: usize,
}

impl Answer {
    /// Less stands before more.
    fn order(&self, other: &Self) -> Order {
        other
            .score
            .total_cmp(&self.score)
            .then(other.is_wrong.cmp(&self.is_wrong))
            .then(self.number.cmp(&other.number))
    }
}

/// The best answers to one query, best first.
#[derive(Clone, Debug, Default)]
struct Best(Vec<Answer>);

impl Best {
    fn offer(&mut self, score: f32, number: usize, is_wrong: impl Fn() -> bool, top: usize) {
        if self.0.len() < top || self.0.last().is_some_and(|last| score >= last.score) {
            self.insert(Answer { score, is_wrong: is_wrong(), number }, top);
        }
    }

    fn insert(&mut self, answer: Answer, top: usize) {
        let at = self.0.partition_point(|known| known.order(&answer) == Order::Less);
        if at < top {
            self.0.insert(at, answer);
            self.0.truncate(top);
        }
    }

    fn numbers(&self) -> Vec<usize> {
        self.0.iter().map(|answer| answer.number).collect()
    }
}

/// The score of two embeddings: bit for bit the same, whichever comes first and whatever else is compared.
fn score(a: &Embedding, b: &Embedding) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (a, b) = (a.as_slice().chunks_exact(LANES), b.as_slice().chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    for (a, b) in a.zip(b) {
        add_products(&mut sums, a, b);
    }
    total(&sums, rest)
}

/// `score` of `query` with each of `candidates`, into the front of `scores`.
fn scores_of(query: &Embedding, candidates: &[Embedding], scores: &mut [f32]) {
    for (candidates, scores) in candidates.chunks(AT_ONCE).zip(scores.chunks_mut(AT_ONCE)) {
        let [a, b, c, d] = candidates else {
            for (candidate, slot) in candidates.iter().zip(scores) {
                *slot = score(query, candidate);
            }
            continue;
        };
        // Side by side, so that each part of the query is read once for all of them.
        let mut sums = [[0.0f32; LANES]; AT_ONCE];
        let query = query.as_slice().chunks_exact(LANES);
        let parts = [a, b, c, d].map(|candidate| candidate.as_slice().chunks_exact(LANES));
        let rests = parts.clone().map(|candidate| {
            query.remainder().iter().zip(candidate.remainder()).map(|(x, y)| x * y).sum::<f32>()
        });
        let [a, b, c, d] = parts;
        for ((((query, a), b), c), d) in query.zip(a).zip(b).zip(c).zip(d) {
            let [of_a, of_b, of_c, of_d] = &mut sums;
            add_products(of_a, query, a);
            add_products(of_b, query, b);
            add_products(of_c, query, c);
            add_products(of_d, query, d);
        }
        for ((slot, sums), rest) in scores.iter_mut().zip(&sums).zip(rests) {
            *slot = total(sums, rest);
        }
    }
}

#[inline(always)]
fn add_products(sums: &mut [f32; LANES], a: &[f32], b: &[f32]) {
    for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
        *sum += x * y;
    }
}

fn total(sums: &[f32; LANES], rest: f32) -> f32 {
    Score::new(sums.iter().sum::<f32>() + rest).get()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::rank_of_best;

    fn unit(vector: &[f32]) -> Embedding {
        Embedding::normalize(vector.to_vec()).unwrap()
    }

    fn compare_all(
        texts: &[Embedding],
        pictures: &[Embedding],
        right: &RightAnswers,
        threads: usize,
        top: usize,
    ) -> Comparison {
        let never = AtomicBool::new(false);
        compare(texts, pictures, right, CompareOptions { threads, top }, &|_| {}, &never).unwrap()
    }

    #[test]
    fn several_right_answers_by_hand() {
        // Along a quarter of a circle, so that who is nearer to whom can be seen.
        let at = |degrees: f32| unit(&[degrees.to_radians().cos(), degrees.to_radians().sin()]);
        let pictures = [at(0.0), at(30.0), at(60.0), at(90.0)];
        let texts = [at(1.0), at(40.0), at(88.0)];
        // The first text wants a near and a far picture, the second a far one, the third the nearest.
        let right = RightAnswers::new(vec![vec![2, 0, 2], vec![0], vec![3, 9]], 4);
        assert_eq!((right.of_text(0), right.of_picture(0)), (&[0, 2][..], &[0, 1][..]));
        assert_eq!(right.pictures_without_text(), 1);
        let found = compare_all(&texts, &pictures, &right, 1, 3);
        // Before the second text's one right picture stand those at 30, 60; at 90 it is farther away.
        assert_eq!(found.text_ranks, [Some(1), Some(3), Some(1)]);
        // Before the first text, which is right for the third picture, stand both others.
        assert_eq!(found.picture_ranks, [Some(1), None, Some(3), Some(1)]);
        assert_eq!(found.pictures_of_texts, [vec![0, 1, 2], vec![1, 2, 0], vec![3, 2, 1]]);
        assert_eq!(found.texts_of_pictures[2], [1, 2, 0]);
        let without = compare_all(&texts, &pictures, &right, 1, 0);
        assert_eq!((without.text_ranks, without.picture_ranks), (found.text_ranks, found.picture_ranks));
        assert!(without.pictures_of_texts.is_empty() && without.texts_of_pictures.is_empty());
    }

    #[test]
    fn of_equals_the_wrong_ones_come_first() {
        let same = unit(&[1.0, 2.0, 3.0]);
        let all = vec![same; 5];
        let right = RightAnswers::new(vec![vec![1], vec![0, 3]], 5);
        let found = compare_all(&all[..2], &all, &right, 2, 5);
        assert_eq!(found.text_ranks, [Some(5), Some(4)]);
        assert_eq!(found.pictures_of_texts, [vec![0, 2, 3, 4, 1], vec![1, 2, 4, 0, 3]]);
        assert_eq!(found.picture_ranks, [Some(2), Some(2), None, Some(2), None]);
        assert_eq!(found.texts_of_pictures[0], [0, 1]);
        assert_eq!(found.texts_of_pictures[1], [1, 0]);
    }

    #[test]
    fn nothing_is_compared_with_nothing() {
        let right = RightAnswers::new(vec![Vec::new()], 0);
        let found = compare_all(&[unit(&[1.0])], &[], &right, 4, 3);
        assert_eq!((found.text_ranks, found.pictures_of_texts), (vec![None], vec![Vec::new()]));
        assert_eq!(compare_all(&[], &[], &RightAnswers::default(), 4, 3), Comparison::default());
    }

    #[test]
    fn a_comparison_can_be_stopped() {
        let some = vec![unit(&[1.0, 0.0]); 3];
        let right = RightAnswers::new(vec![vec![0]; 3], 3);
        let options = CompareOptions { threads: 2, top: 0 };
        assert_eq!(compare(&some, &some, &right, options, &|_| {}, &AtomicBool::new(true)), None);
    }

    /// Embeddings of few directions, so that scores are often equal, more than fit into one block.
    fn embeddings(dimension: usize, most: usize) -> impl Strategy<Value = Vec<Embedding>> {
        let vector = proptest::collection::vec(-2i8..=2, dimension)
            .prop_filter("a direction", |v| v.iter().any(|x| *x != 0))
            .prop_map(|v| unit(&v.into_iter().map(f32::from).collect::<Vec<_>>()));
        proptest::collection::vec(vector, 1..most)
    }

    fn problems() -> impl Strategy<Value = (Vec<Embedding>, Vec<Embedding>, RightAnswers)> {
        prop_oneof![Just(2usize), Just(11)]
            .prop_flat_map(|dimension| (embeddings(dimension, 80), embeddings(dimension, 150)))
            .prop_flat_map(|(texts, pictures)| {
                let right = proptest::collection::vec(
                    proptest::collection::vec(0..pictures.len(), 0..4),
                    texts.len(),
                );
                (Just(texts), Just(pictures), right)
            })
            .prop_map(|(texts, pictures, right)| {
                let right = RightAnswers::new(right, pictures.len());
                (texts, pictures, right)
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn ranks_are_those_of_whole_lists_of_scores(
            (texts, pictures, right) in problems(),
            threads in 1usize..5,
        ) {
            let top = 7;
            let found = compare_all(&texts, &pictures, &right, threads, top);
            for (text, embedding) in texts.iter().enumerate() {
                let scores: Vec<f32> = pictures.iter().map(|picture| score(embedding, picture)).collect();
                let is_right = |picture: usize| right.of_text(text).contains(&picture);
                let rank = rank_of_best(&scores, is_right);
                prop_assert_eq!(found.text_ranks[text], rank);
                // In the list of the best, the first right one stands at its rank.
                let listed = &found.pictures_of_texts[text];
                prop_assert_eq!(listed.len(), top.min(pictures.len()));
                let place = listed.iter().position(|&picture| is_right(picture)).map(|place| place + 1);
                prop_assert_eq!(place, rank.filter(|rank| *rank <= top));
                prop_assert!(listed.windows(2).all(|pair| scores[pair[0]] >= scores[pair[1]]));
            }
            for (picture, embedding) in pictures.iter().enumerate() {
                let scores: Vec<f32> = texts.iter().map(|text| score(embedding, text)).collect();
                let is_right = |text: usize| right.of_picture(picture).contains(&text);
                let rank = rank_of_best(&scores, is_right);
                prop_assert_eq!(found.picture_ranks[picture], rank);
                let listed = &found.texts_of_pictures[picture];
                prop_assert_eq!(listed.len(), top.min(texts.len()));
                let place = listed.iter().position(|&text| is_right(text)).map(|place| place + 1);
                prop_assert_eq!(place, rank.filter(|rank| *rank <= top));
            }
        }

        #[test]
        fn a_score_does_not_depend_on_its_neighbours(
            vectors in proptest::collection::vec(proptest::collection::vec(-1.0f32..1.0, 21), 2..12),
        ) {
            prop_assume!(vectors.iter().all(|v| v.iter().any(|x| x.abs() > 0.01)));
            let all: Vec<Embedding> = vectors.iter().map(|v| unit(v)).collect();
            let mut scores = vec![0.0; all.len()];
            scores_of(&all[0], &all, &mut scores);
            for (other, found) in all.iter().zip(&scores) {
                prop_assert_eq!(score(&all[0], other).to_bits(), found.to_bits());
                prop_assert_eq!(score(other, &all[0]).to_bits(), found.to_bits());
                prop_assert!((all[0].score(other).get() - found).abs() < 1e-6);
            }
        }
    }
}
