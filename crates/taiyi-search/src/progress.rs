//! How a run shows on standard error: a bar on a terminal, a line now and then elsewhere.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use taiyi_indexer::{Progress, ProgressEvent};
use taiyi_store::{PublishProgress, PublishStep};

use crate::exit;
use crate::output::text::{count, show_path, thousands};
use crate::settings::Settings;

/// How often a run that is not watched on a terminal gives a sign of life.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A walk shorter than this needs no telling.
const SHORT_WALK: u64 = 10_000;

/// What is counted, in words.
struct Words {
    things: &'static str,
    /// Things that something was made of, for the rate.
    made: &'static str,
    /// What comes before the first of them.
    first: &'static str,
}

const FILES: Words = Words { things: "files", made: "images", first: "loading the model" };

/// Receives the events of a run.
pub(crate) struct Reporter {
    words: Words,
    bar: Option<ProgressBar>,
    quiet: bool,
    total: AtomicU64,
    done: AtomicU64,
    embedded: AtomicU64,
    failed: AtomicU64,
    started: Mutex<Instant>,
    last_line: Mutex<Instant>,
}

impl Reporter {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self::with_words(settings, FILES)
    }

    /// For rows of embeddings; `first` says what is done with them.
    pub(crate) fn of_rows(settings: &Settings, first: &'static str) -> Self {
        Self::with_words(settings, Words { things: "rows", made: "rows", first })
    }

    fn with_words(settings: &Settings, words: Words) -> Self {
        let bar = settings.draws_progress().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            words,
            bar,
            quiet: settings.is_quiet(),
            total: AtomicU64::new(0),
            done: AtomicU64::new(0),
            embedded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            started: Mutex::new(Instant::now()),
            last_line: Mutex::new(Instant::now()),
        }
    }

    /// Clears the bar, so that a summary can be printed.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| exit::note(line)),
            None if !self.quiet => exit::note(line),
            None => {}
        }
    }

    /// Whether it is time for another line where there is no bar.
    fn is_due(&self) -> bool {
        if self.bar.is_some() || self.quiet {
            return false;
        }
        let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.elapsed() >= LINE_EVERY;
        if due {
            *last = Instant::now();
        }
        due
    }

    fn show_done(&self) {
        let (total, done) = (self.total.load(Ordering::Relaxed), self.done.load(Ordering::Relaxed));
        let (embedded, failed) = (self.embedded.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed));
        let seconds = self.started.lock().unwrap_or_else(PoisonError::into_inner).elapsed().as_secs_f64();
        let Words { things, made, .. } = self.words;
        let rate = embedded as f64 / seconds.max(1e-3);
        let failures = if failed > 0 { format!(", {} failed", thousands(failed)) } else { String::new() };
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(format!("{rate:.1} {made}/s{failures}"));
        } else if self.is_due() {
            let left = (total.saturating_sub(done)) as f64 * seconds / (done as f64).max(1.0);
            exit::note(&format!(
                "{}/{} {things}, {rate:.1} {made}/s, {} left{failures}",
                thousands(done),
                thousands(total),
                duration(Duration::from_secs_f64(left.min(1e9)))
            ));
        }
    }

    fn show_walk(&self, files: u64) {
        let message = format!("looking for pictures: {}", count(files, "file", "files"));
        if let Some(bar) = &self.bar {
            bar.set_message(message);
        } else if files >= SHORT_WALK && self.is_due() {
            exit::note(&message);
        }
    }

    fn show_plan(&self, files: u64) {
        self.total.store(files, Ordering::Relaxed);
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let (Some(bar), true) = (&self.bar, files > 0) else { return };
        bar.set_length(files);
        bar.set_message(self.words.first);
        let template =
            format!("{{bar:30}} {{human_pos}}/{{human_len}} {}, {{msg}}, {{eta}} left", self.words.things);
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
    }

    fn show_publishing(&self, progress: &PublishProgress) {
        let step = match progress.step {
            PublishStep::Graph => "building the search graph",
            PublishStep::Collect | PublishStep::Vectors | PublishStep::Items => "publishing",
        };
        let message = match progress.total {
            0 => step.to_owned(),
            total => format!("{step}: {}/{}", thousands(progress.done), thousands(total)),
        };
        if let Some(bar) = &self.bar {
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.set_message(message);
        } else if self.is_due() {
            exit::note(&message);
        }
    }
}

impl Progress for Reporter {
    fn event(&self, event: ProgressEvent<'_>) {
        match event {
            ProgressEvent::Walked { files } => self.show_walk(files),
            ProgressEvent::Planned { files } => self.show_plan(files),
            ProgressEvent::Done { files, embedded, failed } => {
                self.done.fetch_add(files, Ordering::Relaxed);
                self.embedded.fetch_add(embedded, Ordering::Relaxed);
                self.failed.fetch_add(failed, Ordering::Relaxed);
                self.show_done();
            }
            ProgressEvent::Failed { path, reason } => {
                self.say(&format!("failed: {}: {reason}", show_path(path)));
            }
            ProgressEvent::Publishing(progress) => self.show_publishing(progress),
            ProgressEvent::Published { generation } => tracing::info!("published generation {generation}"),
        }
    }
}

/// A bar up to `total` of what `noun` names; hidden where nothing is drawn.
pub(crate) fn bar(settings: &Settings, total: usize, noun: &str) -> ProgressBar {
    if !settings.draws_progress() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total as u64);
    let template = format!("{{bar:30}} {{human_pos}}/{{human_len}} {noun}, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// `75 s` as `1m 15s`, for people.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", time.as_secs_f64()),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(Duration::from_millis(1240)), "1.2s");
        assert_eq!(duration(Duration::from_secs(75)), "1m 15s");
        assert_eq!(duration(Duration::from_secs(7265)), "2h 1m");
    }
}
