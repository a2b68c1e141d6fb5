//! How much of the ledger a publication reads: all of it, unless it is known what was changed since the item table that
//! is published; and what comes after a publication: contents that lie nowhere are forgotten, and the ledger gives its
//! word for the table, so that a later run knows it, too.

use crate::StoreError;
use crate::collect::{Collected, collect};
use crate::fault::Step;
use crate::ledger::{Batch, State, Vouched};
use crate::manifest::Manifest;
use crate::publish::{Previous, Publisher, Reporter};
use crate::recollect::recollect;
use crate::touched::Touched;
use crate::{ContentHash, PublishProgress, PublishStep};

/// Contents forgotten in one batch.
const FORGET_BATCH: usize = 1000;

impl Manifest {
    /// What the ledger notes of it when it vouches for it.
    fn vouched(&self) -> Vouched {
        let Self { generation, epoch, change, .. } = *self;
        Vouched { generation, epoch, change, items: self.items.clone() }
    }

    /// Whether the ledger says that the item table tells all there is in it.
    pub(crate) fn is_vouched_for(&self, state: &State) -> bool {
        self.is_of(state) && !state.rebuilding && state.vouched.as_ref() == Some(&self.vouched())
    }
}

impl Publisher<'_> {
    /// Reads what is to be published: of the ledger no more than was changed, if the previous generation is there and
    /// that is known; and whether it was the whole ledger.
    pub(crate) fn collect(
        &self,
        state: &State,
        previous: Option<&Previous>,
        progress: &mut dyn FnMut(PublishProgress),
    ) -> Result<(Collected, bool), StoreError> {
        let mut records = Reporter { step: PublishStep::Collect, progress };
        let copied = previous.filter(|p| p.items.is_of_this_version());
        let touched = copied.and_then(|p| Some((p, self.touched.records_since(p.manifest.generation)?)));
        if let Some((previous, touched)) = touched {
            let rows = previous.manifest.live_rows;
            let mut report = |done| records.report(done, rows);
            match recollect(self.ledger, state.epoch, &previous.items, touched, &mut report) {
                Ok(collected) => {
                    // Every test that publishes twice is one of this, too.
                    debug_assert!(
                        self.is_as_collected(state, &collected),
                        "something was changed and not told"
                    );
                    return Ok((collected, false));
                }
                Err(e) => tracing::warn!("reading the whole ledger: {e}"),
            }
        }
        let collected = collect(self.ledger, state.epoch, &mut |done| records.report(done, 0))?;
        Ok((collected, true))
    }

    /// Whether the whole ledger tells the same, if nothing of it is lost.
    fn is_as_collected(&self, state: &State, collected: &Collected) -> bool {
        let whole = collect(self.ledger, state.epoch, &mut |_| ());
        whole.map_or(true, |whole| whole.astray > 0 || whole == *collected)
    }

    /// Notes that `manifest`, which was made from `collected`, tells all there is in the ledger; and in the ledger, if no
    /// content lies nowhere, which it is when it `is_tidy`. Failing to is no failure of the publication, which is done:
    /// the next run reads more.
    pub(crate) fn take_stock(
        &mut self,
        state: &mut State,
        manifest: &Manifest,
        collected: &Collected,
        is_tidy: bool,
    ) {
        // Of a location whose content is not there the table tells nothing, and of an older epoch's neither.
        if collected.astray > 0 {
            tracing::warn!("{} files are of contents that the ledger has lost: run verify", collected.astray);
        }
        if collected.astray > 0 || state.rebuilding {
            self.touched.give_up();
            return;
        }
        let orphans = if is_tidy { &[] } else { collected.orphans.as_slice() };
        *self.touched = Touched::since(manifest.generation, orphans.iter().copied());
        if orphans.is_empty()
            && let Err(e) = self.vouch(state, manifest)
        {
            tracing::warn!("the next run will read the whole ledger: {e}");
        }
    }

    /// Drops contents that lie nowhere from the ledger. Where that fails, they stay until it does not: what was
    /// published is whole without it.
    pub(crate) fn forget(&self, state: &State, orphans: &[ContentHash]) -> bool {
        let forgotten = orphans.chunks(FORGET_BATCH).try_for_each(|hashes| {
            self.faults.pass(Step::Forget)?;
            let mut batch = Batch::default();
            batch.put_state(state);
            for hash in hashes {
                batch.remove_content(hash);
            }
            self.ledger.apply(batch)
        });
        let synced = forgotten.and_then(|()| if orphans.is_empty() { Ok(()) } else { self.ledger.sync() });
        synced.inspect_err(|e| tracing::warn!("contents that lie nowhere stay for now: {e}")).is_ok()
    }

    fn vouch(&self, state: &mut State, manifest: &Manifest) -> Result<(), StoreError> {
        if manifest.is_vouched_for(state) {
            return Ok(());
        }
        self.faults.pass(Step::Vouch)?;
        let vouching = State { vouched: Some(manifest.vouched()), ..state.clone() };
        let mut batch = Batch::default();
        batch.put_state(&vouching);
        self.ledger.apply(batch)?;
        self.ledger.sync()?;
        *state = vouching;
        Ok(())
    }
}
