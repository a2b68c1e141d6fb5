//! `demo`: the whole product in seconds and offline, with the model and the pictures inside the program.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, IsTerminal as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use taiyi_indexer::absolute_even_if_gone;
use taiyi_model::{DEFAULT_MODEL, DEMO_MODEL};
use taiyi_store::{Snapshot, StoreError};

use crate::commands::{query, tui};
use crate::exit::{self, Exit};
use crate::flags::{DemoFlags, HitFormat, QueryFlags, SummaryFormat, TuiFlags};
use crate::interrupt;
use crate::models::{self, Model};
use crate::output::text::{count, show_path};
use crate::own_index;
use crate::progress::duration;
use crate::settings::Settings;

mod collection;

/// What is asked when nothing is.
const PROMPTS: [&str; 4] = ["两只老虎", "三辆汽车", "雪地里的企鹅", "森林里的猫"];

/// What the interface says while there is nothing else to say.
const HINT: &str = "the demo knows drawn scenes of emoji only: 三辆汽车, 雪地里的企鹅, 森林里的猫 …";

pub(crate) fn run(settings: &Settings, flags: &DemoFlags) -> anyhow::Result<Exit> {
    // Before the pictures are embedded, not after it.
    if flags.k == 0 {
        bail!("-k 0 asks for nothing: give a number from 1");
    }
    let dir = settings.cache_dir.join("demo");
    let photos = dir.join("photos");
    // Whatever is set for the user's own pictures, the demo is always the same.
    let settings = Settings {
        index_dir: dir.join("index"),
        model: Some(DEMO_MODEL.to_owned()),
        exclude: Vec::new(),
        hidden: false,
        follow_links: false,
        max_megapixels: 200,
        ..settings.clone()
    };
    let tells = flags.format == SummaryFormat::Text && !settings.is_quiet();
    if tells {
        exit::note(
            "The demo model is part of this program and only knows drawn scenes of emoji: one to four things of \
             one or two kinds, at one of ten places. What it says of photographs means nothing.",
        );
    }
    let model = models::open(&settings)?;
    if !is_ready(&settings, &model, &photos) {
        let _turn = wait_for_turn(&dir, tells)?;
        // Whoever had the turn before may have done it all.
        if !is_ready(&settings, &model, &photos)
            && let Some(exit) = prepare(&settings, &model, &photos, tells)?
        {
            return Ok(exit);
        }
    }
    let exit = if is_interactive(flags) {
        tui::open(&settings, &TuiFlags::default(), Some(HINT))?
    } else {
        print_answers(&settings, flags)?
    };
    if tells && exit != Exit::Failure {
        exit::note("\nAsk it something else: taiyi-search demo 四只猫");
        if let Some(model) = taiyi_model::known_models().iter().find(|model| model.name == DEFAULT_MODEL) {
            exit::note(&format!(
                "For your own photos get the real model: {}. Then: taiyi-search index ./photos",
                taiyi_model::how_to_get(model)
            ));
        }
    }
    Ok(exit)
}

/// Whether somebody is there who would rather ask than be told.
fn is_interactive(flags: &DemoFlags) -> bool {
    let is_terminal = tui::has_terminal() && std::io::stdout().is_terminal();
    flags.prompts.is_empty() && flags.format == SummaryFormat::Text && is_terminal
}

fn print_answers(settings: &Settings, flags: &DemoFlags) -> anyhow::Result<Exit> {
    let prompts = match &flags.prompts {
        none if none.is_empty() => PROMPTS.map(str::to_owned).to_vec(),
        own => own.clone(),
    };
    let query = QueryFlags {
        prompts,
        k: flags.k,
        format: Some(match flags.format {
            SummaryFormat::Text => HitFormat::Table,
            SummaryFormat::Json => HitFormat::Json,
        }),
        ..QueryFlags::default()
    };
    query::run(settings, &query)
}

/// Lets only one process at a time write into the demo's folder, for as long as the result lives.
fn wait_for_turn(dir: &Path, tells: bool) -> anyhow::Result<File> {
    let path = dir.join("LOCK");
    let failed = || format!("cannot write to {}", show_path(dir));
    fs::create_dir_all(dir).with_context(failed)?;
    let turn = own_index::lock_file(&path).with_context(failed)?;
    let locked = match turn.try_lock() {
        Err(TryLockError::WouldBlock) => {
            if tells {
                exit::note("Another demo is getting the pictures ready: waiting for it.");
            }
            turn.lock()
        }
        Err(TryLockError::Error(e)) => Err(e),
        Ok(()) => Ok(()),
    };
    if let Err(e) = locked {
        // Some file systems know no locks. One demo alone does as well.
        tracing::debug!("cannot lock {}: {e}", path.display());
    }
    Ok(turn)
}

/// Writes the pictures and embeds them; `Some` when that was stopped.
fn prepare(settings: &Settings, model: &Model, photos: &Path, tells: bool) -> anyhow::Result<Option<Exit>> {
    if state_of_index(settings, model, photos) == IndexState::Useless {
        remove_index(&settings.index_dir)?;
    }
    collection::unpack(photos, || remove_index(&settings.index_dir))?;
    let cancel = interrupt::cancel_flag();
    let report = own_index::embed_folder(settings, model, photos, &settings.index_dir, &cancel, |_| ())?;
    if report.interrupted {
        return Ok(Some(Exit::Interrupted));
    }
    for failed in &report.failed {
        exit::warn(&format!("{}: {}", show_path(&failed.path), failed.reason));
    }
    if tells {
        let pictures = count(report.added, "picture", "pictures");
        exit::note(&format!("{pictures} indexed in {}\n", duration(report.elapsed)));
    }
    Ok(None)
}

/// Whether nothing has to be written any more.
fn is_ready(settings: &Settings, model: &Model, photos: &Path) -> bool {
    collection::is_unpacked(photos) && state_of_index(settings, model, photos) == IndexState::Whole
}

#[derive(PartialEq, Eq)]
enum IndexState {
    /// All of the collection is in it.
    Whole,
    /// Not there, or begun by a run that was stopped.
    Begun,
    /// Of another version of this program, damaged, or moved with its folder: it is only a cache.
    Useless,
}

fn state_of_index(settings: &Settings, model: &Model, photos: &Path) -> IndexState {
    match Snapshot::open(&settings.index_dir) {
        Ok(snapshot) => {
            let place = absolute_even_if_gone(photos);
            let is_ours = snapshot.model().is_same_model(&model.id)
                && snapshot.roots().iter().all(|root| root.path == place);
            match snapshot.location_count() {
                _ if !is_ours => IndexState::Useless,
                all if all == collection::len() => IndexState::Whole,
                _ => IndexState::Begun,
            }
        }
        Err(StoreError::NotFound { .. } | StoreError::NotPublished { .. }) => IndexState::Begun,
        Err(_) => IndexState::Useless,
    }
}

fn remove_index(dir: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove the old index of the demo in {}", dir.display()))
        }
        _ => Ok(()),
    }
}
