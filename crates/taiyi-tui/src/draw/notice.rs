//! The line below the prompt: what is wrong, what was done, else a rule.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::canvas::Canvas;
use crate::layout::Layout;
use crate::state::State;
use crate::text;

/// What is wrong can be told apart without colours.
const FAILURE_SIGN: &str = "! ";

/// What there is to say.
struct Words<'a> {
    text: &'a str,
    is_failure: bool,
}

impl<'a> Words<'a> {
    fn of(state: &'a State) -> Option<Self> {
        match (&state.mistake, state.message()) {
            (Some(mistake), _) => Some(Self { text: mistake, is_failure: true }),
            (None, Some(message)) => Some(Self { text: &message.text, is_failure: message.is_failure }),
            (None, None) => None,
        }
    }

    fn sign(&self) -> &'static str {
        if self.is_failure { FAILURE_SIGN } else { "" }
    }

    fn lines(&self, columns: u16) -> Vec<String> {
        let columns = usize::from(columns).saturating_sub(self.sign().len());
        text::wrap(&text::show_lines(self.text), columns)
    }
}

/// Where there is more to say than fits into the line: the rows it takes, over the results.
pub(super) fn place(state: &State, layout: &Layout, screen: Rect) -> Option<Rect> {
    let area = layout.notice.intersection(screen);
    let words = Words::of(state).filter(|_| !area.is_empty())?;
    let rows = u16::try_from(words.lines(area.width).len()).unwrap_or(u16::MAX);
    // The results below stay in sight.
    let most = 1 + layout.results.height / 2;
    (rows > 1).then(|| Rect { height: rows.min(most), ..area }.intersection(screen))
}

pub(super) fn draw(canvas: &mut Canvas<'_>, state: &State, hint: Option<&str>, area: Rect) {
    let theme = canvas.theme;
    let Some(words) = Words::of(state) else {
        return draw_rule(canvas, state, hint, area);
    };
    let style = if words.is_failure { theme.failure } else { Style::default() };
    let mut lines = words.lines(area.width);
    if lines.len() > usize::from(area.height)
        && let Some(last) = usize::from(area.height).checked_sub(1).and_then(|last| lines.get_mut(last))
    {
        // There is more of it.
        *last =
            format!("{}…", text::head(last, usize::from(area.width).saturating_sub(words.sign().len() + 1)));
    }
    canvas.clear(area);
    canvas.lines(
        area,
        lines.iter().enumerate().map(|(row, line)| {
            let sign = if row == 0 { words.sign().to_owned() } else { " ".repeat(words.sign().len()) };
            Line::from(vec![Span::raw(sign), Span::raw(line.as_str())]).style(style)
        }),
    );
}

/// A faint rule that mentions what has no place of its own.
fn draw_rule(canvas: &mut Canvas<'_>, state: &State, hint: Option<&str>, area: Rect) {
    let theme = canvas.theme;
    let columns = usize::from(area.width);
    let marks = state.marks().len();
    let (said, style) = match hint {
        _ if marks > 0 => (format!("{} marked", text::thousands(marks)), theme.mark),
        Some(hint) => (text::show(hint), theme.faint),
        None => (String::new(), theme.faint),
    };
    canvas.line(area, Span::styled("─".repeat(columns), theme.faint));
    // Two columns of rule on each side, and a blank.
    let room = columns.saturating_sub(6);
    if !said.is_empty() && room >= 8 {
        let said = format!(" {} ", text::cut_end(&said, room));
        canvas.line(Rect { x: area.x + 2, width: area.width - 4, ..area }, Span::styled(said, style));
    }
}
