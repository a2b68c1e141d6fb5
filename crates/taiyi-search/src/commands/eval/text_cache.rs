//! Embeddings of texts, kept from one measurement to the next: a data set has five texts a picture, and they take
//! longer than its pictures.
//!
//! One file a model: a head that says which, records, and a checksum over all before it. A file that is not whole is
//! no loss, and neither is one that cannot be written.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use taiyi_core::{Embedding, ModelId};
use taiyi_store::ContentHash;

use crate::exit;
use crate::output::text::show_path;
use crate::own_index;
use crate::settings::Settings;

/// What the file begins with; behind it the model's weights and its dimension.
const MAGIC: &str = "taiyi-search texts 1";
/// Length of a checksum, and of what names a text.
const HASH_BYTES: usize = 32;
/// A file that would be larger is begun anew, with the texts of the measurement at hand.
const MOST_BYTES: usize = 1 << 30;

/// A text's embedding.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KnownText {
    pub(super) embedding: Embedding,
    /// Whether the text is longer than what the model reads.
    pub(super) is_cut: bool,
}

type Texts = HashMap<ContentHash, Arc<KnownText>>;

/// The texts that a model has embedded.
pub(super) struct TextCache {
    dir: PathBuf,
    model: ModelId,
    /// From the file.
    kept: Texts,
    /// Not in the file yet.
    new: Texts,
}

impl TextCache {
    /// Opens the cache of a model; an empty one where there is none, where it is damaged, and for `is_fresh`.
    pub(super) fn open(settings: &Settings, model: &ModelId, is_fresh: bool) -> Self {
        let mut cache = Self::new(settings.cache_dir.join("eval").join("texts"), model);
        if !is_fresh {
            cache.kept = cache.read();
        }
        cache
    }

    fn new(dir: PathBuf, model: &ModelId) -> Self {
        Self { dir, model: model.clone(), kept: Texts::new(), new: Texts::new() }
    }

    pub(super) fn get(&self, text: &str) -> Option<Arc<KnownText>> {
        let hash = ContentHash::of(text.as_bytes());
        self.new.get(&hash).or_else(|| self.kept.get(&hash)).cloned()
    }

    pub(super) fn insert(&mut self, text: &str, known: KnownText) {
        self.new.insert(ContentHash::of(text.as_bytes()), Arc::new(known));
    }

    /// Writes what is new into the file. That this fails is only told: the measurement goes on.
    pub(super) fn save(&mut self) {
        if self.new.is_empty() {
            return;
        }
        if let Err(e) = self.write() {
            exit::warn(&format!(
                "the texts' embeddings could not be kept in {}, and will be computed again: {e}",
                show_path(&self.file())
            ));
        }
        // In memory they are as good as those from the file.
        self.kept.extend(self.new.drain());
    }

    fn file(&self) -> PathBuf {
        // Of all that tells models apart: two precisions of one differ in the last characters.
        let name = ContentHash::of(self.model.weights.as_bytes()).to_hex();
        self.dir.join(format!("{name}.bin"))
    }

    fn head(&self) -> String {
        format!("{MAGIC}\n{}\n{}\n", self.model.weights, self.model.dimension)
    }

    fn read(&self) -> Texts {
        let file = self.file();
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Texts::new(),
            Err(e) => {
                exit::warn(&format!("{} cannot be read, so texts are embedded anew: {e}", show_path(&file)));
                return Texts::new();
            }
        };
        decode(&bytes, &self.head(), self.model.dimension).unwrap_or_else(|unusable| {
            let why = match unusable {
                Unusable::Damaged => "is damaged",
                Unusable::Other => "is of another model or another version of taiyi-search",
            };
            exit::warn(&format!("{} {why}, so texts are embedded anew", show_path(&file)));
            Texts::new()
        })
    }

    fn write(&self) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        // Another measurement may have written since: nothing of it shall be lost.
        let turn = own_index::lock_file(&self.dir.join("LOCK"))?;
        if let Err(e) = turn.lock() {
            tracing::debug!("no locks in {}: {e}", self.dir.display());
        }
        let file = self.file();
        let mut all = fs::read(&file)
            .ok()
            .and_then(|bytes| decode(&bytes, &self.head(), self.model.dimension).ok())
            .unwrap_or_default();
        all.extend(self.new.iter().map(|(hash, known)| (*hash, Arc::clone(known))));
        if all.len().saturating_mul(record_bytes(self.model.dimension)) > MOST_BYTES {
            all.clone_from(&self.new);
        }
        replace(&file, &encode(&all, &self.head()))
    }
}

/// Replaces a file as a whole, or not at all.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = file.parent().ok_or(ErrorKind::InvalidInput)?;
    let mut new = tempfile::Builder::new().prefix("new-").tempfile_in(dir)?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(file).map_err(|e| e.error)?;
    Ok(())
}

