//! Log lines on standard error, or in a file while the screen belongs to the terminal interface; and quiet
//! panics where they are only one file's failure.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::panic;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::level_filters::LevelFilter;

use crate::settings::Settings;

/// Where lines go instead of standard error.
static FILE: Mutex<Option<File>> = Mutex::new(None);

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
pub(crate) fn to_file(path: &Path) -> io::Result<ToFile> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let is_large = fs::metadata(path).is_ok_and(|file| file.len() > MAX_LOG_BYTES);
    let mut options = OpenOptions::new();
    options.create(true);
    // Appending, two interfaces at once do not write over one another.
    let file = if is_large { options.write(true).truncate(true) } else { options.append(true) }.open(path)?;
    *target() = Some(file);
    Ok(ToFile(()))
}

/// While it lives, lines go to a file.
pub(crate) struct ToFile(());

impl Drop for ToFile {
    fn drop(&mut self) {
        *target() = None;
    }
}

fn target() -> MutexGuard<'static, Option<File>> {
    FILE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes one line to wherever lines go now.
struct Line;

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *target() {
            // Whoever reads it later has an editor, not a terminal.
            Some(file) => anstream::StripStream::new(file).write(bytes),
            None => anstream::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
