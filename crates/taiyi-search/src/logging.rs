//! Log lines on standard error, or in a file while the screen belongs to the terminal interface; and quiet
//! panics where they are only one file's failure.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::panic;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::level_filters::LevelFilter;

use crate::settings::Settings;

/// Where lines go now.
static TARGET: Mutex<Target> = Mutex::new(Target::StandardError);

enum Target {
    StandardError,
    File(File),
    Nowhere,
}

/// A log that has grown beyond this begins anew.
const MAX_LOG_BYTES: u64 = 1 << 20;

pub(crate) fn init(settings: &Settings) {
    let level = match settings.verbosity {
        0 => LevelFilter::ERROR,
        1 => LevelFilter::WARN,
        2 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| Line)
        .with_target(false)
        .without_time()
        .init();
    let default_hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // Decoders panic on some broken files. That is caught and reported as the file's failure, so
        // the usual paragraph on standard error would only frighten.
        let of_a_file = std::thread::current().name().is_some_and(|name| name.starts_with("decode-"));
        if of_a_file {
            tracing::debug!("{info}");
        } else {
            default_hook(info);
        }
    }));
}

/// Lines go to the end of this file until what is returned is dropped.
pub(crate) fn to_file(path: &Path) -> io::Result<Elsewhere> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Appending, two interfaces at once do not write over one another.
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    if file.metadata()?.len() > MAX_LOG_BYTES {
        file.set_len(0)?;
    }
    *target() = Target::File(file);
    Ok(Elsewhere(()))
}

/// Lines go nowhere until what is returned is dropped: there is no file for them, and no screen.
pub(crate) fn to_nowhere() -> Elsewhere {
    *target() = Target::Nowhere;
    Elsewhere(())
}

/// While it lives, lines go elsewhere than to standard error.
pub(crate) struct Elsewhere(());

impl Drop for Elsewhere {
    fn drop(&mut self) {
        *target() = Target::StandardError;
    }
}

fn target() -> MutexGuard<'static, Target> {
    TARGET.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells what takes a while: on standard error unless that is to be quiet, or among the log lines where those go
/// elsewhere.
pub(crate) fn tell(message: &str) {
    let on_screen = matches!(*target(), Target::StandardError);
    if !on_screen {
        tracing::warn!("{message}");
    } else if tracing::enabled!(tracing::Level::WARN) {
        crate::exit::note(message);
    }
}

/// Writes one line to wherever lines go now.
struct Line;

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *target() {
            // Whoever reads it later has an editor, not a terminal. A line that finds no room on the disk is
            // lost: there is nobody to tell.
            Target::File(file) => Ok(anstream::StripStream::new(file).write(bytes).unwrap_or(bytes.len())),
            Target::Nowhere => Ok(bytes.len()),
            Target::StandardError => anstream::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_log_begins_anew_and_a_small_one_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("not there yet").join("tui.log");
        drop(to_file(&path).unwrap());
        fs::write(&path, "before\n").unwrap();
        drop(to_file(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\n");
        fs::write(&path, vec![b'x'; MAX_LOG_BYTES as usize + 1]).unwrap();
        drop(to_file(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        assert!(to_file(&path.join("below a file")).is_err());
    }
}
