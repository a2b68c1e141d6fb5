//! `status`: what is in the index. Reads only what is published, so it works while another process
//! indexes.

use std::io::Write as _;

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use taiyi_store::{FailedFile, RowTime, Snapshot, disk_usage};

use crate::exit::Exit;
use crate::flags::{StatusFlags, SummaryFormat};
use crate::output::json::{insert_path, path_and_reason};
use crate::output::table::{Align, align};
use crate::output::text::{self, bytes, count, show_path, thousands};
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, flags: &StatusFlags) -> anyhow::Result<Exit> {
    let snapshot = Snapshot::open(&settings.index_dir)?;
    let usage = disk_usage(&settings.index_dir)?;
    let failures = snapshot.failures()?;
    let mut counts = vec![0u64; snapshot.roots().len()];
    let mut imported = 0;
    for row in snapshot.rows() {
        for location in snapshot.item(row)?.locations {
            if let Some(at) = snapshot.roots().iter().position(|root| root.path == location.root_path) {
                counts[at] += 1;
            }
            imported += u64::from(location.stamp.is_imported());
        }
    }
    let published = text::date_time(Some(RowTime::Modified(snapshot.published_s())), &TimeZone::system());
    let mut out = anstream::stdout().lock();
    if flags.format == SummaryFormat::Json {
        let roots: Vec<Value> = snapshot
            .roots()
            .iter()
            .zip(&counts)
            .map(|(root, files)| {
                let mut object = serde_json::Map::new();
                insert_path(&mut object, "path", &root.path);
                object.insert("files".into(), (*files).into());
                object.insert("available".into(), root.path.is_dir().into());
                object.into()
            })
            .collect();
        let failed: Vec<Value> = failures.iter().map(json_failure).collect();
        let model = snapshot.model();
        let object = json!({
            "index": settings.index_dir.to_string_lossy(),
            "model": {
                "name": model.name,
                "weights": model.weights,
                "precision": model.precision().name(),
                "dimension": model.dimension,
            },
            "generation": snapshot.generation(),
            "published": published,
            "pictures": snapshot.len(),
            "files": snapshot.location_count(),
            "imported": imported,
            "graph_rows": snapshot.graph_rows(),
            "roots": roots,
            "failed": failed,
            "disk_bytes": {
                "ledger": usage.ledger_bytes,
                "generations": usage.generations_bytes,
                "total": usage.total_bytes,
            },
        });
        writeln!(out, "{object}")?;
        return Ok(Exit::Success);
    }
    let pictures = snapshot.len() as u64;
    let files = snapshot.location_count() as u64;
    let search = match snapshot.graph_rows() as u64 {
        0 => "every picture is compared".to_owned(),
        rows if rows >= pictures => "graph".to_owned(),
        rows => format!("graph over {}, the rest is compared", thousands(rows)),
    };
    let pair = |name: &str, value: String| vec![name.to_owned(), value];
    let mut facts = vec![
        pair("index", show_path(&settings.index_dir)),
        pair("model", snapshot.model().to_string()),
        pair("pictures", format!("{} in {}", thousands(pictures), count(files, "file", "files"))),
        pair("failed", count(failures.len() as u64, "file", "files")),
        pair("generation", format!("{} of {}", snapshot.generation(), published.unwrap_or_default())),
        pair("search", search),
        pair(
            "on disk",
            format!(
                "{} (ledger {}, generations {})",
                bytes(usage.total_bytes),
                bytes(usage.ledger_bytes),
                bytes(usage.generations_bytes)
            ),
        ),
    ];
    if imported > 0 {
        let from = format!("{}, known by their embeddings alone", thousands(imported));
        facts.insert(3, pair("imported", from));
    }
    for line in align(&[Align::Left, Align::Left], &facts) {
        writeln!(out, "{line}")?;
    }
    let rows: Vec<Vec<String>> = snapshot
        .roots()
        .iter()
        .zip(&counts)
        .map(|(root, files)| {
            let state = if root.path.is_dir() { "" } else { "  (not there now)" };
            vec![String::new(), count(*files, "file", "files"), format!("{}{state}", show_path(&root.path))]
        })
        .collect();
    writeln!(out, "folders")?;
    for line in align(&[Align::Left, Align::Right, Align::Left], &rows) {
        writeln!(out, "{line}")?;
    }
    if flags.failed {
        writeln!(out, "failed files")?;
        for failure in &failures {
            writeln!(
                out,
                "  {}: {}",
                show_path(&failure.location.path()),
                text::escape_controls(&failure.failure.message)
            )?;
        }
    } else if !failures.is_empty() {
        writeln!(out, "`taiyi-search status --failed` lists the failed files")?;
    }
    Ok(Exit::Success)
}

fn json_failure(failed: &FailedFile) -> Value {
    path_and_reason(&failed.location.path(), Some(failed.failure.kind.name()), &failed.failure.message)
}
