//! Which model made an embedding.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Precision;

/// Stands behind the hash of a model that computes in 8-bit numbers. The number changes whenever the way to
/// quantise does, for with it the embeddings do.
const INT8: &str = "+int8.1";

/// Identity of a model: embeddings of two models are comparable only when their `weights` agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelId {
    /// The name people use, e.g. `taiyi-102m`, or the folder's name for a model of their own.
    pub name: String,
    /// BLAKE3 over everything that decides an embedding, in lower-case hexadecimal; behind it `+int8.1` if the
    /// model computes in 8-bit numbers.
    pub weights: String,
    /// Components of an embedding.
    pub dimension: usize,
}

impl ModelId {
    /// Whether embeddings of both may be compared. The name is only a label.
    #[must_use]
    pub fn is_same_model(&self, other: &Self) -> bool {
        self.weights == other.weights && self.dimension == other.dimension
    }

    /// Whether both are of the same weights, in whatever precision.
    #[must_use]
    pub fn has_same_weights(&self, other: &Self) -> bool {
        self.hash() == other.hash() && self.dimension == other.dimension
    }

    /// The hash of the weights alone.
    #[must_use]
    pub fn hash(&self) -> &str {
        self.weights.split_once('+').map_or(&self.weights, |(hash, _)| hash)
    }

    /// What the model computes in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        if self.weights.contains("+int8") { Precision::Int8 } else { Precision::F32 }
    }

    /// The same model in this precision.
    #[must_use]
    pub fn at(mut self, precision: Precision) -> Self {
        self.weights.truncate(self.hash().len());
        if precision == Precision::Int8 {
            self.weights.push_str(INT8);
        }
        self
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = self.weights.get(..8).unwrap_or(&self.weights);
        let precision = match self.precision() {
            Precision::F32 => "",
            Precision::Int8 => " in int8",
        };
        write!(f, "{}{precision} ({short}, {} dimensions)", self.name, self.dimension)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_decide_not_the_name() {
        let a = ModelId { name: "taiyi-102m".into(), weights: "ab".repeat(32), dimension: 512 };
        let renamed = ModelId { name: "my-model".into(), ..a.clone() };
        let other = ModelId { weights: "cd".repeat(32), ..a.clone() };
        assert!(a.is_same_model(&renamed));
        assert!(!a.is_same_model(&other));
        assert_eq!(a.to_string(), "taiyi-102m (abababab, 512 dimensions)");
    }

    #[test]
    fn another_precision_is_another_model_of_the_same_weights() {
        let exact = ModelId { name: "taiyi-102m".into(), weights: "ab".repeat(32), dimension: 512 };
        let coarse = exact.clone().at(Precision::Int8);
        assert_eq!((exact.precision(), coarse.precision()), (Precision::F32, Precision::Int8));
        assert!(!exact.is_same_model(&coarse) && exact.has_same_weights(&coarse));
        assert_eq!(coarse.to_string(), "taiyi-102m in int8 (abababab, 512 dimensions)");
        assert_eq!(coarse.clone().at(Precision::Int8), coarse);
        assert_eq!(coarse.at(Precision::F32), exact);
    }
}
