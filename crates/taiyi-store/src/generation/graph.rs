//! The frozen graph, laid out for walking.
//!
//! A node is a record of fixed size that begins on a cache line: the codes of its vector, what they are
//! scaled by, its row, and its neighbours on level 0, so that scoring a node touches one place and leaving
//! it the line after. Nodes are numbered such that those of a level come before those that do not reach
//! up to it, and among equals by steps from the entry: neighbours lie near each other, every level is the
//! first so many nodes, and a walk begins at node 0.

use std::path::Path;

use crate::StoreError;
use crate::generation::codes::{CodeScale, code_bytes, encode};
use crate::generation::vectors::VectorTable;
use crate::generation::{head_version, number, usize_at};
use crate::machine::mmap::MappedFile;
use crate::manifest::{FORMAT_VERSION, GRAPH_NAME, GraphEntry, generation_dir};

pub(super) const MAGIC: &[u8; 8] = b"TAIYIGRF";
/// More than any number of rows needs.
pub(crate) const MAX_LEVELS: usize = 16;
/// The first format version with this layout; graphs before it are not walked any more.
const FIRST_VERSION: u64 = 2;
const LEVEL_TABLE_AT: usize = 48;
pub(super) const MEAN_AT: usize = 192;
/// Step, residual, row and number of neighbours, between codes and neighbours.
const HEAD_BYTES: usize = 16;
/// A slot of an upper level that has no neighbour.
pub(super) const NO_LINK: u32 = u32::MAX;
/// Everything begins on a cache line.
pub(super) const LINE: usize = 64;

/// Where things are in a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) rows: usize,
    pub(super) dimension: usize,
    pub(super) levels: usize,
    /// Nodes of each level.
    pub(super) nodes: [usize; MAX_LEVELS],
    /// Room for neighbours of a node on level 0, and on every level above.
    pub(super) slots: usize,
    pub(super) upper_slots: usize,
}

impl Layout {
    pub(super) fn records_at(&self) -> Option<usize> {
        self.dimension.checked_mul(4)?.checked_add(MEAN_AT)?.checked_next_multiple_of(LINE)
    }

    pub(super) fn record_bytes(&self) -> Option<usize> {
        let links = self.slots.checked_mul(4)?;
        code_bytes(self.dimension).checked_add(HEAD_BYTES)?.checked_add(links)?.checked_next_multiple_of(LINE)
    }

    /// As many slots as fit a record that has room for so many.
    pub(super) fn fill_record(mut self) -> Option<Self> {
        self.slots = (self.record_bytes()? - code_bytes(self.dimension) - HEAD_BYTES) / 4;
        Some(self)
    }

    /// Where a level begins; one past the last level is the end of the file.
    pub(super) fn level_at(&self, level: usize) -> Option<usize> {
        let records = self.nodes.first()?.checked_mul(self.record_bytes()?)?;
        let upper = self.nodes.get(1..level)?.iter().try_fold(0usize, |sum, n| sum.checked_add(*n))?;
        let upper = upper.checked_mul(self.upper_slots.checked_mul(4)?)?;
        self.records_at()?.checked_add(records)?.checked_add(upper)
    }

    pub(super) fn bytes(&self) -> Option<usize> {
        self.level_at(self.levels)
    }

    fn read(file: &MappedFile) -> Option<Self> {
        let small = |at: usize| number(file, at).map(|n| u32::from_le_bytes(n) as usize);
        let mut nodes = [0; MAX_LEVELS];
        for (i, nodes) in nodes.iter_mut().enumerate() {
            *nodes = usize_at(file, LEVEL_TABLE_AT + 8 * i)?;
        }
        Some(Self {
            levels: small(12)?,
            rows: usize_at(file, 16)?,
            nodes,
            dimension: small(32)?,
            slots: small(36)?,
            upper_slots: small(40)?,
        })
    }

    /// The first bytes of the file, up to the mean.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&(FORMAT_VERSION as u32).to_le_bytes());
        out.extend_from_slice(&(self.levels as u32).to_le_bytes());
        out.extend_from_slice(&(self.rows as u64).to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        for small in [self.dimension, self.slots, self.upper_slots, 0] {
            out.extend_from_slice(&(small as u32).to_le_bytes());
        }
        for nodes in self.nodes {
            out.extend_from_slice(&(nodes as u64).to_le_bytes());
        }
        out.resize(MEAN_AT, 0);
        out
    }

