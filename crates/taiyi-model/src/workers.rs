//! The threads that a tower runs on.

use std::num::NonZeroUsize;
use std::path::Path;

use rayon::prelude::*;

use crate::ModelError;

/// A pool of one tower's own.
///
/// candle sizes its products by the machine's cores and hands them to the current rayon pool, so running
/// inside this pool is what really bounds them.
pub(crate) struct Workers {
    pool: rayon::ThreadPool,
}

impl Workers {
    pub(crate) fn new(threads: NonZeroUsize, weights: &Path) -> Result<Self, ModelError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.get())
            .thread_name(|index| format!("tower-{index}"))
            .build()
            .map_err(|error| ModelError::run(weights, format!("threads cannot be started: {error}")))?;
        Ok(Self { pool })
    }

    pub(crate) fn threads(&self) -> usize {
        self.pool.current_num_threads().max(1)
    }

    /// Runs `forward` over `inputs` in sub-batches of at most `most`, side by side, results in order.
    ///
    /// Whole sub-batches scale better over threads than the small products inside of one.
    pub(crate) fn map_batches<I: Sync, O: Send, E: Send>(
        &self,
        inputs: &[I],
        most: usize,
        forward: impl Fn(&[I]) -> Result<Vec<O>, E> + Sync,
    ) -> Result<Vec<O>, E> {
        let size = inputs.len().div_ceil(self.threads()).clamp(1, most.max(1));
        let batches: Vec<Vec<O>> =
            self.pool.install(|| inputs.par_chunks(size).map(&forward).collect::<Result<_, E>>())?;
        Ok(batches.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_size_and_errors() {
        let workers = Workers::new(NonZeroUsize::new(3).unwrap(), Path::new("weights")).unwrap();
        let inputs: Vec<usize> = (0..100).collect();
        let doubled = workers.map_batches(&inputs, 8, |batch| {
            assert!(batch.len() <= 8 && rayon::current_num_threads() == 3);
            Ok::<_, ()>(batch.iter().map(|x| x * 2).collect())
        });
        assert_eq!(doubled.unwrap(), inputs.iter().map(|x| x * 2).collect::<Vec<_>>());
        assert_eq!(workers.map_batches(&inputs, 8, |_| Err::<Vec<()>, _>("no")), Err("no"));
        assert_eq!(workers.map_batches(&[] as &[u8], 8, |_| Ok::<Vec<()>, ()>(vec![])), Ok(vec![]));
    }
}
