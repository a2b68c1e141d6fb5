//! Exit statuses, as grep has them, and the one line that an error is.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use taiyi_exchange::ExchangeError;
use taiyi_image::ImageError;
use taiyi_indexer::IndexError;
use taiyi_model::ModelError;
use taiyi_model::hub::HubError;
use taiyi_model::library::LibraryError;
use taiyi_query::QueryError;
use taiyi_store::StoreError;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: it was done; a query found something.
    Success,
    /// 1: a query found nothing; `verify` found damage.
    Nothing,
    /// 2: something went wrong, and has been told already.
    Failure,
    /// 130: stopped by Ctrl-C, with everything in order.
    Interrupted,
}

/// Ctrl-C, where a function that somebody stopped has nothing to give back. It has been told already.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped")
    }
}

impl Error for Interrupted {}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Nothing => Self::from(1),
            Exit::Failure => Self::from(2),
            Exit::Interrupted => Self::from(130),
        }
    }
}

/// Prints an error, if there is one, and says how the process ends.
pub(crate) fn code_of(result: anyhow::Result<Exit>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        // `… | head` has seen enough: that is no error.
        Err(e) if is_broken_pipe(&e) => Exit::Success.into(),
        Err(e) if e.is::<Interrupted>() => Exit::Interrupted.into(),
        Err(e) => {
            report(&e);
            Exit::Failure.into()
        }
    }
}

/// One line on standard error: what happened, and its causes where they add something.
pub(crate) fn report(error: &anyhow::Error) {
    // If even this cannot be written, nobody is there to be told.
    let _ = writeln!(anstream::stderr(), "\u{1b}[1;31merror\u{1b}[0m: {}", one_line(error));
}

/// What happened, with those causes that say more.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for (outer, cause) in error.chain().zip(error.chain().skip(1)) {
        let cause = cause.to_string();
        if !tells_its_cause(outer) && !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The libraries' errors put their cause into their own words.
fn tells_its_cause(error: &(dyn Error + 'static)) -> bool {
    error.is::<StoreError>()
        || error.is::<ImageError>()
        || error.is::<ModelError>()
        || error.is::<HubError>()
        || error.is::<LibraryError>()
        || error.is::<IndexError>()
        || error.is::<ExchangeError>()
        || error.is::<QueryError>()
}

/// One line on standard error about something that does not stop the command.
pub(crate) fn warn(message: &str) {
    let _ = writeln!(anstream::stderr(), "\u{1b}[1;33mwarning\u{1b}[0m: {message}");
}

/// One line on standard error that is neither: what was done.
pub(crate) fn note(message: &str) {
    let _ = writeln!(anstream::stderr(), "{message}");
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|e| e.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_interruption_is_one_whatever_it_interrupted() {
        let stopped = || -> anyhow::Result<Exit> { Err(Interrupted.into()) };
        for result in [stopped(), stopped().context("the index was built with another model")] {
            assert_eq!(format!("{:?}", code_of(result)), format!("{:?}", ExitCode::from(130)));
        }
    }
}
