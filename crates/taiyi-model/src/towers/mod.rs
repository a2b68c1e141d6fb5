//! The two networks, as tensors in and tensors out.

pub(crate) mod bert;
pub(crate) mod vit;

use crate::weights::TensorSpec;

/// Weight and bias of a dense layer, `[to, from]` and `[to]`.
fn dense(specs: &mut Vec<TensorSpec>, name: &str, from: usize, to: usize) {
    specs.push(TensorSpec::new(format!("{name}.weight"), &[to, from]));
    specs.push(TensorSpec::new(format!("{name}.bias"), &[to]));
}

/// Gain and bias of a LayerNorm, `[width]` each.
fn norm(specs: &mut Vec<TensorSpec>, name: &str, width: usize) {
    specs.push(TensorSpec::new(format!("{name}.weight"), &[width]));
    specs.push(TensorSpec::new(format!("{name}.bias"), &[width]));
}
