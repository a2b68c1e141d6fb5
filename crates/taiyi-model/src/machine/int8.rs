//! Products of 8-bit whole numbers: weights quantised once, activations as they come.
//!
//! A weight is `scale · w` with `w` from -127 to 127 and a scale for every output channel; an activation is
//! `scale · (q - zero)` with `q` from 0 to 255 and scale and zero for every token, so that
//!
//! ```text
//! y[n, m] = w_scale[n] · x_scale[m] · (Σ_k w[n, k]·q[m, k]  -  zero[m]·Σ_k w[n, k])
//! ```
//!
//! The sums are exact in i32 on every processor ([`Level`]), so all levels agree to the last bit; only what is
//! made of them is f32. Four inputs lie together, of a channel as of a token: what a lane of VNNI's dot product
//! takes. The 16 tokens of a panel fill a vector, and every four weights are multiplied with all of them at
//! once, as in the f32 kernels ([`super::lanes`]).

mod blocks;
mod level;
mod neon;
mod product;
mod scalar;
mod tokens;
mod x86;

pub(crate) use blocks::{BlockSizes, Blocks, OwnedBlocks, quantise_row, scale_of};
pub(crate) use level::Level;
pub(crate) use product::{Finish, product};
pub(crate) use tokens::QuantisedTokens;

use super::LANES;

/// Inputs that lie together.
pub(crate) const GROUP: usize = 4;
/// Output channels of a block: with [`GROUP`] inputs each, one cache line.
pub(crate) const BLOCK: usize = 16;
/// Panels that are multiplied with a block at a time, at most.
const MAX_PANELS: usize = 3;

/// A group of inputs of all channels of a block, `[16][4]`.
type WeightLine = [i8; BLOCK * GROUP];

/// A group of inputs of all tokens of a panel: the first input in the lowest byte.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct TokenLine([u32; LANES]);

/// The sums of a block and some panels: `[panel][channel][token]`.
type Sums = [[[i32; LANES]; BLOCK]; MAX_PANELS];