fn record_bytes(dimension: usize) -> usize {
    HASH_BYTES + 1 + 4 * dimension
}

fn encode(texts: &Texts, head: &str) -> Vec<u8> {
    let mut bytes = head.as_bytes().to_vec();
    for (hash, known) in texts {
        bytes.extend_from_slice(&hash.0);
        bytes.push(u8::from(known.is_cut));
        bytes.extend(known.embedding.as_slice().iter().flat_map(|x| x.to_le_bytes()));
    }
    let sum = ContentHash::of(&bytes);
    bytes.extend_from_slice(&sum.0);
    bytes
}

/// Why a file is begun anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unusable {
    /// It is not as it was written.
    Damaged,
    /// It is whole, and begins with another head.
    Other,
}

fn decode(bytes: &[u8], head: &str, dimension: usize) -> Result<Texts, Unusable> {
    let content = checked(bytes).ok_or(Unusable::Damaged)?;
    let records = content.strip_prefix(head.as_bytes()).ok_or(Unusable::Other)?;
    decode_records(records, dimension).ok_or(Unusable::Damaged)
}

/// What stands before the checksum, where it is as it was written.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (content, sum) = bytes.split_at_checked(bytes.len().checked_sub(HASH_BYTES)?)?;
    (ContentHash::of(content).0 == sum).then_some(content)
}

fn decode_records(bytes: &[u8], dimension: usize) -> Option<Texts> {
    let records = bytes.chunks_exact(record_bytes(dimension));
    if !records.remainder().is_empty() {
        return None;
    }
    records
        .map(|record| {
            let (hash, rest) = record.split_first_chunk::<HASH_BYTES>()?;
            let (is_cut, vector) = rest.split_first()?;
            let vector = vector.chunks_exact(4).filter_map(|x| Some(f32::from_le_bytes(x.try_into().ok()?)));
            let embedding = Embedding::from_unit(vector.collect()).ok()?;
            Some((ContentHash(*hash), Arc::new(KnownText { embedding, is_cut: *is_cut != 0 })))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(vectors: &[(String, Vec<f32>, bool)]) -> Texts {
        vectors
            .iter()
            .map(|(text, vector, is_cut)| {
                let embedding = Embedding::normalize(vector.clone()).unwrap();
                (ContentHash::of(text.as_bytes()), Arc::new(KnownText { embedding, is_cut: *is_cut }))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_nothing_else(
            vectors in prop::collection::vec((".{0,9}", prop::collection::vec(0.5f32..9.0, 3), any::<bool>()), 0..6),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let texts = texts(&vectors);
            let mut bytes = encode(&texts, "head\n");
            prop_assert_eq!(decode(&bytes, "head\n", 3), Ok(texts));
            prop_assert_eq!(decode(&bytes, "other\n", 3), Err(Unusable::Other));
            prop_assert_eq!(decode(&bytes[..bytes.len() - 1], "head\n", 3), Err(Unusable::Damaged));
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(decode(&bytes, "head\n", 3), Err(Unusable::Damaged), "byte {}", at);
        }
    }

    #[test]
    fn precisions_of_a_model_have_files_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let cache = |weights: &str| {
            let model = ModelId { name: "m".into(), weights: weights.into(), dimension: 3 };
            let mut cache = TextCache::new(dir.path().to_owned(), &model);
            cache.kept = cache.read();
            cache
        };
        let known = |first: f32| {
            let embedding = Embedding::normalize(vec![first, 1.0, 0.0]).unwrap();
            KnownText { embedding, is_cut: false }
        };
        let models =
            [("0123456789abcdef00", 0.0), ("0123456789abcdef00+int8.1", 1.0), ("0123456789abcdef01", 2.0)];
        for (weights, first) in models {
            let mut cache = cache(weights);
            assert!(cache.get("猫").is_none(), "{weights}");
            cache.insert("猫", known(first));
            cache.save();
        }
        for (weights, first) in models {
            assert_eq!(cache(weights).get("猫").as_deref(), Some(&known(first)), "{weights}");
        }
    }

    #[test]
    fn what_is_no_cache_is_refused() {
        assert_eq!(decode(b"", "", 3), Err(Unusable::Damaged));
        let mut bytes = b"head\n0123".to_vec();
        bytes.extend_from_slice(&ContentHash::of(&bytes).0);
        assert_eq!(decode(&bytes, "head\n", 3), Err(Unusable::Damaged), "a part of a record");
        let mut bytes = encode(&Texts::new(), "head\n");
        bytes.truncate(5);
        bytes.extend([0; 33 + 12]);
        bytes.extend_from_slice(&ContentHash::of(&bytes).0);
        assert_eq!(decode(&bytes, "head\n", 3), Err(Unusable::Damaged), "a vector without a direction");
    }
}
