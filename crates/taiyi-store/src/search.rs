//! Nearest neighbours: by looking at every row, or by walking the graph.

pub(crate) mod exact;
pub(crate) mod nearest;
pub(crate) mod top_k;
pub(crate) mod visited;
pub(crate) mod walk;
