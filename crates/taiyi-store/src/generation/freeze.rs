//! From lists of neighbours to the bytes of a graph file.

use std::cmp::Reverse;
use std::path::Path;

use crate::StoreError;
use crate::durable::{FileSum, HashingWriter};
use crate::generation::codes::{CodeTable, QueryCodes, code_bytes};
use crate::generation::graph::{Graph, LINE, Layout, MAX_LEVELS, MEAN_AT, NO_LINK};
use crate::manifest::GRAPH_NAME;
use crate::search::walk::walk;

/// Candidates for the neighbour of a node that no link leads to.
const CONNECT_EF: usize = 64;
/// Room for such links in every node, at least.
const SPARE_SLOTS: usize = 4;

/// Per level, from 0 up, its points in ascending order with their neighbours.
pub(super) type Levels = Vec<Vec<(u32, Vec<u32>)>>;

/// A graph in memory, in the bytes of its file.
pub(crate) struct FrozenGraph {
    layout: Layout,
    words: Vec<u32>,
}

impl FrozenGraph {
    /// Lays out the graph of points, of which the `i`th has the row `rows[i]` of a table of `table_rows` and
    /// the codes `codes.get(i)`. `None` when it has more bytes than can be counted.
    pub(super) fn new(
        levels: &Levels,
        entry: u32,
        rows: &[u32],
        table_rows: usize,
        codes: &CodeTable<'_>,
    ) -> Option<Self> {
        let order = order(levels, entry, rows.len());
        let mut numbers = vec![0u32; rows.len()];
        for (number, &point) in (0u32..).zip(&order) {
            *numbers.get_mut(point as usize)? = number;
        }
        let most = |levels: &[Vec<(u32, Vec<u32>)>]| {
            levels.iter().flatten().map(|(_, links)| links.len()).max().unwrap_or(0)
        };
        let (lowest, upper) = levels.split_at_checked(1)?;
        let mut nodes = [0; MAX_LEVELS];
        for (nodes, level) in nodes.iter_mut().zip(levels) {
            *nodes = level.len();
        }
        let layout = Layout {
            rows: table_rows,
            dimension: codes.mean().len(),
            levels: levels.len(),
            nodes,
            slots: most(lowest) + SPARE_SLOTS,
            upper_slots: most(upper).next_multiple_of(LINE / 4),
        };
        let layout = layout.fill_record()?;
        let mut frozen = Self { layout, words: vec![0; layout.bytes()? / 4] };
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut frozen.words);
        let header = layout.header();
        bytes.get_mut(..header.len())?.copy_from_slice(&header);
        let mean: &[u8] = bytemuck::cast_slice(codes.mean());
        bytes.get_mut(MEAN_AT..MEAN_AT + mean.len())?.copy_from_slice(mean);

