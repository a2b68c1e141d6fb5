//! `tui`: the terminal interface over an index.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;
use taiyi_core::{ImageEncoder, ModelId, TextEncoder};
use taiyi_image::Limits;
use taiyi_model::TowerOptions;
use taiyi_tui::{Keymap, Options, Surroundings, Theme, Towers};

use crate::exit::{self, Exit};
use crate::flags::TuiFlags;
use crate::models::{self, Model};
use crate::settings::Settings;
use crate::{interrupt, logging};

pub(crate) fn run(settings: &Settings, flags: &TuiFlags) -> anyhow::Result<Exit> {
    if is_dumb() {
        bail!(
            "TERM is dumb, and the interface moves the cursor: set TERM, or use taiyi-search query 两只老虎"
        );
    }
    if !has_terminal() {
        bail!("the terminal interface needs a terminal: in a script use taiyi-search query 两只老虎");
    }
    open(settings, flags, None)
}

/// Whether somebody sits at a terminal that can be drawn on. Standard output may be a pipe: marked paths go there.
pub(crate) fn has_terminal() -> bool {
    !is_dumb()
        && std::io::stdin().is_terminal()
        && (std::io::stdout().is_terminal() || std::io::stderr().is_terminal())
}

/// Runs the interface. `hint` is shown while nothing else is to be said.
pub(crate) fn open(settings: &Settings, flags: &TuiFlags, hint: Option<&str>) -> anyhow::Result<Exit> {
    let tui = &settings.tui;
    let of_config =
        |table: &str| format!("[tui.{table}] in the config file {}", settings.config_file.display());
    let keymap = Keymap::with_overrides(&tui.keys).with_context(|| of_config("keys"))?;
    let theme = if has_no_color(settings) {
        Theme::plain()
    } else {
        Theme::with_overrides(&tui.theme).with_context(|| of_config("theme"))?
    };
    let options = Options {
        index_dir: settings.index_dir.clone(),
        results: tui.results,
        limits: Limits { max_pixels: settings.max_megapixels.saturating_mul(1_000_000), ..Limits::default() },
        threads: settings.threads,
        zone: TimeZone::system(),
        home: directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_path_buf()),
        thumbnails_dir: Some(settings.cache_dir.join("thumbnails")),
        history: Some(settings.data_dir.join("prompts.txt")),
        keymap,
        theme,
        images: tui.images,
        terminal: Surroundings { is_tmux: is_tmux(), is_remote: is_set("SSH_CONNECTION") },
        has_few_colors: tui.few_colors.unwrap_or_else(has_few_colors),
        viewer: tui.viewer.clone(),
        hint: hint.map(str::to_owned),
    };
    let stop = interrupt::cancel_flag();
    // From here on the screen belongs to the interface, with a log or without.
    let log = settings.cache_dir.join("tui.log");
    let (elsewhere, no_log) = match logging::to_file(&log) {
        Ok(file) => (file, None),
        Err(e) => (logging::to_nowhere(), Some(e)),
    };
    interrupt::be_quiet(true);
    let left = taiyi_tui::run(options, Arc::new(TowersOfIndex::new(settings)), &stop);
    interrupt::be_quiet(false);
    drop(elsewhere);
    if let Some(e) = no_log
        && !settings.is_quiet()
    {
        exit::warn(&format!("no log was kept, {} cannot be written: {e}", log.display()));
    }
    let marks = left?;
    if stop.load(Ordering::Relaxed) {
        // Nobody chose to leave: whatever waits at the other end of a pipe must not act on half a choice.
        return Ok(Exit::Interrupted);
    }
    write_marks(&marks, flags.null)?;
    Ok(Exit::Success)
}

fn write_marks(marks: &[PathBuf], nul: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for path in marks {
        // The very bytes of the path, so that what reads them finds the file.
        out.write_all(path.as_os_str().as_encoded_bytes())?;
        out.write_all(if nul { b"\0" } else { b"\n" })?;
    }
    Ok(out.flush()?)
}

/// <https://no-color.org>: set and not empty.
fn has_no_color(settings: &Settings) -> bool {
    settings.is_colourless || is_set("NO_COLOR")
}

/// Such a terminal shows what should move its cursor.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

fn is_tmux() -> bool {
    is_set("TMUX")
        || std::env::var("TERM").is_ok_and(|term| term.starts_with("tmux") || term.starts_with("screen"))
}

/// Those known to take 24-bit colours for something else. `COLORTERM`, which would tell, does not come over
/// ssh, so its absence says nothing.
fn has_few_colors() -> bool {
    let is = |variable: &str, test: fn(&str) -> bool| std::env::var(variable).is_ok_and(|value| test(&value));
    if is("COLORTERM", |it| matches!(it, "truecolor" | "24bit")) || is_set("TMUX") {
        return false;
    }
    is("TERM_PROGRAM", |it| it == "Apple_Terminal")
        || is("TERM", |it| {
            it == "linux" || ["screen", "vt", "rxvt"].iter().any(|start| it.starts_with(start))
        })
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// The towers of the index's own model, or of the one asked for if that is the same.
struct TowersOfIndex {
    settings: Settings,
    /// Opened once for both towers.
    model: Mutex<Option<Arc<Model>>>,
}

impl TowersOfIndex {
    fn new(settings: &Settings) -> Self {
        // The screen is the interface's: a question would be drawn over it.
        Self { settings: Settings { may_ask: false, ..settings.clone() }, model: Mutex::default() }
    }

    fn model(&self, of_index: &ModelId) -> anyhow::Result<Arc<Model>> {
        let mut known = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = known.as_ref().filter(|model| model.id.is_same_model(of_index)) {
            return Ok(Arc::clone(model));
        }
        let model = Arc::new(models::open_for_index(&self.settings, of_index)?);
        Ok(Arc::clone(known.insert(model)))
    }

    fn options(&self) -> TowerOptions {
        self.settings.towers()
    }
}

impl Towers for TowersOfIndex {
    fn text(&self, model: &ModelId) -> Result<Arc<dyn TextEncoder>, String> {
        let load = || anyhow::Ok(self.model(model)?.folder.text_tower(&self.options())?);
        load().map(|tower| Arc::new(tower) as Arc<dyn TextEncoder>).map_err(|e| exit::one_line(&e))
    }

    fn image(&self, model: &ModelId) -> Result<Arc<dyn ImageEncoder>, String> {
        let load = || {
            let tower = self.model(model)?.folder.image_tower(&self.options())?;
            anyhow::Ok(tower.with_full_decode(self.settings.full_decode))
        };
        load().map(|tower| Arc::new(tower) as Arc<dyn ImageEncoder>).map_err(|e| exit::one_line(&e))
    }
}
