//! The frozen graph: what hnsw_rs built, laid out for mapping.
//!
//! Level 0 has a list of neighbours for every row; each level above has fewer rows, named in ascending
//! order so that one is found by bisection. Rows that had been removed when the graph was built are in
//! no list.

use std::path::Path;

use crate::StoreError;
use crate::durable::{FileSum, HashingWriter};
use crate::generation::build::BuiltGraph;
use crate::generation::{check_head, number, usize_at};
use crate::manifest::{FORMAT_VERSION, GRAPH_NAME, GraphEntry, generation_dir};
use crate::mmap::MappedFile;
use crate::search::walk::Links;

const MAGIC: &[u8; 8] = b"TAIYIGRF";
/// hnsw_rs has no more levels.
pub(crate) const MAX_LEVELS: usize = 16;
const LEVEL_TABLE_AT: usize = 32;
const HEADER_BYTES: usize = LEVEL_TABLE_AT + MAX_LEVELS * 16;

/// A mapped graph.
#[derive(Debug)]
pub(crate) struct GraphFile {
    file: MappedFile,
    rows: usize,
    entry: u32,
    levels: Vec<Level>,
}

/// Where the numbers of a level are, in u32s from the start of the file.
#[derive(Clone, Copy, Debug)]
struct Level {
    /// The rows of the level; on level 0 row `i` is simply the `i`th.
    rows: usize,
    nodes: usize,
    offsets: usize,
    links: usize,
    link_count: usize,
}

impl GraphFile {
    pub(crate) fn open(dir: &Path, entry: &GraphEntry) -> Result<Self, StoreError> {
        let path = generation_dir(dir, entry.generation).join(GRAPH_NAME);
        let file = MappedFile::open(&path, entry.sum.bytes)?;
        check_head(&file, MAGIC)?;
        let cut_off = || file.corrupt("its header is cut off");
        let level_count = number(&file, 12).map(u32::from_le_bytes).ok_or_else(cut_off)? as usize;
        let rows = usize_at(&file, 16).ok_or_else(cut_off)?;
        let entry_row = number(&file, 24).map(u32::from_le_bytes).ok_or_else(cut_off)?;
        let possible = (1..=MAX_LEVELS).contains(&level_count) && (entry_row as usize) < rows;
        if !possible || rows as u64 != entry.rows {
            return Err(file.corrupt(format!("expected a graph of {} rows, it has {rows}", entry.rows)));
        }
        let mut end = HEADER_BYTES / 4;
        let mut levels = Vec::with_capacity(level_count);
        for level in 0..level_count {
            let at = LEVEL_TABLE_AT + level * 16;
            let nodes = usize_at(&file, at).ok_or_else(cut_off)?;
            let link_count = usize_at(&file, at + 8).ok_or_else(cut_off)?;
            let mut section = |numbers: usize| {
                let start = end;
                end = end.checked_add(numbers)?;
                Some(start)
            };
            let placed = (|| {
                let rows_at = section(if level == 0 { 0 } else { nodes })?;
                let offsets = section(nodes.checked_add(1)?)?;
                Some(Level { rows: rows_at, nodes, offsets, links: section(link_count)?, link_count })
            })();
            match placed {
                Some(placed) if level > 0 || nodes == rows => levels.push(placed),
                _ => return Err(file.corrupt("its levels are impossible")),
            }
        }
        if end.checked_mul(4) != Some(file.bytes().len()) {
            return Err(file.corrupt("its levels do not fill it"));
        }
        Ok(Self { file, rows, entry: entry_row, levels })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    fn numbers(&self, start: usize, len: usize) -> Option<&[u32]> {
        // A mapping begins at a page, so this is aligned.
        bytemuck::try_cast_slice::<u8, u32>(self.file.bytes()).ok()?.get(start..start.checked_add(len)?)
    }

    /// Everything that must hold for walks to find what there is; called by `verify`.
    pub(crate) fn check(&self, is_live: &dyn Fn(u32) -> bool) -> Result<(), String> {
        let rows = self.rows as u32;
        for (number, level) in self.levels.iter().enumerate() {
            let members = if number == 0 { None } else { self.numbers(level.rows, level.nodes) };
            if let Some(members) = members
                && !members.is_sorted_by(|a, b| a < b)
            {
                return Err(format!("the rows of level {number} are out of order"));
            }
            for slot in 0..level.nodes as u32 {
                let row = members.map_or(Some(slot), |m| m.get(slot as usize).copied());
                let linked = row.and_then(|row| self.neighbors(number, row));
                if !linked.is_some_and(|linked| linked.iter().all(|&to| to < rows)) {
                    return Err(format!("the links of node {slot} on level {number} lead nowhere"));
                }
            }
        }
        let mut reached = vec![false; self.rows];
        let mut open = vec![self.entry];
        while let Some(row) = open.pop() {
            let new = reached.get_mut(row as usize).is_some_and(|seen| !std::mem::replace(seen, true));
            if new {
                open.extend(self.neighbors(0, row).unwrap_or(&[]));
            }
        }
        let lost = reached.iter().zip(0..).filter(|&(&seen, row)| !seen && is_live(row)).count();
        if lost == 0 { Ok(()) } else { Err(format!("no link leads to {lost} of its rows")) }
    }
}

impl Links for GraphFile {
    fn entry(&self) -> (u32, usize) {
        (self.entry, self.levels.len().saturating_sub(1))
    }

