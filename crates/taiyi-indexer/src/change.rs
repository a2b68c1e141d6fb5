//! Whether a file has to be read, told from its size and time and from what the ledger remembers.

use taiyi_store::{FailureKind, FileStamp, LocationRecord, LocationState};

/// What the ledger and a `stat` say of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Never seen at this place.
    New,
    /// Seen with another size or time, or embedded by an older model.
    Changed,
    /// Failed before with this size and time, and asked to be tried again.
    Retry,
    /// As it was: costs nothing.
    Unchanged,
    /// Failed before with this size and time.
    KnownBad,
    /// Known not to be a picture, with this size and time.
    KnownOther,
}

impl Change {
    /// Whether the file has to be read.
    #[must_use]
    pub fn needs_reading(self) -> bool {
        matches!(self, Self::New | Self::Changed | Self::Retry)
    }

    /// A word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Retry => "failed before",
            Self::Unchanged => "unchanged",
            Self::KnownBad => "known to be bad",
            Self::KnownOther => "not a picture",
        }
    }
}

/// Decides for one file. `is_current` tells whether the embedding that `known` points to was made by
/// the index's present model.
pub(crate) fn decide(
    known: Option<&LocationRecord>,
    stamp: FileStamp,
    is_current: bool,
    retry_failed: bool,
) -> Change {
    let Some(known) = known else { return Change::New };
    if known.stamp != stamp {
        return Change::Changed;
    }
    match known.state {
        LocationState::Indexed(_) if is_current => Change::Unchanged,
        LocationState::Indexed(_) => Change::Changed,
        // Permissions and cables are mended without the file's time changing.
        LocationState::Failed(ref f) if f.kind == FailureKind::Unreadable => Change::Retry,
        LocationState::Failed(_) if retry_failed => Change::Retry,
        LocationState::Failed(_) => Change::KnownBad,
        LocationState::Ignored => Change::KnownOther,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taiyi_store::{ContentHash, Failure};

    #[test]
    fn size_and_time_decide() {
        let stamp = FileStamp { size: 10, mtime_ns: 5 };
        let good = LocationRecord { stamp, state: LocationState::Indexed(ContentHash([1; 32])) };
        let bad = LocationRecord {
            stamp,
            state: LocationState::Failed(Failure { kind: FailureKind::Corrupt, message: "cut off".into() }),
        };
        let unreadable = LocationRecord {
            stamp,
            state: LocationState::Failed(Failure { kind: FailureKind::Unreadable, message: "denied".into() }),
        };
        let other = LocationRecord { stamp, state: LocationState::Ignored };

        assert_eq!(decide(None, stamp, true, false), Change::New);
        assert_eq!(decide(Some(&good), stamp, true, false), Change::Unchanged);
        assert_eq!(decide(Some(&good), stamp, false, false), Change::Changed);
        assert_eq!(decide(Some(&good), FileStamp { size: 11, ..stamp }, true, false), Change::Changed);
        assert_eq!(decide(Some(&good), FileStamp { mtime_ns: 4, ..stamp }, true, false), Change::Changed);
        assert_eq!(decide(Some(&bad), stamp, true, false), Change::KnownBad);
        assert_eq!(decide(Some(&bad), stamp, true, true), Change::Retry);
        assert_eq!(decide(Some(&bad), FileStamp { size: 11, ..stamp }, true, false), Change::Changed);
        assert_eq!(decide(Some(&unreadable), stamp, true, false), Change::Retry);
        assert_eq!(decide(Some(&other), stamp, true, true), Change::KnownOther);
    }
}
