//! What only tests see of a writer, and do to it.

use super::Writer;
use crate::ContentHash;
use crate::collect::{Collected, collect};
use crate::fault::{Faults, Hook};
use crate::generation::items::ItemTable;
use crate::ledger::Batch;
use crate::manifest::Manifest;
use crate::recollect::recollect;

impl Writer {
    /// What would be published, read both ways; `None` where only the whole ledger tells.
    pub(crate) fn collected_both_ways(&self) -> Option<[Collected; 2]> {
        let manifest = Manifest::read(&self.dir).unwrap()?;
        let touched = self.lock_touched();
        let touched = touched.records_since(manifest.generation)?;
        let table = ItemTable::open(&self.dir, &manifest).unwrap();
        let short = recollect(&self.ledger, self.epoch, &table, touched, &mut |_| ());
        let whole = collect(&self.ledger, self.epoch, &mut |_| ());
        Some([short.unwrap(), whole.unwrap()])
    }

    /// What damage would do.
    pub(crate) fn lose_content(&self, hash: &ContentHash) {
        let mut batch = Batch::default();
        batch.remove_content(hash);
        self.ledger.apply(batch).unwrap();
    }

    pub(crate) fn set_faults(&mut self, hook: Hook) {
        self.faults = Faults { hook: Some(hook) };
    }
}
