//! Unit vectors in the space that texts and pictures share.

use crate::Score;

/// How far from 1 the length of a vector may be for [`Embedding::from_unit`] to take it as a unit
/// vector: wide enough for vectors that were stored as f16.
pub const UNIT_TOLERANCE: f32 = 2e-3;

/// A point in the shared space: finite and of unit length by construction.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding(Box<[f32]>);

/// Why a vector cannot be an [`Embedding`].
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum EmbeddingError {
    /// There are no components.
    #[error("the vector is empty")]
    Empty,
    /// A component is NaN or infinite.
    #[error("component {index} of the vector is not a finite number")]
    NotFinite {
        /// Which component, from 0.
        index: usize,
    },
    /// The vector has no direction.
    #[error("the vector is zero and has no direction")]
    Zero,
    /// A stored vector was expected to be of unit length.
    #[error("the vector has length {length}, expected 1")]
    NotUnit {
        /// The length found.
        length: f32,
    },
    /// Two vectors of different spaces were combined.
    #[error("the vectors have {left} and {right} components")]
    DimensionMismatch {
        /// Components of the first vector.
        left: usize,
        /// Components of the second vector.
        right: usize,
    },
}

impl Embedding {
    /// Scales `vector` to unit length.
    ///
    /// # Errors
    /// When the vector is empty, zero, or has a component that is not finite.
    pub fn normalize(mut vector: Vec<f32>) -> Result<Self, EmbeddingError> {
        let length = checked_length(&vector)?;
        // In f64, so that neither tiny nor huge vectors lose their direction on the way.
        for x in &mut vector {
            *x = (f64::from(*x) / length) as f32;
        }
        Ok(Self(vector.into_boxed_slice()))
    }

    /// Takes a vector that already has unit length, such as one read back from an index, bit for bit.
    ///
    /// # Errors
    /// As [`normalize`](Self::normalize), and when the length is off by more than [`UNIT_TOLERANCE`].
    pub fn from_unit(vector: Vec<f32>) -> Result<Self, EmbeddingError> {
        let length = checked_length(&vector)? as f32;
        if (length - 1.0).abs() > UNIT_TOLERANCE {
            return Err(EmbeddingError::NotUnit { length });
        }
        Ok(Self(vector.into_boxed_slice()))
    }

    /// The unit vector along a weighted sum of embeddings, e.g. `2 × 海边 + 日落 − 人`.
    ///
    /// # Errors
    /// When there are no terms, when they differ in dimension, or when they cancel out.
    pub fn weighted_sum<'a>(
        terms: impl IntoIterator<Item = (f32, &'a Self)>,
    ) -> Result<Self, EmbeddingError> {
        let mut sum: Vec<f32> = Vec::new();
        for (weight, term) in terms {
            if sum.is_empty() {
                sum = vec![0.0; term.dimension()];
            } else if sum.len() != term.dimension() {
                return Err(EmbeddingError::DimensionMismatch { left: sum.len(), right: term.dimension() });
            }
            for (total, x) in sum.iter_mut().zip(term.as_slice()) {
                *total += weight * x;
            }
        }
        Self::normalize(sum)
    }

    /// Number of components.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.0.len()
    }

    /// The components.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Cosine to another embedding; components beyond the shorter one count as zero.
    #[must_use]
    pub fn score(&self, other: &Self) -> Score {
        Score::new(self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum())
    }
}

fn checked_length(vector: &[f32]) -> Result<f64, EmbeddingError> {
    if vector.is_empty() {
        return Err(EmbeddingError::Empty);
    }
    if let Some(index) = vector.iter().position(|x| !x.is_finite()) {
        return Err(EmbeddingError::NotFinite { index });
    }
    let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if length == 0.0 { Err(EmbeddingError::Zero) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_has_no_direction_is_refused() {
        assert_eq!(Embedding::normalize(vec![]), Err(EmbeddingError::Empty));
        assert_eq!(Embedding::normalize(vec![0.0; 4]), Err(EmbeddingError::Zero));
        assert_eq!(Embedding::normalize(vec![1.0, f32::NAN]), Err(EmbeddingError::NotFinite { index: 1 }));
        assert_eq!(Embedding::normalize(vec![f32::INFINITY]), Err(EmbeddingError::NotFinite { index: 0 }));
        assert!(matches!(Embedding::from_unit(vec![1.0, 1.0]), Err(EmbeddingError::NotUnit { .. })));
    }

    #[test]
    fn a_weighted_sum_is_renormalized() {
        let x = Embedding::normalize(vec![1.0, 0.0]).unwrap();
        let y = Embedding::normalize(vec![0.0, 1.0]).unwrap();
        let sum = Embedding::weighted_sum([(3.0, &x), (4.0, &y)]).unwrap();
        assert!((sum.as_slice()[0] - 0.6).abs() < 1e-6 && (sum.as_slice()[1] - 0.8).abs() < 1e-6);
        assert_eq!(Embedding::weighted_sum([(1.0, &x), (-1.0, &x)]), Err(EmbeddingError::Zero));
        let z = Embedding::normalize(vec![1.0; 3]).unwrap();
        assert!(Embedding::weighted_sum([(1.0, &x), (1.0, &z)]).is_err());
    }

    proptest! {
        #[test]
        fn normalized_vectors_are_unit_and_keep_their_direction(v in prop::collection::vec(-1e20f32..1e20, 1..64)) {
            prop_assume!(v.iter().any(|x| *x != 0.0));
            let e = Embedding::normalize(v.clone()).unwrap();
            let length = e.as_slice().iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            prop_assert!((length - 1.0).abs() < 1e-5);
            prop_assert!((e.score(&e).get() - 1.0).abs() < 1e-5);
            for (a, b) in v.iter().zip(e.as_slice()) {
                prop_assert!(a * b >= 0.0);
            }
            prop_assert!(Embedding::from_unit(e.as_slice().to_vec()).is_ok());
        }
    }
}
