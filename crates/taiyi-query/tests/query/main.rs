//! Reading a published index: searching it and looking through it.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod newest;
mod search;
mod support;
