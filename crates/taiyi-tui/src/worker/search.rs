//! The search worker: holds the snapshot and the towers, and answers the newest request.

use std::path::PathBuf;
use std::sync::Arc;

use taiyi_query::{ContentHash, Filter, Term};

use crate::state::Entry;

/// What is looked for. Without terms and without a picture, the newest pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Question {
    /// The sum to embed.
    pub terms: Vec<Term>,
    /// Which pictures may answer.
    pub filter: Filter,
    /// An indexed picture that counts as one more term, and is left out of the answer.
    pub similar: Option<ContentHash>,
}

/// A question with its number.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Grows with every request; answers to older ones are dropped.
    pub generation: u64,
    /// What is looked for.
    pub question: Question,
}

/// What the worker found.
#[derive(Clone, Debug)]
pub struct Answer {
    /// That of the request.
    pub generation: u64,
    /// The pictures, best or newest first; or what is wrong with this question.
    pub found: Result<Arc<[Entry]>, String>,
    /// Whether more pictures would fit than were asked for.
    pub is_cut: bool,
    /// Pictures in the index.
    pub total: usize,
}

/// Why there is nothing to search in, or nothing to search with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no index in this folder.
    NoIndex(PathBuf),
    /// The first run of `index` has not published anything yet.
    NotPublished(PathBuf),
    /// There is no picture in the index.
    Empty(PathBuf),
    /// The index cannot be read: why, and what to do.
    Index(String),
    /// The model cannot be used: why, and what to do.
    Model(String),
}
