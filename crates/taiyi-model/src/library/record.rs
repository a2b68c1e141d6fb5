//! The hashes of a plain model folder's files, written beside them: a hub's cache has them in its blobs' names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{read_small, replace_file};
use crate::hub::{FileHash, HubError};

const FILE_NAME: &str = "taiyi-model.json";
const FORMAT: u32 = 1;

/// `taiyi-model.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    format: u32,
    name: String,
    /// By path below the folder, with `/` between names.
    files: BTreeMap<String, RecordedFile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RecordedFile {
    bytes: u64,
    /// SHA-256, or git's SHA-1 as the hub has it of small files.
    hash: String,
}

impl Record {
    pub(crate) fn new(name: &str) -> Self {
        Self { format: FORMAT, name: name.to_owned(), files: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, path: &Path, bytes: u64, hash: &FileHash) {
        self.files.insert(key(path), RecordedFile { bytes, hash: hash.digits().to_owned() });
    }

    /// The record of a folder. One that cannot be read is none: it only serves to find damage.
    pub(crate) fn read(dir: &Path) -> Option<Self> {
        let bytes = read_small(&dir.join(FILE_NAME)).ok()?;
        serde_json::from_slice(&bytes).ok().filter(|record: &Self| record.format == FORMAT)
    }

    /// The hash of the file at `path` below the folder.
    pub(crate) fn hash(&self, path: &Path) -> Option<FileHash> {
        FileHash::parse(&self.files.get(&key(path))?.hash)
    }

    /// The files that are recorded and not in `dir` any more.
    pub(crate) fn missing_in(&self, dir: &Path) -> Vec<PathBuf> {
        // A path that leads elsewhere is nothing that was ever recorded.
        let is_below = |name: &str| name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let names = self.files.keys().filter(|name| is_below(name));
        names.map(|name| dir.join(name)).filter(|path| !path.is_file()).collect()
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<(), HubError> {
        let path = dir.join(FILE_NAME);
        let json = serde_json::to_vec_pretty(self).map_err(|error| HubError::io(&path, error.into()))?;
        replace_file(&path, &json).map_err(|error| HubError::io(&path, error))
    }
}

fn key(path: &Path) -> String {
    let names: Vec<_> = path.components().map(|name| name.as_os_str().to_string_lossy()).collect();
    names.join("/")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Record::read(dir.path()).is_none());
        let hash = FileHash::parse(&"ab".repeat(32)).unwrap();
        let mut record = Record::new("taiyi-102m");
        record.add(&Path::new("text").join("config.json"), 3, &hash);
        record.write(dir.path()).unwrap();
        let read = Record::read(dir.path()).unwrap();
        assert_eq!(read.hash(&Path::new("text").join("config.json")), Some(hash));
        assert_eq!(read.hash(Path::new("vocab.txt")), None);
        assert_eq!(read.missing_in(dir.path()), [dir.path().join("text").join("config.json")]);
        fs::create_dir(dir.path().join("text")).unwrap();
        fs::write(dir.path().join("text").join("config.json"), "{}\n").unwrap();
        assert_eq!(read.missing_in(dir.path()), Vec::<PathBuf>::new());
        fs::write(dir.path().join(FILE_NAME), "[]").unwrap();
        assert!(Record::read(dir.path()).is_none());
        // Right but for its size.
        record.write(dir.path()).unwrap();
        let file = fs::File::options().append(true).open(dir.path().join(FILE_NAME)).unwrap();
        (&file).write_all(&vec![b' '; 16 << 20]).unwrap();
        assert!(Record::read(dir.path()).is_none());
    }
}
