//! Which models there are, and how much of each is here.

use std::fs;
use std::path::Path;

use crate::family::{KnownModel, ModelHomes, ModelPlace, known_model, known_models, resolve};
use crate::hub::RepositoryCache;
use crate::{DEMO_MODEL, ModelFolder};

/// How a model stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// What is published under it, unless it is a name of the user's own.
    pub known: Option<&'static KnownModel>,
    /// Where it lies, if all of it is here.
    pub place: Option<ModelPlace>,
    /// Components of an embedding, where that is known.
    pub dimension: Option<usize>,
    /// Bytes of its files that are here, those of an interrupted fetch included.
    pub bytes: u64,
}

/// Every model that has a name: the built-in one, the published ones, and the user's own.
#[must_use]
pub fn inventory(homes: &ModelHomes) -> Vec<Standing> {
    let mut names = vec![DEMO_MODEL.to_owned()];
    names.extend(known_models().iter().map(|model| model.name.to_owned()));
    let entries = fs::read_dir(&homes.models_dir).into_iter().flatten().flatten();
    let mut own: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !names.contains(name))
        .collect();
    own.sort();
    names.extend(own);
    names.iter().map(|name| standing(name, homes)).collect()
}

/// How the model of this name stands.
#[must_use]
pub fn standing(name: &str, homes: &ModelHomes) -> Standing {
    let known = known_model(name);
    let place = resolve(name, homes).ok().map(|(_, place)| place);
    // Only the tables are read, and of a published model not even they.
    let dimension = known.map(|model| model.dimension).or_else(|| {
        place.as_ref().and_then(|place| ModelFolder::open_place(place).ok()).map(|folder| folder.dimension())
    });
    let bytes = match &place {
        Some(ModelPlace::BuiltIn) => 0,
        Some(ModelPlace::Folder(dir)) => bytes_below(dir),
        Some(ModelPlace::Towers { .. }) | None => known.map_or(0, |model| bytes_in_cache(model, homes)),
    };
    Standing { name: name.to_owned(), known, place, dimension, bytes }
}

/// What the cache has of a model, in whole files and in parts.
fn bytes_in_cache(model: &KnownModel, homes: &ModelHomes) -> u64 {
    let length = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let of_part = |(repository, part)| {
        let cache = RepositoryCache::new(&homes.hub_cache_dir, repository);
        let snapshot = cache.complete_snapshot(part).or_else(|| cache.snapshot_dirs().into_iter().next());
        let files = snapshot.map(|snapshot| cache.files(&snapshot, part)).unwrap_or_default();
        let parts = cache.parts().iter().map(|path| length(path)).sum::<u64>();
        files.iter().map(|file| file.bytes).sum::<u64>() + parts
    };
    model.parts().into_iter().map(of_part).sum()
}

/// Files in a model folder: its own, and those in `text/` and `image/`.
fn bytes_below(dir: &Path) -> u64 {
    let files_of = |dir: &Path| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        // What a link leads to counts: a snapshot of the cache is made of links.
        let files = entries.filter_map(|entry| fs::metadata(entry.path()).ok()).filter(|m| m.is_file());
        files.map(|metadata| metadata.len()).sum::<u64>()
    };
    files_of(dir) + files_of(&dir.join("text")) + files_of(&dir.join("image"))
}
