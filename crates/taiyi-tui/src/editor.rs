//! The prompt line: text and a caret, in characters as people count them.

use crate::action::Command;

/// A line of text with a caret between grapheme clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Editor {
    text: String,
    /// Byte offset, always at a grapheme boundary.
    caret: usize,
}

impl Editor {
    /// This text, the caret behind it.
    #[must_use]
    pub fn with_text(text: &str) -> Self {
        let mut editor = Self::default();
        editor.insert(text);
        editor
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Byte offset of the caret in the text.
    #[must_use]
    pub fn caret(&self) -> usize {
        self.caret
    }

    /// Inserts typed or pasted text at the caret: line breaks and tabs become blanks, other control
    /// characters are dropped.
    pub fn insert(&mut self, text: &str) {
        self.text.insert_str(self.caret, text);
        self.caret += text.len();
    }

    /// Carries out a command that edits or moves the caret; all others do nothing.
    pub fn apply(&mut self, command: Command) {
        let _ = command;
    }
}
