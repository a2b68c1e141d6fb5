//! What depends on the machine: mapped files, vector instructions. The one module of this crate with `unsafe`.
//!
//! It is there for three things. Files are mapped, which Rust cannot see to stay unchanged (`mmap`). Code
//! compiled for instructions that not every processor has is called after asking whether this one has them (`level`,
//! `vector`, `int8`): most kernels are plain Rust, one source for all levels. And the innermost loop of all reads
//! weights without a check of every index (`f32::product`).

#![allow(unsafe_code)]

pub(crate) mod f32;
pub(crate) mod int8;
mod lanes;
mod level;
pub(crate) mod mmap;
mod vector;

pub(crate) use lanes::{LANES, Lanes, Panels, Part};
pub(crate) use level::Level;
