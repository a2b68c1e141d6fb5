//! `import`: takes in a collection of embeddings, so that it can be searched without the pictures.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::bail;
use serde_json::json;
use taiyi_core::ModelId;
use taiyi_exchange::{Collection, PathRules, Row};
use taiyi_indexer::{
    ImportReport, ImportRoots, ImportedPicture, Progress as _, ProgressEvent, absolute_even_if_gone,
};
use taiyi_store::{GraphOptions, StoreError, Writer, WriterOptions};

use crate::commands::index::check_index_dir;
use crate::exit::{self, Exit};
use crate::flags::{ImportFlags, SummaryFormat};
use crate::interrupt;
use crate::models;
use crate::output::json::hundredths;
use crate::output::text::{show_path, thousands};
use crate::progress::{Reporter, duration};
use crate::settings::Settings;

/// Rows between two looks at the clock and at Ctrl-C.
const REPORT_ROWS: u64 = 4096;

pub(crate) fn run(settings: &Settings, flags: &ImportFlags) -> anyhow::Result<Exit> {
    check_index_dir(settings, &[])?;
    let rules =
        PathRules { root: flags.root.as_deref().map(absolute_even_if_gone), strip: flags.strip.clone() };
    let collection = Collection::open(&flags.dir, rules)?;
    let existing =
        match Writer::open_any_model(&settings.index_dir, GraphOptions::default(), settings.threads) {
            Ok(writer) => Some(writer),
            Err(StoreError::NotFound { .. }) => None,
            Err(e) => return Err(e.into()),
        };
    let model = match &existing {
        Some(writer) if settings.model.is_some() => models::open_for_index(settings, writer.model())?.id,
        Some(writer) => writer.model().clone(),
        None => {
            let model = models::open(settings)?;
            models::remember(settings, &model);
            model.id
        }
    };
    check_fit(&collection, &model)?;
    if existing.as_ref().is_some_and(Writer::is_rebuilding) {
        bail!("the index is being rebuilt: let `taiyi-search index` finish that first");
    }
    let known = existing.as_ref().map(Writer::roots).transpose()?.unwrap_or_default();

    let cancel = interrupt::cancel_flag();
    // Nothing is written before every row was found to be good.
    let mut roots = ImportRoots::new(&known);
    if !check_rows(settings, &collection, &mut roots, &cancel)? {
        return Ok(Exit::Interrupted);
    }
    let writer = match existing {
        Some(writer) => writer,
        None => {
            let (graph, threads) = (GraphOptions::default(), settings.threads);
            Writer::open(&settings.index_dir, WriterOptions { model, graph, threads })?
        }
    };
    let reporter = Reporter::of_rows(settings, "importing");
    reporter.event(ProgressEvent::Planned { files: collection.len() });
    let pictures = collection.rows().map(|row| -> anyhow::Result<ImportedPicture> {
        let Row { path, embedding, size, taken_s } = row?;
        Ok(ImportedPicture { path, embedding, size, taken_s })
    });
    let report = taiyi_indexer::import(&writer, &roots, pictures, &reporter, &cancel)?;
    reporter.finish();
    match flags.format {
        SummaryFormat::Json => writeln!(std::io::stdout(), "{}", json_report(settings, &report))?,
        SummaryFormat::Text if settings.is_quiet() => {}
        SummaryFormat::Text => tell(&report),
    }
    Ok(if report.interrupted { Exit::Interrupted } else { Exit::Success })
}

fn check_fit(collection: &Collection, model: &ModelId) -> anyhow::Result<()> {
    if collection.dimension() != model.dimension {
        bail!(
            "{}: its rows have {} components, {model} has {}: name the model that made them with --model, and \
             keep an index for each model with --index",
            show_path(collection.first_file()),
            collection.dimension(),
            model.dimension
        );
    }
    Ok(())
}

/// Reads everything once. False when that was interrupted.
fn check_rows(
    settings: &Settings,
    collection: &Collection,
    roots: &mut ImportRoots,
    cancel: &AtomicBool,
) -> anyhow::Result<bool> {
    let reporter = Reporter::of_rows(settings, "checking");
    reporter.event(ProgressEvent::Planned { files: collection.len() });
    let checked = (1u64..).zip(collection.rows()).try_for_each(|(number, row)| -> anyhow::Result<()> {
        roots.note(&row?.path);
        if number % REPORT_ROWS == 0 {
            reporter.event(ProgressEvent::Done { files: REPORT_ROWS, embedded: REPORT_ROWS, failed: 0 });
            if cancel.load(Ordering::Relaxed) {
                bail!("stopped");
            }
        }
        Ok(())
    });
    reporter.finish();
    if checked.is_err() && cancel.load(Ordering::Relaxed) {
        exit::note("stopped while checking: nothing was imported");
        return Ok(false);
    }
    checked.map(|()| true)
}

fn tell(report: &ImportReport) {
    let mut parts = vec![format!("{} added", thousands(report.added))];
    for (n, what) in [
        (report.updated, "updated"),
        (report.unchanged, "unchanged"),
        (report.kept, "kept as `index` has read them"),
        (report.repeated, "left out (the path of an earlier row)"),
    ] {
        if n > 0 {
            parts.push(format!("{} {what}", thousands(n)));
        }
    }
    exit::note(&format!(
        "{} in {}, of which publishing took {}",
        parts.join(", "),
        duration(report.elapsed),
        duration(report.elapsed.saturating_sub(report.committing))
    ));
    if report.interrupted {
        exit::note("stopped early: run the same command again to go on");
    }
}

fn json_report(settings: &Settings, report: &ImportReport) -> serde_json::Value {
    json!({
        "index": settings.index_dir.to_string_lossy(),
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "kept": report.kept,
        "repeated": report.repeated,
        "interrupted": report.interrupted,
        "generation": report.generation,
        "rows_per_s": hundredths(report.rows() as f64 / report.committing.as_secs_f64().max(1e-3)),
        "publishing_seconds": hundredths(report.elapsed.saturating_sub(report.committing).as_secs_f64()),
        "seconds": hundredths(report.elapsed.as_secs_f64()),
    })
}
