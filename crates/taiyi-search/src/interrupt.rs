//! Ctrl-C: the first asks to stop, the second does not ask.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// While this is set the screen belongs to the terminal interface, which stops by itself and must have the
/// time to put the terminal back.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// The flag that Ctrl-C, SIGTERM or SIGHUP sets. It is the same for all who ask.
pub(crate) fn cancel_flag() -> Arc<AtomicBool> {
    static CANCEL: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    Arc::clone(CANCEL.get_or_init(install))
}

/// Whether a signal sets the flag and does nothing else.
pub(crate) fn be_quiet(is_quiet: bool) {
    IS_QUIET.store(is_quiet, Ordering::Relaxed);
}

fn install() -> Arc<AtomicBool> {
    let cancel = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&cancel);
    let installed = ctrlc::set_handler(move || {
        let is_second = set.swap(true, Ordering::Relaxed);
        if IS_QUIET.load(Ordering::Relaxed) {
            return;
        }
        if is_second {
            // What is committed is safe whenever the process ends.
            std::process::exit(130);
        }
        crate::exit::warn("stopping after the batch at hand; once more to stop at once");
    });
    if let Err(e) = installed {
        tracing::warn!("cannot listen for Ctrl-C: {e}");
    }
    cancel
}
