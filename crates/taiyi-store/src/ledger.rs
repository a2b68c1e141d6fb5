//! The durable truth: sled, one tree, keys told apart by their first byte so that one batch commits
//! everything about a file at once.
//!
//! | key | value |
//! |---|---|
//! | `m` | [`State`] as JSON |
//! | `r` root | path of a root |
//! | `p` root | nothing; the root is partial |
//! | `l` root, relative path | location record |
//! | `c` hash | content record |
//! | `e` hash | embedding, f32 little-endian |
//!
//! Embeddings stand apart from content records: publishing and sweeping read every record, and an
//! embedding is twenty times as long.

use std::collections::HashSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use taiyi_core::{Embedding, ModelId};

use crate::durable::FileSum;
use crate::encoding::{self, ContentRecord};
use crate::manifest::{FORMAT_VERSION, LEDGER_NAME};
use crate::path::{root_bytes, root_path};
use crate::{ContentHash, LocationRecord, RelativePath, Root, RootId, StoreError};

/// Memory that sled may keep pages in. Its own default of 1 GiB would compete with the model for a
/// small machine's memory, and the ledger is read front to back or by key, never again and again.
const CACHE_BYTES: u64 = 64 << 20;

/// What holds for the ledger as a whole; every batch that changes anything writes it along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) format: u64,
    /// Told apart from a ledger that replaces it.
    pub(crate) id: String,
    pub(crate) model: ModelId,
    /// Contents of older epochs are yet to be embedded anew.
    pub(crate) epoch: u64,
    pub(crate) rebuilding: bool,
    /// Grows with every batch that changes what would be published.
    pub(crate) change: u64,
    pub(crate) next_root: u32,
    /// The last generation number given out.
    pub(crate) generation: u64,
    /// The last item table that told all there was in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vouched: Option<Vouched>,
}

/// An item table that the ledger vouches for: it was made from just this ledger after just so many changes, when no
/// content lay nowhere. A writer that finds it may take its rows for the ledger's own records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Vouched {
    pub(crate) generation: u64,
    pub(crate) epoch: u64,
    pub(crate) change: u64,
    pub(crate) items: FileSum,
}

/// An open ledger.
pub(crate) struct Ledger {
    dir: PathBuf,
    db: sled::Db,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// A batch under construction.
#[derive(Default)]
pub(crate) struct Batch(sled::Batch);

impl Batch {
    pub(crate) fn put_state(&mut self, state: &State) {
        // Serialising numbers and strings cannot fail.
        self.0.insert(b"m", serde_json::to_vec(state).unwrap_or_default());
    }

    pub(crate) fn put_root(&mut self, id: RootId, path: &[u8]) {
        self.0.insert(root_key(b'r', id), path);
    }

    pub(crate) fn put_partial(&mut self, id: RootId, partial: bool) {
        if partial {
            self.0.insert(root_key(b'p', id), &[]);
        } else {
            self.0.remove(root_key(b'p', id));
        }
    }

    pub(crate) fn remove_root(&mut self, id: RootId) {
        self.0.remove(root_key(b'r', id));
        self.0.remove(root_key(b'p', id));
    }

    pub(crate) fn put_location(&mut self, root: RootId, path: &RelativePath, record: &LocationRecord) {
        self.0.insert(location_key(root, path.as_bytes()), encoding::encode_location(record));
    }

    pub(crate) fn remove_location(&mut self, root: RootId, path: &RelativePath) {
        self.0.remove(location_key(root, path.as_bytes()));
    }

    pub(crate) fn put_content(&mut self, hash: &ContentHash, record: &ContentRecord, embedding: &Embedding) {
        self.0.insert(hash_key(b'c', hash).as_slice(), encoding::encode_content(record));
        self.0.insert(hash_key(b'e', hash).as_slice(), bytemuck::cast_slice::<f32, u8>(embedding.as_slice()));
    }

    pub(crate) fn remove_content(&mut self, hash: &ContentHash) {
        self.0.remove(hash_key(b'c', hash).as_slice());
        self.0.remove(hash_key(b'e', hash).as_slice());
    }
}

impl Ledger {
    /// Whether an index folder has a ledger.
    pub(crate) fn exists(dir: &Path) -> bool {
        dir.join(LEDGER_NAME).join("db").exists()
    }

