//! The threads that one pass through a tower runs on.

use std::sync::{Mutex, PoisonError};

use crate::machine::{Level, Relay};

/// One thread, or several that split every layer.
pub(crate) struct Team {
    level: Level,
    threads: usize,
    relay: Relay,
}

impl Team {
    /// The calling thread.
    pub(crate) fn alone(level: Level) -> Self {
        Self { level, threads: 1, relay: Relay::default() }
    }

    /// Runs `work` with a team of the calling thread and others of the rayon pool that it is one of. Where these have
    /// other work, the rest of the team does theirs.
    pub(crate) fn together<R>(level: Level, threads: usize, work: impl FnOnce(&Self) -> R) -> R {
        let team = Self { level, threads: threads.max(1), relay: Relay::default() };
        rayon::in_place_scope(|scope| {
            let _close = Close(&team.relay);
            for _ in 1..team.threads {
                scope.spawn(|_| team.relay.serve());
            }
            work(&team)
        })
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `work` on every item, side by side.
    pub(crate) fn each<T: Send>(&self, items: Vec<T>, work: impl Fn(T) + Sync) {
        if self.threads == 1 || items.len() <= 1 {
            return items.into_iter().for_each(work);
        }
        let items: Vec<Mutex<Option<T>>> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
        self.relay.run(items.len(), &|index| {
            let slot = items.get(index);
            let item = slot.and_then(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).take());
            if let Some(item) = item {
                work(item);
            }
        });
    }
}

/// Lets the others go, after a panic too.
struct Close<'a>(&'a Relay);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
