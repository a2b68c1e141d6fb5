//! A tower's output, turned into embeddings.

use std::path::Path;

use taiyi_core::Embedding;

use crate::ModelError;

/// `rows` as unit vectors. `weights` is told in errors.
pub(crate) fn from_rows(rows: Vec<Vec<f32>>, weights: &Path) -> Result<Vec<Embedding>, ModelError> {
    rows.into_iter()
        .map(|row| {
            Embedding::normalize(row).map_err(|error| {
                ModelError::run(weights, format!("the tower's output is no embedding: {error}"))
            })
        })
        .collect()
}
