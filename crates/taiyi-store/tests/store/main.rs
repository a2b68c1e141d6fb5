//! The index folder from outside: its life, its searches, its damage, its neighbours in other processes.

// clippy.toml allows this in test functions; the functions that help them are none.
#![allow(clippy::unwrap_used)]

mod damage;
mod format;
mod life;
mod readers;
mod recall;
mod support;
