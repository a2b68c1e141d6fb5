//! What lies on top: the help, and former prompts to choose from.

use crate::action::{Command, Effect};
use crate::editor::Editor;
use crate::state::{Motion, State};

/// What lies on top of everything else.
#[derive(Clone, Debug)]
pub(crate) enum Overlay {
    /// The keys.
    Help {
        /// The line at the upper edge; drawing stops at the last screenful.
        top: usize,
    },
    /// Former prompts.
    History(HistoryList),
}

/// Former prompts, the newest first, narrowed down by what is typed.
#[derive(Clone, Debug)]
pub(crate) struct HistoryList {
    /// What the prompts have to contain.
    pub(crate) filter: Editor,
    /// Those that do, the newest first.
    pub(crate) matches: Vec<String>,
    /// Place of the selected one.
    pub(crate) selected: usize,
}

impl HistoryList {
    /// All of them.
    #[must_use]
    pub(crate) fn new(history: &[String]) -> Self {
        let mut list = Self { filter: Editor::default(), matches: Vec::new(), selected: 0 };
        list.edit(history, |_| {});
        list
    }

    /// Changes the filter.
    pub(crate) fn edit(&mut self, history: &[String], change: impl FnOnce(&mut Editor)) {
        change(&mut self.filter);
        let typed = self.filter.text().trim().to_lowercase();
        self.matches = history.iter().rev().filter(|p| p.to_lowercase().contains(&typed)).cloned().collect();
        self.selected = 0;
    }

    fn select(&mut self, place: usize) {
        self.selected = place.min(self.matches.len().saturating_sub(1));
    }
}

impl Overlay {
    pub(super) fn step(&mut self, motion: Motion, screen_rows: u16) {
        let screen = isize::try_from(screen_rows).unwrap_or(1).saturating_sub(4).max(1);
        let moved = |from: usize| match motion {
            Motion::Pictures(n) | Motion::Rows(n) => from.saturating_add_signed(n),
            Motion::Screens(n) => from.saturating_add_signed(n.saturating_mul(screen)),
            Motion::First => 0,
            Motion::Last => usize::MAX,
        };
        match self {
            Self::Help { top } => *top = moved(*top).min(Command::NAMES.len() + 16),
            Self::History(list) => list.select(moved(list.selected)),
        }
    }
}

impl State {
    pub(super) fn command_in_overlay(&mut self, command: Command) -> Vec<Effect> {
        match command {
            Command::Up => self.step(Motion::Rows(-1)),
            Command::Down => self.step(Motion::Rows(1)),
            Command::PageUp => self.step(Motion::Screens(-1)),
            Command::PageDown => self.step(Motion::Screens(1)),
            Command::First => self.step(Motion::First),
            Command::Last => self.step(Motion::Last),
            Command::Cancel => self.overlay = None,
            other => match (&mut self.overlay, other) {
                (Some(Overlay::Help { .. }), Command::Help | Command::Open) => self.overlay = None,
                (Some(Overlay::History(list)), Command::Open) => {
                    let chosen = list.matches.get(list.selected).cloned();
                    self.overlay = None;
                    if let Some(text) = chosen {
                        self.prompt = Editor::with_text(&text);
                        self.similar = None;
                        return self.search();
                    }
                }
                // Once more for the one before, as in a shell.
                (Some(Overlay::History(_)), Command::History) => self.step(Motion::Rows(1)),
                (Some(Overlay::History(list)), other) => {
                    list.edit(&self.history, |filter| filter.apply(other));
                }
                _ => {}
            },
        }
        Vec::new()
    }
}
