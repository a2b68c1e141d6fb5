//! The pictures that a measurement is made on. They go through the same path as in `index`, into an index that
//! is thrown away.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use taiyi_core::Embedding;
use taiyi_indexer::Report;
use taiyi_store::{RelativePath, Snapshot, StoreError};

use crate::exit;
use crate::models::Model;
use crate::output::text::show_path;
use crate::own_index::{self, Scratch};
use crate::settings::Settings;

/// What was embedded: files with the same content are one picture.
#[derive(Default)]
pub(super) struct Pictures {
    pub(super) embeddings: Vec<Embedding>,
    /// The picture of each file, by its path below the folder.
    pub(super) by_path: HashMap<RelativePath, usize>,
}

impl Pictures {
    /// Embeds every picture below `images`; `None` when that was stopped. `check` is called with the files that
    /// are about to be read, before any of them is.
    pub(super) fn embed(
        settings: &Settings,
        model: &Model,
        images: &Path,
        cancel: &AtomicBool,
        check: impl FnOnce(&mut dyn Iterator<Item = RelativePath>) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<(Self, Report)>> {
        let scratch = Scratch::below(&settings.cache_dir.join("eval"))?;
        let index_dir = scratch.index_dir();
        let report = own_index::embed_folder(settings, model, images, &index_dir, cancel, check)?;
        if report.interrupted {
            return Ok(None);
        }
        for problem in &report.problems {
            exit::warn(&format!("{} {}", show_path(&problem.path), problem.reason));
        }
        let pictures = match Snapshot::open(&index_dir) {
            Ok(snapshot) => Self::read(&snapshot)?,
            // There was not one to publish.
            Err(StoreError::NotPublished { .. }) => Self::default(),
            Err(e) => return Err(e.into()),
        };
        Ok(Some((pictures, report)))
    }

    fn read(snapshot: &Snapshot) -> anyhow::Result<Self> {
        let mut pictures = Self::default();
        for row in snapshot.rows() {
            let at = pictures.embeddings.len();
            for location in snapshot.item(row)?.locations {
                pictures.by_path.insert(location.relative, at);
            }
            pictures.embeddings.push(snapshot.embedding(row)?);
        }
        Ok(pictures)
    }
}
