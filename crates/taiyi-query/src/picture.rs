//! A picture as it is shown: what is known of it, and which of its files stands for it.

use std::path::PathBuf;

use taiyi_core::PhotoMetadata;
use taiyi_store::{ContentHash, Row, RowTime, Snapshot, StoreError};

use crate::Filter;

/// A picture of the index.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// The file: the first by path of those that fit the filter.
    pub path: PathBuf,
    /// Other files with the same content.
    pub copies: Vec<PathBuf>,
    /// What the picture says of itself.
    pub metadata: PhotoMetadata,
    /// When it was made, as well as the index knows.
    pub time: Option<RowTime>,
    /// Its identity.
    pub content: ContentHash,
}

impl Picture {
    /// Whether only its embedding was imported: its file was never read, and may never have been here.
    #[must_use]
    pub fn is_imported(&self) -> bool {
        self.metadata.format.is_none()
    }

    /// Decodes a row. `None` if none of its files fits the conditions of `filter` on paths; those on
    /// dates are not looked at.
    pub(crate) fn read(snapshot: &Snapshot, row: Row, filter: &Filter) -> Result<Option<Self>, StoreError> {
        let item = snapshot.item(row)?;
        let (mut fitting, mut others): (Vec<_>, Vec<_>) =
            item.locations.iter().partition(|location| filter.matches_location(location));
        if fitting.is_empty() {
            return Ok(None);
        }
        fitting.sort_by_cached_key(|location| location.path());
        others.sort_by_cached_key(|location| location.path());
        let mut paths = fitting.into_iter().chain(others).map(|location| location.path());
        let Some(path) = paths.next() else { return Ok(None) };
        Ok(Some(Self {
            path,
            copies: paths.collect(),
            metadata: item.metadata,
            time: snapshot.time(row),
            content: item.hash,
        }))
    }
}
