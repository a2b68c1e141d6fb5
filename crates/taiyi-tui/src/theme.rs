//! Colours: built-in ones, changed by the config file, none with `NO_COLOR`.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};
use thiserror::Error;

/// Colours by name; which shade that is, the terminal decides.
const COLORS: &[(&str, Color)] = &[
    ("default", Color::Reset),
    ("black", Color::Black),
    ("red", Color::Red),
    ("green", Color::Green),
    ("yellow", Color::Yellow),
    ("blue", Color::Blue),
    ("magenta", Color::Magenta),
    ("cyan", Color::Cyan),
    ("gray", Color::Gray),
    ("dark-gray", Color::DarkGray),
    ("light-red", Color::LightRed),
    ("light-green", Color::LightGreen),
    ("light-yellow", Color::LightYellow),
    ("light-blue", Color::LightBlue),
    ("light-magenta", Color::LightMagenta),
    ("light-cyan", Color::LightCyan),
    ("white", Color::White),
];

const MODIFIERS: &[(&str, Modifier)] = &[
    ("bold", Modifier::BOLD),
    ("dim", Modifier::DIM),
    ("italic", Modifier::ITALIC),
    ("underlined", Modifier::UNDERLINED),
    ("reversed", Modifier::REVERSED),
];

/// What is wrong with the colours of the config file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ThemeError {
    /// No part of the screen is called so.
    #[error("no part of the screen is called {part:?}: use {}", Theme::PARTS.join(", "))]
    UnknownPart {
        /// The name.
        part: String,
    },
    /// A word that is neither a colour nor anything else.
    #[error(
        "{part} = {value:?}: {word:?} is no colour: use a colour, `on` and a colour, and any of {}; \
         a colour is {}, #rrggbb, or a number up to 255; `none` is nothing of all this",
        names(MODIFIERS),
        names(COLORS)
    )]
    UnknownWord {
        /// Name of the part.
        part: String,
        /// How it should look.
        value: String,
        /// What is wrong in there; empty where a colour is missing.
        word: String,
    },
    /// A second colour where there is one already.
    #[error("{part} = {value:?}: {word:?} is one colour too many: put `on` before the background")]
    SecondColor {
        /// Name of the part.
        part: String,
        /// How it should look.
        value: String,
        /// The second colour.
        word: String,
    },
}

fn names<T>(table: &[(&str, T)]) -> String {
    table.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// How the parts of the screen look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Plain text.
    pub(crate) text: Style,
    /// Less important text: facts, rules, the footer.
    pub(crate) faint: Style,
    /// Names of keys, the sign before the prompt.
    pub(crate) accent: Style,
    /// The selected picture.
    pub(crate) selected: Style,
    /// The sign of a marked picture.
    pub(crate) mark: Style,
    /// Scores.
    pub(crate) score: Style,
    /// Mistakes and failures.
    pub(crate) failure: Style,
    /// Help and history.
    pub(crate) overlay: Style,
}

/// Of the terminal's own colours only those that can be read on a dark background as well as on a light one.
impl Default for Theme {
    fn default() -> Self {
        Self {
            text: Style::new(),
            // Grey is the background itself in some palettes.
            faint: Style::new().add_modifier(Modifier::DIM),
            accent: Style::new().fg(Color::Cyan),
            selected: undimmed(Style::new().fg(Color::Black).bg(Color::Cyan)),
            mark: Style::new().fg(Color::Magenta).add_modifier(Modifier::BOLD),
            score: Style::new().fg(Color::Green),
            failure: Style::new().fg(Color::Red),
            overlay: Style::new(),
        }
    }
}

/// The selection covers faint text too, which has to stay legible there.
fn undimmed(style: Style) -> Style {
    if style.add_modifier.contains(Modifier::DIM) { style } else { style.remove_modifier(Modifier::DIM) }
}

impl Theme {
    /// Names of the parts, as in the config file.
    pub const PARTS: &'static [&'static str] =
        &["text", "faint", "accent", "selected", "mark", "score", "failure", "overlay"];

    /// Without any colour.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            text: Style::new(),
            faint: Style::new(),
            accent: Style::new().add_modifier(Modifier::BOLD),
            selected: Style::new().add_modifier(Modifier::REVERSED),
            mark: Style::new().add_modifier(Modifier::BOLD),
            score: Style::new(),
            failure: Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            overlay: Style::new(),
        }
    }

    /// The built-in colours, changed: names of parts with how they should look, as `black on light-yellow bold`.
    ///
    /// # Errors
    /// If a part, or a word of its look, is unknown.
    pub fn with_overrides(overrides: &BTreeMap<String, String>) -> Result<Self, ThemeError> {
        let mut theme = Self::default();
        for (part, value) in overrides {
            let place = theme.part_mut(part).ok_or_else(|| ThemeError::UnknownPart { part: part.clone() })?;
            *place = parse(part, value)?;
        }
        theme.selected = undimmed(theme.selected);
        Ok(theme)
    }

    fn part_mut(&mut self, name: &str) -> Option<&mut Style> {
        Some(match name {
            "text" => &mut self.text,
            "faint" => &mut self.faint,
            "accent" => &mut self.accent,
            "selected" => &mut self.selected,
            "mark" => &mut self.mark,
            "score" => &mut self.score,
            "failure" => &mut self.failure,
            "overlay" => &mut self.overlay,
            _ => return None,
        })
    }
}

