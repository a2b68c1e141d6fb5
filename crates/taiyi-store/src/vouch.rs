//! How much of the ledger a publication reads: all of it, unless it is known what was changed since the item table that
//! is published; and the ledger's own word for that table, so that a later run knows it, too.

use crate::StoreError;
use crate::collect::{Collected, collect};
use crate::fault::Step;
use crate::ledger::{Batch, State, Vouched};
use crate::manifest::Manifest;
use crate::publish::{Previous, Publisher, Reporter};
use crate::recollect::recollect;
use crate::touched::Touched;
use crate::{PublishProgress, PublishStep};

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
    /// that is known.
    pub(crate) fn collect(
        &self,
        state: &State,
        previous: Option<&Previous>,
        progress: &mut dyn FnMut(PublishProgress),
    ) -> Result<Collected, StoreError> {
        let mut records = Reporter { step: PublishStep::Collect, progress };
        let copied = previous.filter(|p| p.items.is_of_this_version());
        let touched = copied.and_then(|p| Some((p, self.touched.records_since(p.manifest.generation)?)));
        if let Some((previous, touched)) = touched {
            let rows = previous.manifest.live_rows;
            let mut report = |done| records.report(done, rows);
            match recollect(self.ledger, state.epoch, &previous.items, touched, &mut report) {
                Ok(collected) => {
                    // Every test that publishes twice is one of this, too.
                    let is_whole = || collect(self.ledger, state.epoch, &mut |_| ()).map(|c| c == collected);
                    debug_assert!(is_whole().unwrap_or(true), "something was changed and not told");
                    return Ok(collected);
                }
                Err(e) => tracing::warn!("reading the whole ledger: {e}"),
            }
        }
        collect(self.ledger, state.epoch, &mut |done| records.report(done, 0))
    }

    /// Notes that `manifest`, which was made from `collected`, tells all there is in the ledger; and in the ledger, if no
    /// content lies nowhere. Failing to is no failure of the publication, which is done: the next one reads more.
    pub(crate) fn take_stock(
        &mut self,
        state: &mut State,
        manifest: &Manifest,
        collected: &Collected,
        is_rid_of_orphans: bool,
    ) {
        // Of a location whose content is not there the table tells nothing, and of an older epoch's neither.
        if collected.astray > 0 || state.rebuilding {
            return;
        }
        let orphans = if is_rid_of_orphans { &[] } else { collected.orphans.as_slice() };
        if orphans.is_empty()
            && let Err(e) = self.vouch(state, manifest)
        {
            tracing::warn!("the next publication will read the whole ledger: {e}");
            return;
        }
        *self.touched = Touched::since(manifest.generation, orphans.iter().copied());
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
