//! Which files lie below a folder.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::UNIX_EPOCH;

use crossbeam_channel::bounded;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use taiyi_store::FileStamp;
use walkdir::{DirEntry, WalkDir};

use crate::IndexError;

/// Folders that hold no pictures of the user's, whatever system left them there.
const SKIPPED_NAMES: [&str; 5] =
    ["@eaDir", ".git", "node_modules", "System Volume Information", "$RECYCLE.BIN"];

/// Files that are handed from thread to thread at a time, and how many such groups may wait.
const GROUP: usize = 256;
const GROUPS: usize = 16;
/// The reader of folders leaves every so many groups to the other thread to ask about: both are busy alike then.
const LEFT_TO_THE_OTHER: u64 = 3;

/// Files on their way from thread to thread.
enum Group {
    /// Yet to be asked about.
    Entries(Vec<Result<DirEntry, WalkProblem>>),
    Found(Vec<Result<Found, WalkProblem>>),
}

/// What to walk and what to leave out.
#[derive(Clone, Debug, Default)]
pub struct WalkOptions {
    /// Follow symbolic links; loops are found and reported.
    pub follow_links: bool,
    /// Take hidden files (`.name`) and the folders that systems leave behind (`@eaDir`, `.git`,
    /// `node_modules`, `System Volume Information`, `$RECYCLE.BIN`).
    pub hidden: bool,
    /// Globs of what to leave out. One without a slash is matched against names at any depth, one
    /// with a slash against the path below the root.
    pub exclude: Vec<String>,
    /// Absolute folders never entered, such as the index itself.
    pub skip: Vec<PathBuf>,
    /// Walk on the calling thread alone.
    pub one_thread: bool,
}

/// A place that could not be walked. Nothing below it is removed from the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkProblem {
    /// Where.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// A regular file found by the walk.
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) stamp: FileStamp,
}

pub(crate) struct Walker {
    options: WalkOptions,
    exclude: GlobSet,
    excluded: AtomicU64,
}

impl Walker {
    pub(crate) fn new(options: &WalkOptions) -> Result<Self, IndexError> {
        let mut set = GlobSetBuilder::new();
        for pattern in &options.exclude {
            set.add(exclude_glob(pattern)?);
        }
        let exclude = set
            .build()
            .map_err(|e| IndexError::Pattern { pattern: String::new(), message: e.to_string() })?;
        Ok(Self { options: options.clone(), exclude, excluded: AtomicU64::new(0) })
    }