fn parse(part: &str, value: &str) -> Result<Style, ThemeError> {
    let mut style = Style::new();
    let lower = value.to_lowercase();
    if lower.trim() == "none" {
        return Ok(style);
    }
    let unknown =
        |word: &str| ThemeError::UnknownWord { part: part.into(), value: value.into(), word: word.into() };
    let mut words = lower.split_whitespace();
    while let Some(word) = words.next() {
        if let Some((_, modifier)) = MODIFIERS.iter().find(|(name, _)| *name == word) {
            style = style.add_modifier(*modifier);
            continue;
        }
        let is_background = word == "on";
        let word = if is_background { words.next().unwrap_or_default() } else { word };
        let color = color(word).ok_or_else(|| unknown(word))?;
        let place = if is_background { &mut style.bg } else { &mut style.fg };
        if place.replace(color).is_some() {
            return Err(ThemeError::SecondColor {
                part: part.into(),
                value: value.into(),
                word: word.into(),
            });
        }
    }
    Ok(style)
}

fn color(word: &str) -> Option<Color> {
    if let Some((_, color)) = COLORS.iter().find(|(name, _)| *name == word) {
        return Some(*color);
    }
    if let Some(hex) = word.strip_prefix('#') {
        let is_hex = hex.len() == 6 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        let [_, red, green, blue] = u32::from_str_radix(hex, 16).ok().filter(|_| is_hex)?.to_be_bytes();
        return Some(Color::Rgb(red, green, blue));
    }
    word.parse().ok().map(Color::Indexed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(part: &str, value: &str) -> Result<Theme, ThemeError> {
        Theme::with_overrides(&BTreeMap::from([(part.to_owned(), value.to_owned())]))
    }

    #[test]
    fn a_look_is_colours_and_modifiers() {
        let accent = |value| with("accent", value).unwrap().accent;
        assert_eq!(accent("cyan"), Style::new().fg(Color::Cyan));
        assert_eq!(accent("#ffCC00"), Style::new().fg(Color::Rgb(255, 204, 0)));
        assert_eq!(
            accent("214 underlined"),
            Style::new().fg(Color::Indexed(214)).add_modifier(Modifier::UNDERLINED)
        );
        assert_eq!(accent(" On Dark-Gray "), Style::new().bg(Color::DarkGray));
        assert_eq!(accent("none"), Style::new());
        let both = Style::new().fg(Color::Black).bg(Color::LightYellow).add_modifier(Modifier::BOLD);
        assert_eq!(accent("black on light-yellow bold"), both);
    }

    #[test]
    fn the_selection_is_never_dimmed_by_what_it_covers() {
        for theme in [Theme::default(), with("selected", "reversed").unwrap()] {
            let over_faint = theme.faint.patch(theme.selected);
            assert!(!over_faint.add_modifier.contains(Modifier::DIM), "{over_faint:?}");
        }
        let wanted = with("selected", "dim").unwrap();
        assert!(wanted.selected.add_modifier.contains(Modifier::DIM));
    }

    #[test]
    fn mistakes_name_the_part_and_what_there_is() {
        let message = |part, value| with(part, value).unwrap_err().to_string();
        assert!(message("akzent", "red").contains("text, faint, accent"));
        assert!(message("mark", "pink").starts_with("mark = \"pink\": \"pink\" is no colour"));
        assert!(message("mark", "pink").contains("dark-gray"));
        assert!(message("mark", "red on").contains("\"\" is no colour"));
        assert!(message("mark", "red blue").contains("one colour too many"));
        for bad in ["256", "-1", "#ff", "#gggggg", "#+fffff", "#ééé", "rgb(1,2,3)"] {
            assert!(with("mark", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_part_can_be_changed() {
        for part in Theme::PARTS {
            let changed = with(part, "light-blue on 17 italic").unwrap();
            assert_ne!(changed, Theme::default(), "{part}");
        }
    }

    #[test]
    fn without_colours_there_are_none() {
        let mut plain = Theme::plain();
        for part in Theme::PARTS {
            let style = plain.part_mut(part).unwrap();
            assert_eq!((style.fg, style.bg), (None, None), "{part}");
        }
    }

    #[test]
    fn the_manual_has_every_part() {
        let manual = include_str!("../../../docs/TERMINAL.md");
        for name in Theme::PARTS.iter().chain(MODIFIERS.iter().map(|(name, _)| name)) {
            assert!(manual.contains(&format!("`{name}`")), "{name}");
        }
        for (name, _) in COLORS {
            assert!(manual.contains(name), "{name}");
        }
        let example = manual.lines().skip_while(|line| *line != "[tui.theme]").skip(1);
        let looks: BTreeMap<_, _> = example
            .map_while(|line| line.split_once(" = "))
            .map(|(part, look)| (part.to_owned(), look.trim_matches('"').to_owned()))
            .collect();
        assert!(looks.len() >= 3 && Theme::with_overrides(&looks).is_ok(), "{looks:?}");
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_or_refused(value: String, words in "(on |bold |red |#|none |[0-9 ]){0,6}") {
            let _ = with("text", &value);
            let _ = with("text", &words);
        }

        #[test]
        fn every_rgb_colour_is_read(red: u8, green: u8, blue: u8) {
            let theme = with("text", &format!("#{red:02x}{green:02X}{blue:02x}")).unwrap();
            prop_assert_eq!(theme.text.fg, Some(Color::Rgb(red, green, blue)));
        }
    }
}
