//! Which nodes a walk has met.

/// A bit for every node.
pub(crate) struct Visited(Vec<u64>);

impl Visited {
    pub(crate) fn new(nodes: usize) -> Self {
        Self(vec![0; nodes.div_ceil(64)])
    }

    /// Whether the node is new; `None` when there is no such node.
    #[inline]
    pub(crate) fn insert(&mut self, node: u32) -> Option<bool> {
        let word = self.0.get_mut(node as usize / 64)?;
        let bit = 1 << (node % 64);
        let new = *word & bit == 0;
        *word |= bit;
        Some(new)
    }
}
