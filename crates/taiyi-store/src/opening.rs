//! Opening the ledger for a writer: what may go on, what begins anew, what is refused.

use std::fs;
use std::path::Path;

use taiyi_core::ModelId;

use crate::StoreError;
use crate::ledger::{Batch, Ledger, State};
use crate::lock::unix_now_s;
use crate::manifest::{FORMAT_VERSION, LEDGER_NAME, MANIFEST_NAME, Manifest};
use crate::publish::readable_manifest;

/// How the model asked for and the model of the ledger go together.
pub(crate) enum Opening {
    Continue(ModelId),
    Rebuild(ModelId),
    AnyModel,
}

/// Opens the ledger of an index folder, whose lock the caller holds.
pub(crate) fn open_ledger(dir: &Path, opening: &Opening) -> Result<(Ledger, State), StoreError> {
    let published = dir.join(MANIFEST_NAME).exists();
    let lost = published && !Ledger::exists(dir);
    let opened = if lost {
        Err(StoreError::ledger(&dir.join(LEDGER_NAME), "it is missing"))
    } else {
        Ledger::open(dir).and_then(|ledger| {
            let state = ledger.state()?;
            if let Some(state) = &state {
                check_not_behind(&ledger, state, readable_manifest(dir)?.as_ref())?;
            }
            Ok((ledger, state))
        })
    };
    let (ledger, state) = match (opened, opening) {
        (Err(StoreError::Corrupt { what, .. }), Opening::Rebuild(_)) => {
            tracing::warn!("the ledger is given up: {what}");
            discard_ledger(dir)?;
            let ledger = Ledger::open(dir)?;
            let state = ledger.state()?;
            (ledger, state)
        }
        (opened, _) => opened?,
    };
    let mut state = match (state, opening) {
        (Some(state), _) => state,
        // sled takes some damaged files for empty ones.
        (None, Opening::Continue(_) | Opening::AnyModel) if published => {
            return Err(StoreError::ledger(ledger.dir(), "it is empty"));
        }
        (None, Opening::Continue(model) | Opening::Rebuild(model)) => {
            // What was published before the ledger was lost stays until everything is embedded anew.
            let state = new_state(dir, model.clone(), published);
            write_state(&ledger, &state)?;
            return Ok((ledger, state));
        }
        (None, Opening::AnyModel) => return Err(StoreError::NotFound { dir: dir.to_owned() }),
    };
    let (model, rebuild) = match opening {
        Opening::AnyModel => return Ok((ledger, state)),
        Opening::Continue(model) => (model, false),
        Opening::Rebuild(model) => (model, true),
    };
    let is_same = state.model.is_same_model(model);
    let is_empty = || ledger.contents().next().transpose().map(|first| first.is_none());
    if !is_same && !rebuild && !is_empty()? {
        return Err(StoreError::Incompatible {
            dir: dir.to_owned(),
            found: state.model.to_string(),
            found_name: state.model.name.clone(),
            wanted: model.to_string(),
        });
    }
    let goes_on = is_same && (state.rebuilding || !rebuild);
    if !goes_on {
        state.rebuilding = !is_empty()?;
        state.epoch += 1;
        state.change += 1;
    }
    if !goes_on || state.model != *model {
        // The name is only a label, and the newest one is the one to show.
        state.model = model.clone();
        write_state(&ledger, &state)?;
    }
    Ok((ledger, state))
}

/// A ledger that has fallen behind what was published from it has lost what was durable: sled cuts off
/// what it cannot read of its log.
pub(crate) fn check_not_behind(
    ledger: &Ledger,
    state: &State,
    manifest: Option<&Manifest>,
) -> Result<(), StoreError> {
    match manifest {
        Some(manifest) if manifest.ledger == state.id && manifest.change > state.change => {
            let (had, has) = (manifest.change, state.change);
            let what = format!("{had} changes of it were published, it has only {has}");
            Err(StoreError::ledger(ledger.dir(), what))
        }
        _ => Ok(()),
    }
}

/// Sets a damaged ledger aside rather than deleting it: someone may want to look at it.
fn discard_ledger(dir: &Path) -> Result<(), StoreError> {
    let (from, to) = (dir.join(LEDGER_NAME), dir.join("ledger.damaged"));
    if !from.exists() {
        return Ok(());
    }
    if to.exists() {
        fs::remove_dir_all(&to).map_err(|e| StoreError::io(&to, e))?;
    }
    fs::rename(&from, &to).map_err(|e| StoreError::io(&from, e))
}

fn new_state(dir: &Path, model: ModelId, rebuilding: bool) -> State {
    // Not secret, only different from that of any other ledger in this place.
    let mut seed = blake3::Hasher::new();
    seed.update(&std::process::id().to_le_bytes());
    seed.update(&unix_now_s().to_le_bytes());
    seed.update(format!("{:?} {:?}", std::time::Instant::now(), dir).as_bytes());
    let id = seed.finalize().to_hex().chars().take(32).collect();
    State {
        format: FORMAT_VERSION,
        id,
        model,
        epoch: 1,
        rebuilding,
        change: 0,
        next_root: 1,
        generation: 0,
        vouched: None,
    }
}

fn write_state(ledger: &Ledger, state: &State) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    batch.put_state(state);
    ledger.apply(batch)?;
    ledger.sync()
}
