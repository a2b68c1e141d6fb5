//! Where a tower's weights come from when it is loaded: the model's own file, or that of their quantised form.

use std::path::Path;

use crate::ModelError;
use crate::dense::Dense;
use crate::quantised::{QuantisedFile, Table};
use crate::values::Values;
use crate::weights::WeightFile;

/// The weights of one tower.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// As the model has them, computed with in f32.
    Plain(&'a WeightFile),
    /// In 8-bit numbers.
    Quantised(&'a QuantisedFile),
}

impl Source<'_> {
    /// The model's own file, for messages.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Plain(weights) => weights.path(),
            Self::Quantised(file) => file.path(),
        }
    }

    /// A tensor's values, where they lie if possible.
    pub(crate) fn values(&self, name: &str) -> Result<Values, ModelError> {
        match self {
            Self::Plain(weights) => weights.values(name),
            Self::Quantised(file) => file.values(name),
        }
    }

    /// A copy of the tensor's values.
    pub(crate) fn vector(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        Ok(match self.values(name)? {
            Values::Owned(values) => values,
            mapped => mapped.as_slice().to_vec(),
        })
    }

    /// A table of which few rows are read.
    pub(crate) fn table(&self, name: &str) -> Result<Table, ModelError> {
        match self {
            Self::Plain(weights) => Ok(Table::F32(weights.values(name)?)),
            Self::Quantised(file) => file.table(name),
        }
    }

    /// A dense layer: `name.weight`, and `name.bias` if it `has_bias`.
    pub(crate) fn dense(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        has_bias: bool,
    ) -> Result<Dense, ModelError> {
        let bias = has_bias.then(|| self.vector(&format!("{name}.bias"))).transpose()?;
        let name = format!("{name}.weight");
        Ok(match self {
            Self::Plain(weights) => Dense::f32(inputs, outputs, weights.values(&name)?, bias),
            Self::Quantised(file) => Dense::int8(inputs, outputs, file.dense(&name, inputs, outputs)?, bias),
        })
    }
}