        let code_bytes = code_bytes(layout.dimension);
        let records = bytes.get_mut(layout.records_at()?..layout.level_at(1)?)?;
        for (&point, record) in order.iter().zip(records.chunks_exact_mut(layout.record_bytes()?)) {
            let (row_codes, scale) = codes.get(point as usize)?;
            let (record_codes, rest) = record.split_at_mut_checked(code_bytes)?;
            record_codes.copy_from_slice(bytemuck::cast_slice(row_codes));
            let links = lowest.first().and_then(|level| links_of(level, point)).unwrap_or(&[]);
            let head = [
                scale.step.to_bits(),
                scale.residual.to_bits(),
                *rows.get(point as usize)?,
                links.len() as u32,
            ];
            let links = links.iter().map(|&to| numbers.get(to as usize).copied().unwrap_or(0));
            for (word, value) in rest.as_chunks_mut::<4>().0.iter_mut().zip(head.into_iter().chain(links)) {
                *word = value.to_le_bytes();
            }
        }
        for (number, level) in levels.iter().enumerate().skip(1) {
            let blocks = bytes.get_mut(layout.level_at(number)?..layout.level_at(number + 1)?)?;
            for (&point, block) in order.iter().zip(blocks.chunks_exact_mut(layout.upper_slots * 4)) {
                let links = links_of(level, point).unwrap_or(&[]);
                let links = links.iter().map(|&to| numbers.get(to as usize).copied().unwrap_or(0));
                for (word, value) in
                    block.as_chunks_mut::<4>().0.iter_mut().zip(links.chain(std::iter::repeat(NO_LINK)))
                {
                    *word = value.to_le_bytes();
                }
            }
        }
        Some(frozen)
    }

    /// Gives every node a link on level 0 that leads to it.
    ///
    /// hnsw_rs keeps the nearest neighbours of a node and drops the farthest, so a knot of near-duplicates
    /// can end up linked only among themselves, and no walk would ever find it.
    pub(super) fn connect(&mut self) -> Option<()> {
        let nodes = self.graph()?.len();
        let slots = self.layout.slots;
        let mut reached = vec![false; nodes];
        self.graph()?.spread(&mut reached, 0);
        for node in 0..nodes as u32 {
            if reached.get(node as usize).copied().unwrap_or(true) {
                continue;
            }
            let graph = self.graph()?;
            // Every such link brings along a node with room for more, so there is always one.
            let has_room =
                |from: u32, links: &[u32]| links.len() < slots && reached.get(from as usize) == Some(&true);
            let lost = graph.node(node)?;
            let vector: Vec<f32> = graph
                .mean()
                .iter()
                .zip(lost.codes)
                .map(|(m, &c)| m + f32::from(c) * lost.scale.step)
                .collect();
            let query = QueryCodes::new(&vector, graph.mean());
            let found = walk(graph, &query, CONNECT_EF, &|from, n| has_room(from, n.links)).ok();
            let nearest = found.and_then(|found| found.first().map(|candidate| candidate.node()));
            let any =
                || (0..nodes as u32).find(|&from| graph.node(from).is_some_and(|n| has_room(from, n.links)));
            self.push_link(nearest.or_else(any)?, node)?;
            self.graph()?.spread(&mut reached, node);
        }
        Some(())
    }

    fn push_link(&mut self, from: u32, to: u32) -> Option<()> {
        let count = self.graph()?.node(from)?.links.len();
        let record = self.layout.records_at()? + from as usize * self.layout.record_bytes()?;
        // In words: step, residual, row, count, links.
        let head = (record + code_bytes(self.layout.dimension)) / 4;
        *self.words.get_mut(head + 3)? = (count as u32 + 1).to_le();
        *self.words.get_mut(head + 4 + count)? = to.to_le();
        Some(())
    }

    pub(crate) fn graph(&self) -> Option<Graph<'_>> {
        Graph::new(self.layout, bytemuck::cast_slice(&self.words))
    }

    /// Rows of the table that it covers.
    pub(crate) fn rows(&self) -> usize {
        self.layout.rows
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<FileSum, StoreError> {
        let mut out = HashingWriter::create(&folder.join(GRAPH_NAME))?;
        for chunk in self.words.chunks(1 << 18) {
            out.write(bytemuck::cast_slice(chunk))?;
        }
        out.finish()
    }
}

fn links_of(level: &[(u32, Vec<u32>)], point: u32) -> Option<&[u32]> {
    let at = level.binary_search_by_key(&point, |(point, _)| *point).ok()?;
    level.get(at).map(|(_, links)| links.as_slice())
}

/// The points in the order of their nodes: by level from the top, then by steps from the entry.
fn order(levels: &Levels, entry: u32, points: usize) -> Vec<u32> {
    let mut order = Vec::with_capacity(points);
    let mut seen = vec![false; points];
    let lowest = levels.first().map_or(&[][..], Vec::as_slice);
    for start in std::iter::once(entry).chain(0..points as u32) {
        let mut next = order.len();
        let mut meet = |point: u32, order: &mut Vec<u32>| {
            if seen.get_mut(point as usize).is_some_and(|seen| !std::mem::replace(seen, true)) {
                order.push(point);
            }
        };
        meet(start, &mut order);
        while let Some(&point) = order.get(next) {
            next += 1;
            for &to in links_of(lowest, point).unwrap_or(&[]) {
                meet(to, &mut order);
            }
        }
    }
    let mut height = vec![0u8; points];
    for (number, level) in (0u8..).zip(levels) {
        for (point, _) in level {
            if let Some(height) = height.get_mut(*point as usize) {
                *height = number;
            }
        }
    }
    order.sort_by_key(|&point| Reverse(height.get(point as usize).copied()));
    order
}
