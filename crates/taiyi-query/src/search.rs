//! From a query vector to hits, best first.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::num::NonZeroUsize;

use jiff::tz::TimeZone;
use taiyi_core::{Embedding, EmbeddingError, Score};
use taiyi_store::{ContentHash, Neighbor, RowFilter, SearchOptions, Snapshot, StoreError};

use crate::{Filter, Picture};

/// Asked for beyond `k` at first, so that pictures of equal score at the edge are chosen by path, not by
/// the order in which they were indexed.
const SPARE: usize = 16;

/// What to search for besides the query vector.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// How many hits, at most; at least 1.
    pub k: usize,
    /// Hits below this score are left out.
    pub min_score: Option<f32>,
    /// Which pictures may answer.
    pub filter: Filter,
    /// Contents that must not answer, such as the query picture itself.
    pub without: HashSet<ContentHash>,
    /// Look at every vector, even where there is a graph.
    pub exact: bool,
    /// Threads to use.
    pub threads: NonZeroUsize,
    /// In which zone dates of the filter begin, where a picture only has a modification time.
    pub zone: TimeZone,
}

/// A picture that answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Place in the list, from 1.
    pub rank: usize,
    /// How well it fits.
    pub score: Score,
    /// Which picture.
    pub picture: Picture,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// `k` is 0.
    #[error("asked for 0 hits: give -k a number from 1")]
    ZeroHits,
    /// The terms cancel each other out.
    #[error("the terms of the query leave nothing to look for: {0}")]
    NoDirection(#[from] EmbeddingError),
    /// The index could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The unit vector of a weighted sum, e.g. 2 × 海边 + 日落 − 人.
///
/// # Errors
/// When nothing is left of the sum.
pub fn combine(terms: &[(f32, Embedding)]) -> Result<Embedding, QueryError> {
    Ok(Embedding::weighted_sum(terms.iter().map(|(weight, term)| (*weight, term)))?)
}

/// Finds the pictures closest to `query`, best first; equal scores are ordered by path.
///
/// # Errors
/// When `k` is 0 or the index cannot be read.
pub fn search(
    snapshot: &Snapshot,
    query: &Embedding,
    request: &SearchRequest,
) -> Result<Vec<Hit>, QueryError> {
    if request.k == 0 {
        return Err(QueryError::ZeroHits);
    }
    let filter = request.filter.compile(&request.zone);
    let filter = filter.as_ref().map(|filter| filter as &RowFilter<'_>);
    let mut hits = Vec::new();
    for neighbor in neighbors(snapshot, query, request, filter)? {
        if request.min_score.is_some_and(|least| neighbor.score.get() < least) {
            continue;
        }
        // A live row has a file that fits; one without is not worth failing for.
        let Some(picture) = Picture::read(snapshot, neighbor.row, &request.filter)? else { continue };
        if request.without.contains(&picture.content) {
            continue;
        }
        hits.push(Hit { rank: 0, score: neighbor.score, picture });
    }
    hits.sort_by(|a, b| {
        Reverse(a.score).cmp(&Reverse(b.score)).then_with(|| a.picture.path.cmp(&b.picture.path))
    });
    hits.truncate(request.k);
    for (index, hit) in hits.iter_mut().enumerate() {
        hit.rank = index + 1;
    }
    Ok(hits)
}

/// The closest rows, with all that are as close as the last one that may become a hit.
fn neighbors(
    snapshot: &Snapshot,
    query: &Embedding,
    request: &SearchRequest,
    filter: Option<&RowFilter<'_>>,
) -> Result<Vec<Neighbor>, StoreError> {
    let wanted = request.k.saturating_add(request.without.len());
    let mut spare = SPARE;
    loop {
        let k = wanted.saturating_add(spare);
        let options = SearchOptions { k, exact: request.exact, ef: None, threads: request.threads };
        let found = snapshot.search(query, &options, filter)?;
        let is_cut_in_a_tie = match (found.get(wanted - 1), found.last()) {
            (Some(edge), Some(last)) => found.len() == k && edge.score == last.score,
            _ => false,
        };
        if !is_cut_in_a_tie {
            return Ok(found);
        }
        spare = spare.saturating_mul(8);
    }
}
