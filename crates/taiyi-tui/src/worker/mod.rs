//! Threads that work while the interface draws.

pub mod search;

pub use search::{Answer, Question, Request, Trouble};
