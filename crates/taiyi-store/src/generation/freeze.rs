//! From a graph that has grown to the bytes of its file.

use std::cmp::Reverse;
use std::path::Path;

use crate::StoreError;
use crate::durable::{FileSum, HashingWriter};
use crate::generation::graph::{LINE, Layout, MAX_LEVELS, MEAN_AT, NO_LINK};
use crate::generation::growing::Growing;
use crate::manifest::GRAPH_NAME;

/// A graph whose nodes have their numbers.
pub(super) struct FrozenGraph<'a> {
    growing: Growing<'a>,
    rows: &'a [u32],
    table_rows: usize,
    /// The points in the order of their nodes.
    order: Vec<u32>,
}

impl<'a> FrozenGraph<'a> {
    /// Numbers the nodes of a graph of points, of which the `i`th has the row `rows[i]` of a table of
    /// `table_rows`.
    pub(super) fn new(growing: Growing<'a>, rows: &'a [u32], table_rows: usize) -> Self {
        let order = order(&growing, rows.len());
        Self { growing, rows, table_rows, order }
    }

    fn layout(&self) -> Option<Layout> {
        let (lowest, upper) = self.growing.levels().split_first()?;
        let mut nodes = [0; MAX_LEVELS];
        for (nodes, level) in nodes.iter_mut().zip(self.growing.levels()) {
            *nodes = level.len();
        }
        let layout = Layout {
            rows: self.table_rows,
            dimension: self.growing.codes().mean().len(),
            levels: self.growing.levels().len(),
            nodes,
            slots: lowest.longest(),
            upper_slots: upper
                .iter()
                .map(|level| level.longest())
                .max()
                .unwrap_or(0)
                .next_multiple_of(LINE / 4),
        };
        layout.fill_record()
    }

    /// Writes the file.
    pub(super) fn write(&self, folder: &Path) -> Result<FileSum, StoreError> {
        let path = folder.join(GRAPH_NAME);
        let too_large = || StoreError::InvalidArgument(format!("{}: the graph is too large", path.display()));
        let layout = self.layout().ok_or_else(too_large)?;
        let record_bytes = layout.record_bytes().ok_or_else(too_large)?;
        let mut numbers = vec![0u32; self.order.len()];
        for (number, &point) in (0u32..).zip(&self.order) {
            if let Some(slot) = numbers.get_mut(point as usize) {
                *slot = number;
            }
        }
        let number_of = |&point: &u32| numbers.get(point as usize).copied().unwrap_or(0);

        let mut out = HashingWriter::create(&path)?;
        let codes = self.growing.codes();
        out.write(&layout.header())?;
        debug_assert_eq!(layout.header().len(), MEAN_AT);
        out.write(bytemuck::cast_slice(codes.mean()))?;
        out.pad_to(LINE as u64)?;
        let mut record = Vec::with_capacity(record_bytes);
        for &point in &self.order {
            record.clear();
            let (row_codes, scale) = codes.get(point as usize).unwrap_or_default();
            let links = self.growing.levels().first().map_or(&[][..], |level| level.of(point));
            record.extend_from_slice(bytemuck::cast_slice(row_codes));
            record.extend_from_slice(&scale.step.to_le_bytes());
            record.extend_from_slice(&scale.residual.to_le_bytes());
            let row = self.rows.get(point as usize).copied().unwrap_or(0);
            for word in [row, links.len() as u32].into_iter().chain(links.iter().map(number_of)) {
                record.extend_from_slice(&word.to_le_bytes());
            }
            record.resize(record_bytes, 0);
            out.write(&record)?;
        }
        let mut block = Vec::with_capacity(layout.upper_slots * 4);
        for (level, nodes) in self.growing.levels().iter().zip(layout.nodes).skip(1) {
            for point in self.order.iter().take(nodes) {
                block.clear();
                for to in level.of(*point) {
                    block.extend_from_slice(&number_of(to).to_le_bytes());
                }
                while block.len() < layout.upper_slots * 4 {
                    block.extend_from_slice(&NO_LINK.to_le_bytes());
                }
                out.write(&block)?;
            }
        }
        out.finish()
    }
}

/// The points in the order of their nodes: by level from the top, then by steps from the entry.
fn order(growing: &Growing<'_>, points: usize) -> Vec<u32> {
    let mut order = Vec::with_capacity(points);
    let mut seen = vec![false; points];
    for start in growing.entry().into_iter().chain(0..points as u32) {
        let mut next = order.len();
        let mut meet = |point: u32, order: &mut Vec<u32>| {
            if seen.get_mut(point as usize).is_some_and(|seen| !std::mem::replace(seen, true)) {
                order.push(point);
            }
        };
        meet(start, &mut order);
        while let Some(&point) = order.get(next) {
            next += 1;
            for &to in growing.levels().first().map_or(&[][..], |level| level.of(point)) {
                meet(to, &mut order);
            }
        }
    }
    order.sort_by_key(|&point| Reverse(growing.height(point)));
    order
}
