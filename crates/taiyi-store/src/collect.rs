//! What a publication is made from: every content with its locations, and every failure. Here it is read from the
//! ledger alone.
//!
//! Records stay encoded in a few large buffers: a million pictures take some 200 MB, not a gigabyte of
//! small allocations.

use std::ops::Range;

use crate::encoding::{put_failed_location, put_location, put_metadata};
use crate::ledger::Ledger;
use crate::{ContentHash, FileStamp, LocationState, Root, RowTime, StoreError};

/// What a publication is made from.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Collected {
    pub(crate) roots: Vec<Root>,
    /// Contents that lie somewhere, in the order of their hashes.
    pub(crate) contents: Vec<CollectedContent>,
    /// Contents of this epoch that lie nowhere.
    pub(crate) orphans: Vec<ContentHash>,
    pub(crate) failures: Vec<u8>,
    pub(crate) failure_count: usize,
    pub(crate) location_count: usize,
    /// Locations whose content is not there. They are left out: damage, for `verify` to report.
    pub(crate) astray: usize,
    metadata: Vec<u8>,
    locations: Vec<u8>,
}

/// One content.
#[derive(Debug, PartialEq)]
pub(crate) struct CollectedContent {
    pub(crate) hash: ContentHash,
    pub(crate) time: Option<RowTime>,
    pub(crate) location_count: u32,
    metadata: Range<usize>,
    locations: Range<usize>,
}

impl Collected {
    /// Nothing yet but the roots.
    pub(crate) fn of_roots(roots: Vec<Root>) -> Self {
        Self { roots, ..Self::default() }
    }

    /// Encoded metadata of a content.
    pub(crate) fn metadata(&self, content: &CollectedContent) -> &[u8] {
        self.metadata.get(content.metadata.clone()).unwrap_or(&[])
    }

    /// Encoded locations of a content, in the order of roots and paths.
    pub(crate) fn locations(&self, content: &CollectedContent) -> &[u8] {
        self.locations.get(content.locations.clone()).unwrap_or(&[])
    }

    /// Adds a content behind all others; encoded metadata and locations are what the two functions append.
    pub(crate) fn push(
        &mut self,
        hash: ContentHash,
        time: Option<RowTime>,
        location_count: usize,
        put_metadata: impl FnOnce(&mut Vec<u8>),
        put_locations: impl FnOnce(&mut Vec<u8>),
    ) {
        let (metadata_from, locations_from) = (self.metadata.len(), self.locations.len());
        put_metadata(&mut self.metadata);
        put_locations(&mut self.locations);
        self.contents.push(CollectedContent {
            hash,
            time,
            location_count: location_count as u32,
            metadata: metadata_from..self.metadata.len(),
            locations: locations_from..self.locations.len(),
        });
        self.location_count += location_count;
    }

    /// Which of the contents this is.
    pub(crate) fn position(&self, hash: &ContentHash) -> Option<usize> {
        self.contents.binary_search_by_key(hash, |content| content.hash).ok()
    }
}

/// When a picture was taken, or else the first of its files was written.
pub(crate) fn time_of(taken_s: Option<i64>, stamps: impl IntoIterator<Item = FileStamp>) -> Option<RowTime> {
    // An imported file was never looked at.
    let looked_at = stamps.into_iter().filter(|stamp| !stamp.is_imported());
    let earliest_ns = looked_at.map(|stamp| stamp.mtime_ns).min();
    let modified = earliest_ns.map(|ns| RowTime::Modified(ns.div_euclid(1_000_000_000)));
    taken_s.map(RowTime::Taken).or(modified)
}

struct Found {
    hash: ContentHash,
    /// Where its encoded location is; ascending with root and path.
    at: usize,
    len: usize,
    stamp: FileStamp,
}

/// Reads everything of one epoch; `progress` is told of every record.
pub(crate) fn collect(
    ledger: &Ledger,
    epoch: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<Collected, StoreError> {
    let mut collected = Collected::of_roots(ledger.roots()?);
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
                    found.push(Found { hash, at, len, stamp: record.stamp });
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
        while groups.next_if(|group| group.first().is_some_and(|f| f.hash < hash)).is_some() {}
        let group = groups.next_if(|group| group.first().is_some_and(|f| f.hash == hash));
        if record.epoch != epoch {
            continue;
        }
        let Some(group) = group else {
            collected.orphans.push(hash);
            continue;
        };
        collected.push(
            hash,
            time_of(record.metadata.taken_s, group.iter().map(|f| f.stamp)),
            group.len(),
            |out| put_metadata(out, &record.metadata),
            |out| {
                for f in group {
                    out.extend_from_slice(scattered.get(f.at..f.at + f.len).unwrap_or(&[]));
                }
            },
        );
    }
    collected.astray = found.len() - collected.location_count;
    Ok(collected)
}
