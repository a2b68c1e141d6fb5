//! The cache that is shared with Python's `huggingface_hub`: `models--OWNER--NAME/{blobs,refs,snapshots}`.
//!
//! A blob is a file named after its hash; a snapshot is a commit's folder of links to blobs. A file appears in a
//! snapshot only when its blob is whole.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::lock::{Hold, try_hold, wait_for};
use super::wanted::{Part, Wanted};
use super::{FileHash, HubError};
use crate::files::{read_small, replace_file};

/// Appended to a blob's name while it is under way. Python's own `.incomplete` is left alone: its current versions
/// give every process a name of its own and never take a part up again.
const PART_SUFFIX: &str = ".taiyi-part";

/// Held together by all who fetch into a repository, and alone by who removes something of it.
const USE_LOCK: &str = "taiyi-search.lock";

/// One repository in the cache, whether it is there or not.
#[derive(Clone, Debug)]
pub(crate) struct RepositoryCache {
    cache_dir: PathBuf,
    folder: String,
}

/// A file of a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct CachedFile {
    /// In the snapshot.
    pub(crate) path: PathBuf,
    /// The blob that it links to, if it is a link into the repository's blobs.
    pub(crate) blob: Option<PathBuf>,
    pub(crate) bytes: u64,
}

impl RepositoryCache {
    pub(crate) fn new(cache_dir: &Path, repository: &str) -> Self {
        let folder = format!("models--{}", repository.replace('/', "--"));
        Self { cache_dir: cache_dir.to_owned(), folder }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.cache_dir.join(&self.folder)
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.dir().join("blobs")
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.dir().join("snapshots")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.cache_dir.join(".locks").join(&self.folder)
    }

    pub(super) fn blob(&self, hash: &FileHash) -> PathBuf {
        self.blobs().join(hash.digits())
    }

    pub(super) fn part(&self, hash: &FileHash) -> PathBuf {
        self.blobs().join(format!("{hash}{PART_SUFFIX}"))
    }

    /// Files that an interrupted fetch has left.
    pub(crate) fn parts(&self) -> Vec<PathBuf> {
        let is_part = |path: &PathBuf| path.to_string_lossy().ends_with(PART_SUFFIX);
        let entries = fs::read_dir(self.blobs()).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(is_part).collect()
    }

    /// Folders of commits, that of `refs/main` first, then the latest.
    pub(crate) fn snapshot_dirs(&self) -> Vec<PathBuf> {
        let main = read_small(&self.dir().join("refs").join("main")).unwrap_or_default();
        let entries = fs::read_dir(self.snapshots()).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .filter(|entry| is_commit(&entry.file_name().to_string_lossy()))
            .map(|entry| {
                let is_main = entry.file_name().as_encoded_bytes() == main.trim_ascii();
                let modified = entry.metadata().and_then(|metadata| metadata.modified()).ok();
                (is_main, modified, entry.path())
            })
            .collect();
        found.sort();
        found.into_iter().rev().map(|(_, _, path)| path).collect()
    }

    /// A snapshot that has every file that `part` needs.
    pub(crate) fn complete_snapshot(&self, part: Part) -> Option<PathBuf> {
        self.snapshot_dirs().into_iter().find(|dir| {
            part.wanted().iter().all(|wanted| wanted.is_optional || file_of(dir, *wanted).is_some())
        })
    }

    /// The files of a snapshot that `part` needs.
    pub(crate) fn files(&self, snapshot: &Path, part: Part) -> Vec<CachedFile> {
        part.wanted().iter().filter_map(|wanted| self.file(file_of(snapshot, *wanted)?)).collect()
    }

    /// The same, under every name that each may have: of weights in two formats, both.
    pub(crate) fn files_by_any_name(&self, snapshot: &Path, part: Part) -> Vec<CachedFile> {
        let names = part.wanted().iter().flat_map(|wanted| wanted.names);
        names.filter_map(|name| self.file(snapshot.join(name))).collect()
    }