    /// Opens the ledger of an index folder, or makes an empty one.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        let dir = dir.join(LEDGER_NAME);
        // Our own lock is held by now, so a lock on sled's file is that of a process just dying, or of a
        // handle just dropped: its threads let go a moment later.
        let mut attempts_left = 100;
        loop {
            let config = sled::Config::new().path(&dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
            // Damaged files can make sled panic instead of answer.
            let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
            match opened {
                Ok(Ok(db)) => return Ok(Self { dir, db }),
                Ok(Err(sled::Error::Io(e))) if is_locked(&e) && attempts_left > 0 => {
                    attempts_left -= 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
                Ok(Err(e)) => return Err(map_error(&dir, e)),
                Err(_) => return Err(StoreError::ledger(&dir, "it cannot be opened")),
            }
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The ledger's state; `None` for a ledger just made.
    pub(crate) fn state(&self) -> Result<Option<State>, StoreError> {
        #[derive(Deserialize)]
        struct Version {
            format: u64,
        }
        let Some(bytes) = self.get(b"m")? else {
            return if self.guard(|| Ok(self.db.is_empty()))? {
                Ok(None)
            } else {
                Err(StoreError::ledger(&self.dir, "its state is missing"))
            };
        };
        let unreadable = |e: serde_json::Error| StoreError::ledger(&self.dir, format!("its state: {e}"));
        let Version { format } = serde_json::from_slice(&bytes).map_err(unreadable)?;
        if format > FORMAT_VERSION {
            return Err(StoreError::NewerFormat {
                file: self.dir.clone(),
                found: format,
                supported: FORMAT_VERSION,
            });
        }
        serde_json::from_slice(&bytes).map(Some).map_err(unreadable)
    }

    /// Applies a batch whole or not at all. Not durable before [`sync`](Self::sync).
    pub(crate) fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        self.guard(|| self.db.apply_batch(batch.0))
    }

    /// Returns when everything applied is on the disk.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.guard(|| self.db.flush()).map(drop)
    }

    pub(crate) fn roots(&self) -> Result<Vec<Root>, StoreError> {
        let partial: HashSet<Vec<u8>> = self
            .scan(b"p")
            .map(|entry| Ok(entry?.0.get(1..).unwrap_or_default().to_vec()))
            .collect::<Result<_, StoreError>>()?;
        self.scan(b"r")
            .map(|entry| {
                let (key, value) = entry?;
                let id = key.get(1..).and_then(|id| <[u8; 4]>::try_from(id).ok()).map(u32::from_be_bytes);
                match (id, root_path(&value)) {
                    (Some(id), Some(path)) => {
                        let partial = partial.contains(key.get(1..).unwrap_or_default());
                        Ok(Root { id: RootId(id), path, partial })
                    }
                    _ => Err(StoreError::ledger(&self.dir, "the record of a root cannot be read")),
                }
            })
            .collect()
    }

    pub(crate) fn location(
        &self,
        root: RootId,
        path: &RelativePath,
    ) -> Result<Option<LocationRecord>, StoreError> {
        let Some(bytes) = self.get(&location_key(root, path.as_bytes()))? else { return Ok(None) };
        match encoding::decode_location(&bytes) {
            Some(record) => Ok(Some(record)),
            None => Err(StoreError::ledger(&self.dir, format!("the record of {path:?} cannot be read"))),
        }
    }

    /// Locations under a root in the order of their bytes, or those at and below one path.
    pub(crate) fn locations(
        &self,
        root: RootId,
        below: Option<&RelativePath>,
    ) -> impl Iterator<Item = Result<(RelativePath, LocationRecord), StoreError>> + use<> {
        let below = below.cloned();
        let prefix = location_key(root, below.as_ref().map_or(&[][..], |b| b.as_bytes()));
        let entries = self.scan(&prefix);
        let dir = self.dir.clone();
        entries.filter_map(move |entry| {
            let decoded = entry.and_then(|(key, value)| {
                let path = key.get(5..).and_then(RelativePath::from_bytes);
                path.zip(encoding::decode_location(&value))
                    .ok_or_else(|| StoreError::ledger(&dir, "the record of a location cannot be read"))
            });
            match (&decoded, &below) {
                (Ok((path, _)), Some(below)) if !path.starts_with(below) => None,
                _ => Some(decoded),
            }
        })
    }

    /// What is known of a content besides its embedding.
    pub(crate) fn content(&self, hash: &ContentHash) -> Result<Option<ContentRecord>, StoreError> {
        let Some(bytes) = self.get(&hash_key(b'c', hash))? else { return Ok(None) };
        encoding::decode_content(&bytes).map(Some).ok_or_else(|| self.bad_content(hash))
    }

    /// Which epoch a content is of, if it is known at all.
    pub(crate) fn content_epoch(&self, hash: &ContentHash) -> Result<Option<u64>, StoreError> {
        let Some(bytes) = self.get(&hash_key(b'c', hash))? else { return Ok(None) };
        encoding::content_epoch(&bytes).map(Some).ok_or_else(|| self.bad_content(hash))
    }

    /// All contents, in the order of their hashes.
    pub(crate) fn contents(
        &self,
    ) -> impl Iterator<Item = Result<(ContentHash, ContentRecord), StoreError>> + '_ {
        self.scan(b"c").map(|entry| {
            let (key, value) = entry?;
            let hash = key_hash(&key)
                .ok_or_else(|| StoreError::ledger(&self.dir, "the key of a content cannot be read"))?;
            let record = encoding::decode_content(&value).ok_or_else(|| self.bad_content(&hash))?;
            Ok((hash, record))
        })
    }

