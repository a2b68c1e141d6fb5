//! How close two embeddings are.

use std::cmp::Ordering;
use std::fmt;

/// Cosine of two unit vectors: in [-1, 1], larger is closer.
///
/// Scores are totally ordered (a score is never NaN), so hits can be sorted by them.
#[derive(Clone, Copy, Debug)]
pub struct Score(f32);

impl Score {
    /// A score from a dot product of unit vectors.
    ///
    /// Rounding may carry a product a few ulps past ±1, so it is clamped. NaN, which no pair of
    /// [`Embedding`](crate::Embedding)s can produce, becomes the worst score.
    #[must_use]
    pub fn new(cosine: f32) -> Self {
        // Adding 0 turns -0 into 0: two vectors at right angles have one score.
        if cosine.is_nan() { Self(-1.0) } else { Self(cosine.clamp(-1.0, 1.0) + 0.0) }
    }

    /// The cosine, in [-1, 1].
    #[must_use]
    pub fn get(self) -> f32 {
        self.0
    }
}

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Score {}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_clamped_and_ordered() {
        assert_eq!(Score::new(1.000_001).get(), 1.0);
        assert_eq!(Score::new(-1.5).get(), -1.0);
        assert_eq!(Score::new(f32::NAN).get(), -1.0);
        assert!(Score::new(0.2) > Score::new(0.1));
        assert_eq!(Score::new(-0.0), Score::new(0.0));
        assert_eq!(format!("{:.3}", Score::new(0.25)), "0.250");
    }
}
