//! Indexes that a command makes for itself, apart from the user's own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use taiyi_core::{EncodeError, ImageEncoder};
use taiyi_image::Limits;
use taiyi_indexer::{IndexError, Report, RunOptions, WalkOptions, resolve_targets};
use taiyi_model::TowerOptions;
use taiyi_store::{GraphOptions, Writer, WriterOptions};

use crate::models::Model;
use crate::progress::Reporter;
use crate::settings::Settings;

/// Embeds every picture below `photos` into the index in `index_dir`, which is made if there is none.
pub(crate) fn embed_folder(
    settings: &Settings,
    model: &Model,
    photos: &Path,
    index_dir: &Path,
    cancel: &AtomicBool,
) -> anyhow::Result<Report> {
    let threads = settings.threads;
    let options = WriterOptions { model: model.id.clone(), graph: GraphOptions::default(), threads };
    let writer = Writer::open(index_dir, options)?;
    let targets = resolve_targets(&[photos.to_path_buf()], &[])?;
    let reporter = Reporter::new(settings);
    let walk = WalkOptions { follow_links: settings.follow_links, ..WalkOptions::default() };
    let plan = taiyi_indexer::plan(Some(&writer), &targets.found, &walk, false, &reporter)?;
    let load = || -> Result<Arc<dyn ImageEncoder>, IndexError> {
        Ok(Arc::new(model.folder.image_tower(&TowerOptions { threads }).map_err(EncodeError::from)?))
    };
    let options = RunOptions {
        limits: Limits { max_pixels: settings.max_megapixels.saturating_mul(1_000_000), ..Limits::default() },
        threads: threads.get(),
        ..RunOptions::default()
    };
    let report = taiyi_indexer::run(&writer, plan, load, &options, &reporter, cancel)?;
    reporter.finish();
    Ok(report)
}
