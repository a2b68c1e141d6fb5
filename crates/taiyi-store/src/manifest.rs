//! `manifest.json`: which generation is published, and what its files must be.
//!
//! Files are named by the generation that wrote them, never by a path, so that a manifest cannot point
//! outside its index. The manifest carries a checksum of itself: one flipped bit in a count must not
//! pass for an answer.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use taiyi_core::ModelId;

use crate::StoreError;
use crate::durable::{self, FileSum, HashingWriter};

/// Version of the whole index folder; see `docs/FORMAT.md` for the policy.
pub(crate) const FORMAT_VERSION: u64 = 2;

pub(crate) const MANIFEST_NAME: &str = "manifest.json";
pub(crate) const MANIFEST_TMP_NAME: &str = "manifest.json.tmp";
pub(crate) const LEDGER_NAME: &str = "ledger";
pub(crate) const LOCK_NAME: &str = "LOCK";
pub(crate) const VECTORS_NAME: &str = "vectors.f32";
pub(crate) const ITEMS_NAME: &str = "items.bin";
pub(crate) const GRAPH_NAME: &str = "graph.bin";

/// What the manifest says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) generation: u64,
    pub(crate) published_s: i64,
    /// Which ledger this was made from, and at which of its changes.
    pub(crate) ledger: String,
    pub(crate) epoch: u64,
    pub(crate) change: u64,
    pub(crate) model: ModelId,
    /// Rows, removed ones among them.
    pub(crate) rows: u64,
    pub(crate) live_rows: u64,
    pub(crate) locations: u64,
    pub(crate) failures: u64,
    /// Parts of the vector table, in the order of their rows.
    pub(crate) vectors: Vec<PartEntry>,
    /// The item table, always written by this generation.
    pub(crate) items: FileSum,
    pub(crate) graph: Option<GraphEntry>,
}

/// One part of the vector table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartEntry {
    /// Which generation wrote it.
    pub(crate) generation: u64,
    pub(crate) rows: u64,
    #[serde(flatten)]
    pub(crate) sum: FileSum,
}

/// The graph over the first rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GraphEntry {
    /// Which generation wrote it.
    pub(crate) generation: u64,
    /// Covers rows 0 to here.
    pub(crate) rows: u64,
    /// Rows that have a node: those that were live when they came into it.
    pub(crate) live_rows: u64,
    pub(crate) metric: String,
    pub(crate) m: usize,
    pub(crate) ef_construction: usize,
    #[serde(flatten)]
    pub(crate) sum: FileSum,
}

/// The file around a [`Manifest`].
#[derive(Serialize, Deserialize)]
struct Envelope {
    format: u64,
    /// BLAKE3 of `index` as compact JSON with its fields in the order of [`Manifest`].
    checksum: String,
    index: Manifest,
}

/// `gen-N` of an index folder.
pub(crate) fn generation_dir(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("gen-{generation}"))
}

/// The number in `gen-N` or `gen-N.tmp`, and whether it is the latter.
pub(crate) fn parse_generation_name(name: &str) -> Option<(u64, bool)> {
    let rest = name.strip_prefix("gen-")?;
    let (number, temporary) = rest.strip_suffix(".tmp").map_or((rest, false), |n| (n, true));
    (number.bytes().all(|b| b.is_ascii_digit()))
        .then(|| number.parse().ok())
        .flatten()
        .map(|n| (n, temporary))
}

