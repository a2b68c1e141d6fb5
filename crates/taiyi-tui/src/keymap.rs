//! Which key does what: built-in bindings, changed by the config file.

use crossterm::event::KeyEvent;

use crate::action::Command;

/// From keys to commands.
#[derive(Clone, Debug, Default)]
pub struct Keymap {}

impl Keymap {
    /// What a key does, if it is bound.
    #[must_use]
    pub fn command(&self, key: &KeyEvent) -> Option<Command> {
        let _ = key;
        None
    }

    /// The key shown for a command, as `Ctrl-g`; `None` if nothing is bound to it.
    #[must_use]
    pub fn label(&self, command: Command) -> Option<String> {
        let _ = command;
        None
    }
}
