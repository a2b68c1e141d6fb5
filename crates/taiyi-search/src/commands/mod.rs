//! One module a command: flags and settings in, calls into the libraries, output and exit status out.

pub(crate) mod classify;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod embed;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod index;
pub(crate) mod model;
pub(crate) mod query;
pub(crate) mod remove;
pub(crate) mod status;
pub(crate) mod tui;
pub(crate) mod verify;