    fn is_possible(&self) -> bool {
        let used = self.nodes.get(..self.levels).unwrap_or(&[]);
        let unused = self.nodes.get(self.levels..).unwrap_or(&[]);
        (1..=MAX_LEVELS).contains(&self.levels)
            && used.is_sorted_by(|a, b| a >= b)
            && used.iter().all(|&n| n > 0 && n <= self.rows)
            && unused.iter().all(|&n| n == 0)
            && self.fill_record() == Some(*self)
            && self.upper_slots.is_multiple_of(LINE / 4)
    }
}

/// A graph in memory, mapped or being built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Graph<'a> {
    layout: Layout,
    record_bytes: usize,
    code_bytes: usize,
    mean: &'a [f32],
    records: &'a [u8],
    bytes: &'a [u8],
}

/// A node of a graph.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) codes: &'a [i8],
    pub(crate) scale: CodeScale,
    pub(crate) row: u32,
    /// Neighbours on level 0.
    pub(crate) links: &'a [u32],
}

impl<'a> Graph<'a> {
    /// `None` when the bytes are not as many as the layout says, or not aligned.
    pub(super) fn new(layout: Layout, bytes: &'a [u8]) -> Option<Self> {
        if layout.bytes()? != bytes.len() {
            return None;
        }
        let mean = bytes.get(MEAN_AT..MEAN_AT + layout.dimension * 4)?;
        let records = bytes.get(layout.records_at()?..layout.level_at(1)?)?;
        let (record_bytes, code_bytes) = (layout.record_bytes()?, code_bytes(layout.dimension));
        let mean = bytemuck::try_cast_slice(mean).ok()?;
        bytemuck::try_cast_slice::<u8, u32>(bytes).ok()?;
        Some(Self { layout, record_bytes, code_bytes, mean, records, bytes })
    }

    /// Rows of the table that it covers, removed ones among them.
    pub(crate) fn rows(&self) -> usize {
        self.layout.rows
    }

    /// What was taken off every vector before it was encoded.
    pub(crate) fn mean(&self) -> &'a [f32] {
        self.mean
    }

    /// Levels above the one that has all nodes.
    pub(crate) fn top_level(&self) -> usize {
        self.layout.levels.saturating_sub(1)
    }

    /// The highest level that a node is on.
    pub(super) fn height(&self, node: u32) -> u8 {
        let above = self.layout.nodes.iter().skip(1).take_while(|&&nodes| (node as usize) < nodes);
        above.count() as u8
    }

    /// Nodes of level 0.
    pub(crate) fn len(&self) -> usize {
        self.layout.nodes.first().copied().unwrap_or(0)
    }

    /// `None` when there is no such node, or its record is damaged.
    #[inline]
    pub(crate) fn node(&self, node: u32) -> Option<Node<'a>> {
        let at = (node as usize).checked_mul(self.record_bytes)?;
        let record = self.records.get(at..at.checked_add(self.record_bytes)?)?;
        let (codes, rest) = record.split_at_checked(self.code_bytes)?;
        let (head, slots) = rest.split_first_chunk::<HEAD_BYTES>()?;
        let (&[step, residual, row, links], _) = head.as_chunks::<4>() else { return None };
        let scale = CodeScale { step: f32::from_le_bytes(step), residual: f32::from_le_bytes(residual) };
        let links = slots.get(..(u32::from_le_bytes(links) as usize).checked_mul(4)?)?;
        Some(Node {
            codes: bytemuck::cast_slice(codes),
            scale,
            row: u32::from_le_bytes(row),
            links: bytemuck::try_cast_slice(links).ok()?,
        })
    }

    /// What [`node`](Self::node) reads of a node before its neighbours, for asking for it ahead.
    #[inline]
    pub(crate) fn scored_bytes(&self, node: u32) -> &'a [u8] {
        let at = (node as usize).saturating_mul(self.record_bytes);
        self.records.get(at..at.saturating_add(self.code_bytes + HEAD_BYTES)).unwrap_or(&[])
    }

    /// Neighbours of a node on a level above 0.
    #[inline]
    pub(crate) fn upper_links(&self, level: usize, node: u32) -> Option<&'a [u32]> {
        if level == 0 || node as usize >= *self.layout.nodes.get(level)? {
            return None;
        }
        let block = self.layout.upper_slots * 4;
        let at = self.layout.level_at(level)? + node as usize * block;
        let slots: &[u32] = bytemuck::try_cast_slice(self.bytes.get(at..at.checked_add(block)?)?).ok()?;
        slots.get(..slots.iter().position(|&link| link == NO_LINK).unwrap_or(slots.len()))
    }

    /// Which nodes can be reached on level 0 from one, besides those that were.
    fn spread(&self, reached: &mut [bool], from: u32) {
        let mut open = vec![from];
        while let Some(node) = open.pop() {
            let new = reached.get_mut(node as usize).is_some_and(|seen| !std::mem::replace(seen, true));
            if new && let Some(node) = self.node(node) {
                open.extend(node.links);
            }
        }
    }
}

