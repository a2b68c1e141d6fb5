//! Indexes that a command makes for itself, apart from the user's own.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use taiyi_core::{EncodeError, ImageEncoder};
use taiyi_image::Limits;
use taiyi_indexer::{
    IndexError, Plan, Report, RunOptions, WalkOptions, absolute_even_if_gone, resolve_targets,
};
use taiyi_store::{GraphOptions, RelativePath, Writer, WriterOptions};

use crate::models::Model;
use crate::progress::Reporter;
use crate::settings::Settings;

/// Embeds the pictures below `photos` that are new into the index in `index_dir`, which is made if there is none.
///
/// `narrow` may leave out files that would be read.
pub(crate) fn embed_folder(
    settings: &Settings,
    model: &Model,
    photos: &Path,
    index_dir: &Path,
    cancel: &AtomicBool,
    narrow: impl FnOnce(&mut Plan),
) -> anyhow::Result<Report> {
    let threads = settings.threads;
    let options = WriterOptions { model: model.id.clone(), graph: GraphOptions::default(), threads };
    let writer = Writer::open(index_dir, options)?;
    let targets = resolve_targets(&[photos.to_path_buf()], &writer.roots()?)?;
    let reporter = Reporter::new(settings);
    let walk = walk_options(settings, index_dir);
    let mut plan = taiyi_indexer::plan(Some(&writer), &targets.found, &walk, false, &reporter)?;
    narrow(&mut plan);
    let load = || -> Result<Arc<dyn ImageEncoder>, IndexError> {
        let tower = model.folder.image_tower(&settings.towers()).map_err(EncodeError::from)?;
        Ok(Arc::new(tower.with_full_decode(settings.full_decode)))
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

/// The files below `photos` that [`embed_folder`] would take, pictures or not, by their path below it.
pub(crate) fn files_below(
    settings: &Settings,
    photos: &Path,
    index_dir: &Path,
) -> anyhow::Result<HashSet<RelativePath>> {
    let targets = resolve_targets(&[photos.to_path_buf()], &[])?;
    let reporter = Reporter::new(settings);
    let plan =
        taiyi_indexer::plan(None, &targets.found, &walk_options(settings, index_dir), false, &reporter);
    reporter.finish();
    let below = |path: &Path| {
        let below = targets.found.iter().find_map(|target| path.strip_prefix(&target.root).ok())?;
        RelativePath::from_path(below).ok()
    };
    Ok(plan?.reading().filter_map(|(path, _)| below(&path)).collect())
}

fn walk_options(settings: &Settings, index_dir: &Path) -> WalkOptions {
    WalkOptions {
        follow_links: settings.follow_links,
        hidden: settings.hidden,
        exclude: settings.exclude.clone(),
        skip: vec![absolute_even_if_gone(index_dir)],
        one_thread: settings.threads.get() == 1,
    }
}

/// Opens a file to lock, which is made if there is none.
pub(crate) fn lock_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}
