//! The terminal interface: type a prompt, see the pictures.
//!
//! Events become [`action::Action`]s, actions change the [`state::State`] (pure, told the time), the state
//! says what to do outside ([`action::Effect`]), and [`draw`] shows it. Searching and decoding happen on
//! threads of their own; drawing never waits for them, and answers to questions that nobody asks any more
//! are dropped by their number. No model is known here: the towers arrive behind the encoder traits.

#![forbid(unsafe_code)]

pub mod action;
pub mod draw;
pub mod editor;
pub mod gallery;
pub mod graphics;
pub mod history;
pub mod keymap;
pub mod layout;
pub mod state;
pub mod terminal;
mod text;
pub mod theme;
pub mod worker;
