//! Ctrl-C: the first asks to stop, the second does not ask.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The terminal interface gets so long to put the terminal back. One that cannot be written to any more, as
/// after Ctrl-S or on a connection that hangs, would keep it for ever.
const PATIENCE: Duration = Duration::from_secs(3);

/// While this is set the screen belongs to the terminal interface, which stops by itself and must have the
/// time to put the terminal back.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// What is said of the first Ctrl-C.
static WORDS: Mutex<&str> = Mutex::new("stopping after the batch at hand");

/// As [`cancel_flag`], for work whose end is told in other words.
pub(crate) fn cancel_flag_saying(words: &'static str) -> Arc<AtomicBool> {
    *WORDS.lock().unwrap_or_else(PoisonError::into_inner) = words;
    flag()
}

/// The flag that Ctrl-C, SIGTERM or SIGHUP sets. It is the same for all who ask.
pub(crate) fn cancel_flag() -> Arc<AtomicBool> {
    cancel_flag_saying("stopping after the batch at hand")
}

fn flag() -> Arc<AtomicBool> {
    static CANCEL: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    Arc::clone(CANCEL.get_or_init(install))
}

/// Whether a signal sets the flag and leaves the rest to the interface, as long as that is able to.
pub(crate) fn be_quiet(is_quiet: bool) {
    IS_QUIET.store(is_quiet, Ordering::Relaxed);
}

fn install() -> Arc<AtomicBool> {
    let cancel = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&cancel);
    let installed = ctrlc::set_handler(move || {
        let is_second = set.swap(true, Ordering::Relaxed);
        if IS_QUIET.load(Ordering::Relaxed) {
            // On a thread of its own, so nothing else waits for this.
            std::thread::sleep(PATIENCE);
            if IS_QUIET.load(Ordering::Relaxed) {
                std::process::exit(130);
            }
            return;
        }
        if is_second {
            // What is committed is safe whenever the process ends.
            std::process::exit(130);
        }
        let words = *WORDS.lock().unwrap_or_else(PoisonError::into_inner);
        crate::exit::warn(&format!("{words}; once more to stop at once"));
    });
    if let Err(e) = installed {
        tracing::warn!("cannot listen for Ctrl-C: {e}");
    }
    cancel
}
