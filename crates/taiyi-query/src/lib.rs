//! The read path: what a person types → a query → hits.
//!
//! [`Prompt`] is the query language (`2:海边 + 日落 - 人 path:旅行/ after:2023-05`), [`Filter`] says
//! which pictures may answer, [`search`] asks a [`Snapshot`] and gives [`Hit`]s, best first, and
//! [`newest`] gives [`Picture`]s without a question. No model is known here: the terms of a prompt
//! arrive as embeddings.

#![forbid(unsafe_code)]

pub mod classification;
mod date;
mod display;
mod filter;
pub mod metrics;
mod newest;
mod picture;
mod prompt;
pub mod retrieval;
mod search;

pub use date::{DateError, DateRange, parse_date};
pub use display::{escape_controls, thousands};
pub use filter::{Filter, FilterError};
pub use newest::{BrowseRequest, newest};
pub use picture::Picture;
pub use prompt::{Prompt, PromptError, Source, Term};
pub use search::{Hit, QueryError, SearchRequest, combine, search};
// A front end reads an index through this crate alone.
pub use taiyi_store::{ContentHash, RowTime, Snapshot, StoreError};
