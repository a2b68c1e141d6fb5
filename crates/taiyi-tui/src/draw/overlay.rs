//! What lies on top: the keys, and former prompts.

use ratatui::layout::{Position, Rect, Size};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType};

use super::canvas::{Canvas, centred, within};
use crate::action::Command;
use crate::keymap::Keymap;
use crate::state::{HistoryList, Overlay};
use crate::text;

/// Smaller screens are covered entirely, without an edge.
const EDGE_FROM: Size = Size::new(30, 10);
/// A strip of what is below, narrower than this on each side, would only look untidy.
const STRIP_COLUMNS: u16 = 4;
/// Enough for the keys in two columns.
const HELP_COLUMNS: u16 = 108;
const HISTORY_COLUMNS: u16 = 72;
const HISTORY_ROWS: u16 = 16;
const SIGN: &str = "❯ ";
/// Columns between the columns of the help.
const GAP: usize = 2;

/// The query language by example.
const LANGUAGE: &[(&str, &str)] = &[
    ("两只老虎", "what is to be seen, in a few words"),
    ("海边 + 日落 - 人", "more of this, less of that"),
    ("2:海边 + 日落", "the sea counts twice"),
    ("@./cat.jpg", "a picture as an example"),
    ("path:旅行/", "only files below such a folder"),
    ("after:2023-05 before:2024", "only pictures of these days"),
];

/// Where it lies.
pub(super) fn place(overlay: &Overlay, screen: Rect, keymap: &Keymap) -> Rect {
    if screen.width < EDGE_FROM.width || screen.height < EDGE_FROM.height {
        return screen;
    }
    // The prompt above and the keys below stay in sight.
    let middle = Rect { y: screen.y + 2, height: screen.height - 3, ..screen };
    let size = match overlay {
        Overlay::Help { .. } => {
            let width = width(HELP_COLUMNS, screen);
            let lines = help(keymap, usize::from(width) - 4).len();
            Size::new(width, u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(2))
        }
        Overlay::History(_) => Size::new(width(HISTORY_COLUMNS, screen), HISTORY_ROWS),
    };
    centred(middle, size)
}

/// So many columns, or else all of the screen's.
fn width(wanted: u16, screen: Rect) -> u16 {
    if screen.width < wanted + 2 * STRIP_COLUMNS { screen.width } else { wanted }
}

/// Erases what is below, draws the edge, and returns what is left inside.
fn draw_sheet(canvas: &mut Canvas<'_>, title: &str, area: Rect) -> Rect {
    let theme = canvas.theme;
    canvas.clear(area);
    canvas.style(area, theme.overlay);
    if area.width < EDGE_FROM.width || area == canvas.area() {
        return area;
    }
    let edge = Block::bordered().border_type(BorderType::Rounded).border_style(theme.faint);
    canvas.widget(area, edge);
    let line = Rect { x: area.x + 2, width: area.width - 4, ..area };
    canvas.line(line, Span::styled(format!(" {title} "), theme.accent));
    within(area, 2, 1)
}

pub(super) fn draw_help(canvas: &mut Canvas<'_>, top: usize, keymap: &Keymap, area: Rect) {
    let theme = canvas.theme;
    let inside = draw_sheet(canvas, "Help", area);
    let columns = usize::from(inside.width);
    let lines = help(keymap, columns);
    let rows = usize::from(inside.height);
    let top = top.min(lines.len().saturating_sub(rows));
    let left_below = lines.len().saturating_sub(top + rows);
    canvas.lines(
        inside,
        lines.into_iter().skip(top).map(|line| {
            let spans = line.into_iter().flat_map(|entry| {
                let room = entry.columns.saturating_sub(entry.key_columns);
                let does = text::pad_end(&text::cut_end(&entry.does, room.saturating_sub(GAP)), room);
                [Span::styled(text::pad_end(&entry.key, entry.key_columns), theme.accent), Span::raw(does)]
            });
            Line::from_iter(spans)
        }),
    );
    if left_below > 0 && inside != area {
        let more = format!(" {left_below} more below ");
        let columns = u16::try_from(text::width(&more)).unwrap_or(u16::MAX);
        let line = Rect { y: area.bottom() - 1, height: 1, ..within(area, 2, 0) };
        let place = Rect {
            x: line.right().saturating_sub(columns).max(line.x),
            width: columns.min(line.width),
            ..line
        };
        canvas.line(place, Span::styled(more, theme.faint));
    }
}

