//! `index`: makes or renews the index.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use taiyi_core::{EncodeError, ImageEncoder};
use taiyi_image::Limits;
use taiyi_indexer::{
    IndexError, Plan, RunOptions, Target, WalkOptions, absolute_even_if_gone, resolve_targets,
    resolve_with_roots,
};
use taiyi_store::{Root, Writer};

use crate::exit::{self, Exit};
use crate::flags::IndexFlags;
use crate::interrupt;
use crate::models;
use crate::output::text::show_path;
use crate::progress::Reporter;
use crate::settings::Settings;

mod open;
mod summary;

use open::Opened;

pub(crate) fn run(settings: &Settings, flags: &IndexFlags) -> anyhow::Result<Exit> {
    let walk = walk_options(settings, flags);
    let max_megapixels = flags.max_megapixels.unwrap_or(settings.max_megapixels);
    if max_megapixels == 0 {
        bail!("--max-megapixels 0 would refuse every picture: give a number from 1");
    }
    check_index_dir(settings, &flags.paths)?;
    let mut missing = Vec::new();
    let Opened { writer, model, lost_roots } = open::open(settings, flags)?;
    let roots = writer.as_ref().map(Writer::roots).transpose()?.unwrap_or_default();
    let rebuilding = writer.as_ref().is_some_and(Writer::is_rebuilding);
    let mut paths = flags.paths.clone();
    paths.extend(lost_roots);
    let targets = targets(&paths, &roots, rebuilding, &mut missing)?;
    if let Some(writer) = writer.as_ref().filter(|_| paths.is_empty()) {
        drop_never_seen(writer, &roots, &mut missing)?;
    }

    let cancel = interrupt::cancel_flag();
    let reporter = Reporter::new(settings);
    let mut plan = taiyi_indexer::plan(writer.as_ref(), &targets, &walk, flags.retry_failed, &reporter)?;
    plan.problems.extend(missing);
    let (Some(writer), false) = (writer, flags.dry_run) else {
        reporter.finish();
        return summary::print_plan(&plan, flags.format);
    };
    let model = model.context("no model is open")?;
    let options = RunOptions {
        limits: Limits { max_pixels: max_megapixels.saturating_mul(1_000_000), ..Limits::default() },
        threads: settings.threads.get(),
        batch_images: flags.batch_images.into(),
        ..RunOptions::default()
    };
    let tower_options = settings.towers();
    let load = || -> Result<Arc<dyn ImageEncoder>, IndexError> {
        let tower = model.folder.image_tower(&tower_options).map_err(EncodeError::from)?;
        Ok(Arc::new(tower.with_full_decode(settings.full_decode)))
    };
    let report = taiyi_indexer::run(&writer, plan, load, &options, &reporter, &cancel)?;
    reporter.finish();
    models::remember(settings, &model);
    summary::print_report(settings, &report, flags.format)?;
    Ok(if report.interrupted {
        Exit::Interrupted
    } else if report.problems.is_empty() {
        Exit::Success
    } else {
        Exit::Failure
    })
}

fn walk_options(settings: &Settings, flags: &IndexFlags) -> WalkOptions {
    WalkOptions {
        follow_links: flags.follow_links || settings.follow_links,
        hidden: flags.hidden || settings.hidden,
        exclude: settings.exclude.iter().chain(&flags.exclude).cloned().collect(),
        skip: vec![absolute_even_if_gone(&settings.index_dir)],
        one_thread: settings.threads.get() == 1,
    }
}

/// The index must be a folder, and not one of those that are indexed: nothing is written there.
pub(super) fn check_index_dir(settings: &Settings, paths: &[PathBuf]) -> anyhow::Result<()> {
    let dir = absolute_even_if_gone(&settings.index_dir);
    if dir.exists() && !dir.is_dir() {
        bail!("{} is not a folder: choose another place for the index with --index", show_path(&dir));
    }
    if is_foreign(&dir) {
        bail!(
            "{} holds other things and no index: choose an empty or a new folder for the index with --index",
            show_path(&dir)
        );
    }
    if let Some(path) = paths.iter().find(|path| absolute_even_if_gone(path).starts_with(&dir)) {
        bail!(
            "{} would hold its own index, and nothing is written into folders of pictures: choose another \
             place for the index with --index",
            show_path(path)
        );
    }
    Ok(())
}

/// Whether a folder has something in it, and no index.
fn is_foreign(dir: &Path) -> bool {
    let of_an_index = |name: &OsStr| {
        name == "manifest.json" || name == "LOCK" || name.to_string_lossy().starts_with("ledger")
    };
    let Ok(entries) = dir.read_dir() else { return false };
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    !names.is_empty() && !names.iter().any(|name| of_an_index(name))
}

/// What to walk: the paths given or, without any and for a rebuild, every root of the index.
fn targets(
    paths: &[PathBuf],
    roots: &[Root],
    rebuilding: bool,
    missing: &mut Vec<taiyi_indexer::WalkProblem>,
) -> anyhow::Result<Vec<Target>> {
    let targets = if paths.is_empty() || rebuilding {
        resolve_with_roots(paths, roots)?
    } else {
        resolve_targets(paths, roots)?
    };
    for (path, reason) in targets.missing {
        let absolute = absolute_even_if_gone(&path);
        let stays = if roots
            .iter()
            .any(|root| absolute.starts_with(&root.path) || root.path.starts_with(&absolute))
        {
            "; its pictures stay in the index"
        } else {
            ""
        };
        missing.push(taiyi_indexer::WalkProblem { path, reason: format!("{reason}{stays}") });
    }
    if targets.found.is_empty() && roots.is_empty() {
        for problem in missing.iter() {
            exit::warn(&format!("{} {}", show_path(&problem.path), problem.reason));
        }
        bail!("there is nothing to index: name a folder or a picture");
    }
    Ok(targets.found)
}

/// Pictures that were imported may lie on another machine: that they are not there is no news.
fn drop_never_seen(
    writer: &Writer,
    roots: &[Root],
    missing: &mut Vec<taiyi_indexer::WalkProblem>,
) -> anyhow::Result<()> {
    let mut seen = Vec::new();
    for problem in missing.drain(..) {
        let root = roots.iter().find(|root| root.partial && root.path == problem.path);
        let is_imported = root.map(|root| taiyi_indexer::is_imported(writer, root.id)).transpose()?;
        if is_imported != Some(true) {
            seen.push(problem);
        }
    }
    *missing = seen;
    Ok(())
}
