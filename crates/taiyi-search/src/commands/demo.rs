//! `demo`: the whole product in seconds and offline, with the model and the pictures inside the program.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use taiyi_model::{DEFAULT_MODEL, DEMO_MODEL};
use taiyi_store::{Snapshot, StoreError};

use crate::commands::query;
use crate::exit::{self, Exit};
use crate::flags::{DemoFlags, HitFormat, QueryFlags, SummaryFormat};
use crate::interrupt;
use crate::models::{self, Model};
use crate::output::text::{count, show_path};
use crate::own_index;
use crate::progress::duration;
use crate::settings::Settings;

mod collection;

/// What is asked when nothing is.
const PROMPTS: [&str; 4] = ["两只老虎", "三辆汽车", "雪地里的企鹅", "森林里的猫"];

pub(crate) fn run(settings: &Settings, flags: &DemoFlags) -> anyhow::Result<Exit> {
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
    collection::unpack(&photos, || remove_index(&settings.index_dir))?;
    let model = models::open(&settings)?;
    if !is_ready(&settings, &model)? {
        let cancel = interrupt::cancel_flag();
        let report = own_index::embed_folder(&settings, &model, &photos, &settings.index_dir, &cancel)?;
        if report.interrupted {
            return Ok(Exit::Interrupted);
        }
        for failed in &report.failed {
            exit::warn(&format!("{}: {}", show_path(&failed.path), failed.reason));
        }
        if tells {
            let pictures = count(report.added, "picture", "pictures");
            exit::note(&format!("{pictures} indexed in {}\n", duration(report.elapsed)));
        }
    }
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
    let exit = query::run(&settings, &query)?;
    if tells {
        exit::note("\nAsk it something else: taiyi-search demo 四只猫");
        if let Some(model) = taiyi_model::known_models().iter().find(|model| model.name == DEFAULT_MODEL) {
            exit::note(&format!(
                "For your own photos get the real model: {}. Then: taiyi-search index ./photos",
                taiyi_model::how_to_get(model, &settings.models_dir)
            ));
        }
    }
    Ok(exit)
}

/// Whether the index holds the whole collection. One that never can is removed.
fn is_ready(settings: &Settings, model: &Model) -> anyhow::Result<bool> {
    match Snapshot::open(&settings.index_dir) {
        Ok(snapshot) if snapshot.model().is_same_model(&model.id) => {
            Ok(snapshot.location_count() == collection::len())
        }
        Err(StoreError::NotFound { .. } | StoreError::NotPublished { .. }) => Ok(false),
        // Of another version of this program, or damaged: it is only a cache.
        Ok(_) | Err(_) => {
            remove_index(&settings.index_dir)?;
            Ok(false)
        }
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