/// A key or an example, with what it does.
#[derive(Clone, Debug, Default)]
struct Entry {
    key: String,
    key_columns: usize,
    does: String,
    /// For both, and the air behind them.
    columns: usize,
}

/// The lines of the help, of one or two entries each.
fn help(keymap: &Keymap, columns: usize) -> Vec<Vec<Entry>> {
    let labelled =
        |&(command, _, does): &(Command, &str, &str)| Some((keymap.label(command)?, does.to_owned()));
    let keys: Vec<(String, String)> = Command::NAMES.iter().filter_map(labelled).collect();
    let key_columns = keys.iter().map(|(key, _)| text::width(key)).max().unwrap_or(0) + GAP;
    let (left, right) = keys.split_at(keys.len().div_ceil(2));
    let needed = |half: &[(String, String)]| {
        key_columns + GAP + half.iter().map(|(_, does)| text::width(does)).max().unwrap_or(0)
    };
    let entry = |(key, does): &(String, String), columns| {
        vec![Entry { key: key.clone(), key_columns, does: does.clone(), columns }]
    };
    let mut lines: Vec<Vec<Entry>> = if needed(left) + needed(right) <= columns + GAP {
        let (left_columns, right_columns) = (needed(left), needed(right));
        let mut lines: Vec<_> = left.iter().map(|key| entry(key, left_columns)).collect();
        for (line, key) in lines.iter_mut().zip(right) {
            line.extend(entry(key, right_columns));
        }
        lines
    } else {
        keys.iter().map(|key| entry(key, columns + GAP)).collect()
    };
    lines.push(Vec::new());
    let example_columns = LANGUAGE.iter().map(|(example, _)| text::width(example)).max().unwrap_or(0) + GAP;
    lines.extend(LANGUAGE.iter().map(|(example, does)| {
        vec![Entry {
            key: (*example).to_owned(),
            key_columns: example_columns,
            does: (*does).to_owned(),
            columns: columns + GAP,
        }]
    }));
    lines
}

/// Draws the filter and the prompts it leaves; returns where the caret is.
pub(super) fn draw_history(canvas: &mut Canvas<'_>, list: &HistoryList, area: Rect) -> Option<Position> {
    let theme = canvas.theme;
    let inside = draw_sheet(canvas, "Former prompts", area);
    if inside.is_empty() {
        return None;
    }
    let sign = if inside.width >= 6 { SIGN } else { "" };
    let used = text::width(sign);
    let typed = list.filter.text();
    let (before, after) = typed.split_at_checked(list.filter.caret()).unwrap_or((typed, ""));
    let room = usize::from(inside.width) - used;
    let window = text::window(&text::show(before), &text::show(after), room);
    canvas.line(inside, vec![Span::styled(sign, theme.accent), Span::raw(window.text)]);

    let below = Rect { y: inside.y + 1, height: inside.height - 1, ..inside };
    let rows = usize::from(below.height);
    if list.matches.is_empty() {
        let words = if list.filter.is_empty() { "none yet" } else { "none has this in it" };
        canvas.line(below, Span::styled(text::cut_end(words, usize::from(below.width)), theme.faint));
    }
    // The selected one in the middle, where the list is longer than its place.
    let top = list.selected.saturating_sub(rows / 2).min(list.matches.len().saturating_sub(rows));
    for (row, (place, prompt)) in below.rows().zip(list.matches.iter().enumerate().skip(top)) {
        let is_selected = place == list.selected;
        let sign = match sign {
            "" => "",
            _ if is_selected => "▸ ",
            _ => "  ",
        };
        let prompt = text::show(prompt);
        let spans = vec![Span::styled(sign, theme.accent), Span::raw(text::cut_end(&prompt, room))];
        canvas.line(row, spans);
        if is_selected {
            canvas.style(row, theme.selected);
        }
    }
    let column = u16::try_from(used + window.caret).unwrap_or(u16::MAX).min(inside.width - 1);
    Some(Position::new(inside.x + column, inside.y))
}