    pub(crate) fn embedding(&self, hash: &ContentHash, dimension: usize) -> Result<Embedding, StoreError> {
        let bytes = self
            .get(&hash_key(b'e', hash))?
            .ok_or_else(|| StoreError::ledger(&self.dir, format!("the embedding of {hash} is missing")))?;
        self.decode_embedding(hash, &bytes, dimension)
    }

    fn decode_embedding(
        &self,
        hash: &ContentHash,
        bytes: &[u8],
        dimension: usize,
    ) -> Result<Embedding, StoreError> {
        let bad = |what: String| StoreError::ledger(&self.dir, format!("the embedding of {hash}: {what}"));
        if bytes.len() != dimension * 4 {
            return Err(bad(format!("expected {} bytes, it has {}", dimension * 4, bytes.len())));
        }
        let vector = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        Embedding::from_unit(vector).map_err(|e| bad(e.to_string()))
    }

    fn bad_content(&self, hash: &ContentHash) -> StoreError {
        StoreError::ledger(&self.dir, format!("the record of content {hash} cannot be read"))
    }

    fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, StoreError> {
        self.guard(|| self.db.get(key))
    }

    fn scan(
        &self,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(sled::IVec, sled::IVec), StoreError>> + use<> {
        let dir = self.dir.clone();
        let mut entries = self.db.scan_prefix(prefix);
        let mut ended = false;
        std::iter::from_fn(move || {
            if ended {
                return None;
            }
            // After an error there is no telling what comes next.
            match catch_unwind(AssertUnwindSafe(|| entries.next())) {
                Ok(Some(Ok(entry))) => Some(Ok(entry)),
                Ok(None) => None,
                Ok(Some(Err(e))) => {
                    ended = true;
                    Some(Err(map_error(&dir, e)))
                }
                Err(_) => {
                    ended = true;
                    Some(Err(StoreError::ledger(&dir, "it cannot be read to its end")))
                }
            }
        })
    }

    /// Damaged files can make sled panic at any read.
    fn guard<T>(&self, action: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
        match catch_unwind(AssertUnwindSafe(action)) {
            Ok(result) => result.map_err(|e| map_error(&self.dir, e)),
            Err(_) => Err(StoreError::ledger(&self.dir, "it cannot be read")),
        }
    }
}

fn map_error(dir: &Path, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            StoreError::ledger(dir, "a file of it is too short")
        }
        sled::Error::Io(e) => StoreError::io(dir, e),
        other => StoreError::ledger(dir, other.to_string()),
    }
}

fn is_locked(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Other && error.to_string().contains("could not acquire lock")
}

fn root_key(prefix: u8, id: RootId) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    key.push(prefix);
    // Big-endian: roots come in the order of their numbers.
    key.extend_from_slice(&id.0.to_be_bytes());
    key
}

fn location_key(root: RootId, path: &[u8]) -> Vec<u8> {
    let mut key = root_key(b'l', root);
    key.extend_from_slice(path);
    key
}

fn hash_key(prefix: u8, hash: &ContentHash) -> [u8; 33] {
    let mut key = [prefix; 33];
    if let Some((_, rest)) = key.split_first_mut() {
        rest.copy_from_slice(&hash.0);
    }
    key
}

fn key_hash(key: &[u8]) -> Option<ContentHash> {
    key.get(1..)?.try_into().ok().map(ContentHash)
}

/// The bytes of a root's path; its key and value limits are the file system's own.
pub(crate) fn stored_root_path(path: &Path) -> Result<&[u8], StoreError> {
    root_bytes(path)
        .filter(|bytes| !bytes.is_empty())
        .ok_or_else(|| StoreError::InvalidArgument(format!("{} is not Unicode", path.display())))
}