/// A mapped graph.
#[derive(Debug)]
pub(crate) struct GraphFile {
    file: MappedFile,
    layout: Layout,
}

impl GraphFile {
    /// `None` for a graph of a format version that had another layout: searching goes without.
    pub(crate) fn open(dir: &Path, entry: &GraphEntry, dimension: usize) -> Result<Option<Self>, StoreError> {
        let path = generation_dir(dir, entry.generation).join(GRAPH_NAME);
        let file = MappedFile::open(&path, entry.sum.bytes)?;
        if head_version(&file, MAGIC)? < FIRST_VERSION {
            return Ok(None);
        }
        let layout = Layout::read(&file).ok_or_else(|| file.corrupt("its header is cut off"))?;
        if (layout.rows as u64, layout.dimension) != (entry.rows, dimension) {
            let (rows, has) = (entry.rows, (layout.rows, layout.dimension));
            return Err(
                file.corrupt(format!("expected a graph of {rows} rows of {dimension}, it has {has:?}"))
            );
        }
        if layout.nodes.first().map(|&nodes| nodes as u64) != Some(entry.live_rows) {
            return Err(
                file.corrupt(format!("expected {} nodes, it has {:?}", entry.live_rows, layout.nodes))
            );
        }
        if !layout.is_possible() {
            return Err(file.corrupt("its layout is impossible"));
        }
        if Graph::new(layout, file.bytes()).is_none() {
            return Err(file.corrupt("its levels do not fill it"));
        }
        Ok(Some(Self { file, layout }))
    }

    /// Rows of the table that it covers, removed ones among them.
    pub(crate) fn rows(&self) -> usize {
        self.layout.rows
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The graph itself; `None` cannot be, since opening has tried.
    pub(crate) fn graph(&self) -> Option<Graph<'_>> {
        Graph::new(self.layout, self.file.bytes())
    }

    /// Everything that must hold for walks to find what there is; called by `verify`.
    pub(crate) fn check(&self, vectors: &VectorTable, is_live: &dyn Fn(u32) -> bool) -> Result<(), String> {
        let graph = self.graph().ok_or("its levels do not fill it")?;
        let mut missing: Vec<bool> = (0..self.layout.rows as u32).map(is_live).collect();
        let mut seen = vec![false; self.layout.rows];
        let mut codes = vec![0; graph.code_bytes];
        for number in 0..graph.len() as u32 {
            let node = graph.node(number).ok_or_else(|| format!("node {number} cannot be read"))?;
            if node.links.iter().any(|&to| to as usize >= graph.len()) {
                return Err(format!("the links of node {number} lead nowhere"));
            }
            let again = seen.get_mut(node.row as usize).map(|seen| std::mem::replace(seen, true));
            if again != Some(false) {
                return Err(format!("node {number} is of row {}, which has one or is none", node.row));
            }
            if let Some(missing) = missing.get_mut(node.row as usize) {
                *missing = false;
            }
            let scale = encode(vectors.row(node.row).unwrap_or(&[]), graph.mean(), &mut codes);
            if (node.codes, node.scale) != (codes.as_slice(), scale) {
                return Err(format!("node {number} does not have the vector of its row {}", node.row));
            }
        }
        for level in 1..self.layout.levels {
            let nodes = self.layout.nodes.get(level).copied().unwrap_or(0);
            for node in 0..nodes as u32 {
                let links = graph.upper_links(level, node);
                if !links.is_some_and(|links| links.iter().all(|&to| (to as usize) < nodes)) {
                    return Err(format!("the links of node {node} on level {level} lead nowhere"));
                }
            }
        }
        let missing = missing.iter().filter(|&&missing| missing).count();
        if missing > 0 {
            return Err(format!("{missing} of its rows have no node"));
        }
        let mut reached = vec![false; graph.len()];
        graph.spread(&mut reached, 0);
        match reached.iter().filter(|&&reached| !reached).count() {
            0 => Ok(()),
            lost => Err(format!("no link leads to {lost} of its nodes")),
        }
    }
}
