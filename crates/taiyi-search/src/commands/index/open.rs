//! Opening the index for writing, with the model that it was or will be built with.

use std::path::PathBuf;

use anyhow::bail;
use taiyi_indexer::resolve_targets;
use taiyi_store::{GraphOptions, Root, Snapshot, StoreError, Writer, WriterOptions};

use crate::exit;
use crate::flags::IndexFlags;
use crate::models::{self, Model};
use crate::output::text::{self, show_path};
use crate::settings::Settings;

/// What a run works with. A dry run has no model and, where there is no index yet, no writer: nothing is
/// made then, not even the folder.
pub(super) struct Opened {
    pub(super) writer: Option<Writer>,
    pub(super) model: Option<Model>,
    /// Roots that only the published generation remembers, its ledger being lost.
    pub(super) lost_roots: Vec<PathBuf>,
}

pub(super) fn open(settings: &Settings, flags: &IndexFlags) -> anyhow::Result<Opened> {
    let found = Writer::open_any_model(&settings.index_dir, GraphOptions::default(), settings.threads);
    match found {
        Ok(writer) if flags.dry_run => {
            Ok(Opened { writer: Some(writer), model: None, lost_roots: Vec::new() })
        }
        Err(StoreError::NotFound { .. }) if flags.dry_run => {
            Ok(Opened { writer: None, model: None, lost_roots: Vec::new() })
        }
        Ok(writer) if flags.rebuild => rebuild(settings, writer),
        Ok(writer) => {
            let model = models::open_for_index(settings, writer.model())?;
            Ok(Opened { writer: Some(writer), model: Some(model), lost_roots: Vec::new() })
        }
        Err(e @ StoreError::NotFound { .. }) => {
            if flags.paths.is_empty() {
                return Err(e.into());
            }
            // A slip of the finger must not leave an empty index behind.
            let targets = resolve_targets(&flags.paths, &[])?;
            if let (true, Some((path, reason))) = (targets.found.is_empty(), targets.missing.first()) {
                bail!("{} {reason}: name a folder or a picture", show_path(path));
            }
            let model = models::open(settings)?;
            let writer = Writer::open(&settings.index_dir, options(settings, &model))?;
            Ok(Opened { writer: Some(writer), model: Some(model), lost_roots: Vec::new() })
        }
        Err(StoreError::Corrupt { what, .. }) if flags.rebuild => rebuild_lost(settings, flags, &what),
        Err(e) => Err(e.into()),
    }
}

/// Everything will be embedded anew, so everything has to be there.
fn rebuild(settings: &Settings, writer: Writer) -> anyhow::Result<Opened> {
    let model = models::open_for_rebuild(settings, writer.model())?;
    check_roots_exist(&writer.roots()?)?;
    // An interrupted rebuild to the same model goes on instead of starting over.
    if writer.is_rebuilding() && writer.model().is_same_model(&model.id) {
        return Ok(Opened { writer: Some(writer), model: Some(model), lost_roots: Vec::new() });
    }
    if let Some((count, root)) = taiyi_indexer::imported_without_file(&writer)? {
        let root = show_path(&root);
        bail!(
            "cannot rebuild: {} of the index were imported and are not there to be embedded anew: type \
             taiyi-search remove {root} to do without them",
            text::count(count, "picture", "pictures"),
        );
    }
    drop(writer);
    let writer = Writer::open_for_rebuild(&settings.index_dir, options(settings, &model))?;
    Ok(Opened { writer: Some(writer), model: Some(model), lost_roots: Vec::new() })
}

/// With the ledger lost, the published generation still knows the model and the roots.
fn rebuild_lost(settings: &Settings, flags: &IndexFlags, what: &str) -> anyhow::Result<Opened> {
    let snapshot = Snapshot::open(&settings.index_dir).ok();
    let model = match &snapshot {
        Some(snapshot) => models::open_for_rebuild(settings, snapshot.model())?,
        None => models::open(settings)?,
    };
    let roots = snapshot.map(|snapshot| snapshot.roots().to_vec()).unwrap_or_default();
    check_roots_exist(&roots)?;
    if roots.is_empty() && flags.paths.is_empty() {
        bail!("the ledger is damaged ({what}), and nothing else tells which folders were indexed: name them");
    }
    exit::warn(&format!("the ledger is damaged ({what}): embedding everything anew"));
    let writer = Writer::open_for_rebuild(&settings.index_dir, options(settings, &model))?;
    let lost_roots = roots.into_iter().map(|root| root.path).collect();
    Ok(Opened { writer: Some(writer), model: Some(model), lost_roots })
}

fn options(settings: &Settings, model: &Model) -> WriterOptions {
    WriterOptions { model: model.id.clone(), graph: GraphOptions::default(), threads: settings.threads }
}

fn check_roots_exist(roots: &[Root]) -> anyhow::Result<()> {
    match roots.iter().find(|root| root.path.read_dir().is_err()) {
        Some(root) => bail!(
            "cannot rebuild: {} is not there, and its pictures could not be embedded anew: connect it, or \
             type: taiyi-search remove {}",
            show_path(&root.path),
            show_path(&root.path)
        ),
        None => Ok(()),
    }
}
