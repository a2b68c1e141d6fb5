//! The state on the screen.

use ratatui::Frame;

use crate::gallery::Gallery;
use crate::keymap::Keymap;
use crate::state::State;
use crate::theme::Theme;

/// Draws everything, and puts the cursor where the next character will stand.
pub fn draw(frame: &mut Frame<'_>, state: &State, gallery: &mut Gallery, keymap: &Keymap, theme: &Theme) {
    let _ = (frame, state, gallery, keymap, theme);
}
