//! The two networks: token ids or pixels in, numbers out.

pub(crate) mod bert;
pub(crate) mod stack;
#[cfg(any(test, feature = "cuda"))]
pub(crate) mod tensors;
pub(crate) mod vit;

pub(crate) use stack::Scratch;

use crate::weights::{Role, TensorSpec};

/// Weight and bias of a dense layer, `[to, from]` and `[to]`.
fn dense_specs(specs: &mut Vec<TensorSpec>, name: &str, from: usize, to: usize) {
    specs.push(TensorSpec::new(format!("{name}.weight"), &[to, from]).used_as(Role::Dense));
    specs.push(TensorSpec::new(format!("{name}.bias"), &[to]));
}

/// Gain and bias of a LayerNorm, `[width]` each.
fn norm_specs(specs: &mut Vec<TensorSpec>, name: &str, width: usize) {
    specs.push(TensorSpec::new(format!("{name}.weight"), &[width]));
    specs.push(TensorSpec::new(format!("{name}.bias"), &[width]));
}
