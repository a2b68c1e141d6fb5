//! Fetching a model, with a bar; also when a command finds that its model is not here.

use std::cell::{Cell, RefCell};
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use taiyi_model::hub::{FetchEvent, FetchProgress, HubError, HubOptions, fetch};
use taiyi_model::{KnownModel, ModelPlace, known_model};

use crate::exit::{self, Interrupted};
use crate::interrupt;
use crate::output::text::{bytes, escape_controls};
use crate::progress::duration;
use crate::settings::Settings;

const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows the events of a fetch, an import or a check of files.
pub(crate) struct FetchReporter {
    bar: Option<ProgressBar>,
    is_quiet: bool,
    total: Cell<u64>,
    /// Where this run began.
    begun_at: Cell<u64>,
    started: Cell<Instant>,
    last_line: Cell<Instant>,
    file: RefCell<String>,
}

impl FetchReporter {
    /// `begins` is shown until it is known how much there is to do.
    pub(crate) fn new(settings: &Settings, begins: &'static str) -> Self {
        let now = Instant::now();
        let bar = settings.draws_progress().then(|| {
            let bar = ProgressBar::new_spinner().with_message(begins);
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            bar,
            is_quiet: settings.is_quiet(),
            total: Cell::new(0),
            begun_at: Cell::new(0),
            started: Cell::new(now),
            last_line: Cell::new(now),
            file: RefCell::default(),
        }
    }

    /// Clears the bar.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| exit::note(line)),
            None if !self.is_quiet => exit::note(line),
            None => {}
        }
    }

    fn show_plan(&self, total: u64, present: u64) {
        self.total.set(total);
        self.begun_at.set(present);
        self.started.set(Instant::now());
        let Some(bar) = &self.bar else { return };
        bar.set_length(total);
        bar.set_position(present);
        bar.reset_eta();
        let template =
            "{bar:30} {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left, {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
    }

    fn show_done(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        if self.is_quiet || self.last_line.get().elapsed() < LINE_EVERY {
            return;
        }
        self.last_line.set(Instant::now());
        let seconds = self.started.get().elapsed().as_secs_f64().max(1e-3);
        let rate = done.saturating_sub(self.begun_at.get()) as f64 / seconds;
        let left = self.total.get().saturating_sub(done) as f64 / rate.max(1.0);
        exit::note(&format!(
            "{}/{}, {}/s, {} left, {}",
            bytes(done),
            bytes(self.total.get()),
            bytes(rate as u64),
            duration(Duration::from_secs_f64(left.min(1e9))),
            self.file.borrow()
        ));
    }
}

impl FetchProgress for FetchReporter {
    fn event(&self, event: FetchEvent<'_>) {
        match event {
            FetchEvent::Planned { bytes, present_bytes, .. } => self.show_plan(bytes, present_bytes),
            FetchEvent::File { name, bytes: size, resumed_at } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(name.to_owned());
                }
                if resumed_at > 0 {
                    self.say(&format!("{name}: going on at {} of {}", bytes(resumed_at), bytes(size)));
                }
                *self.file.borrow_mut() = name.to_owned();
            }
            FetchEvent::Bytes { done } => self.show_done(done),
            FetchEvent::Waiting { name } => self.say(&format!("{name}: another process fetches it, waiting")),
            FetchEvent::Retrying { problem, wait } => {
                let problem = problem.split("; ").next().unwrap_or_default();
                self.say(&format!("{}; trying again in {}", escape_controls(problem), duration(wait)));
            }
            _ => {}
        }
    }
}

/// Fetches a model into the cache; nothing when Ctrl-C has stopped it, which is told.
pub(crate) fn run(
    settings: &Settings,
    model: &KnownModel,
    options: &HubOptions,
) -> anyhow::Result<Option<ModelPlace>> {
    let reporter = FetchReporter::new(settings, "asking the hub");
    let cancel = interrupt::cancel_flag_saying("stopping; what has been fetched stays");
    let fetched = fetch(model, options, &reporter, &cancel);
    reporter.finish();
    match fetched {
        Ok(place) => Ok(Some(place)),
        Err(HubError::Cancelled) => {
            exit::warn(&format!("stopped; `taiyi-search model fetch {}` goes on from here", model.name));
            Ok(None)
        }
        Err(e) => Err(e.into()),
    }
}

/// Asks whether a model that is not here shall be fetched now, where there is somebody to ask. Whether it is here
/// then; Ctrl-C ends the command, which could do nothing without.
pub(crate) fn offer(settings: &Settings, name: &str) -> anyhow::Result<bool> {
    let Some(model) = known_model(name).filter(|_| settings.may_ask && can_ask()) else { return Ok(false) };
    if settings.hub.is_offline {
        return Ok(false);
    }
    let question = format!(
        "model {name} is not here. Fetch it now, about {}, from {}?",
        bytes(model.download_bytes),
        escape_controls(settings.hub.shown_endpoint())
    );
    if !confirm(&question, true)? {
        return Ok(false);
    }
    match run(settings, model, &settings.hub)? {
        Some(_) => Ok(true),
        None => Err(Interrupted.into()),
    }
}

/// Whether somebody is there to be asked.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks on standard error; an empty line means `default`.
pub(crate) fn confirm(question: &str, default: bool) -> anyhow::Result<bool> {
    let choice = if default { "[Y/n]" } else { "[y/N]" };
    write!(anstream::stderr(), "{question} {choice} ").context("cannot ask")?;
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer).context("cannot read the answer")? == 0 {
        return Ok(false);
    }
    Ok(match answer.trim().to_lowercase().as_str() {
        "" => default,
        answer => matches!(answer, "y" | "yes" | "是"),
    })
}
