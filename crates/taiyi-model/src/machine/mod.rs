//! What depends on the machine: mapped files, vector instructions. The one module of this crate with `unsafe`.
//!
//! `unsafe` is there for two things only. Files are mapped, which Rust cannot see to stay unchanged
//! ([`mmap`]). And code compiled for instructions that not every processor has is called after asking whether
//! this one has them: a [`Level`] can only be had by asking. The code itself is plain Rust on slices, one
//! source for every level; the compiler makes vector instructions of it.

#![allow(unsafe_code)]

pub(crate) mod f32;
mod lanes;
mod level;
pub(crate) mod mmap;

pub(crate) use lanes::{LANES, Lanes, Panels};
pub(crate) use level::Level;
