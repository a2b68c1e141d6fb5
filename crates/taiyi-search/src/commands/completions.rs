//! `completions`: a script for the user's shell.

use std::io::Write as _;

use clap::CommandFactory as _;

use crate::exit::Exit;
use crate::flags::{Cli, CompletionsFlags};

pub(crate) fn run(flags: &CompletionsFlags) -> anyhow::Result<Exit> {
    // Generated in memory: clap_complete panics when it cannot write, and a closed pipe is no error.
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut Cli::command(), "taiyi-search", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Exit::Success)
}
