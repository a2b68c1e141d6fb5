//! What is asked of the machine itself: files mapped into memory, and dot products in its widest registers.
//!
//! All unsafe code of this crate is in here. It relies on two things: a mapped file does not change
//! ([`mmap`]), and a kernel only runs on a processor that was found to have its instructions
//! ([`kernels`]).

#![allow(unsafe_code)]

#[cfg(target_arch = "aarch64")]
mod aarch64;
pub(crate) mod kernels;
pub(crate) mod mmap;
#[cfg(target_arch = "x86_64")]
mod x86_64;
