//! Which key does what: built-in bindings, changed by the config file.

use std::collections::BTreeMap;
use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use thiserror::Error;

use crate::action::Command;

/// The value that unbinds a key.
const UNBOUND: &str = "none";

/// Keys with a name: as in the config file, and as shown.
const NAMED_KEYS: &[(KeyCode, &str, &str)] = &[
    (KeyCode::Enter, "enter", "Enter"),
    (KeyCode::Tab, "tab", "Tab"),
    (KeyCode::BackTab, "backtab", "Shift-Tab"),
    (KeyCode::Esc, "esc", "Esc"),
    (KeyCode::Char(' '), "space", "Space"),
    (KeyCode::Backspace, "backspace", "Backspace"),
    (KeyCode::Delete, "delete", "Delete"),
    (KeyCode::Insert, "insert", "Insert"),
    (KeyCode::Up, "up", "↑"),
    (KeyCode::Down, "down", "↓"),
    (KeyCode::Left, "left", "←"),
    (KeyCode::Right, "right", "→"),
    (KeyCode::PageUp, "page-up", "PageUp"),
    (KeyCode::PageDown, "page-down", "PageDown"),
    (KeyCode::Home, "home", "Home"),
    (KeyCode::End, "end", "End"),
];

/// What every terminal sends alike: only the second of each pair can be bound.
const SAME_KEYS: &[(KeyCode, &str)] =
    &[(KeyCode::Char('i'), "tab"), (KeyCode::Char('m'), "enter"), (KeyCode::Char('['), "esc")];

/// The first key of a command is the one that is shown.
const BUILT_IN: &[(Chord, Command)] = &[
    (plain(KeyCode::Up), Command::Up),
    (ctrl('p'), Command::Up),
    (plain(KeyCode::Down), Command::Down),
    (ctrl('n'), Command::Down),
    (plain(KeyCode::Left), Command::Left),
    (plain(KeyCode::Right), Command::Right),
    (plain(KeyCode::PageUp), Command::PageUp),
    (plain(KeyCode::PageDown), Command::PageDown),
    (plain(KeyCode::Home), Command::First),
    (plain(KeyCode::End), Command::Last),
    (plain(KeyCode::Enter), Command::Open),
    (plain(KeyCode::Tab), Command::Mark),
    (ctrl('y'), Command::Copy),
    (ctrl('s'), Command::Similar),
    (ctrl('o'), Command::Reveal),
    (ctrl('r'), Command::History),
    (ctrl('g'), Command::ToggleGrid),
    (ctrl('d'), Command::ToggleDetails),
    (plain(KeyCode::F(1)), Command::Help),
    (plain(KeyCode::Esc), Command::Cancel),
    (ctrl('c'), Command::Quit),
    (plain(KeyCode::Backspace), Command::Backspace),
    // What the backspace key of some terminals sends.
    (ctrl('h'), Command::Backspace),
    (plain(KeyCode::Delete), Command::Delete),
    (ctrl('w'), Command::DeleteWord),
    (ctrl('u'), Command::DeleteToStart),
    (ctrl('k'), Command::DeleteToEnd),
    (ctrl('b'), Command::CaretLeft),
    (ctrl('f'), Command::CaretRight),
    (alt('b'), Command::CaretWordLeft),
    (Chord { code: KeyCode::Left, modifiers: KeyModifiers::CONTROL }, Command::CaretWordLeft),
    (alt('f'), Command::CaretWordRight),
    (Chord { code: KeyCode::Right, modifiers: KeyModifiers::CONTROL }, Command::CaretWordRight),
    (ctrl('a'), Command::CaretStart),
    (ctrl('e'), Command::CaretEnd),
    (ctrl('l'), Command::Redraw),
];

/// What is wrong with the keys of the config file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeymapError {
    /// No key is called so.
    #[error(
        "no key is called {name:?}: use ctrl-a to ctrl-z, alt-a to alt-z, alt-0 to alt-9, f1 to f12, {}",
        key_names()
    )]
    UnknownKey {
        /// The name.
        name: String,
    },
    /// The key types text.
    #[error(
        "{name:?} is text, and under an input method it never arrives as a key: put ctrl- or alt- before a letter"
    )]
    Text {
        /// Name of the key.
        name: String,
    },
    /// Terminals send the same for another key.
    #[error("terminals send the same for {name:?} and {same:?}: bind {same:?}")]
    Same {
        /// Name of the key.
        name: String,
        /// The other.
        same: &'static str,
    },
    /// Terminals do not tell whether shift is held.
    #[error("terminals send the same for {name:?} with shift and without: leave out shift-")]
    Shift {
        /// Name of the key.
        name: String,
    },
    /// A key has two names in the config file.
    #[error("{name:?} is bound twice: keep one of the two lines")]
    Twice {
        /// Name of the key.
        name: String,
    },
    /// No command is called so.
    #[error("{key:?}: no command is called {name:?}: use {}, or {UNBOUND}", command_names())]
    UnknownCommand {
        /// Name of the key.
        key: String,
        /// What it should do.
        name: String,
    },
    /// No key would be left that leaves.
    #[error("no key would leave the interface: bind one to quit or to cancel")]
    NoWayOut,
}

