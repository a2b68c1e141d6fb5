//! From a model's name or folder to the model itself, and the check that it is the index's own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use taiyi_core::ModelId;
use taiyi_model::{DEFAULT_MODEL, ModelFolder};

use crate::settings::Settings;

/// A model folder and what it is.
pub(crate) struct Model {
    pub(crate) folder: ModelFolder,
    pub(crate) id: ModelId,
}

/// The model asked for, or else the default one.
pub(crate) fn open(settings: &Settings) -> anyhow::Result<Model> {
    let asked = settings.model.as_deref().unwrap_or(DEFAULT_MODEL);
    let (name, dir) = taiyi_model::resolve(asked, &settings.models_dir)?;
    open_folder(settings, &name, &dir)
}

/// The model that an index was built with, wherever it lies now.
pub(crate) fn open_for_index(settings: &Settings, of_index: &ModelId) -> anyhow::Result<Model> {
    let (name, dir) = match (&settings.model, remembered(settings, of_index)) {
        (Some(asked), _) => taiyi_model::resolve(asked, &settings.models_dir)?,
        (None, Some(dir)) => (of_index.name.clone(), dir),
        (None, None) => taiyi_model::resolve(&of_index.name, &settings.models_dir).with_context(|| {
            format!("the index was built with {of_index}: say where it lies now with --model DIR")
        })?,
    };
    let mut model = open_folder(settings, &name, &dir)?;
    if !model.id.is_same_model(of_index) {
        bail!(
            "the index in {} was built with {of_index}, but {} holds {}: pass the right --model, or index \
             again with --rebuild",
            settings.index_dir.display(),
            model.folder.dir().display(),
            model.id
        );
    }
    // Whatever its folder is called now, it is the index's model.
    model.id.name.clone_from(&of_index.name);
    remember(settings, &model);
    Ok(model)
}

fn open_folder(settings: &Settings, name: &str, dir: &Path) -> anyhow::Result<Model> {
    let folder = ModelFolder::open(dir)?;
    let id = folder.id(name, Some(&settings.cache_dir))?;
    Ok(Model { folder, id })
}

/// Notes where a model lies, so that a query need not be told. Only a convenience: it may fail.
pub(crate) fn remember(settings: &Settings, model: &Model) {
    let Ok(dir) = model.folder.dir().canonicalize() else { return };
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
    let digits: String = id.weights.chars().filter(char::is_ascii_hexdigit).collect();
    settings.data_dir.join("model-folders").join(digits)
}
