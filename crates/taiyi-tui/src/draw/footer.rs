//! The last line: the keys that apply now.

use ratatui::layout::Rect;
use ratatui::text::Span;

use super::canvas::Canvas;
use crate::action::Command;
use crate::keymap::Keymap;
use crate::layout::View;
use crate::state::{Overlay, State};
use crate::text;

/// Columns between two keys.
const GAP: usize = 2;

/// A key with what it does.
struct Hint {
    key: String,
    does: String,
}

impl Hint {
    fn columns(&self) -> usize {
        text::width(&self.key) + 1 + text::width(&self.does)
    }
}

pub(super) fn draw(canvas: &mut Canvas<'_>, state: &State, keymap: &Keymap, area: Rect) {
    let theme = canvas.theme;
    let hints = commands(state).into_iter().filter_map(|(command, does)| {
        let key = short(&keymap.label(command)?);
        Some(Hint { key, does })
    });
    let mut spans = Vec::new();
    for hint in fitting(hints.collect(), usize::from(area.width)) {
        if !spans.is_empty() {
            spans.push(Span::raw(" ".repeat(GAP)));
        }
        spans.push(Span::styled(hint.key, theme.accent));
        spans.push(Span::styled(format!(" {}", hint.does), theme.faint));
    }
    canvas.line(area, spans);
}

/// As people write it where there is little room: `^g`.
fn short(label: &str) -> String {
    match label.strip_prefix("Ctrl-") {
        Some(key) if !key.is_empty() => format!("^{key}"),
        _ => label.to_owned(),
    }
}

/// The commands that do something now, the most useful first.
fn commands(state: &State) -> Vec<(Command, String)> {
    let named = |command, does: &str| (command, does.to_owned());
    match &state.overlay {
        Some(Overlay::Help { .. }) => {
            return vec![named(Command::Cancel, "close"), named(Command::PageDown, "scroll")];
        }
        Some(Overlay::History(list)) => {
            let mut commands = vec![named(Command::Cancel, "close")];
            if !list.matches.is_empty() {
                commands.insert(0, named(Command::Open, "take"));
            }
            return commands;
        }
        None => {}
    }
    let mut commands = Vec::new();
    if state.selection().is_some() {
        commands.push(named(Command::Open, "open"));
        commands.push(named(Command::Mark, "mark"));
        let copies = match state.marks().len() {
            0 => "copy".to_owned(),
            marks => format!("copy {marks}"),
        };
        commands.push((Command::Copy, copies));
        commands.push(named(Command::Similar, "similar"));
        commands.push(named(Command::ToggleGrid, if state.view == View::List { "grid" } else { "list" }));
        commands.push(named(Command::ToggleDetails, "details"));
    }
    commands.push(named(Command::History, "history"));
    commands.push(named(Command::Help, "help"));
    let has_question = !state.prompt.is_empty() || state.similar.is_some();
    commands.push(named(Command::Cancel, if has_question { "clear" } else { "quit" }));
    commands
}

/// Those that fit, whole. The help goes last of all, since it tells the others.
fn fitting(mut hints: Vec<Hint>, columns: usize) -> Vec<Hint> {
    let needed = |hints: &[Hint]| hints.iter().map(|hint| hint.columns() + GAP).sum::<usize>();
    while needed(&hints) > columns + GAP {
        let last = hints.iter().rposition(|hint| hint.does != "help").unwrap_or(0);
        hints.remove(last);
    }
    hints
}
