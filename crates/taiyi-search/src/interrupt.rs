//! Ctrl-C: the first asks to stop, the second does not ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that Ctrl-C, SIGTERM or SIGHUP sets.
pub(crate) fn cancel_flag() -> Arc<AtomicBool> {
    let cancel = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&cancel);
    let installed = ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
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