    #[inline]
    fn neighbors(&self, level: usize, row: u32) -> Option<&[u32]> {
        let place = self.levels.get(level)?;
        let slot = if level == 0 {
            row as usize
        } else {
            self.numbers(place.rows, place.nodes)?.binary_search(&row).ok()?
        };
        if slot >= place.nodes {
            return None;
        }
        let &[from, to] = self.numbers(place.offsets + slot, 2)? else { return None };
        let (from, to) = (from as usize, to as usize);
        if from > to || to > place.link_count {
            return None;
        }
        self.numbers(place.links + from, to - from)
    }
}

/// Writes a graph.
pub(crate) fn write(folder: &Path, graph: &BuiltGraph) -> Result<FileSum, StoreError> {
    let path = folder.join(GRAPH_NAME);
    let mut out = HashingWriter::create(&path)?;
    out.write(MAGIC)?;
    out.write(&(FORMAT_VERSION as u32).to_le_bytes())?;
    out.write(&(graph.levels.len() as u32).to_le_bytes())?;
    out.write(&(graph.rows as u64).to_le_bytes())?;
    out.write(&graph.entry.to_le_bytes())?;
    out.pad_to(LEVEL_TABLE_AT as u64)?;
    for (number, level) in graph.levels.iter().enumerate() {
        let nodes = if number == 0 { graph.rows } else { level.len() };
        let links: usize = level.iter().map(|(_, links)| links.len()).sum();
        if u32::try_from(links).is_err() {
            return Err(StoreError::InvalidArgument(format!(
                "a graph of {links} links is too large: build it with a smaller m"
            )));
        }
        out.write(&(nodes as u64).to_le_bytes())?;
        out.write(&(links as u64).to_le_bytes())?;
    }
    for _ in graph.levels.len()..MAX_LEVELS {
        out.write(&[0; 16])?;
    }
    for (number, level) in graph.levels.iter().enumerate() {
        let mut offset = 0u32;
        if number == 0 {
            // Rows that are not in the graph have an empty list.
            let mut nodes = level.iter().peekable();
            for row in 0..graph.rows as u32 {
                out.write(&offset.to_le_bytes())?;
                if let Some((_, links)) = nodes.next_if(|(node, _)| *node == row) {
                    offset += links.len() as u32;
                }
            }
        } else {
            for (row, _) in level {
                out.write(&row.to_le_bytes())?;
            }
            for (_, links) in level {
                out.write(&offset.to_le_bytes())?;
                offset += links.len() as u32;
            }
        }
        out.write(&offset.to_le_bytes())?;
        for (_, links) in level {
            out.write(bytemuck::cast_slice(links))?;
        }
    }
    out.finish()
}
