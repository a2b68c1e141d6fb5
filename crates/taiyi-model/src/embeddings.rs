//! A tower's output, turned into embeddings.

use std::path::Path;

use candle_core::Tensor;
use taiyi_core::Embedding;

use crate::ModelError;
use crate::weights::plain;

/// The rows of `output`, f32 `[inputs, dimension]`, as unit vectors. `weights` is told in errors.
pub(crate) fn from_output(output: &Tensor, weights: &Path) -> Result<Vec<Embedding>, ModelError> {
    let rows = output.to_vec2::<f32>().map_err(|error| ModelError::run(weights, plain(&error)))?;
    rows.into_iter()
        .map(|row| {
            Embedding::normalize(row).map_err(|error| {
                ModelError::run(weights, format!("the tower's output is no embedding: {error}"))
            })
        })
        .collect()
}
