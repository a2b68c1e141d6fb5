//! What a run did, or would do, for people and for scripts.

use std::collections::BTreeMap;
use std::io::Write as _;

use serde_json::{Value, json};
use taiyi_indexer::Report;

use super::Plan;
use crate::exit::{self, Exit};
use crate::flags::SummaryFormat;
use crate::output::json::{hundredths, path_and_reason};
use crate::output::text::{count, show_path, thousands};
use crate::progress::duration;
use crate::settings::Settings;

pub(super) fn print_report(
    settings: &Settings,
    report: &Report,
    format: SummaryFormat,
) -> anyhow::Result<()> {
    tell_problems(&report.problems);
    match format {
        SummaryFormat::Json => writeln!(std::io::stdout(), "{}", json_report(settings, report))?,
        SummaryFormat::Text if settings.is_quiet() => {}
        SummaryFormat::Text => {
            for line in text_report(report) {
                exit::note(&line);
            }
        }
    }
    Ok(())
}

fn tell_problems(problems: &[taiyi_indexer::WalkProblem]) {
    for problem in problems {
        exit::warn(&format!("{} {}", show_path(&problem.path), problem.reason));
    }
}

fn text_report(report: &Report) -> Vec<String> {
    let mut parts = vec![format!("{} added", thousands(report.added))];
    let failed = report.failed.len() as u64;
    for (n, what) in [
        (report.updated, "updated"),
        (report.reused, "reused (renamed, moved or copied)"),
        (report.removed, "removed"),
        (report.unchanged, "unchanged"),
        (failed, "failed"),
        (report.known_bad, "failed before"),
        (report.ignored, "ignored (not pictures)"),
    ] {
        if n > 0 {
            parts.push(format!("{} {what}", thousands(n)));
        }
    }
    let seconds = report.encoding.as_secs_f64();
    let rate = match report.embedded() {
        0 => String::new(),
        n => format!(", {:.1} images/s", n as f64 / seconds.max(1e-3)),
    };
    let mut lines = vec![format!("{} in {}{rate}", parts.join(", "), duration(report.elapsed))];
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for failure in &report.failed {
        *reasons.entry(failure.kind.name()).or_default() += 1;
    }
    if !reasons.is_empty() {
        let reasons: Vec<String> =
            reasons.iter().map(|(kind, n)| format!("{} {kind}", thousands(*n))).collect();
        lines.push(format!(
            "failed files: {}; unreadable ones are tried again every time, the others when they change or with \
             --retry-failed",
            reasons.join(", ")
        ));
    }
    if report.interrupted {
        lines.push("stopped early: run the same command again to go on".into());
    }
    if report.held_back {
        lines.push(
            "the rebuild is not through yet; until then searches see the index as it was: run `taiyi-search index` to go on"
                .into(),
        );
    }
    lines
}

fn json_report(settings: &Settings, report: &Report) -> Value {
    let failed: Vec<Value> =
        report.failed.iter().map(|f| path_and_reason(&f.path, Some(f.kind.name()), &f.reason)).collect();
    let problems: Vec<Value> =
        report.problems.iter().map(|p| path_and_reason(&p.path, None, &p.reason)).collect();
    json!({
        "index": settings.index_dir.to_string_lossy(),
        "added": report.added,
        "updated": report.updated,
        "reused": report.reused,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "failed": failed,
        "failed_before": report.known_bad,
        "ignored": report.ignored,
        "problems": problems,
        "interrupted": report.interrupted,
        "held_back": report.held_back,
        "generation": report.generation,
        "images_per_s": hundredths(report.embedded() as f64 / report.encoding.as_secs_f64().max(1e-3)),
        "seconds": hundredths(report.elapsed.as_secs_f64()),
    })
}

pub(super) fn print_plan(plan: &Plan, format: SummaryFormat) -> anyhow::Result<Exit> {
    let mut out = anstream::stdout().lock();
    match format {
        SummaryFormat::Json => {
            let read: Vec<Value> =
                plan.reading().map(|(path, change)| path_and_reason(&path, None, change.name())).collect();
            let remove: Vec<Value> =
                plan.forgetting().map(|path| path_and_reason(&path, None, "gone")).collect();
            let problems: Vec<Value> =
                plan.problems.iter().map(|p| path_and_reason(&p.path, None, &p.reason)).collect();
            let object = json!({
                "dry_run": true,
                "read": read,
                "remove": remove,
                "unchanged": plan.unchanged,
                "failed_before": plan.known_bad,
                "ignored": plan.known_other,
                "problems": problems,
            });
            writeln!(out, "{object}")?;
        }
        SummaryFormat::Text => {
            tell_problems(&plan.problems);
            for (path, change) in plan.reading() {
                writeln!(out, "read ({}): {}", change.name(), show_path(&path))?;
            }
            for path in plan.forgetting() {
                writeln!(out, "remove: {}", show_path(&path))?;
            }
            exit::note(&format!(
                "would read {}, remove {}, and leave {} as they are; nothing was changed",
                count(plan.files_to_read() as u64, "file", "files"),
                thousands(plan.files_gone() as u64),
                thousands(plan.unchanged + plan.known_bad + plan.known_other)
            ));
        }
    }
    Ok(if plan.problems.is_empty() { Exit::Success } else { Exit::Failure })
}
