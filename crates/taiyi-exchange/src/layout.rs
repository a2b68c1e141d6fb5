//! Which files make up a collection.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::ExchangeError;

/// The files of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) vectors: PathBuf,
    pub(crate) table: PathBuf,
}

/// A folder of the layout: its name, and how its files are called.
struct Kind {
    folder: &'static str,
    prefix: &'static str,
    extension: &'static str,
}

const VECTORS: Kind = Kind { folder: "img_emb", prefix: "img_emb_", extension: "npy" };
const TABLES: Kind = Kind { folder: "metadata", prefix: "metadata_", extension: "parquet" };

impl Kind {
    fn path(&self, dir: &Path, number: &str) -> PathBuf {
        let Self { folder, prefix, extension } = self;
        dir.join(folder).join(format!("{prefix}{number}.{extension}"))
    }

    /// The N of each file's name. Other kinds of files are passed over.
    fn numbers(&self, dir: &Path) -> Result<BTreeMap<String, PathBuf>, ExchangeError> {
        let folder = dir.join(self.folder);
        let failed = |e| ExchangeError::io(&folder, e);
        let mut numbers = BTreeMap::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension() != Some(OsStr::new(self.extension)) {
                continue;
            }
            let stem = path.file_stem().and_then(OsStr::to_str);
            let number = stem.and_then(|stem| stem.strip_prefix(self.prefix));
            let number = number.filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
            let Some(number) = number.map(str::to_owned) else {
                let what = format!(
                    "expected a name like {}0.{}: rename it, or move it away",
                    self.prefix, self.extension
                );
                return Err(ExchangeError::file(&path, what));
            };
            numbers.insert(number, path);
        }
        Ok(numbers)
    }
}

/// The parts of a collection, in the order of their file names.
pub(crate) fn find_parts(dir: &Path) -> Result<Vec<Part>, ExchangeError> {
    let refuse = |what: String| ExchangeError::NotACollection { dir: dir.to_owned(), what };
    for kind in [&VECTORS, &TABLES] {
        if !dir.join(kind.folder).is_dir() {
            let what = format!("expected the folders {} and {} in it", VECTORS.folder, TABLES.folder);
            return Err(refuse(what));
        }
    }
    let vectors = VECTORS.numbers(dir)?;
    let mut tables = TABLES.numbers(dir)?;
    let parts = vectors.into_iter().map(|(number, vectors)| match tables.remove(&number) {
        Some(table) => Ok(Part { vectors, table }),
        None => Err(missing(&vectors, &TABLES.path(dir, &number))),
    });
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    match tables.into_iter().next() {
        Some((number, table)) => Err(missing(&table, &VECTORS.path(dir, &number))),
        None if parts.is_empty() => {
            Err(refuse(format!("there is no {}0.npy in {}", VECTORS.prefix, VECTORS.folder)))
        }
        None => Ok(parts),
    }
}

fn missing(have: &Path, expected: &Path) -> ExchangeError {
    ExchangeError::file(have, format!("its other half, {}, is missing", expected.display()))
}

/// The files of part `number` of a collection to be written, and the folders they lie in.
pub(crate) fn new_part(dir: &Path, number: u64) -> Part {
    // Padded, so that the order of names is that of numbers, as readers of this layout take it.
    let number = format!("{number:04}");
    Part { vectors: VECTORS.path(dir, &number), table: TABLES.path(dir, &number) }
}

/// The folders of a collection in `dir`.
pub(crate) fn folders(dir: &Path) -> [PathBuf; 2] {
    [VECTORS, TABLES].map(|kind| dir.join(kind.folder))
}

/// Makes the folders of an empty collection in `dir`.
pub(crate) fn make_folders(dir: &Path) -> Result<(), ExchangeError> {
    for folder in folders(dir) {
        fs::create_dir(&folder).map_err(|e| ExchangeError::io(&folder, e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        make_folders(dir.path()).unwrap();
        for file in files {
            fs::write(dir.path().join(file), b"").unwrap();
        }
        dir
    }

    fn refused(files: &[&str]) -> String {
        find_parts(collection(files).path()).unwrap_err().to_string()
    }

    #[test]
    fn parts_are_paired_and_sorted() {
        let dir = collection(&[
            "img_emb/img_emb_1.npy",
            "img_emb/img_emb_0.npy",
            "img_emb/notes.txt",
            "metadata/metadata_0.parquet",
            "metadata/metadata_1.parquet",
        ]);
        let parts = find_parts(dir.path()).unwrap();
        assert_eq!(parts.len(), 2);
        assert!(
            parts[0].vectors.ends_with("img_emb_0.npy") && parts[0].table.ends_with("metadata_0.parquet")
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(refused(&["img_emb/img_emb_3.npy"]).contains("metadata_3.parquet, is missing"));
        assert!(refused(&["metadata/metadata_3.parquet"]).contains("img_emb_3.npy, is missing"));
        assert!(refused(&["img_emb/vectors.npy"]).contains("a name like img_emb_0.npy"));
        assert!(refused(&[]).contains("no img_emb_0.npy"));
        let empty = tempfile::tempdir().unwrap();
        assert!(find_parts(empty.path()).unwrap_err().to_string().contains("img_emb and metadata"));
    }
}
