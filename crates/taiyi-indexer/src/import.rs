//! Takes in pictures of which only the embedding is known: made elsewhere, by the same model.
//!
//! An imported picture is a location with [`FileStamp::IMPORTED`] and a content named by its embedding, to which size
//! and time belong. It is searched like any other; its file need not be there. Where it is, the next run over its
//! folder reads it and replaces what was imported.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use taiyi_core::{Embedding, PhotoMetadata};
use taiyi_store::{ContentHash, Entry, FileStamp, LocationState, RelativePath, Root, RootId, Writer};

use crate::run::{absolute_even_if_gone, new_generation, publish};
use crate::{IndexError, Progress, ProgressEvent};

/// Rows of one commit: each waits for the disk.
const BATCH_ROWS: usize = 4096;

/// A picture made known by its embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedPicture {
    /// Where it is, or was: absolute.
    pub path: PathBuf,
    /// Its place in the model's space.
    pub embedding: Embedding,
    /// Width and height of the upright picture, where they are known.
    pub size: Option<(u32, u32)>,
    /// Capture time in seconds since 1970, as the camera's clock showed it, where it is known.
    pub taken_s: Option<i64>,
}

impl ImportedPicture {
    /// All that is known of a file that was never read. No format: that is told by the file alone.
    fn metadata(&self) -> PhotoMetadata {
        let (width, height) = self.size.unwrap_or_default();
        PhotoMetadata { width, height, taken_s: self.taken_s, ..PhotoMetadata::unknown() }
    }
}

/// What an import did. Every row is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Pictures new to the index.
    pub added: u64,
    /// Pictures imported before with another embedding.
    pub updated: u64,
    /// Pictures imported before with the same embedding, which keeps the size and time that it came with.
    pub unchanged: u64,
    /// Pictures whose file was read by `index`: what is known from the file itself stays.
    pub kept: u64,
    /// Rows with the path of an earlier row, which counts.
    pub repeated: u64,
    /// Whether the import was cancelled before its end.
    pub interrupted: bool,
    /// The generation that readers now see, if this import published one.
    pub generation: Option<u64>,
    /// Time from the first row to the end of publishing.
    pub elapsed: Duration,
    /// Time until the last row was committed.
    pub committing: Duration,
}

impl ImportReport {
    /// Rows that were looked at.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.added + self.updated + self.unchanged + self.kept + self.repeated
    }
}

/// Finds the roots for a collection: those of the index, where they contain a picture, and for all others the
/// folder that they have in common.
///
/// Pictures without such a folder but `/` get one for each folder in `/`: nobody wants a root that contains
/// the whole machine.
#[derive(Clone, Debug, Default)]
pub struct ImportRoots {
    known: Vec<PathBuf>,
    /// By the first folder of the path: the deepest folder above all pictures there.
    common: BTreeMap<Option<OsString>, PathBuf>,
}

impl ImportRoots {
    /// Begins with the roots of an index.
    #[must_use]
    pub fn new(known: &[Root]) -> Self {
        Self { known: known.iter().map(|root| root.path.clone()).collect(), common: BTreeMap::new() }
    }

    /// Takes note of the absolute path of a picture.
    pub fn note(&mut self, path: &Path) {
        let Some(folder) = path.parent() else { return };
        if self.known.iter().any(|root| folder.starts_with(root)) {
            return;
        }
        let first = path_names(folder).next();
        match self.common.get_mut(&first) {
            Some(common) => while !folder.starts_with(&*common) && common.pop() {},
            None => {
                self.common.insert(first, folder.to_owned());
            }
        }
    }

    /// Adds the roots that are missing.
    fn place(&self, writer: &Writer) -> Result<Places, IndexError> {
        let mut moved = Vec::new();
        for common in self.common.values() {
            // Roots go by their real names, as `index` has them.
            let real = absolute_even_if_gone(common);
            if !self.known.iter().any(|root| real.starts_with(root)) {
                writer.add_partial_root(&real)?;
            }
            if real != *common {
                moved.push((common.clone(), real));
            }
        }
        let mut roots = writer.roots()?;
        roots.sort_by_key(|root| std::cmp::Reverse(root.path.components().count()));
        Ok(Places { moved, roots })
    }
}

fn path_names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        _ => None,
    })
}

/// Where in the index a path belongs.
struct Places {
    /// Folders by the name that the collection has for them, and their real name.
    moved: Vec<(PathBuf, PathBuf)>,
    /// The deepest first.
    roots: Vec<Root>,
}

impl Places {
    fn locate(&self, path: &Path) -> Result<(RootId, RelativePath), IndexError> {
        let real = self.moved.iter().find_map(|(from, to)| Some(to.join(path.strip_prefix(from).ok()?)));
        let path = real.as_deref().unwrap_or(path);
        let found = self.roots.iter().find_map(|root| {
            let below = RelativePath::from_path(path.strip_prefix(&root.path).ok()?).ok()?;
            Some((root.id, below))
        });
        found.ok_or_else(|| IndexError::NotIndexable { path: path.to_owned() })
    }
}

