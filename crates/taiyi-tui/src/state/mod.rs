//! What the interface knows, and how an [`Action`] changes it. No terminal, no files, no threads, no clock:
//! the time is told, and what is to be done outside is returned as [`Effect`]s.

mod overlay;
mod results;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ratatui::layout::{Position, Size};
use taiyi_query::{ContentHash, Prompt, PromptError};

use crate::action::{Action, Command, Effect};
use crate::editor::Editor;
use crate::layout::{Layout, View};
use crate::worker::{Answer, Question, Request, Trouble};

pub(crate) use overlay::{HistoryList, Overlay};
pub(crate) use results::{Entry, Motion, Results};

/// So long after the last key a search begins by itself.
const DEBOUNCE: Duration = Duration::from_millis(150);
/// So often the published index is looked at.
const INDEX_CHECK: Duration = Duration::from_secs(2);
/// So long a message stays.
const MESSAGE_TIME: Duration = Duration::from_secs(5);
const DOUBLE_CLICK: Duration = Duration::from_millis(400);

/// A few words below the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The words.
    pub(crate) text: String,
    /// Whether something went wrong.
    pub(crate) is_failure: bool,
    until: Instant,
}

/// The indexed picture that others should resemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Similar {
    /// Which.
    pub(crate) content: ContentHash,
    /// Its name, for the eye.
    pub(crate) name: String,
}

/// All that is drawn, and all that decides what a key does.
#[derive(Debug)]
pub(crate) struct State {
    /// The prompt line.
    pub(crate) prompt: Editor,
    /// A picture that is part of the question.
    pub(crate) similar: Option<Similar>,
    /// What was found last.
    pub(crate) results: Results,
    /// Pictures in the index, once that is known.
    pub(crate) total: Option<usize>,
    /// How the results are shown.
    pub(crate) view: View,
    /// Whether all that is known of the picture is shown.
    pub(crate) has_details: bool,
    /// What lies on top of everything.
    pub(crate) overlay: Option<Overlay>,
    /// Why the prompt cannot be searched for.
    pub(crate) mistake: Option<String>,
    /// Why nothing can be searched at all.
    pub(crate) trouble: Option<Trouble>,
    /// Marked files, in the order they were marked.
    marks: Vec<PathBuf>,
    message: Option<Message>,
    history: Vec<String>,
    screen: Size,
    /// Number of the last request.
    generation: u64,
    /// Whether its answer is awaited.
    is_busy: bool,
    asked: Option<Question>,
    /// The question that `results` answer.
    answered: Option<Question>,
    search_at: Option<Instant>,
    check_at: Instant,
    last_click: Option<(Instant, usize)>,
}

impl State {
    /// An empty prompt on a screen of this size. `history`: former prompts, the newest last.
    #[must_use]
    pub(crate) fn new(screen: Size, history: Vec<String>, now: Instant) -> Self {
        Self {
            prompt: Editor::default(),
            similar: None,
            results: Results::default(),
            total: None,
            view: View::default(),
            has_details: false,
            overlay: None,
            mistake: None,
            trouble: None,
            marks: Vec::new(),
            message: None,
            history,
            screen,
            generation: 0,
            is_busy: false,
            asked: None,
            answered: None,
            // An empty prompt browses, at once.
            search_at: Some(now),
            check_at: now + INDEX_CHECK,
            last_click: None,
        }
    }

    /// Where everything is.
    #[must_use]
    pub(crate) fn layout(&self) -> Layout {
        Layout::new(self.screen, self.view, self.has_details)
    }

    /// Marked files, in the order they were marked.
    #[must_use]
    pub(crate) fn marks(&self) -> &[PathBuf] {
        &self.marks
    }

    /// The selected picture. What lies below a trouble cannot be seen, so none of it is selected.
    #[must_use]
    pub(crate) fn selection(&self) -> Option<&Entry> {
        self.results.selection().filter(|_| self.trouble.is_none())
    }

    /// Whether a picture is marked.
    #[must_use]
    pub(crate) fn is_marked(&self, entry: &Entry) -> bool {
        self.marks.contains(&entry.picture.path)
    }

