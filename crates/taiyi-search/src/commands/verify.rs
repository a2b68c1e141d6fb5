//! `verify`: every checksum, and that ledger and generation agree.

use std::io::Write as _;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::exit::{self, Exit};
use crate::flags::{SummaryFormat, VerifyFlags};
use crate::output::text::{count, thousands};
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, flags: &VerifyFlags) -> anyhow::Result<Exit> {
    let bar = if settings.draws_progress() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{msg:<24} {bar:30} {percent}%") {
        bar.set_style(style);
    }
    let report = taiyi_store::verify(&settings.index_dir, &mut |progress| {
        bar.set_message(progress.step);
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    })?;
    bar.finish_and_clear();
    let mut out = anstream::stdout();
    match flags.format {
        SummaryFormat::Json => {
            let problems: Vec<_> =
                report.problems.iter().map(|p| json!({ "what": p.what, "remedy": p.remedy })).collect();
            let object = json!({
                "index": settings.index_dir.to_string_lossy(),
                "generation": report.generation,
                "files_checked": report.files_checked,
                "contents_checked": report.contents_checked,
                "locations_checked": report.locations_checked,
                "ledger_checked": report.ledger_checked,
                "is_published": report.is_published,
                "problems": problems,
            });
            writeln!(out, "{object}")?;
        }
        SummaryFormat::Text => {
            for problem in &report.problems {
                writeln!(out, "broken: {}\n  mend: {}", problem.what, problem.remedy)?;
            }
            let checked = format!(
                "checked {}, {} and {}",
                count(report.files_checked, "file", "files"),
                count(report.contents_checked, "picture", "pictures"),
                count(report.locations_checked, "location", "locations"),
            );
            match report.problems.len() {
                0 => writeln!(out, "{checked}: all is well")?,
                n => writeln!(out, "{checked}: {} broken", thousands(n as u64))?,
            }
        }
    }
    if !report.ledger_checked {
        exit::warn(
            "the ledger was not checked, only what is published: another process is writing to the index, or \
             its folder cannot be written",
        );
    } else if !report.is_published {
        exit::note(
            "the ledger holds changes that searches do not see yet: `taiyi-search index` publishes them",
        );
    }
    Ok(if report.problems.is_empty() { Exit::Success } else { Exit::Nothing })
}