fn key_names() -> String {
    NAMED_KEYS.iter().map(|(_, name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn command_names() -> String {
    Command::NAMES.iter().map(|(_, name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// A key with what is held with it. Letters are lower case, and shift is no part of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Chord {
    code: KeyCode,
    modifiers: KeyModifiers,
}

const fn plain(code: KeyCode) -> Chord {
    Chord { code, modifiers: KeyModifiers::NONE }
}

const fn ctrl(letter: char) -> Chord {
    Chord { code: KeyCode::Char(letter), modifiers: KeyModifiers::CONTROL }
}

const fn alt(letter: char) -> Chord {
    Chord { code: KeyCode::Char(letter), modifiers: KeyModifiers::ALT }
}

impl Chord {
    /// What was pressed; `None` for text, and for modifiers that no binding has.
    fn of(key: &KeyEvent) -> Option<Self> {
        let known = KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT;
        if key.kind == KeyEventKind::Release || !known.contains(key.modifiers) || text(key).is_some() {
            return None;
        }
        Some(Self { code: key.code, modifiers: key.modifiers }.normal())
    }

    fn normal(self) -> Self {
        let without_shift = self.modifiers - KeyModifiers::SHIFT;
        match self.code {
            KeyCode::Char(letter) => {
                Self { code: KeyCode::Char(letter.to_ascii_lowercase()), modifiers: without_shift }
            }
            KeyCode::BackTab => Self { code: KeyCode::BackTab, modifiers: without_shift },
            KeyCode::Tab if self.modifiers.contains(KeyModifiers::SHIFT) => {
                Self { code: KeyCode::BackTab, modifiers: without_shift }
            }
            code => Self { code, modifiers: self.modifiers },
        }
    }

    /// Reads a name of the config file, or a label.
    fn parse(name: &str) -> Result<Self, KeymapError> {
        let lower = name.trim().to_ascii_lowercase();
        let mut rest = lower.as_str();
        let mut modifiers = KeyModifiers::NONE;
        loop {
            let (prefix, modifier) = match rest.split_once('-') {
                Some(("ctrl", after)) => (after, KeyModifiers::CONTROL),
                Some(("alt", after)) => (after, KeyModifiers::ALT),
                Some(("shift", after)) => (after, KeyModifiers::SHIFT),
                _ => break,
            };
            rest = prefix;
            modifiers |= modifier;
        }
        let unknown = || KeymapError::UnknownKey { name: name.to_owned() };
        let code = key_code(rest).ok_or_else(unknown)?;
        if let KeyCode::Char(letter) = code {
            let held = modifiers - KeyModifiers::SHIFT;
            if held.is_empty() {
                return Err(KeymapError::Text { name: name.to_owned() });
            }
            let has_ctrl = held.contains(KeyModifiers::CONTROL);
            if has_ctrl && let Some((_, same)) = SAME_KEYS.iter().find(|(other, _)| *other == code) {
                return Err(KeymapError::Same { name: name.to_owned(), same });
            }
            // All else with ctrl arrives as something different, or not at all.
            let arrives = letter.is_ascii_lowercase()
                || (has_ctrl && letter == ' ')
                || (!has_ctrl && letter.is_ascii_digit());
            if !arrives {
                return Err(unknown());
            }
            if modifiers.contains(KeyModifiers::SHIFT) {
                return Err(KeymapError::Shift { name: name.to_owned() });
            }
        }
        Ok(Self { code, modifiers }.normal())
    }
}

/// The key without modifiers. `name` is lower case.
fn key_code(name: &str) -> Option<KeyCode> {
    let named =
        NAMED_KEYS.iter().find(|(_, known, label)| *known == name || label.to_ascii_lowercase() == name);
    if let Some((code, ..)) = named {
        return Some(*code);
    }
    if let Some(number) = (1..=12).find(|number| format!("f{number}") == name) {
        return Some(KeyCode::F(number));
    }
    let mut chars = name.chars();
    match (chars.next(), chars.next()) {
        (Some(letter), None) if !letter.is_control() => Some(KeyCode::Char(letter)),
        _ => None,
    }
}

/// As shown: `Ctrl-g`, `F1`, `↑`.
impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held =
            [(KeyModifiers::CONTROL, "Ctrl-"), (KeyModifiers::ALT, "Alt-"), (KeyModifiers::SHIFT, "Shift-")];
        for (_, prefix) in held.iter().filter(|(modifier, _)| self.modifiers.contains(*modifier)) {
            f.write_str(prefix)?;
        }
        match NAMED_KEYS.iter().find(|(code, ..)| *code == self.code) {
            Some((_, _, label)) => f.write_str(label),
            None => self.code.fmt(f),
        }
    }
}

/// What a key types, if it types: a character without Ctrl and Alt.
#[must_use]
pub(crate) fn text(key: &KeyEvent) -> Option<String> {
    match key.code {
        KeyCode::Char(typed) if key.kind != KeyEventKind::Release && !typed.is_control() => {
            is_text(key.modifiers, cfg!(windows)).then(|| typed.to_string())
        }
        _ => None,
    }
}

/// Windows reports AltGr, which types much of what is on some keyboards, as Ctrl and Alt.
fn is_text(modifiers: KeyModifiers, is_altgr_ctrl_alt: bool) -> bool {
    let held = modifiers - KeyModifiers::SHIFT;
    held.is_empty() || (is_altgr_ctrl_alt && held == KeyModifiers::CONTROL | KeyModifiers::ALT)
}

/// From keys to commands.
#[derive(Clone, Debug)]
pub struct Keymap {
    /// Each chord once; the first one of a command is shown.
    bindings: Vec<(Chord, Command)>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self { bindings: BUILT_IN.to_vec() }
    }
}

impl Keymap {
    /// The built-in bindings, changed: names of keys (`ctrl-t`, `f2`, `page-up`) with the names of their
    /// commands, or `none` to unbind.
    ///
    /// # Errors
    /// If a name is unknown, a key cannot be bound, or none would be left to leave with.
    pub fn with_overrides(overrides: &BTreeMap<String, String>) -> Result<Self, KeymapError> {
        let mut changed: Vec<(Chord, Option<Command>)> = Vec::new();
        for (key, name) in overrides {
            let chord = Chord::parse(key)?;
            let name = name.trim().to_ascii_lowercase();
            let command = Command::from_name(&name);
            if command.is_none() && name != UNBOUND {
                return Err(KeymapError::UnknownCommand { key: key.clone(), name });
            }
            if changed.iter().any(|(other, _)| *other == chord) {
                return Err(KeymapError::Twice { name: chord.to_string() });
            }
            changed.push((chord, command));
        }
        // What somebody chose is shown rather than what was built in.
        let mut bindings: Vec<(Chord, Command)> =
            changed.iter().filter_map(|(chord, command)| Some((*chord, (*command)?))).collect();
        bindings.extend(BUILT_IN.iter().filter(|(chord, _)| changed.iter().all(|(other, _)| other != chord)));
        if !bindings.iter().any(|(_, command)| matches!(command, Command::Quit | Command::Cancel)) {
            return Err(KeymapError::NoWayOut);
        }
        Ok(Self { bindings })
    }

    /// What a key does, if it is bound. Shift does not matter unless it was bound.
    #[must_use]
    pub(crate) fn command(&self, key: &KeyEvent) -> Option<Command> {
        let chord = Chord::of(key)?;
        let without_shift = Chord { modifiers: chord.modifiers - KeyModifiers::SHIFT, ..chord };
        self.bound_to(chord).or_else(|| self.bound_to(without_shift))
    }

    fn bound_to(&self, chord: Chord) -> Option<Command> {
        self.bindings.iter().find(|(bound, _)| *bound == chord).map(|(_, command)| *command)
    }

    /// The key shown for a command, as `Ctrl-g`; `None` if nothing is bound to it.
    #[must_use]
    pub(crate) fn label(&self, command: Command) -> Option<String> {
        self.labels(command).next()
    }

    /// All keys bound to a command, as shown.
    pub(crate) fn labels(&self, command: Command) -> impl Iterator<Item = String> {
        self.bindings.iter().filter(move |(_, bound)| *bound == command).map(|(chord, _)| chord.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MANUAL: &str = include_str!("../../../docs/TERMINAL.md");

    fn press(code: KeyCode, modifiers: KeyModifiers) -> KeyEvent {
        KeyEvent::new(code, modifiers)
    }

    fn with(lines: &[(&str, &str)]) -> Result<Keymap, KeymapError> {
        Keymap::with_overrides(&lines.iter().map(|(key, name)| ((*key).into(), (*name).into())).collect())
    }

    #[test]
    fn every_command_has_a_key_and_no_key_has_two() {
        let keymap = Keymap::default();
        for (command, name, _) in Command::NAMES {
            assert!(keymap.label(*command).is_some(), "{name}");
        }
        for (place, (chord, _)) in BUILT_IN.iter().enumerate() {
            assert!(BUILT_IN[..place].iter().all(|(other, _)| other != chord), "{chord}");
        }
        let label = |command| keymap.label(command).unwrap();
        let labels = [Command::Open, Command::Mark, Command::ToggleGrid, Command::Help, Command::Up];
        assert_eq!(labels.map(label), ["Enter", "Tab", "Ctrl-g", "F1", "↑"]);
        assert_eq!(keymap.labels(Command::CaretWordLeft).collect::<Vec<_>>(), ["Alt-b", "Ctrl-←"]);
    }

    #[test]
    fn keys_come_as_terminals_send_them() {
        let keymap = Keymap::default();
        let command = |code, modifiers| keymap.command(&press(code, modifiers));
        assert_eq!(command(KeyCode::Char('g'), KeyModifiers::CONTROL), Some(Command::ToggleGrid));
        assert_eq!(
            command(KeyCode::Char('G'), KeyModifiers::CONTROL | KeyModifiers::SHIFT),
            Some(Command::ToggleGrid)
        );
        assert_eq!(command(KeyCode::Up, KeyModifiers::SHIFT), Some(Command::Up));
        assert_eq!(command(KeyCode::Up, KeyModifiers::ALT), None);
        assert_eq!(command(KeyCode::Up, KeyModifiers::SUPER), None);
        assert_eq!(command(KeyCode::Char('y'), KeyModifiers::CONTROL | KeyModifiers::ALT), None);
        let mut key = press(KeyCode::Enter, KeyModifiers::NONE);
        key.kind = KeyEventKind::Repeat;
        assert_eq!(keymap.command(&key), Some(Command::Open));
        key.kind = KeyEventKind::Release;
        assert_eq!(keymap.command(&key), None);
    }

    #[test]
    fn letters_are_text_whatever_is_bound() {
        let keymap = Keymap::default();
        for typed in ['g', 'G', ' ', '虎', '＋', '/'] {
            let key = press(KeyCode::Char(typed), KeyModifiers::SHIFT);
            assert_eq!((keymap.command(&key), text(&key)), (None, Some(typed.to_string())));
        }
        assert_eq!(text(&press(KeyCode::Char('b'), KeyModifiers::ALT)), None);
        assert_eq!(text(&press(KeyCode::Char('\u{7}'), KeyModifiers::NONE)), None);
        assert_eq!(text(&press(KeyCode::Enter, KeyModifiers::NONE)), None);
        let mut released = press(KeyCode::Char('g'), KeyModifiers::NONE);
        released.kind = KeyEventKind::Release;
        assert_eq!((keymap.command(&released), text(&released)), (None, None));
        let altgr = KeyModifiers::CONTROL | KeyModifiers::ALT;
        assert!(is_text(altgr, true) && !is_text(altgr, false) && !is_text(KeyModifiers::ALT, true));
    }

    #[test]
    fn the_config_file_binds_and_unbinds() {
        let keymap =
            with(&[("Ctrl-T", "mark"), ("tab", "none"), ("shift-tab", "up"), ("Shift-F2", "help")]).unwrap();
        assert_eq!(keymap.label(Command::Mark).unwrap(), "Ctrl-t");
        assert_eq!(keymap.labels(Command::Help).collect::<Vec<_>>(), ["Shift-F2", "F1"]);
        assert_eq!(keymap.command(&press(KeyCode::Tab, KeyModifiers::NONE)), None);
        assert_eq!(keymap.command(&press(KeyCode::BackTab, KeyModifiers::SHIFT)), Some(Command::Up));
        assert_eq!(keymap.command(&press(KeyCode::F(2), KeyModifiers::SHIFT)), Some(Command::Help));
        assert_eq!(keymap.command(&press(KeyCode::F(2), KeyModifiers::NONE)), None);
        let moved = with(&[("ctrl-g", "quit"), ("ctrl-c", "none"), ("esc", "none")]).unwrap();
        assert_eq!(moved.command(&press(KeyCode::Char('g'), KeyModifiers::CONTROL)), Some(Command::Quit));
        assert_eq!(moved.label(Command::ToggleGrid), None);
    }

    #[test]
    fn mistakes_say_what_there_is() {
        let message = |lines: &[(&str, &str)]| with(lines).unwrap_err().to_string();
        for bare in ["g", "5", "shift-g", "space", "虎", "-"] {
            assert!(message(&[(bare, "mark")]).contains("under an input method"), "{bare}");
        }
        for unknown in
            ["", "ctrl-", "f13", "f0", "ctrl-1", "ctrl-/", "alt-虎", "hyper-x", "pagedwn", "f+1", "f01"]
        {
            assert!(matches!(with(&[(unknown, "mark")]), Err(KeymapError::UnknownKey { .. })), "{unknown}");
        }
        assert!(message(&[("pagedwn", "up")]).contains("page-down"));
        assert!(message(&[("ctrl-t", "marks")]).contains("page-up, page-down"));
        assert!(message(&[("ctrl-i", "mark")]).ends_with("bind \"tab\""));
        assert!(message(&[("ctrl-shift-g", "mark")]).ends_with("leave out shift-"));
        assert!(message(&[("ctrl-g", "mark"), ("Ctrl-G", "open")]).contains("bound twice"));
        assert!(message(&[("ctrl-c", "none"), ("esc", "none")]).contains("quit"));
        assert!(with(&[("ctrl-c", "none")]).is_ok() && with(&[("esc", "none")]).is_ok());
    }

    /// Lines of a table of the config file, as in the example of the manual.
    fn example(table: &str) -> BTreeMap<String, String> {
        let lines = MANUAL.lines().skip_while(|line| *line != table).skip(1);
        let unquoted = |text: &str| text.trim().trim_matches('"').to_owned();
        lines
            .map_while(|line| line.split('#').next()?.split_once(" = "))
            .map(|(key, value)| (unquoted(key), unquoted(value)))
            .collect()
    }

    #[test]
    fn the_manual_has_every_key() {
        let keymap = Keymap::default();
        let rows = Command::NAMES.iter().map(|(command, name, words)| {
            let keys = keymap.labels(*command).collect::<Vec<_>>().join(", ");
            format!("| {keys} | `{name}` | {words} |\n")
        });
        let table = rows.collect::<String>();
        assert!(MANUAL.replace("\r\n", "\n").contains(&table), "docs/TERMINAL.md should have\n{table}");
        for (_, name, _) in NAMED_KEYS {
            assert!(MANUAL.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn the_manuals_example_is_right() {
        let keys = example("[tui.keys]");
        assert!(keys.len() >= 3, "{keys:?}");
        assert!(Keymap::with_overrides(&keys).is_ok());
    }

    proptest! {
        #[test]
        fn a_label_is_read_as_its_own_chord(code in any_code(), held in 0u8..8) {
            let mut modifiers = KeyModifiers::NONE;
            modifiers.set(KeyModifiers::CONTROL, held & 1 != 0);
            modifiers.set(KeyModifiers::ALT, held & 2 != 0);
            modifiers.set(KeyModifiers::SHIFT, held & 4 != 0);
            // What is text on Windows is no chord there.
            if let Some(chord) = Chord::of(&press(code, modifiers)) {
                let label = chord.to_string();
                match Chord::parse(&label) {
                    Ok(read) => prop_assert_eq!(read, chord, "{}", label),
                    Err(KeymapError::Same { .. }) => {}
                    Err(error) => prop_assert!(matches!(code, KeyCode::Char(_)), "{}: {}", label, error),
                }
            }
        }

        #[test]
        fn names_are_read_in_any_case(name in "(ctrl-|alt-|shift-){0,2}(page-up|esc|←|f1[0-2]|[a-z])") {
            prop_assert_eq!(Chord::parse(&name).ok(), Chord::parse(&name.to_ascii_uppercase()).ok());
            if let Ok(chord) = Chord::parse(&name) {
                prop_assert_eq!(Chord::parse(&chord.to_string()), Ok(chord));
            }
        }

        #[test]
        fn any_name_is_read_or_refused(name: String, close in "(ctrl|alt|shift|f|[-+0-9a-z]){0,6}") {
            let _ = Chord::parse(&name);
            let _ = Chord::parse(&close);
        }
    }

    fn any_code() -> impl Strategy<Value = KeyCode> {
        prop_oneof![
            proptest::sample::select(NAMED_KEYS).prop_map(|(code, ..)| code),
            (1u8..=12).prop_map(KeyCode::F),
            proptest::char::range('a', 'z').prop_map(KeyCode::Char),
        ]
    }
}