    pub(crate) fn file(&self, path: PathBuf) -> Option<CachedFile> {
        let bytes = fs::metadata(&path).ok()?.len();
        let blob = path.canonicalize().ok().filter(|target| {
            let blobs = self.blobs().canonicalize();
            path.is_symlink() && blobs.is_ok_and(|blobs| target.parent() == Some(&blobs))
        });
        Some(CachedFile { path, blob, bytes })
    }

    /// The hash by which a file was fetched: its blob's name.
    pub(crate) fn recorded_hash(file: &CachedFile) -> Option<FileHash> {
        FileHash::parse(file.blob.as_ref()?.file_name()?.to_str()?)
    }

    /// Lets one process at a time fetch a blob, as Python does by the same lock. `waiting` is called once if
    /// another one is at it.
    pub(super) fn lock(
        &self,
        hash: &FileHash,
        cancel: &AtomicBool,
        waiting: &dyn Fn(),
    ) -> Result<File, HubError> {
        wait_for(&self.locks().join(format!("{hash}.lock")), Hold::Alone, cancel, waiting)
    }

    /// Keeps others from removing anything until it is dropped.
    pub(super) fn keep(&self, cancel: &AtomicBool) -> Result<File, HubError> {
        wait_for(&self.locks().join(USE_LOCK), Hold::Together, cancel, &|| {})
    }

    /// Keeps others, Python's among them, from fetching anything until all are dropped; nothing while one is at it.
    pub(crate) fn take_over(&self) -> Result<Option<Vec<File>>, HubError> {
        let Some(ours) = try_hold(&self.locks().join(USE_LOCK), Hold::Alone)? else { return Ok(None) };
        let mut held = vec![ours];
        for entry in fs::read_dir(self.locks()).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.file_name().is_none_or(|name| name == USE_LOCK)
                || path.extension().is_none_or(|kind| kind != "lock")
            {
                continue;
            }
            match try_hold(&path, Hold::Alone)? {
                Some(lock) => held.push(lock),
                None => return Ok(None),
            }
        }
        Ok(Some(held))
    }

    /// Makes `name` of `commit` mean the blob.
    pub(super) fn link(&self, commit: &str, name: &str, hash: &FileHash) -> Result<(), HubError> {
        self.link_by(commit, name, hash, |target, blob, path| {
            symlink(target, path).or_else(|error| {
                if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { fs::hard_link(blob, path) }
            })
        })
    }

    /// As [`link`](Self::link), with `make_link` to try first: it is given where a symbolic link would lead, the blob, and
    /// the link.
    fn link_by(
        &self,
        commit: &str,
        name: &str,
        hash: &FileHash,
        make_link: impl FnOnce(&Path, &Path, &Path) -> io::Result<()>,
    ) -> Result<(), HubError> {
        let dir = self.snapshots().join(commit);
        make_dir(&dir)?;
        let path = dir.join(name);
        let blob = self.blob(hash);
        // A link to another blob, or one that leads nowhere, is replaced.
        match fs::symlink_metadata(&path) {
            Ok(_) if is_same_file(&path, &blob) => return Ok(()),
            Ok(_) => fs::remove_file(&path).map_err(|error| HubError::io(&path, error))?,
            Err(_) => {}
        }
        let target = Path::new("..").join("..").join("blobs").join(hash.digits());
        // A disk without links, exFAT's for instance: as Python does it, the blob itself goes there, not a second copy.
        let linked = make_link(&target, &blob, &path).or_else(|_| fs::rename(&blob, &path));
        linked.map_err(|error| HubError::io(&path, error))
    }

    /// Notes that `main` is `commit`, where Python looks for it.
    pub(super) fn set_main(&self, commit: &str) -> Result<(), HubError> {
        let dir = self.dir().join("refs");
        make_dir(&dir)?;
        let path = dir.join("main");
        if read_small(&path).is_ok_and(|known| known == commit.as_bytes()) {
            return Ok(());
        }
        replace_file(&path, commit.as_bytes()).map_err(|error| HubError::io(&path, error))
    }
}

/// The first of the file's names that is there.
fn file_of(dir: &Path, wanted: Wanted) -> Option<PathBuf> {
    wanted.names.iter().map(|name| dir.join(name)).find(|path| path.is_file())
}

