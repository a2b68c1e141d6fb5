//! Colours: built-in ones, changed by the config file, none with `NO_COLOR`.

use ratatui::style::Style;

/// How the parts of the screen look.
#[derive(Clone, Debug, Default)]
pub struct Theme {
    /// Plain text.
    pub text: Style,
    /// Less important text: facts, rules, the footer.
    pub faint: Style,
    /// Names of keys, the sign before the prompt.
    pub accent: Style,
    /// The selected picture.
    pub selected: Style,
    /// The sign of a marked picture.
    pub mark: Style,
    /// Scores.
    pub score: Style,
    /// Mistakes and failures.
    pub failure: Style,
    /// Help and history.
    pub overlay: Style,
}
