//! When a graph is built, made longer, or left as it is.

use crate::GraphOptions;
use crate::manifest::GraphEntry;

/// What a publication does about the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GraphWork {
    /// It stays as it is, or away.
    Keep,
    /// The rows after it are added to it.
    Extend,
    /// It is built from the ground up.
    Build,
}

/// What there is to decide about.
pub(crate) struct Rows {
    /// All rows, and those of them that are live.
    pub(crate) all: u64,
    pub(crate) live: u64,
    /// Rows that have a node in the graph and have been removed.
    pub(crate) removed_nodes: u64,
}

impl GraphWork {
    /// What is due, given the graph that there is.
    pub(crate) fn due(options: &GraphOptions, graph: Option<&GraphEntry>, rows: &Rows) -> Self {
        let min_rows = options.min_rows as u64;
        if rows.live < min_rows.max(1) {
            return Self::Keep;
        }
        let Some(graph) = graph else { return Self::Build };
        if (graph.m, graph.ef_construction) != (options.m, options.ef_construction)
            || rows.removed_nodes * 5 > graph.live_rows
        {
            return Self::Build;
        }
        // Every row after the graph is compared in every search, and adding any writes all of it anew.
        let tail = rows.all.saturating_sub(graph.rows);
        if tail > (min_rows / 4).max(graph.rows / 16) { Self::Extend } else { Self::Keep }
    }
}