/// Takes `pictures` into the index, and publishes it. `roots` has taken note of every one of them.
///
/// Setting `cancel` ends it after the batch at hand; what was committed is published and stays, and the
/// next import of the same pictures goes on from there.
///
/// # Errors
/// The first error of `pictures`; when the index cannot be written. What was committed before stays.
pub fn import<E: From<IndexError>>(
    writer: &Writer,
    roots: &ImportRoots,
    mut pictures: impl Iterator<Item = Result<ImportedPicture, E>>,
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<ImportReport, E> {
    let start = Instant::now();
    let places = roots.place(writer)?;
    let mut import = Import {
        writer,
        places,
        hasher: RandomState::new(),
        seen: HashSet::new(),
        report: ImportReport::default(),
    };
    loop {
        if cancel.load(Ordering::Relaxed) {
            import.report.interrupted = true;
            break;
        }
        let batch = pictures.by_ref().take(BATCH_ROWS).collect::<Result<Vec<_>, E>>()?;
        if batch.is_empty() {
            break;
        }
        let files = batch.len() as u64;
        import.take_in(batch)?;
        progress.event(ProgressEvent::Done { files, embedded: files, failed: 0 });
    }
    let mut report = import.report;
    report.committing = start.elapsed();
    if writer.has_unpublished_changes().map_err(IndexError::from)? {
        // Whoever pressed Ctrl-C is not made to wait for a graph.
        report.generation = new_generation(&publish(writer, !report.interrupted, progress)?);
    }
    report.elapsed = start.elapsed();
    Ok(report)
}

struct Import<'a> {
    writer: &'a Writer,
    places: Places,
    hasher: RandomState,
    /// Hashes of the places that rows were for: some 16 bytes a row, where paths would take hundreds.
    seen: HashSet<u64>,
    report: ImportReport,
}

impl Import<'_> {
    fn take_in(&mut self, batch: Vec<ImportedPicture>) -> Result<(), IndexError> {
        let mut entries = Vec::with_capacity(batch.len());
        for picture in batch {
            let metadata = picture.metadata();
            let ImportedPicture { path, embedding, .. } = picture;
            let (root, path) = self.places.locate(&path)?;
            if !self.seen.insert(self.hasher.hash_one((root, path.as_bytes()))) {
                self.report.repeated += 1;
                continue;
            }
            let hash = ContentHash::of_imported(&embedding);
            match self.writer.location(root, &path)? {
                None => self.report.added += 1,
                Some(known) if !known.stamp.is_imported() => {
                    self.report.kept += 1;
                    continue;
                }
                Some(known) if known.state == LocationState::Indexed(hash) => {
                    self.report.unchanged += 1;
                    continue;
                }
                Some(_) => self.report.updated += 1,
            }
            let stamp = FileStamp::IMPORTED;
            entries.push(Entry::Embedded { root, path, stamp, hash, metadata, embedding });
        }
        Ok(self.writer.commit(&entries)?)
    }
}

/// Whether all that is known below a root was imported, so that nobody has ever seen it.
///
/// # Errors
/// When the ledger cannot be read.
pub fn is_imported(writer: &Writer, root: RootId) -> Result<bool, IndexError> {
    for location in writer.locations(root, None) {
        if !location?.1.stamp.is_imported() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Imported pictures whose files are not there, so that they could not be embedded anew: how many, and the root
/// of the first.
///
/// # Errors
/// When the ledger cannot be read.
pub fn imported_without_file(writer: &Writer) -> Result<Option<(u64, PathBuf)>, IndexError> {
    let mut found: Option<(u64, PathBuf)> = None;
    for root in writer.roots()? {
        for location in writer.locations(root.id, None) {
            let (path, record) = location?;
            if record.stamp.is_imported() && !root.path.join(path.to_path()).is_file() {
                found.get_or_insert_with(|| (0, root.path.clone())).0 += 1;
            }
        }
    }
    Ok(found)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn common(known: &[&str], paths: &[&str]) -> Vec<PathBuf> {
        let known = known.iter().map(PathBuf::from).collect();
        let mut roots = ImportRoots { known, ..ImportRoots::default() };
        for path in paths {
            roots.note(Path::new(path));
        }
        roots.common.into_values().collect()
    }

    #[test]
    fn pictures_share_the_deepest_folder_above_them() {
        assert_eq!(common(&[], &["/a/b/c/1.jpg"]), [Path::new("/a/b/c")]);
        assert_eq!(common(&[], &["/a/b/c/1.jpg", "/a/b/cc/1.jpg", "/a/b/c/d/2.jpg"]), [Path::new("/a/b")]);
        assert_eq!(common(&[], &["/a/b/1.jpg", "/x/y/1.jpg"]), [Path::new("/a/b"), Path::new("/x/y")]);
        assert_eq!(common(&[], &["/1.jpg", "/a/1.jpg"]), [Path::new("/"), Path::new("/a")]);
    }

    #[test]
    fn what_lies_below_a_root_stays_there() {
        assert_eq!(common(&["/a"], &["/a/b/1.jpg", "/a/1.jpg"]), Vec::<PathBuf>::new());
        assert_eq!(common(&["/a/b"], &["/a/b/1.jpg", "/a/c/1.jpg"]), [Path::new("/a/c")]);
    }
}