    /// Walks `start`, which is `root` or lies below it, in the order of the bytes of the paths, which is also the ledger's.
    ///
    /// `apart` are folders that are not entered: roots of their own.
    fn files<'a>(
        &'a self,
        root: &'a Path,
        start: &Path,
        apart: &'a [PathBuf],
    ) -> impl Iterator<Item = Result<DirEntry, WalkProblem>> + 'a {
        let start = start.to_path_buf();
        WalkDir::new(&start)
            .follow_links(self.options.follow_links)
            // A root is an absolute path without links, but one file named alone may be anything.
            .follow_root_links(true)
            .sort_by(in_order_of_paths)
            .into_iter()
            .filter_entry(move |entry| self.wants(root, entry, apart))
            .filter_map(move |entry| self.visit(entry, &start))
    }

    /// Walks `start`, which is `root` or lies below it, and hands every file to `take`, in the order of the bytes of the
    /// paths, which is also the ledger's. `apart` are folders that are not entered: roots of their own.
    ///
    /// The folders are read on a thread of their own, and both threads ask the system about the files: its answers take
    /// longer than all that is done with them. Where one thread is all there is to be, all of it happens here.
    ///
    /// # Errors
    /// The first error of `take`, which ends the walk.
    pub(crate) fn walk<E>(
        &self,
        root: &Path,
        start: &Path,
        apart: &[PathBuf],
        mut take: impl FnMut(Result<Found, WalkProblem>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.options.one_thread {
            return self.files(root, start, apart).map(found).try_for_each(&mut take);
        }
        let (to_here, groups) = bounded::<Group>(GROUPS);
        std::thread::scope(|scope| {
            let walk = move || {
                let mut rest = self.files(root, start, apart).peekable();
                for number in 0u64.. {
                    let group = rest.by_ref().take(GROUP);
                    let group = if number % LEFT_TO_THE_OTHER == 0 {
                        Group::Entries(group.collect())
                    } else {
                        Group::Found(group.map(found).collect())
                    };
                    if to_here.send(group).is_err() || rest.peek().is_none() {
                        return;
                    }
                }
            };
            match std::thread::Builder::new().name("walk".into()).spawn_scoped(scope, walk) {
                // With an error the receiver goes, and with it the walk.
                Ok(_) => groups.into_iter().try_for_each(|group| match group {
                    Group::Entries(entries) => entries.into_iter().map(found).try_for_each(&mut take),
                    Group::Found(found) => found.into_iter().try_for_each(&mut take),
                }),
                Err(_) => self.files(root, start, apart).map(found).try_for_each(&mut take),
            }
        })
    }

    fn wants(&self, root: &Path, entry: &DirEntry, apart: &[PathBuf]) -> bool {
        // What was named on the command line is wanted, hidden or not.
        if entry.depth() == 0 {
            return true;
        }
        if !self.options.hidden && is_hidden(entry.file_name()) {
            return false;
        }
        let skipped = || self.options.skip.iter().chain(apart).any(|skip| skip == entry.path());
        if entry.file_type().is_dir() && skipped() {
            return false;
        }
        if self.exclude.is_empty() {
            return true;
        }
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let excluded = self.exclude.is_match(relative);
        self.excluded.fetch_add(u64::from(excluded), Relaxed);
        !excluded
    }

    /// How many files and folders the exclude patterns have left out so far.
    pub(crate) fn excluded(&self) -> u64 {
        self.excluded.load(Relaxed)
    }

    fn visit(
        &self,
        entry: Result<DirEntry, walkdir::Error>,
        start: &Path,
    ) -> Option<Result<DirEntry, WalkProblem>> {
        match entry {
            // Only regular files: opening a pipe would wait for ever.
            Ok(entry) => entry.file_type().is_file().then_some(Ok(entry)),
            Err(e) => self.problem(&e, start).map(Err),
        }
    }

    fn problem(&self, error: &walkdir::Error, start: &Path) -> Option<WalkProblem> {
        let path = error.path().unwrap_or(start).to_path_buf();
        if let Some(ancestor) = error.loop_ancestor() {
            // A loop hides nothing: all that lies in it was walked where it really is.
            tracing::warn!(path = %path.display(), ancestor = %ancestor.display(), "symbolic link loop, not followed");
            return None;
        }
        // With links followed, a dangling one comes as an error; nothing lies behind it.
        if self.options.follow_links && path.is_symlink() && !path.exists() {
            tracing::warn!(path = %path.display(), "symbolic link to nowhere, skipped");
            return None;
        }
        let reason = match error.io_error() {
            Some(e) => e.to_string(),
            None => error.to_string(),
        };
        Some(WalkProblem { path, reason })
    }
}

/// Asks the system about a file.
fn found(entry: Result<DirEntry, WalkProblem>) -> Result<Found, WalkProblem> {
    let entry = entry?;
    match entry.metadata() {
        Ok(metadata) => Ok(Found {
            stamp: FileStamp { size: metadata.len(), mtime_ns: mtime_ns(&metadata) },
            path: entry.into_path(),
        }),
        Err(e) => Err(WalkProblem { path: entry.path().to_path_buf(), reason: e.to_string() }),
    }
}

/// Entries of one folder by the paths of what lies in them: a folder as if its name ended in the separator.
fn in_order_of_paths(a: &DirEntry, b: &DirEntry) -> Ordering {
    fn bytes(entry: &DirEntry) -> impl Iterator<Item = u8> {
        let separator = entry.file_type().is_dir().then_some(b'/');
        entry.file_name().as_encoded_bytes().iter().copied().chain(separator)
    }
    bytes(a).cmp(bytes(b))
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().first() == Some(&b'.') || SKIPPED_NAMES.iter().any(|skipped| name == *skipped)
}

fn exclude_glob(pattern: &str) -> Result<globset::Glob, IndexError> {
    let trimmed = pattern.strip_prefix("./").unwrap_or(pattern).trim_end_matches('/');
    if trimmed.is_empty() {
        let message = "it would leave out everything or nothing".to_owned();
        return Err(IndexError::Pattern { pattern: pattern.to_owned(), message });
    }
    let anchored = match trimmed.strip_prefix('/') {
        Some(rest) => rest.to_owned(),
        None if trimmed.contains('/') => trimmed.to_owned(),
        None => format!("**/{trimmed}"),
    };
    GlobBuilder::new(&anchored)
        .literal_separator(true)
        .build()
        .map_err(|e| IndexError::Pattern { pattern: pattern.to_owned(), message: e.kind().to_string() })
}

