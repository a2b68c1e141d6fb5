//! Kernels on f32, compiled for every level from one source.

// Lanes and registers are counted, not iterated over.
#![allow(clippy::needless_range_loop)]

mod attention;
mod functions;
mod product;
mod rows;
#[cfg(test)]
mod tests;

pub(crate) use attention::{Attention, AttentionScratch};
pub(crate) use product::{Finish, Matrix, product};
pub(crate) use rows::{activate, layer_norm};

use super::level::Arch;

/// `a·b + c`
#[inline(always)]
fn multiply_add<A: Arch>(a: f32, b: f32, c: f32) -> f32 {
    if A::FUSED { a.mul_add(b, c) } else { a * b + c }
}
