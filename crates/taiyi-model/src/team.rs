//! The threads that one pass through a tower runs on.

use crate::machine::Level;

/// One thread, or several that split every layer.
pub(crate) struct Team {
    level: Level,
    threads: usize,
}

impl Team {
    /// `threads` of the rayon pool that the caller runs in.
    pub(crate) fn new(level: Level, threads: usize) -> Self {
        Self { level, threads: threads.max(1) }
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `work` on every item, side by side. There are no more items than threads.
    pub(crate) fn each<T: Send>(&self, items: Vec<T>, work: impl Fn(T) + Sync) {
        if self.threads == 1 || items.len() <= 1 {
            items.into_iter().for_each(work);
        } else {
            let work = &work;
            rayon::in_place_scope(|scope| {
                let mut items = items.into_iter();
                let own = items.next();
                for item in items {
                    scope.spawn(move |_| work(item));
                }
                if let Some(own) = own {
                    work(own);
                }
            });
        }
    }
}
