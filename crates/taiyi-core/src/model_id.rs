//! Which model made an embedding.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Identity of a model: embeddings of two models are comparable only when their `weights` agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelId {
    /// The name people use, e.g. `taiyi-102m`, or the folder's name for a model of their own.
    pub name: String,
    /// BLAKE3 over everything that decides an embedding, in lower-case hexadecimal.
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
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = self.weights.get(..8).unwrap_or(&self.weights);
        write!(f, "{} ({short}, {} dimensions)", self.name, self.dimension)
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
}