    /// Whether an answer is awaited.
    #[must_use]
    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Whether what is typed is not answered yet.
    #[must_use]
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_busy || self.search_at.is_some()
    }

    /// What to say below the prompt.
    #[must_use]
    pub(crate) fn message(&self) -> Option<&Message> {
        self.message.as_ref()
    }

    /// When [`Action::Tick`] is to be sent.
    #[must_use]
    pub(crate) fn deadline(&self) -> Instant {
        let message = self.message.as_ref().map(|message| message.until);
        [self.search_at, message].into_iter().flatten().fold(self.check_at, Instant::min)
    }

    /// Changes the state; returns what is to be done outside.
    pub(crate) fn apply(&mut self, action: Action, now: Instant) -> Vec<Effect> {
        match action {
            Action::Command(command) => self.command(command, now),
            Action::Insert(text) => {
                match &mut self.overlay {
                    Some(Overlay::History(list)) => list.edit(&self.history, |filter| filter.insert(&text)),
                    Some(Overlay::Help { .. }) => {}
                    None => self.edit(now, |prompt| prompt.insert(&text)),
                }
                Vec::new()
            }
            Action::Click { column, row } => self.click(Position::new(column, row), now),
            Action::Wheel(rows) => {
                self.step(Motion::Rows(isize::from(rows)));
                Vec::new()
            }
            Action::Resize { columns, rows } => {
                self.screen = Size::new(columns, rows);
                self.results.keep_in_sight(&self.layout());
                Vec::new()
            }
            Action::Tick => self.tick(now),
            Action::Answered(answer) => {
                self.answered(*answer);
                Vec::new()
            }
            Action::IndexChanged => {
                self.trouble = None;
                // A prompt that waits will be asked soon anyway.
                if self.search_at.is_some() { Vec::new() } else { self.search() }
            }
            Action::Trouble(trouble) => {
                self.is_busy = false;
                self.trouble = Some(trouble);
                Vec::new()
            }
            Action::Done(text) => self.say(text, false, now),
            Action::Failed(text) => self.say(text, true, now),
        }
    }

    fn command(&mut self, command: Command, now: Instant) -> Vec<Effect> {
        if self.overlay.is_some() && !matches!(command, Command::Quit | Command::Redraw) {
            return self.command_in_overlay(command);
        }
        match command {
            Command::Up => self.step(Motion::Rows(-1)),
            Command::Down => self.step(Motion::Rows(1)),
            Command::Left if self.view == View::Grid => self.step(Motion::Pictures(-1)),
            Command::Right if self.view == View::Grid => self.step(Motion::Pictures(1)),
            Command::PageUp => self.step(Motion::Screens(-1)),
            Command::PageDown => self.step(Motion::Screens(1)),
            Command::First => self.step(Motion::First),
            Command::Last => self.step(Motion::Last),
            Command::Open => return self.search_or_open(),
            Command::Mark => return self.toggle_mark(),
            Command::Copy => return self.copy(),
            Command::Similar => return self.look_for_similar(),
            Command::Reveal => return self.with_selection(Effect::Reveal),
            Command::History => self.overlay = Some(Overlay::History(HistoryList::new(&self.history))),
            Command::ToggleGrid => {
                self.view = if self.view == View::List { View::Grid } else { View::List };
                self.results.keep_in_sight(&self.layout());
            }
            Command::ToggleDetails => {
                self.has_details = !self.has_details;
                self.results.keep_in_sight(&self.layout());
            }
            Command::Help => self.overlay = Some(Overlay::Help { top: 0 }),
            Command::Cancel => return self.cancel(),
            Command::Quit => return self.quit(),
            Command::Redraw => return vec![Effect::Redraw],
            Command::Backspace if self.prompt.is_empty() => {
                if self.similar.take().is_some() {
                    self.search_at = Some(now + DEBOUNCE);
                }
            }
            other => self.edit(now, |prompt| prompt.apply(other)),
        }
        Vec::new()
    }

    /// Changes the prompt line; if its text changed, a search is due soon.
    fn edit(&mut self, now: Instant, change: impl FnOnce(&mut Editor)) {
        let before = self.prompt.text().to_owned();
        change(&mut self.prompt);
        if self.prompt.text() != before {
            self.mistake = None;
            self.search_at = Some(now + DEBOUNCE);
        }
    }

    fn step(&mut self, motion: Motion) {
        match &mut self.overlay {
            Some(overlay) => overlay.step(motion, self.screen.height),
            None => self.results.step(motion, &self.layout()),
        }
    }

    fn tick(&mut self, now: Instant) -> Vec<Effect> {
        if self.message.as_ref().is_some_and(|message| message.until <= now) {
            self.message = None;
        }
        let mut effects = Vec::new();
        if self.check_at <= now {
            self.check_at = now + INDEX_CHECK;
            effects.push(Effect::CheckIndex);
        }
        if self.search_at.is_some_and(|at| at <= now) {
            effects.extend(self.search());
        }
        effects
    }

    /// Reads the prompt and asks for it.
    fn search(&mut self) -> Vec<Effect> {
        self.search_at = None;
        let prompt = match Prompt::parse(self.prompt.text()) {
            Ok(prompt) => prompt,
            // Nothing typed: the newest pictures, or those that resemble the picture chosen.
            Err(PromptError::Empty) => Prompt::default(),
            Err(mistake) => {
                self.mistake = Some(mistake.to_string());
                // What was asked before is not what stands there now: its answer is not awaited any more.
                self.generation += 1;
                self.is_busy = false;
                return Vec::new();
            }
        };
        self.mistake = None;
        let similar = self.similar.as_ref().map(|similar| similar.content);
        let question = Question { terms: prompt.terms, filter: prompt.filter, similar };
        self.generation += 1;
        self.is_busy = true;
        self.asked = Some(question.clone());
        vec![Effect::Search(Request { generation: self.generation, question })]
    }

    fn answered(&mut self, answer: Answer) {
        if answer.generation != self.generation {
            return;
        }
        self.is_busy = false;
        self.trouble = None;
        self.total = Some(answer.total);
        match answer.found {
            Ok(entries) => {
                let is_same = self.answered == self.asked;
                self.results.replace(entries, answer.is_cut, is_same, &self.layout());
                self.answered.clone_from(&self.asked);
            }
            // While the prompt is being changed, the mistake may be gone already.
            Err(mistake) if self.search_at.is_none() => self.mistake = Some(mistake),
            Err(_) => {}
        }
    }

    /// Enter: a prompt that was not asked yet is asked; after that the picture is opened.
    fn search_or_open(&mut self) -> Vec<Effect> {
        if self.search_at.is_some() {
            let mut effects = self.search();
            effects.extend(self.remember());
            return effects;
        }
        // What is on the screen is about to be replaced: better not open any of it.
        if self.is_busy || self.mistake.is_some() {
            return Vec::new();
        }
        self.with_selection(Effect::Open)
    }

    fn with_selection(&mut self, effect: impl FnOnce(PathBuf) -> Effect) -> Vec<Effect> {
        let Some(path) = self.selection().map(|entry| entry.picture.path.clone()) else {
            return Vec::new();
        };
        let mut effects = vec![effect(path)];
        effects.extend(self.remember());
        effects
    }

    fn toggle_mark(&mut self) -> Vec<Effect> {
        let Some(path) = self.selection().map(|entry| entry.picture.path.clone()) else {
            return Vec::new();
        };
        match self.marks.iter().position(|marked| *marked == path) {
            Some(place) => drop(self.marks.remove(place)),
            None => self.marks.push(path),
        }
        self.step(Motion::Pictures(1));
        self.remember()
    }

    fn copy(&mut self) -> Vec<Effect> {
        let selected = self.selection().map(|entry| entry.picture.path.clone());
        let paths: Vec<PathBuf> =
            if self.marks.is_empty() { selected.into_iter().collect() } else { self.marks.clone() };
        if paths.is_empty() {
            return Vec::new();
        }
        let text = paths.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>().join("\n");
        let mut effects = vec![Effect::Copy(text)];
        effects.extend(self.remember());
        effects
    }

    fn look_for_similar(&mut self) -> Vec<Effect> {
        let Some(picture) = self.selection().map(|entry| &entry.picture) else { return Vec::new() };
        let name =
            picture.path.file_name().unwrap_or(picture.path.as_os_str()).to_string_lossy().into_owned();
        let similar = Similar { content: picture.content, name };
        let mut effects = self.remember();
        self.similar = Some(similar);
        self.prompt = Editor::default();
        effects.extend(self.search());
        effects
    }

    /// Esc: clears what was typed; with nothing typed, leaves.
    fn cancel(&mut self) -> Vec<Effect> {
        if self.prompt.is_empty() && self.similar.is_none() {
            return self.quit();
        }
        self.prompt = Editor::default();
        self.similar = None;
        self.search()
    }

    fn quit(&mut self) -> Vec<Effect> {
        let mut effects = self.remember();
        effects.push(Effect::Quit);
        effects
    }

    /// Keeps a prompt that was good for something.
    fn remember(&mut self) -> Vec<Effect> {
        let text = self.prompt.text().trim();
        if text.is_empty() || self.mistake.is_some() || self.history.last().is_some_and(|last| last == text) {
            return Vec::new();
        }
        let text = text.to_owned();
        self.history.retain(|known| *known != text);
        self.history.push(text.clone());
        vec![Effect::Remember(text)]
    }

    fn say(&mut self, text: String, is_failure: bool, now: Instant) -> Vec<Effect> {
        self.message = Some(Message { text, is_failure, until: now + MESSAGE_TIME });
        Vec::new()
    }

    fn click(&mut self, cell: Position, now: Instant) -> Vec<Effect> {
        let layout = self.layout();
        if self.overlay.take().is_some() {
            return Vec::new();
        }
        if self.trouble.is_some() {
            return Vec::new();
        }
        let Some(place) = layout.place_at(cell).map(|place| self.results.first_seen(&layout) + place) else {
            return Vec::new();
        };
        if place >= self.results.entries().len() {
            return Vec::new();
        }
        let is_second =
            self.last_click.is_some_and(|(at, where_)| where_ == place && now - at <= DOUBLE_CLICK);
        self.last_click = Some((now, place));
        self.results.select(place, &layout);
        if is_second { self.with_selection(Effect::Open) } else { Vec::new() }
    }
}
