//! The threads that a tower runs on.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::ModelError;
use crate::machine::Level;
use crate::team::Team;
use crate::towers::Scratch;

/// A pool of one tower's own, and the buffers of passes that are over.
pub(crate) struct Workers {
    pool: rayon::ThreadPool,
    level: Level,
    idle: Mutex<Vec<Scratch>>,
}

impl Workers {
    pub(crate) fn new(threads: NonZeroUsize, weights: &Path) -> Result<Self, ModelError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.get())
            .thread_name(|index| format!("tower-{index}"))
            .build()
            .map_err(|error| ModelError::run(weights, format!("threads cannot be started: {error}")))?;
        Ok(Self { pool, level: Level::detect(), idle: Mutex::default() })
    }

    pub(crate) fn threads(&self) -> usize {
        self.pool.current_num_threads().max(1)
    }

    /// Runs both, side by side if there is more than one thread, else one after the other.
    pub(crate) fn both<A: Send, B: Send>(
        &self,
        first: impl FnOnce() -> A + Send,
        second: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        self.pool.join(first, second)
    }

    /// Runs `forward` over `batches`, results in order: side by side, on one thread each; or one batch alone on
    /// all threads.
    pub(crate) fn run<I: Sync, O: Send, E: Send>(
        &self,
        batches: &[I],
        forward: impl Fn(&Team, &I, &mut Scratch) -> Result<Vec<O>, E> + Sync,
    ) -> Result<Vec<O>, E> {
        let team = Team::new(self.level, if batches.len() == 1 { self.threads() } else { 1 });
        let run = |batch| {
            let mut scratch = self.lock().pop().unwrap_or_default();
            let output = forward(&team, batch, &mut scratch);
            self.lock().push(scratch);
            output
        };
        let outputs: Vec<Vec<O>> = self.pool.install(|| match batches {
            [batch] => run(batch).map(|output| vec![output]),
            _ => batches.par_iter().with_max_len(1).map(run).collect(),
        })?;
        Ok(outputs.into_iter().flatten().collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Scratch>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_run_in_order_on_one_thread() {
        for threads in [1, 2] {
            let workers = Workers::new(NonZeroUsize::new(threads).unwrap(), Path::new("weights")).unwrap();
            let (order, done) =
                (Mutex::new(Vec::new()), |order: &Mutex<Vec<_>>, step| order.lock().unwrap().push(step));
            let both = workers.both(|| done(&order, 1), || done(&order, 2));
            assert_eq!(both, ((), ()));
            let order = order.into_inner().unwrap();
            assert!(order == [1, 2] || threads == 2 && order == [2, 1], "{order:?}");
        }
    }

    #[test]
    fn order_threads_and_errors() {
        let workers = Workers::new(NonZeroUsize::new(3).unwrap(), Path::new("weights")).unwrap();
        let batches: Vec<Vec<usize>> = (0..20).map(|start| (start * 5..start * 5 + 5).collect()).collect();
        let doubled = workers.run(&batches, |team, batch, _| {
            assert!(team.threads() == 1 && rayon::current_num_threads() == 3);
            Ok::<_, ()>(batch.iter().map(|x| x * 2).collect())
        });
        assert_eq!(doubled.unwrap(), (0..100).map(|x| x * 2).collect::<Vec<_>>());
        assert_eq!(workers.run(&batches, |_, _, _| Err::<Vec<()>, _>("no")), Err("no"));
        assert_eq!(workers.run(&[] as &[u8], |_, _, _| Ok::<Vec<()>, ()>(vec![])), Ok(vec![]));
        let alone = workers.run(&[7], |team, batch, _| Ok::<_, ()>(vec![team.threads() * batch]));
        assert_eq!(alone, Ok(vec![21]));
    }
}
