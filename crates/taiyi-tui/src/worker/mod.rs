//! Threads that work while the interface draws.

pub(crate) mod preview;
pub mod search;
pub(crate) mod thumbnails;

pub use search::{Answer, Question, Request, SearchOptions, SearchWorker, Towers, Trouble};
