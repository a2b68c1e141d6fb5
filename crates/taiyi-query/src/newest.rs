//! Looking through an index without a question: the newest pictures first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use taiyi_store::{Row, RowView, Snapshot, StoreError};

use crate::date::{latest_moment_s, moment_s};
use crate::{DateRange, Filter, Picture, QueryError};

/// Which pictures to show where nothing is asked for.
#[derive(Clone, Debug)]
pub struct BrowseRequest {
    /// How many pictures, at most; at least 1.
    pub k: usize,
    /// Which pictures may appear.
    pub filter: Filter,
    /// Threads to use.
    pub threads: NonZeroUsize,
    /// The zone in which dates of the filter begin where a picture only has a modification time, and in
    /// which cameras' clocks are taken to have run.
    pub zone: TimeZone,
}

/// Finds the newest pictures, newest first: by capture time, or else by modification time. Those without
/// either come last, and equal times are ordered by path.
///
/// Reads nine bytes a row, twice. Only what may be shown is decoded, besides what the conditions on paths
/// ask for.
///
/// # Errors
/// When `k` is 0 or the index cannot be read.
pub fn newest(snapshot: &Snapshot, request: &BrowseRequest) -> Result<Vec<Picture>, QueryError> {
    if request.k == 0 {
        return Err(QueryError::ZeroHits);
    }
    let scan = Scan { snapshot, request, dates: request.filter.date_range(&request.zone) };
    let Some(oldest) = scan.age_of_last() else { return Ok(Vec::new()) };
    let mut pictures = Vec::new();
    for (_, _, row) in scan.down_to(oldest)? {
        pictures.extend(Picture::read(snapshot, row, &request.filter)?);
    }
    Ok(pictures)
}

/// The moment of a picture, newer before older and all before none.
type Age = Reverse<Option<i64>>;

/// Two passes: the first keeps nothing but times, so that the second knows for which rows a path is worth
/// decoding: thousands of files may have the same time, and only their paths tell which of them are shown.
struct Scan<'a> {
    snapshot: &'a Snapshot,
    request: &'a BrowseRequest,
    dates: DateRange,
}

impl Scan<'_> {
    /// The age of the last picture to show; `None` if there is none.
    fn age_of_last(&self) -> Option<Age> {
        let shares = self.on_threads(|rows| {
            let mut ages = Smallest::new(self.request.k);
            for row in rows {
                // Of equal ages the first will do, and spares a decoding.
                if let Some(age) = self.age(row, |age| ages.takes(age))
                    && self.request.filter.fits_paths(row)
                {
                    ages.offer(age);
                }
            }
            ages
        });
        Smallest::merged(shares)?.into_sorted().pop()
    }

    /// The rows to show in their order, none of which is older than `oldest`.
    fn down_to(&self, oldest: Age) -> Result<Vec<(Age, PathBuf, Row)>, StoreError> {
        let shares = self.on_threads(|rows| {
            let mut found = Smallest::new(self.request.k);
            for row in rows {
                if let Some(age) = self.age(row, |age| *age <= oldest)
                    && let Some(picture) = Picture::read(self.snapshot, row.row(), &self.request.filter)?
                {
                    found.offer((age, picture.path, row.row()));
                }
            }
            Ok(found)
        });
        let shares = shares.into_iter().collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Smallest::merged(shares).map(Smallest::into_sorted).unwrap_or_default())
    }

    /// The age of a row that fits the dates, if it is wanted.
    fn age(&self, row: RowView<'_>, is_wanted: impl Fn(&Age) -> bool) -> Option<Age> {
        let time = row.time();
        // Most rows are too old in whatever zone, and asking a zone takes longer than all the rest.
        if !is_wanted(&Reverse(time.map(latest_moment_s))) || !self.dates.contains(time) {
            return None;
        }
        Some(Reverse(time.map(|time| moment_s(time, &self.request.zone)))).filter(is_wanted)
    }

    /// What `work` makes of each share of the live rows, last rows first: what joined the index last
    /// tends to be new, and once the newest are known the rest is passed over quickly.
    fn on_threads<T: Send>(
        &self,
        work: impl Fn(&mut dyn Iterator<Item = RowView<'_>>) -> T + Sync,
    ) -> Vec<T> {
        let mut shares = self.snapshot.shares(self.request.threads).into_iter().map(Iterator::rev);
        let first = shares.next();
        std::thread::scope(|scope| {
            let work = &work;
            let others: Vec<_> = shares.map(|mut rows| scope.spawn(move || work(&mut rows))).collect();
            let first = first.map(|mut rows| work(&mut rows));
            let others = others.into_iter().map(|other| match other.join() {
                Ok(made) => made,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            first.into_iter().chain(others).collect()
        })
    }
}

/// The `k` smallest of what it is offered.
struct Smallest<T> {
    k: usize,
    /// The largest of the kept on top.
    heap: BinaryHeap<T>,
}

impl<T: Ord> Smallest<T> {
    fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new() }
    }

    /// Whether `value` would be kept and change anything.
    fn takes(&self, value: &T) -> bool {
        self.heap.len() < self.k || self.heap.peek().is_some_and(|largest| value < largest)
    }

    fn offer(&mut self, value: T) {
        if self.heap.len() < self.k {
            self.heap.push(value);
        } else if let Some(mut largest) = self.heap.peek_mut()
            && value < *largest
        {
            *largest = value;
        }
    }

    /// The smallest of all; `None` for no parts.
    fn merged(parts: Vec<Self>) -> Option<Self> {
        parts.into_iter().reduce(|mut all, part| {
            for value in part.heap {
                all.offer(value);
            }
            all
        })
    }

    fn into_sorted(self) -> Vec<T> {
        self.heap.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn newer_before_older_before_none() {
        let mut ages = [Reverse(None), Reverse(Some(i64::MIN)), Reverse(Some(5)), Reverse(Some(9))];
        ages.sort_unstable();
        assert_eq!(ages, [Reverse(Some(9)), Reverse(Some(5)), Reverse(Some(i64::MIN)), Reverse(None)]);
    }

    proptest! {
        #[test]
        fn the_smallest_are_those_that_sorting_puts_first(
            parts in proptest::collection::vec(proptest::collection::vec(0u8..20, 0..30), 1..4),
            k in 1usize..40,
        ) {
            let filled = |values: &Vec<u8>| {
                let mut smallest = Smallest::new(k);
                for &value in values {
                    // What it would not take may as well be spared.
                    if smallest.takes(&value) {
                        smallest.offer(value);
                    }
                }
                smallest
            };
            let mut sorted = parts.concat();
            sorted.sort_unstable();
            sorted.truncate(k);
            let merged = Smallest::merged(parts.iter().map(filled).collect()).unwrap();
            prop_assert_eq!(merged.into_sorted(), sorted);
        }
    }
}