/// Nanoseconds since 1970, negative before; 0 where the file system keeps no time.
fn mtime_ns(metadata: &std::fs::Metadata) -> i64 {
    let Ok(modified) = metadata.modified() else { return 0 };
    match modified.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(options: &WalkOptions, root: &Path) -> Vec<String> {
        let [names, alone] = [false, true].map(|one_thread| {
            let mut names = Vec::new();
            let take = |found: Result<Found, WalkProblem>| -> Result<(), std::convert::Infallible> {
                let path = found.unwrap().path;
                names.push(path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/"));
                Ok(())
            };
            let options = WalkOptions { one_thread, ..options.clone() };
            Walker::new(&options).unwrap().walk(root, root, &[], take).unwrap();
            names
        });
        assert_eq!(alone, names, "on one thread and on two");
        names
    }

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "a.jpg",
            "b.txt",
            ".hidden.jpg",
            ".git/x.png",
            "@eaDir/t.jpg",
            "node_modules/y.png",
            "旅行/海边.JPG",
            "旅行/草稿/c.png",
            "旅行/.thumbs/d.png",
            "Z/草稿/e.png",
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
        dir
    }

    #[test]
    fn hidden_and_system_folders_are_left_out() {
        let dir = tree();
        let all = names(&WalkOptions::default(), dir.path());
        assert_eq!(all, ["Z/草稿/e.png", "a.jpg", "b.txt", "旅行/海边.JPG", "旅行/草稿/c.png"]);
        let hidden = names(&WalkOptions { hidden: true, ..Default::default() }, dir.path());
        assert_eq!(hidden.len(), 10);
    }

    #[test]
    fn exclude_globs_match_names_or_paths() {
        let dir = tree();
        let exclude = |patterns: &[&str]| {
            names(
                &WalkOptions {
                    exclude: patterns.iter().map(ToString::to_string).collect(),
                    ..Default::default()
                },
                dir.path(),
            )
        };
        assert_eq!(exclude(&["草稿"]), ["a.jpg", "b.txt", "旅行/海边.JPG"]);
        assert_eq!(exclude(&["草稿/", "*.txt"]), ["a.jpg", "旅行/海边.JPG"]);
        assert_eq!(exclude(&["旅行/草稿"]).len(), 4);
        assert_eq!(exclude(&["/a.jpg"]).len(), 4);
        assert_eq!(exclude(&["./旅行"]), exclude(&["旅行"]));
        assert_eq!(exclude(&["旅行/**"]), ["Z/草稿/e.png", "a.jpg", "b.txt"]);
        let bad = Walker::new(&WalkOptions { exclude: vec!["[".into()], ..Default::default() });
        assert!(matches!(bad, Err(IndexError::Pattern { .. })));
    }

    #[test]
    fn files_come_in_the_order_of_their_paths() {
        let dir = tempfile::tempdir().unwrap();
        // More than a group, and names around the separator.
        for folder in ["a", "a-b", "a.d", "b", "旅行"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
            for n in 0..150 {
                fs::write(dir.path().join(folder).join(format!("{n}.jpg")), b"x").unwrap();
            }
        }
        for file in ["a!.jpg", "a.jpg", "a0.jpg"] {
            fs::write(dir.path().join(file), b"x").unwrap();
        }
        let names = names(&WalkOptions::default(), dir.path());
        assert_eq!(names.len(), 5 * 150 + 3);
        assert!(names.is_sorted_by(|a, b| a.as_bytes() < b.as_bytes()));
    }

    #[test]
    #[cfg(unix)]
    fn links_are_followed_only_when_asked_and_loops_end() {
        let dir = tree();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("旅行/loop")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("a.jpg"), dir.path().join("link.jpg")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("dangling.jpg")).unwrap();
        assert_eq!(names(&WalkOptions::default(), dir.path()).len(), 5);
        let followed = names(&WalkOptions { follow_links: true, ..Default::default() }, dir.path());
        assert_eq!(followed.len(), 6);
        assert!(followed.contains(&"link.jpg".to_owned()));
    }
}
