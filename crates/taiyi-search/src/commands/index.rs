//! `index`: makes or renews the index.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use taiyi_core::{EncodeError, ImageEncoder};
use taiyi_image::Limits;
use taiyi_indexer::{
    IndexError, Plan, RunOptions, Target, WalkOptions, absolute_even_if_gone, resolve_targets,
};
use taiyi_model::TowerOptions;
use taiyi_store::{GraphOptions, StoreError, Writer, WriterOptions};

use crate::exit::{self, Exit};
use crate::flags::IndexFlags;
use crate::interrupt;
use crate::models::{self, Model};
use crate::output::text::show_path;
use crate::progress::Reporter;
use crate::settings::Settings;

mod summary;

pub(crate) fn run(settings: &Settings, flags: &IndexFlags) -> anyhow::Result<Exit> {
    let walk = walk_options(settings, flags);
    let max_megapixels = flags.max_megapixels.unwrap_or(settings.max_megapixels);
    if max_megapixels == 0 {
        bail!("--max-megapixels 0 would refuse every picture: give a number from 1");
    }
    let mut missing = Vec::new();
    let (writer, model) = match open(settings, flags)? {
        Some((writer, model)) => (Some(writer), model),
        // A dry run where there is no index yet: nothing is made, not even the folder.
        None => (None, None),
    };
    let roots = writer.as_ref().map(Writer::roots).transpose()?.unwrap_or_default();
    let roots: Vec<PathBuf> = roots.into_iter().map(|root| root.path).collect();
    let rebuilding = writer.as_ref().is_some_and(Writer::is_rebuilding);
    let targets = targets(flags, &roots, rebuilding, &mut missing)?;

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
    let tower_options = TowerOptions { threads: settings.threads };
    let load = || -> Result<Arc<dyn ImageEncoder>, IndexError> {
        let tower = model.folder.image_tower(&tower_options).map_err(EncodeError::from)?;
        Ok(Arc::new(tower))
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
    }
}

/// The index, opened for writing, and its model. A dry run needs no model, and makes no index.
fn open(settings: &Settings, flags: &IndexFlags) -> anyhow::Result<Option<(Writer, Option<Model>)>> {
    let (dir, threads) = (&settings.index_dir, settings.threads);
    let existing = match Writer::open_any_model(dir, GraphOptions::default(), threads) {
        Ok(writer) => Some(writer),
        Err(StoreError::NotFound { .. }) => None,
        Err(e) => return Err(e.into()),
    };
    if flags.dry_run {
        return Ok(existing.map(|writer| (writer, None)));
    }
    // A new index, or a rebuild, takes the model asked for; any other run keeps the index's own.
    let Some(writer) = existing else {
        if flags.paths.is_empty() {
            return Err(StoreError::NotFound { dir: dir.clone() }.into());
        }
        check_some_path_exists(&flags.paths)?;
        let model = models::open(settings)?;
        let options = WriterOptions { model: model.id.clone(), graph: GraphOptions::default(), threads };
        return Ok(Some((Writer::open(dir, options)?, Some(model))));
    };
    if !flags.rebuild {
        let model = models::open_for_index(settings, writer.model())?;
        return Ok(Some((writer, Some(model))));
    }
    let model = match settings.model {
        Some(_) => models::open(settings)?,
        None => models::open_for_index(settings, writer.model())?,
    };
    // Everything will be embedded anew, so everything has to be there.
    if let Some(root) = writer.roots()?.into_iter().find(|root| root.path.read_dir().is_err()) {
        bail!(
            "cannot rebuild: {} is not there, and its pictures could not be embedded anew: connect it, or \
             type: taiyi-search remove {}",
            show_path(&root.path),
            show_path(&root.path)
        );
    }
    // An interrupted rebuild to the same model goes on instead of starting over.
    if writer.is_rebuilding() && writer.model().is_same_model(&model.id) {
        return Ok(Some((writer, Some(model))));
    }
    drop(writer);
    let options = WriterOptions { model: model.id.clone(), graph: GraphOptions::default(), threads };
    Ok(Some((Writer::open_for_rebuild(dir, options)?, Some(model))))
}

/// A slip of the finger must not leave an empty index behind.
fn check_some_path_exists(paths: &[PathBuf]) -> anyhow::Result<()> {
    match paths {
        [only] if !only.exists() => bail!("{} is not there: name a folder or a picture", show_path(only)),
        paths if paths.iter().all(|path| !path.exists()) => bail!("none of the paths is there"),
        _ => Ok(()),
    }
}

/// What to walk: the paths given or, without any and for a rebuild, every root of the index.
fn targets(
    flags: &IndexFlags,
    roots: &[PathBuf],
    rebuilding: bool,
    missing: &mut Vec<taiyi_indexer::WalkProblem>,
) -> anyhow::Result<Vec<Target>> {
    let mut paths = flags.paths.clone();
    if paths.is_empty() || rebuilding {
        paths.extend_from_slice(roots);
    }
    let targets = resolve_targets(&paths, roots)?;
    for (path, reason) in targets.missing {
        let absolute = absolute_even_if_gone(&path);
        let stays = if roots.iter().any(|root| absolute.starts_with(root) || root.starts_with(&absolute)) {
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
