//! End-to-end tests: the real binary, real files, a tiny model.
//!
//! One test binary, so that it links once. Every test has a [`harness::Sandbox`] of its own: photos,
//! index, home folder. The model is the tiny one of `taiyi-model`'s tests; its weights are random, so
//! that scores carry no meaning, but they are the same on every run, and equal pixels are equal vectors.
//! What words mean is tested with the demo model, in `demo`.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod harness;
mod pictures;
#[cfg(unix)]
mod tmux;

mod answers;
mod bad_input;
mod classify;
mod crashes;
mod damage;
mod demo;
mod errors;
mod eval_cache;
mod exchange;
mod folders;
mod formats;
mod language;
mod life;
mod models;
mod names;
mod precision;
mod retrieval;
mod roots;
// Of use in parts: the tests of `taiyi-model` share it.
#[allow(dead_code)]
mod stand_in;
mod system;
#[cfg(unix)]
mod terminal;
mod together;
