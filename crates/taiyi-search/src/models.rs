//! From a model's name or folder to the model itself, and the check that it is the index's own.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use taiyi_core::{ModelId, Precision};
use taiyi_model::{
    DEFAULT_MODEL, DEMO_MODEL, KnownModel, ModelError, ModelFolder, ModelPlace, how_to_bring, known_model,
};
use taiyi_store::{Snapshot, StoreError};

use crate::fetching;
use crate::logging;
use crate::settings::Settings;

/// A model folder and what it is.
pub(crate) struct Model {
    pub(crate) folder: ModelFolder,
    pub(crate) id: ModelId,
}

/// The model asked for, or else the default one.
pub(crate) fn open(settings: &Settings) -> anyhow::Result<Model> {
    let asked = settings.model.as_deref().unwrap_or(DEFAULT_MODEL);
    let (name, place) = resolve(settings, asked)?;
    open_place(settings, &name, &place, settings.precision.unwrap_or_default())
}

/// The model asked for, else the index's own, else the default one; in the precision asked for, if one was.
pub(crate) fn open_asked_or_of_index(settings: &Settings) -> anyhow::Result<Model> {
    if settings.model.is_some() {
        return open(settings);
    }
    match Snapshot::open(&settings.index_dir) {
        Ok(snapshot) => open_for_rebuild(settings, snapshot.model()),
        Err(StoreError::NotFound { .. } | StoreError::NotPublished { .. }) => open(settings),
        Err(e) => Err(e.into()),
    }
}

/// The model to embed an index anew with: what was asked for, and else as it was.
pub(crate) fn open_for_rebuild(settings: &Settings, of_index: &ModelId) -> anyhow::Result<Model> {
    if settings.model.is_some() {
        return open(settings);
    }
    let precision = settings.precision.unwrap_or(of_index.precision());
    open_for_index(settings, &of_index.clone().at(precision))
}

/// The model that an index was built with, wherever it lies now, in the precision that it was built with.
pub(crate) fn open_for_index(settings: &Settings, of_index: &ModelId) -> anyhow::Result<Model> {
    let precision = of_index.precision();
    if let Some(asked) = settings.precision
        && asked != precision
    {
        bail!(
            "the index in {} was built with {of_index}, whose vectors are those of --precision {precision}, not \
             {asked}: pass --precision {precision} or nothing, or index again with --rebuild --precision {asked}",
            settings.index_dir.display()
        );
    }
    let asked = settings.model.as_deref();
    // A folder that holds or held the same weights must not stand before the model that is always here.
    if asked.is_none() && of_index.name == DEMO_MODEL {
        let built_in = open_place(settings, DEMO_MODEL, &ModelPlace::BuiltIn, precision)?;
        if built_in.id.is_same_model(of_index) {
            return Ok(built_in);
        }
    }
    let (name, place) = match asked {
        Some(asked) => resolve(settings, asked)?,
        None => match open_remembered(settings, of_index) {
            Some(Ok(model)) => return Ok(model),
            // It may have moved since, to where its name says.
            found => resolve(settings, &of_index.name)
                .map_err(|error| match found {
                    // Of a published model, what to type helps more than what has become of its folder.
                    Some(Err(gone)) if !matches!(error.downcast_ref(), Some(ModelError::NotHere { .. })) => {
                        gone
                    }
                    _ => error,
                })
                .with_context(|| {
                    format!("the index was built with {of_index}: say where it lies now with --model DIR")
                })?,
        },
    };
    let mut model = open_place(settings, &name, &place, precision)?;
    if !model.id.is_same_model(of_index) {
        bail!(
            "the index in {} was built with {of_index}, but {place} holds {}: pass the right --model, or index \
             again with --rebuild",
            settings.index_dir.display(),
            model.id
        );
    }
    // Whatever its folder is called now, it is the index's model.
    model.id.name.clone_from(&of_index.name);
    remember(settings, &model);
    Ok(model)
}

/// The index's model in the folder where it was the last time, if that is known.
fn open_remembered(settings: &Settings, of_index: &ModelId) -> Option<anyhow::Result<Model>> {
    let place = ModelPlace::Folder(remembered(settings, of_index)?);
    Some(open_place(settings, &of_index.name, &place, of_index.precision()).and_then(|model| {
        if !model.id.is_same_model(of_index) {
            bail!("{place} holds {} now", model.id);
        }
        Ok(model)
    }))
}

/// Finds a model; one that is known and not here is offered to be fetched.
fn resolve(settings: &Settings, asked: &str) -> anyhow::Result<(String, ModelPlace)> {
    match locate(settings, asked) {
        Err(ModelError::NotHere { name, .. }) if fetching::offer(settings, name)? => {
            Ok(locate(settings, asked)?)
        }
        found => Ok(found?),
    }
}

/// Finds a model. How to get one that is not here is said by what these settings allow.
pub(crate) fn locate(settings: &Settings, asked: &str) -> Result<(String, ModelPlace), ModelError> {
    taiyi_model::resolve(asked, &settings.homes).map_err(|error| match error {
        ModelError::NotHere { name, how_to_get } => {
            let how_to_get = known_model(name).map_or(how_to_get, |known| self::how_to_get(settings, known));
            ModelError::NotHere { name, how_to_get }
        }
        other => other,
    })
}

/// What to type for a published model that is not here.
pub(crate) fn how_to_get(settings: &Settings, known: &KnownModel) -> String {
    if settings.hub.is_offline { how_to_bring(known) } else { taiyi_model::how_to_get(known) }
}

pub(crate) fn open_place(
    settings: &Settings,
    name: &str,
    place: &ModelPlace,
    precision: Precision,
) -> anyhow::Result<Model> {
    let folder = ModelFolder::open_place(place)?
        .at(precision, Some(&settings.cache_dir))
        .telling(|tower| logging::tell(&format!("bringing the {tower} tower's weights to 8 bits, once …")));
    let id = folder.id(name, Some(&settings.cache_dir))?;
    Ok(Model { folder, id })
}

/// Notes where a model lies, so that a query need not be told. Only a convenience: it may fail.
pub(crate) fn remember(settings: &Settings, model: &Model) {
    let ModelPlace::Folder(dir) = model.folder.place() else { return };
    let Ok(dir) = dir.canonicalize() else { return };
    if remembered(settings, &model.id).as_ref() == Some(&dir) {
        return;
    }
    let note = note(settings, &model.id);
    let written = note.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| match dir.to_str() {
        Some(dir) => fs::write(&note, dir),
        None => Ok(()),
    });
    if let Err(e) = written {
        tracing::debug!("cannot note the model's folder in {}: {e}", note.display());
    }
}

fn remembered(settings: &Settings, id: &ModelId) -> Option<PathBuf> {
    let dir = PathBuf::from(fs::read_to_string(note(settings, id)).ok()?);
    dir.is_dir().then_some(dir)
}

fn note(settings: &Settings, id: &ModelId) -> PathBuf {
    // The hash comes from an index's manifest: nothing else than its digits may name a file.
    let digits: String = id.hash().chars().filter(char::is_ascii_hexdigit).collect();
    settings.data_dir.join("model-folders").join(digits)
}
