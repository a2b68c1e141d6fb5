//! What was changed since the published generation was made, so that the next one need not be made from the whole
//! ledger.

use std::collections::{HashMap, HashSet};

use crate::{ContentHash, RelativePath, RootId};

/// With more than these, reading the ledger from front to back is cheaper than asking for each of them.
const MAX_RECORDS: usize = 1 << 16;

/// Records of the ledger that may differ from a generation's; whatever is not named here does not.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// The generation; `None` where anything may differ.
    since: Option<u64>,
    records: Records,
}

/// What was changed.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// By the bytes of their paths, as an item table has them.
    locations: HashMap<RootId, HashSet<Box<[u8]>>>,
    location_count: usize,
    /// Contents that may lie nowhere, besides those that the generation has.
    pub(crate) contents: HashSet<ContentHash>,
}

impl Records {
    pub(crate) fn locations(&self) -> impl Iterator<Item = (RootId, RelativePath)> {
        let all = self.locations.iter().flat_map(|(root, paths)| paths.iter().map(move |path| (*root, path)));
        all.filter_map(|(root, path)| Some((root, RelativePath::from_bytes(path)?)))
    }

    /// Whether it names the location whose path has these bytes.
    pub(crate) fn has_location(&self, root: RootId, path: &[u8]) -> bool {
        self.locations.get(&root).is_some_and(|paths| paths.contains(path))
    }
}

impl Touched {
    /// Nothing differs from `generation`, but that `contents` lie nowhere.
    pub(crate) fn since(generation: u64, contents: impl IntoIterator<Item = ContentHash>) -> Self {
        let records = Records { contents: contents.into_iter().collect(), ..Records::default() };
        Self { since: Some(generation), records }
    }

    /// Gives up: anything may differ.
    pub(crate) fn give_up(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn location(&mut self, root: RootId, path: &RelativePath) {
        if self.takes_another()
            && self.records.locations.entry(root).or_default().insert(path.as_bytes().into())
        {
            self.records.location_count += 1;
        }
    }

    /// A content that is new to the ledger.
    pub(crate) fn content(&mut self, hash: ContentHash) {
        if self.takes_another() {
            self.records.contents.insert(hash);
        }
    }

    /// Gives up where it would be too many.
    fn takes_another(&mut self) -> bool {
        if self.records.location_count.max(self.records.contents.len()) >= MAX_RECORDS {
            self.give_up();
        }
        self.since.is_some()
    }

    /// Whether contents may lie nowhere that are still in the ledger.
    pub(crate) fn has_contents(&self) -> bool {
        !self.records.contents.is_empty()
    }

    /// What differs from `generation`, if that is known.
    pub(crate) fn records_since(&self, generation: u64) -> Option<&Records> {
        (self.since == Some(generation)).then_some(&self.records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_is_given_up_and_stays_so() {
        let path = |i: usize| RelativePath::from_bytes(format!("{i}").as_bytes()).unwrap();
        let root = RootId(1);
        let mut touched = Touched::since(7, [ContentHash([1; 32])]);
        for i in 0..MAX_RECORDS {
            touched.location(root, &path(i % 60_000));
        }
        let records = touched.records_since(7).unwrap();
        assert_eq!((records.locations().count(), records.contents.len()), (60_000, 1));
        assert!(records.has_location(root, b"59999") && !records.has_location(root, b"60000"));
        assert!(!records.has_location(RootId(2), b"1"));
        assert!(touched.records_since(6).is_none());
        for i in 0..MAX_RECORDS {
            touched.location(root, &path(i));
        }
        touched.location(root, &path(0));
        assert!(touched.records_since(7).is_none());
        assert_eq!(touched.records.location_count, 0, "nothing is kept that is of no use");
    }
}