impl Manifest {
    /// Reads the manifest of an index folder; `None` when there is none.
    ///
    /// # Errors
    /// `NewerFormat`, `Corrupt`, `Io`.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(MANIFEST_NAME);
        match fs::read(&path) {
            Ok(bytes) => Self::parse(&path, &bytes).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io(&path, e)),
        }
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, StoreError> {
        let corrupt = |what: String| StoreError::Corrupt {
            file: path.to_owned(),
            what,
            remedy: "delete it and index again: nothing is embedded anew",
        };
        // The version first: what a newer version wrote may look like anything besides.
        #[derive(Deserialize)]
        struct Version {
            format: u64,
        }
        let Version { format } = serde_json::from_slice(bytes).map_err(|e| corrupt(e.to_string()))?;
        if format > FORMAT_VERSION {
            return Err(StoreError::NewerFormat {
                file: path.to_owned(),
                found: format,
                supported: FORMAT_VERSION,
            });
        }
        let envelope: Envelope = serde_json::from_slice(bytes).map_err(|e| corrupt(e.to_string()))?;
        let manifest = envelope.index;
        if envelope.format == 0 || checksum(&manifest) != envelope.checksum {
            return Err(corrupt("its checksum does not match".to_owned()));
        }
        manifest.check().map_err(|what| corrupt(what.to_owned()))?;
        Ok(manifest)
    }

    /// What must hold before any of its numbers is used.
    fn check(&self) -> Result<(), &'static str> {
        let in_parts = self.vectors.iter().try_fold(0u64, |sum, part| sum.checked_add(part.rows));
        if in_parts != Some(self.rows) {
            return Err("its parts do not add up to its rows");
        }
        if self.rows >= u64::from(u32::MAX) || self.live_rows > self.rows {
            return Err("its row counts are impossible");
        }
        if self.graph.as_ref().is_some_and(|g| g.rows > self.rows || g.live_rows > g.rows) {
            return Err("its graph has more rows than it has");
        }
        if self.model.dimension == 0 || self.model.dimension > 1 << 20 {
            return Err("its dimension is impossible");
        }
        Ok(())
    }

    /// Writes the temporary file, durably; [`commit`](Self::commit) puts it in place.
    pub(crate) fn prepare(&self, dir: &Path) -> Result<(), StoreError> {
        let path = dir.join(MANIFEST_TMP_NAME);
        let envelope = Envelope { format: FORMAT_VERSION, checksum: checksum(self), index: self.clone() };
        let mut text =
            serde_json::to_vec_pretty(&envelope).map_err(|e| StoreError::io(&path, io::Error::other(e)))?;
        text.push(b'\n');
        let mut out = HashingWriter::create(&path)?;
        out.write(&text)?;
        out.finish().map(drop)
    }

    /// Publishes what [`prepare`](Self::prepare) wrote.
    pub(crate) fn commit(dir: &Path) -> Result<(), StoreError> {
        durable::rename(&dir.join(MANIFEST_TMP_NAME), &dir.join(MANIFEST_NAME))
    }

    /// Every file of the generation: its path, and what it must be.
    pub(crate) fn files<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = (PathBuf, &'a FileSum)> {
        let parts =
            self.vectors.iter().map(|p| (generation_dir(dir, p.generation).join(VECTORS_NAME), &p.sum));
        let graph = self.graph.iter().map(|g| (generation_dir(dir, g.generation).join(GRAPH_NAME), &g.sum));
        let items = (generation_dir(dir, self.generation).join(ITEMS_NAME), &self.items);
        parts.chain(graph).chain([items])
    }
}

fn checksum(manifest: &Manifest) -> String {
    // Serialising numbers and strings cannot fail; an empty text would only fail to match.
    let text = serde_json::to_vec(manifest).unwrap_or_default();
    blake3::hash(&text).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Manifest {
        let sum = FileSum { bytes: 64, blake3: "ab".repeat(32) };
        Manifest {
            generation: 7,
            published_s: 1_700_000_000,
            ledger: "cd".repeat(16),
            epoch: 1,
            change: 12,
            model: ModelId { name: "taiyi-102m".into(), weights: "ef".repeat(32), dimension: 512 },
            rows: 3,
            live_rows: 2,
            locations: 5,
            failures: 1,
            vectors: vec![
                PartEntry { generation: 3, rows: 1, sum: sum.clone() },
                PartEntry { generation: 7, rows: 2, sum: sum.clone() },
            ],
            items: sum.clone(),
            graph: Some(GraphEntry {
                generation: 7,
                rows: 3,
                live_rows: 3,
                metric: "cosine".into(),
                m: 16,
                ef_construction: 200,
                sum,
            }),
        }
    }

    #[test]
    fn a_manifest_comes_back_and_a_newer_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), None);
        sample().prepare(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), None);
        Manifest::commit(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), Some(sample()));
        fs::write(dir.path().join(MANIFEST_NAME), br#"{"format": 3, "anything": []}"#).unwrap();
        let newer = Manifest::read(dir.path()).unwrap_err();
        assert!(matches!(newer, StoreError::NewerFormat { found: 3, supported: 2, .. }), "{newer}");
    }

    #[test]
    fn generation_names_are_read_strictly() {
        assert_eq!(parse_generation_name("gen-12"), Some((12, false)));
        assert_eq!(parse_generation_name("gen-12.tmp"), Some((12, true)));
        for other in ["gen-", "gen-x", "gen--1", "gen-+1", "gen", "gen-1.bak", "gen-99999999999999999999"] {
            assert_eq!(parse_generation_name(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_noticed_or_means_nothing(at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let envelope = Envelope { format: FORMAT_VERSION, checksum: checksum(&sample()), index: sample() };
            let mut text = serde_json::to_vec_pretty(&envelope).unwrap();
            let at = at.index(text.len());
            text[at] = to;
            if let Ok(read) = Manifest::parse(Path::new("manifest.json"), &text) {
                prop_assert_eq!(read, sample());
            }
        }
    }
}
