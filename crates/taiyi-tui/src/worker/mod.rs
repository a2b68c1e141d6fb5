//! Threads that work while the interface draws.

pub(crate) mod preview;
pub(crate) mod search;
pub(crate) mod thumbnails;

pub use search::Towers;
pub(crate) use search::{Answer, Question, Request, SearchOptions, SearchWorker, Trouble};
