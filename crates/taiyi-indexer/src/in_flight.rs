//! Contents that are being embedded right now, so that a copy met meanwhile waits instead of being
//! embedded a second time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use taiyi_store::{ContentHash, StoreError, Writer};

use crate::pipeline::FileJob;

/// What to do with a file whose content has just been hashed.
pub(crate) enum Claim {
    /// Nobody has this content: decode and embed it.
    Embed(FileJob),
    /// The ledger has its embedding.
    Reuse(FileJob),
    /// Another file with the same content is on its way; the job waits for it.
    Waits,
}

#[derive(Default)]
pub(crate) struct InFlight {
    waiting: Mutex<HashMap<ContentHash, Vec<FileJob>>>,
}

impl InFlight {
    /// Asks for the right to embed `hash`.
    pub(crate) fn claim(
        &self,
        writer: &Writer,
        hash: &ContentHash,
        job: FileJob,
    ) -> Result<Claim, StoreError> {
        // The ledger is asked under the lock: `release` comes after the commit, so a content is
        // always either in the map or in the ledger.
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = waiting.get_mut(hash) {
            queue.push(job);
            return Ok(Claim::Waits);
        }
        if writer.knows_content(hash)? {
            return Ok(Claim::Reuse(job));
        }
        waiting.insert(*hash, Vec::new());
        Ok(Claim::Embed(job))
    }

    /// Ends the claim and hands back the jobs that waited for it.
    pub(crate) fn release(&self, hash: &ContentHash) -> Vec<FileJob> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(hash).unwrap_or_default()
    }
}
