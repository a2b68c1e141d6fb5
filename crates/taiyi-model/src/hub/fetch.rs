//! A known model from the hub: into the shared cache, or into a plain folder that can be carried elsewhere.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::cache::{RepositoryCache, make_dir};
use super::download::{Tally, download, present_bytes};
use super::http::Client;
use super::remote::{Remote, look_up};
use super::target::TargetFolder;
use super::wanted::Part;
use super::{FetchEvent, FetchProgress, FileHash, HubError, HubOptions, check_space};
use crate::library::{Record, copy_file};
use crate::{KnownModel, ModelFolder, ModelPlace};

/// Makes sure that `model` is in the cache, and says where. What is there is used as it is, without asking the hub.
///
/// # Errors
/// When the hub cannot be reached, refuses, lacks files or sends wrong ones; when the disk is full; when `cancel` was
/// set. What has come stays, so that the next call goes on from there.
pub fn fetch(
    model: &KnownModel,
    options: &HubOptions,
    progress: &dyn FetchProgress,
    cancel: &AtomicBool,
) -> Result<ModelPlace, HubError> {
    if let Some(place) = model.place_in_cache(&options.cache_dir) {
        return Ok(place);
    }
    let client = Client::new(options, progress, cancel)?;
    let parts = model.parts();
    let missing: Vec<_> = parts
        .iter()
        .copied()
        .filter(|(name, part)| {
            RepositoryCache::new(&options.cache_dir, name).complete_snapshot(*part).is_none()
        })
        .collect();
    let remotes = look_up_parts(&client, options, model, &missing)?;
    let kept = parts.iter().map(|(name, _)| RepositoryCache::new(&options.cache_dir, name).keep(cancel));
    let _kept = kept.collect::<Result<Vec<_>, _>>()?;
    bring(&client, &options.cache_dir, &remotes)?;
    link(&options.cache_dir, &remotes)?;
    model.place_in_cache(&options.cache_dir).ok_or_else(|| {
        HubError::server(model.name, "its files were removed while they were fetched: fetch again")
    })
}

/// Makes `dir` a model folder with all files of `model`, taken from the cache as far as they are there.
///
/// # Errors
/// As [`fetch`]; also when `dir` holds something else or the beginning of another model, and while another process
/// fetches into it.
pub fn fetch_to(
    model: &KnownModel,
    dir: &Path,
    options: &HubOptions,
    progress: &dyn FetchProgress,
    cancel: &AtomicBool,
) -> Result<(), HubError> {
    TargetFolder::check(dir, model.name)?;
    let client = Client::new(options, progress, cancel)?;
    let parts = model.parts();
    // A cache that cannot be written, and so has no locks, is read as it is.
    let here = parts.iter().map(|(name, _)| RepositoryCache::new(&options.cache_dir, name));
    let _kept: Vec<_> =
        here.filter(|cache| cache.dir().is_dir()).filter_map(|cache| cache.keep(cancel).ok()).collect();
    let in_cache = |(name, part): &(&str, Part)| {
        let cache = RepositoryCache::new(&options.cache_dir, name);
        cache.complete_snapshot(*part).map(|snapshot| (cache, snapshot))
    };
    let missing: Vec<_> = parts.iter().copied().filter(|part| in_cache(part).is_none()).collect();
    let remotes = look_up_parts(&client, options, model, &missing)?;
    // Not before it is known what goes there.
    let target_folder = TargetFolder::begin(dir, model.name)?;
    let work = target_folder.work();
    take_back(dir, work, &remotes, &missing);
    bring(&client, work, &remotes)?;

    let mut record = Record::new(model.name);
    for (name, part) in &parts {
        let below = folder_of(*part);
        make_dir(&dir.join(below))?;
        if let Some(remote) = remotes.iter().find(|remote| remote.repository == *name) {
            let cache = RepositoryCache::new(work, name);
            for file in &remote.files {
                let (blob, target) = (cache.blob(&file.hash), dir.join(below).join(file.name));
                fs::rename(&blob, &target).map_err(|error| HubError::io(&target, error))?;
                record.add(&below.join(file.name), file.bytes, &file.hash);
            }
        } else if let Some((cache, snapshot)) = in_cache(&(*name, *part)) {
            let files = cache.files(&snapshot, *part);
            check_space(dir, files.iter().map(|file| file.bytes).sum())?;
            for file in files {
                let file_name = file.path.file_name().unwrap_or_default();
                let target = dir.join(below).join(file_name);
                // Under its own name only when it is known to be right.
                let draft = work.join(file_name);
                let hash = copy_file(&file.path, &draft, cancel)?;
                if let Some(expected) = RepositoryCache::recorded_hash(&file) {
                    check_copy(&draft, &file.path, &expected, model.name, cancel).inspect_err(|_| {
                        let _ = fs::remove_file(&draft);
                    })?;
                }
                fs::rename(&draft, &target).map_err(|error| HubError::io(&target, error))?;
                record.add(&below.join(file_name), file.bytes, &hash);
            }
        }
    }
    ModelFolder::open(dir)?;
    record.write(dir)?;
    target_folder.finish()
}