/// Whether `text` is a commit's hash; it names a folder.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn make_dir(dir: &Path) -> Result<(), HubError> {
    fs::create_dir_all(dir).map_err(|error| HubError::io(dir, error))
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_counts_when_all_of_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let cache = RepositoryCache::new(dir.path(), "owner/name");
        assert_eq!(cache.dir(), dir.path().join("models--owner--name"));
        assert_eq!(cache.complete_snapshot(Part::Text), None);
        let (old, new) = ("a".repeat(40), "b".repeat(40));
        let hash = FileHash::parse(&"1".repeat(40)).unwrap();
        fs::create_dir_all(cache.blobs()).unwrap();
        fs::write(cache.blob(&hash), "bytes").unwrap();
        for commit in [&old, &new] {
            for name in ["config.json", "vocab.txt", "preprocessor_config.json"] {
                cache.link(commit, name, &hash).unwrap();
            }
            assert_eq!(cache.complete_snapshot(Part::Text), None, "there are no weights");
        }
        cache.link(&old, "pytorch_model.bin", &hash).unwrap();
        let complete = cache.complete_snapshot(Part::Text).unwrap();
        assert_eq!(complete, cache.snapshots().join(&old));
        cache.link(&new, "model.safetensors", &hash).unwrap();
        cache.set_main(&old).unwrap();
        assert_eq!(cache.complete_snapshot(Part::Text), Some(complete.clone()));
        cache.set_main(&new).unwrap();
        assert_eq!(cache.complete_snapshot(Part::Both), Some(cache.snapshots().join(&new)));
        let files = cache.files(&complete, Part::Text);
        assert_eq!(files.iter().map(|file| file.bytes).collect::<Vec<_>>(), [5, 5, 5]);
        assert_eq!(RepositoryCache::recorded_hash(&files[0]), cfg!(unix).then_some(hash.clone()));
        // A link that leads nowhere is no file.
        fs::remove_file(cache.blob(&hash)).unwrap();
        assert_eq!(cache.complete_snapshot(Part::Text), None);
    }

    #[test]
    fn a_disk_without_links_holds_every_file_once() {
        let dir = tempfile::tempdir().unwrap();
        let cache = RepositoryCache::new(dir.path(), "owner/name");
        let (commit, hash) = ("a".repeat(40), FileHash::parse(&"1".repeat(64)).unwrap());
        fs::create_dir_all(cache.blobs()).unwrap();
        fs::write(cache.blob(&hash), "bytes").unwrap();
        cache.link_by(&commit, "vocab.txt", &hash, |_, _, _| Err(ErrorKind::Unsupported.into())).unwrap();
        assert_eq!(fs::read(cache.snapshots().join(&commit).join("vocab.txt")).unwrap(), b"bytes");
        assert!(!cache.blob(&hash).exists());
    }

    #[test]
    fn what_is_removed_is_not_fetched_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let cache = RepositoryCache::new(dir.path(), "owner/name");
        let (go_on, hash) = (AtomicBool::new(false), FileHash::parse(&"1".repeat(64)).unwrap());
        let kept = [cache.keep(&go_on).unwrap(), cache.keep(&go_on).unwrap()];
        assert!(cache.take_over().unwrap().is_none());
        drop(kept);
        // Python knows of the locks of blobs alone.
        let blob = cache.lock(&hash, &go_on, &|| {}).unwrap();
        assert!(cache.take_over().unwrap().is_none());
        drop(blob);
        let held = cache.take_over().unwrap().unwrap();
        assert!(matches!(cache.keep(&AtomicBool::new(true)), Err(HubError::Cancelled)));
        assert!(matches!(cache.lock(&hash, &AtomicBool::new(true), &|| {}), Err(HubError::Cancelled)));
        drop(held);
        cache.keep(&go_on).unwrap();
    }

    #[test]
    fn commits_are_hashes() {
        assert!(is_commit("c237dc49a33fc61debc9276459120b7eac67e7ef"));
        assert!(!is_commit("main") && !is_commit("../../etc") && !is_commit(""));
    }
}
