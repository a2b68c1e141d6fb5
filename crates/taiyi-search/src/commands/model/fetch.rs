//! `model fetch`: a published model into the cache shared with Python, or into a folder to carry away.

use std::path::Path;

use anyhow::bail;
use taiyi_model::hub::{HubError, HubOptions, fetch_to};
use taiyi_model::{DEMO_MODEL, KnownModel, known_model, known_models};

use super::show_place;
use crate::exit::{self, Exit};
use crate::fetching::{self, FetchReporter};
use crate::flags::FetchFlags;
use crate::interrupt;
use crate::output::text::show_path;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, flags: &FetchFlags) -> anyhow::Result<Exit> {
    let Some(model) = known_model(&flags.name) else {
        if flags.name == DEMO_MODEL {
            bail!("the demo model is part of the program: there is nothing to fetch");
        }
        let names: Vec<_> = known_models().iter().map(|model| model.name).collect();
        bail!("no published model is called {:?}: choose one of {}", flags.name, names.join(", "));
    };
    let mut options = settings.hub.clone();
    if let Some(mirror) = &flags.mirror {
        options.endpoint.clone_from(mirror);
    }
    if let Some(dir) = &flags.to {
        return into_folder(settings, model, &options, dir);
    }
    let own = settings.homes.models_dir.join(model.name);
    if own.is_dir() {
        exit::warn(&format!("{} stands before the cache, and is used as {}", show_path(&own), model.name));
    }
    let was_here = model.place_in_cache(&options.cache_dir).is_some();
    let Some(place) = fetching::run(settings, model, &options)? else { return Ok(Exit::Interrupted) };
    if !settings.is_quiet() {
        let done = if was_here { "was here already" } else { "is here" };
        exit::note(&format!("{} {done}: {}", model.name, show_place(Some(&place))));
    }
    Ok(Exit::Success)
}

fn into_folder(
    settings: &Settings,
    model: &KnownModel,
    options: &HubOptions,
    dir: &Path,
) -> anyhow::Result<Exit> {
    let reporter = FetchReporter::new(settings, "asking the hub");
    let cancel = interrupt::cancel_flag_saying("stopping; what has been fetched stays");
    let fetched = fetch_to(model, dir, options, &reporter, &cancel);
    reporter.finish();
    match fetched {
        Ok(()) => {}
        Err(HubError::Cancelled) => {
            exit::warn("stopped; the same command goes on from here");
            return Ok(Exit::Interrupted);
        }
        Err(e) => return Err(e.into()),
    }
    if !settings.is_quiet() {
        exit::note(&format!(
            "{0} is in {1}; on the other machine: taiyi-search model import DIR --as {0}",
            model.name,
            show_path(dir)
        ));
    }
    Ok(Exit::Success)
}
