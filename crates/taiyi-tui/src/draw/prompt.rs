//! The prompt line: the question, and how many pictures answer it.

use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use super::canvas::Canvas;
use crate::state::State;
use crate::text;

const SIGN: &str = "❯ ";
/// Shown where nothing is typed: the first that fits.
const PLACEHOLDERS: &[&str] = &["what to look for, e.g. 两只老虎", "e.g. 两只老虎"];
/// The same beside a picture that others should resemble.
const PLACEHOLDERS_SIMILAR: &[&str] = &["and what else"];
/// The prompt gets so many columns, if it needs them, before the numbers get any.
const PROMPT_COLUMNS: usize = 24;

/// Draws the line; returns where the caret is.
pub(super) fn draw(canvas: &mut Canvas<'_>, state: &State, area: Rect) -> Option<Position> {
    let theme = canvas.theme;
    let area = area.intersection(canvas.area());
    if area.is_empty() {
        return None;
    }
    let columns = usize::from(area.width);
    let typed = state.prompt.text();
    let (before, after) = typed.split_at_checked(state.prompt.caret()).unwrap_or((typed, ""));
    let (before, after) = (text::show(before), text::show(after));

    let mut spans = vec![Span::styled(if columns >= 6 { SIGN } else { "" }, theme.accent)];
    if let Some(similar) = &state.similar {
        let name = text::show(&similar.name);
        let chip = format!("≈ {}", text::cut_middle(&name, columns / 3));
        spans.push(Span::styled(text::head(&chip, columns / 2).to_owned(), theme.mark));
        spans.push(Span::raw(if columns >= 6 { "  " } else { "" }));
    }
    let used: usize = spans.iter().map(|span| text::width(&span.content)).sum();
    let left = columns.saturating_sub(used);

    let wanted = (text::width(&before) + text::width(&after) + 1).min(PROMPT_COLUMNS);
    let numbers = numbers(state).map(|(busy, count)| {
        let columns = text::width(busy) + text::width(&count);
        (columns, Line::from(vec![Span::styled(busy, theme.accent), Span::styled(count, theme.faint)]))
    });
    let numbers = numbers.filter(|(columns, _)| wanted + 2 + columns <= left);
    let room = left - numbers.as_ref().map_or(0, |(columns, _)| columns + 2);

    let window = text::window(&before, &after, room);
    if typed.is_empty() {
        let words = if state.similar.is_some() { PLACEHOLDERS_SIMILAR } else { PLACEHOLDERS };
        let fitting = words.iter().find(|words| text::width(words) <= room);
        spans.extend(fitting.map(|words| Span::styled(*words, theme.faint)));
    } else {
        spans.push(Span::raw(window.text));
    }
    canvas.line(area, spans);
    if let Some((columns, line)) = numbers {
        let columns = u16::try_from(columns).unwrap_or(u16::MAX).min(area.width);
        canvas.line(Rect { x: area.right() - columns, width: columns, ..area }, line);
    }
    let column = u16::try_from(used + window.caret).unwrap_or(u16::MAX).min(area.width - 1);
    Some(Position::new(area.x + column, area.y))
}

/// The busy mark, and `matches/total`; the place of the mark stays free, so that nothing jumps.
fn numbers(state: &State) -> Option<(&'static str, String)> {
    if state.trouble.is_some() {
        return None;
    }
    let busy = if state.is_busy() { "● " } else { "  " };
    let count = state.total.map(|total| {
        let found = text::thousands(state.results.entries().len());
        let more = if state.results.is_cut { "+" } else { "" };
        format!("{found}{more}/{}", text::thousands(total))
    });
    Some((busy, count.unwrap_or_default()))
}
