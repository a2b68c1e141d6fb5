//! The read path: what a person types → a query → hits.
//!
//! [`Prompt`] is the query language (`2:海边 + 日落 - 人 path:旅行/ after:2023-05`), [`Filter`] says
//! which pictures may answer, [`search`] asks a [`taiyi_store::Snapshot`] and gives [`Hit`]s, best
//! first. No model is known here: the terms of a prompt arrive as embeddings.

#![forbid(unsafe_code)]

mod date;
mod filter;
pub mod metrics;
mod prompt;
mod search;

pub use date::{DateError, DateRange, parse_date};
pub use filter::{Filter, FilterError};
pub use prompt::{Prompt, PromptError, Source, Term};
pub use search::{Hit, QueryError, SearchRequest, combine, search};
