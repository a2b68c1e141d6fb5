//! Reading the ledger for a publication: every content with its locations, and every failure.
//!
//! Records stay encoded in a few large buffers: a million pictures take some 200 MB, not a gigabyte of
//! small allocations.

use std::ops::Range;

use crate::encoding::{put_failed_location, put_location, put_metadata};
use crate::ledger::Ledger;
use crate::{ContentHash, LocationState, Root, RowTime, StoreError};

/// What a publication is made from.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) roots: Vec<Root>,
    /// Contents that lie somewhere, in the order of their hashes.
    pub(crate) contents: Vec<CollectedContent>,
    /// Contents of this epoch that lie nowhere.
    pub(crate) orphans: Vec<ContentHash>,
    pub(crate) failures: Vec<u8>,
    pub(crate) failure_count: usize,
    pub(crate) location_count: usize,
    metadata: Vec<u8>,
    locations: Vec<u8>,
}

/// One content.
#[derive(Debug)]
pub(crate) struct CollectedContent {
    pub(crate) hash: ContentHash,
    pub(crate) time: Option<RowTime>,
    pub(crate) location_count: u32,
    metadata: Range<usize>,
    locations: Range<usize>,
}

impl Collected {
    /// Encoded metadata of a content.
    pub(crate) fn metadata(&self, content: &CollectedContent) -> &[u8] {
        self.metadata.get(content.metadata.clone()).unwrap_or(&[])
    }

    /// Encoded locations of a content, in the order of roots and paths.
    pub(crate) fn locations(&self, content: &CollectedContent) -> &[u8] {
        self.locations.get(content.locations.clone()).unwrap_or(&[])
    }

    /// Which of the contents this is.
    pub(crate) fn position(&self, hash: &ContentHash) -> Option<usize> {
        self.contents.binary_search_by_key(hash, |content| content.hash).ok()
    }
}

struct Found {
    hash: ContentHash,
    /// Where its encoded location is; ascending with root and path.
    at: usize,
    len: usize,
    /// `None` where the file was never looked at.
    mtime_ns: Option<i64>,
}

/// Reads everything of one epoch; `progress` is told of every record.
pub(crate) fn collect(
    ledger: &Ledger,
    epoch: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<Collected, StoreError> {
    let mut collected = Collected { roots: ledger.roots()?, ..Collected::default() };
    let mut found = Vec::new();
    let mut scattered = Vec::new();
    let mut records = 0;
    for root in &collected.roots {
        for location in ledger.locations(root.id, None) {
            let (path, record) = location?;
            match record.state {
                LocationState::Indexed(hash) => {
                    let at = scattered.len();
                    put_location(&mut scattered, root.id, record.stamp, &path);
                    let len = scattered.len() - at;
                    let mtime_ns = (!record.stamp.is_imported()).then_some(record.stamp.mtime_ns);
                    found.push(Found { hash, at, len, mtime_ns });
                }
                LocationState::Failed(failure) => {
                    put_failed_location(&mut collected.failures, root.id, record.stamp, &path, &failure);
                    collected.failure_count += 1;
                }
                LocationState::Ignored => {}
            }
            records += 1;
            progress(records);
        }
    }
    found.sort_unstable_by_key(|f| (f.hash, f.at));

    let mut groups = found.chunk_by(|a, b| a.hash == b.hash).peekable();
    for content in ledger.contents() {
        let (hash, record) = content?;
        records += 1;
        progress(records);
        // Locations of contents that are not there are damage, for `verify` to report.
        while groups.next_if(|group| group.first().is_some_and(|f| f.hash < hash)).is_some() {}
        let group = groups.next_if(|group| group.first().is_some_and(|f| f.hash == hash));
        if record.epoch != epoch {
            continue;
        }
        let Some(group) = group else {
            collected.orphans.push(hash);
            continue;
        };
        let metadata_from = collected.metadata.len();
        put_metadata(&mut collected.metadata, &record.metadata);
        let locations_from = collected.locations.len();
        for f in group {
            collected.locations.extend_from_slice(scattered.get(f.at..f.at + f.len).unwrap_or(&[]));
        }
        let earliest_ns = group.iter().filter_map(|f| f.mtime_ns).min();
        let modified = earliest_ns.map(|ns| RowTime::Modified(ns.div_euclid(1_000_000_000)));
        collected.contents.push(CollectedContent {
            hash,
            time: record.metadata.taken_s.map(RowTime::Taken).or(modified),
            location_count: group.len() as u32,
            metadata: metadata_from..collected.metadata.len(),
            locations: locations_from..collected.locations.len(),
        });
        collected.location_count += group.len();
    }
    Ok(collected)
}
