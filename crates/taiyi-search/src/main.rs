//! `taiyi-search`: search your own pictures with Chinese sentences, on your own machine.

#![forbid(unsafe_code)]

mod commands;
mod config;
mod csv;
mod encoders;
mod exit;
mod fetching;
mod flags;
mod hub_settings;
mod interrupt;
mod labels;
mod lines;
mod logging;
mod models;
mod output;
mod own_index;
mod progress;
mod settings;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::exit::Exit;
use crate::flags::{Cli, Command, TuiFlags};
use crate::settings::Settings;

/// Gives back what an index run no longer needs, where glibc's holds on to it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    exit::code_of(run(&cli))
}

fn run(cli: &Cli) -> anyhow::Result<Exit> {
    let settings = Settings::new(&cli.global)?;
    logging::init(&settings);
    let Some(command) = &cli.command else {
        // Alone on a terminal it is the interface; anywhere else, nobody would see it.
        if commands::tui::has_terminal() {
            return commands::tui::run(&settings, &TuiFlags::default());
        }
        exit::note(&Cli::command().render_help().ansi().to_string());
        return Ok(Exit::Failure);
    };
    match command {
        Command::Tui(flags) => commands::tui::run(&settings, flags),
        Command::Demo(flags) => commands::demo::run(&settings, flags),
        Command::Index(flags) => commands::index::run(&settings, flags),
        Command::Query(flags) => commands::query::run(&settings, flags),
        Command::Classify(flags) => commands::classify::run(&settings, flags),
        Command::Embed(flags) => commands::embed::run(&settings, flags),
        Command::Status(flags) => commands::status::run(&settings, flags),
        Command::Verify(flags) => commands::verify::run(&settings, flags),
        Command::Remove(flags) => commands::remove::run(&settings, flags),
        Command::Export(flags) => commands::export::run(&settings, flags),
        Command::Import(flags) => commands::import::run(&settings, flags),
        Command::Eval(flags) => commands::eval::run(&settings, flags),
        Command::Model(flags) => commands::model::run(&settings, flags),
        Command::Completions(flags) => commands::completions::run(flags),
    }
}