/// Says so when what was copied out of the cache is not what was once fetched.
fn check_copy(
    copy: &Path,
    original: &Path,
    expected: &FileHash,
    name: &str,
    cancel: &AtomicBool,
) -> Result<(), HubError> {
    let actual = expected.of_same_kind(copy, cancel).map_err(|error| HubError::io(copy, error))?;
    let actual = actual.ok_or(HubError::Cancelled)?;
    if actual == *expected {
        return Ok(());
    }
    Err(HubError::Server {
        what: original.display().to_string(),
        problem: format!(
            "the file in the cache is damaged (hash {actual} instead of {expected}): `taiyi-search model remove \
             {name}`, and fetch again"
        ),
    })
}

/// Where a part lies in a model folder.
fn folder_of(part: Part) -> &'static Path {
    Path::new(match part {
        Part::Text => "text",
        Part::Image => "image",
        Part::Both => "",
    })
}

/// An earlier run may have been ended while it put files into place: they become parts again, which are checked and
/// completed like any other.
fn take_back(dir: &Path, work: &Path, remotes: &[Remote], parts: &[(&'static str, Part)]) {
    for (name, part) in parts {
        let cache = RepositoryCache::new(work, name);
        let files =
            remotes.iter().filter(|remote| remote.repository == *name).flat_map(|remote| &remote.files);
        for file in files {
            let placed = dir.join(folder_of(*part)).join(file.name);
            if placed.is_file() && fs::create_dir_all(cache.blobs()).is_ok() {
                let _ = fs::rename(&placed, cache.part(&file.hash));
            }
        }
    }
}

fn look_up_parts(
    client: &Client<'_>,
    options: &HubOptions,
    model: &KnownModel,
    parts: &[(&'static str, Part)],
) -> Result<Vec<Remote>, HubError> {
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    if options.is_offline {
        return Err(HubError::Offline {
            model: model.name.to_owned(),
            repositories: parts.iter().map(|(name, _)| (*name).to_owned()).collect(),
            cache_dir: options.cache_dir.clone(),
        });
    }
    parts.iter().map(|(name, part)| look_up(client, name, *part)).collect()
}

/// Brings the files' blobs into the cache at `cache_dir`.
fn bring(client: &Client<'_>, cache_dir: &Path, remotes: &[Remote]) -> Result<(), HubError> {
    make_dir(cache_dir)?;
    let all = || {
        remotes.iter().flat_map(|remote| {
            let cache = RepositoryCache::new(cache_dir, &remote.repository);
            remote.files.iter().map(move |file| (cache.clone(), remote, file))
        })
    };
    let bytes = all().map(|(_, _, file)| file.bytes).sum::<u64>();
    let present = all().map(|(cache, _, file)| present_bytes(&cache, file)).sum::<u64>();
    check_space(cache_dir, bytes.saturating_sub(present))?;
    client.progress().event(FetchEvent::Planned { files: all().count(), bytes, present_bytes: present });
    let mut tally = Tally { client, done: 0 };
    for (cache, remote, file) in all() {
        client.check_cancelled()?;
        download(&tally, &cache, remote, file)?;
        tally.done += file.bytes;
        client.progress().event(FetchEvent::Bytes { done: tally.done });
    }
    Ok(())
}

/// Makes snapshots of what was brought, the weights last, so that none is ever taken for complete too early.
fn link(cache_dir: &Path, remotes: &[Remote]) -> Result<(), HubError> {
    for remote in remotes {
        let cache = RepositoryCache::new(cache_dir, &remote.repository);
        for file in &remote.files {
            cache.link(&remote.commit, file.name, &file.hash)?;
        }
        cache.set_main(&remote.commit)?;
    }
    Ok(())
}
