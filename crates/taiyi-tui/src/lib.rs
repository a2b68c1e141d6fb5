//! The terminal interface: type a prompt, see the pictures.
//!
//! Events become `Action`s, actions change the `State` (pure, told the time), the state
//! says what to do outside (`Effect`s), and `draw` shows it. Searching and decoding happen on
//! threads of their own; drawing never waits for them, and answers to questions that nobody asks any more
//! are dropped by their number. No model is known here: the towers arrive behind the encoder traits.

#![forbid(unsafe_code)]

mod action;
mod app;
mod draw;
mod editor;
mod gallery;
mod graphics;
mod history;
mod keymap;
mod layout;
mod state;
mod terminal;
mod text;
mod theme;
mod viewer;
mod worker;

pub use app::{Options, TuiError, run};
pub use graphics::{Images, Surroundings};
pub use keymap::{Keymap, KeymapError};
pub use theme::{Theme, ThemeError};
pub use worker::Towers;
