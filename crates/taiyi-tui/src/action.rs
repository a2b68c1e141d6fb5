//! What can happen: keys, text, the mouse, the clock, and what workers have to say.

use crate::worker::{Answer, Trouble};

/// Everything that changes the [`State`](crate::state::State).
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// A key that means something.
    Command(Command),
    /// Text typed or pasted, input methods included.
    Insert(String),
    /// The left button went down on a cell.
    Click {
        /// From 0 at the left.
        column: u16,
        /// From 0 at the top.
        row: u16,
    },
    /// The wheel turned: rows down, or up if negative.
    Wheel(i16),
    /// The terminal has this size now.
    Resize {
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
    },
    /// Time has passed; sent whenever [`State::deadline`](crate::state::State::deadline) is reached.
    Tick,
    /// A search is done.
    Answered(Box<Answer>),
    /// The published index is another one than before.
    IndexChanged,
    /// What a search worker cannot get over.
    Trouble(Trouble),
    /// Something done outside the interface worked: what to say about it.
    Done(String),
    /// Something done outside the interface failed: why.
    Failed(String),
}

/// What a key can be bound to. Names as in the config file are in [`Command::NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Command {
    /// One picture or row up.
    Up,
    /// One picture or row down.
    Down,
    /// In the grid one picture to the left; in the list the caret.
    Left,
    /// In the grid one picture to the right; in the list the caret.
    Right,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
    /// To the first picture.
    First,
    /// To the last picture.
    Last,
    /// Searches at once; once that is done, opens the picture in the system's viewer.
    Open,
    /// Marks or unmarks the picture and goes on to the next.
    Mark,
    /// Copies the path, or those of all marked pictures, to the clipboard.
    Copy,
    /// Looks for what resembles the picture.
    Similar,
    /// Opens the picture's folder.
    Reveal,
    /// Shows former prompts.
    History,
    /// Changes between list and grid.
    ToggleGrid,
    /// Shows or hides all that is known of the picture.
    ToggleDetails,
    /// Shows or hides the keys.
    Help,
    /// Closes what is open, else clears the prompt, else leaves.
    Cancel,
    /// Leaves.
    Quit,
    /// Deletes before the caret.
    Backspace,
    /// Deletes behind the caret.
    Delete,
    /// Deletes the word before the caret.
    DeleteWord,
    /// Deletes from the start to the caret.
    DeleteToStart,
    /// Deletes from the caret to the end.
    DeleteToEnd,
    /// The caret one character to the left.
    CaretLeft,
    /// The caret one character to the right.
    CaretRight,
    /// The caret one word to the left.
    CaretWordLeft,
    /// The caret one word to the right.
    CaretWordRight,
    /// The caret to the start.
    CaretStart,
    /// The caret to the end.
    CaretEnd,
    /// Draws everything anew.
    Redraw,
}

impl Command {
    /// Every command with its name in the config file and a few words for the help, in the order of the help.
    pub(crate) const NAMES: &'static [(Command, &'static str, &'static str)] = &[
        (Command::Up, "up", "one up"),
        (Command::Down, "down", "one down"),
        (Command::Left, "left", "in the grid: one left"),
        (Command::Right, "right", "in the grid: one right"),
        (Command::PageUp, "page-up", "a screen up"),
        (Command::PageDown, "page-down", "a screen down"),
        (Command::First, "first", "to the first"),
        (Command::Last, "last", "to the last"),
        (Command::Open, "open", "search now; open the picture"),
        (Command::Mark, "mark", "mark; the marked paths are printed on leaving"),
        (Command::Copy, "copy", "copy the path, or all marked ones"),
        (Command::Similar, "similar", "find what resembles it"),
        (Command::Reveal, "reveal", "open its folder"),
        (Command::History, "history", "former prompts"),
        (Command::ToggleGrid, "toggle-grid", "list or grid"),
        (Command::ToggleDetails, "toggle-details", "details"),
        (Command::Help, "help", "this help"),
        (Command::Cancel, "cancel", "close, clear the prompt, leave"),
        (Command::Quit, "quit", "leave"),
        (Command::Backspace, "backspace", "delete before the caret"),
        (Command::Delete, "delete", "delete behind the caret"),
        (Command::DeleteWord, "delete-word", "delete the word before the caret"),
        (Command::DeleteToStart, "delete-to-start", "delete up to the caret"),
        (Command::DeleteToEnd, "delete-to-end", "delete from the caret on"),
        (Command::CaretLeft, "caret-left", "caret left"),
        (Command::CaretRight, "caret-right", "caret right"),
        (Command::CaretWordLeft, "caret-word-left", "caret a word left"),
        (Command::CaretWordRight, "caret-word-right", "caret a word right"),
        (Command::CaretStart, "caret-start", "caret to the start"),
        (Command::CaretEnd, "caret-end", "caret to the end"),
        (Command::Redraw, "redraw", "draw anew"),
    ];

    /// The command of this name in the config file.
    #[must_use]
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known, _)| *known == name).map(|(command, ..)| *command)
    }
}

/// What the state wants done outside itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Ask the search worker; only the newest request counts.
    Search(crate::worker::Request),
    /// Look whether another index has been published.
    CheckIndex,
    /// Open a file in the system's viewer.
    Open(std::path::PathBuf),
    /// Open the folder of a file.
    Reveal(std::path::PathBuf),
    /// Put this on the clipboard of the terminal.
    Copy(String),
    /// Keep a prompt in the history.
    Remember(String),
    /// Clear the screen and draw anew.
    Redraw,
    /// Leave.
    Quit,
}
