//! Log lines on standard error, and quiet panics where they are only one file's failure.

use std::panic;

use tracing::level_filters::LevelFilter;

use crate::settings::Settings;

pub(crate) fn init(settings: &Settings) {
    let level = match settings.verbosity {
        0 => LevelFilter::ERROR,
        1 => LevelFilter::WARN,
        2 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(anstream::stderr)
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
