//! The state on the screen.

mod canvas;
mod footer;
mod notice;
mod overlay;
mod palette;
mod preview;
mod prompt;
mod results;
#[cfg(test)]
mod tests;
mod trouble;

use jiff::tz::TimeZone;
use ratatui::Frame;

use crate::gallery::Gallery;
use crate::keymap::Keymap;
use crate::state::{Overlay, State};
use crate::theme::Theme;
use canvas::{Canvas, Pictures};

/// What does not change while the interface runs, and shows.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// The keys, for the footer and the help.
    pub(crate) keymap: Keymap,
    /// The colours.
    pub(crate) theme: Theme,
    /// The zone of the clock on the wall, for times of modification.
    pub(crate) zone: TimeZone,
    /// A line shown while there is nothing else to say.
    pub(crate) hint: Option<String>,
    /// Whether the terminal knows 256 colours and no more.
    pub(crate) has_few_colors: bool,
}

/// Draws everything, and puts the cursor where the next character will stand.
pub(crate) fn draw(frame: &mut Frame<'_>, state: &State, gallery: &mut Gallery, around: &Surroundings) {
    let layout = state.layout();
    let mut canvas = Canvas::new(frame.buffer_mut(), &around.theme);
    let screen = canvas.area();
    canvas.style(screen, around.theme.text);

    // What is put on top is known beforehand: a picture below it must not be drawn at all, because a
    // terminal that draws pixels would draw them over it.
    let overlay = state.overlay.as_ref().map(|overlay| overlay::place(overlay, screen, &around.keymap));
    let notice = notice::place(state, &layout, screen);
    let mut pictures = Pictures::new(gallery, overlay.into_iter().chain(notice).collect());

    let mut cursor = prompt::draw(&mut canvas, state, layout.prompt);
    if let Some(trouble) = &state.trouble {
        let body = layout.results.union(layout.preview).union(layout.caption);
        trouble::draw(&mut canvas, trouble, body);
    } else {
        results::draw(&mut canvas, &mut pictures, state, &layout);
        preview::draw(&mut canvas, &mut pictures, state, &layout, &around.zone);
    }
    notice::draw(&mut canvas, state, around.hint.as_deref(), notice.unwrap_or(layout.notice));
    footer::draw(&mut canvas, state, &around.keymap, layout.footer);
    if let (Some(on_top), Some(area)) = (&state.overlay, overlay) {
        match on_top {
            Overlay::Help { top } => {
                overlay::draw_help(&mut canvas, *top, &around.keymap, area);
                // Nothing can be typed into it, but an input method may hover over the prompt.
                cursor = cursor.filter(|at| !area.contains(*at));
            }
            Overlay::History(list) => cursor = overlay::draw_history(&mut canvas, list, area).or(cursor),
        }
    }
    if around.has_few_colors {
        palette::reduce(frame.buffer_mut());
    }
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
}
