//! Small copies of pictures on disk: what was decoded once is not decoded again. May be deleted at any time,
//! and shared by any number of processes.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use taiyi_core::RgbImage;
use taiyi_image::{ImageError, Limits};
use taiyi_query::ContentHash;

/// Small enough that a large collection fits into the bound, and indistinguishable on a terminal.
const QUALITY: u8 = 85;

/// A copy of 1536 pixels takes well under a tenth of this.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// What ends every whole JPEG file.
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

/// A copy in use is marked as such no more often than this: reading should not mean writing.
const TOUCH_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A file that was not finished in this time never will be.
const UNFINISHED_AFTER: Duration = Duration::from_secs(60 * 60);

/// Of the bound, what stays when the oldest copies go, so that not every start begins with that.
const KEPT_PERCENT: u64 = 75;

/// Names one copy of one state of a file: another size or time of modification is another key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(String);

impl Key {
    /// The key of a copy with this longer side; `None` where files have no time.
    pub(crate) fn of(path: &Path, metadata: &Metadata, side: u32) -> Option<Self> {
        let modified = match metadata.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i128::try_from(since.as_nanos()).ok()?,
            Err(before) => -i128::try_from(before.duration().as_nanos()).ok()?,
        };
        let mut bytes = Vec::new();
        // Opens with numbers of a fixed width, so that no two keys are made of the same bytes.
        bytes.extend_from_slice(&metadata.len().to_le_bytes());
        bytes.extend_from_slice(&modified.to_le_bytes());
        bytes.extend_from_slice(&side.to_le_bytes());
        bytes.extend_from_slice(path.as_os_str().as_encoded_bytes());
        Some(Self(ContentHash::of(&bytes).to_hex()))
    }
}

/// Bound of the small copies on disk.
pub(crate) const MAX_DISK_BYTES: u64 = 256 << 20;

/// So much is written between two sweeps: a session that sees a whole collection keeps about within the bound.
const SWEEP_EVERY_BYTES: u64 = 32 << 20;

/// The folder of small copies.
#[derive(Debug)]
pub(crate) struct Thumbnails {
    dir: PathBuf,
    /// Tells unfinished files of this process apart.
    written: AtomicU64,
    /// Bytes of all those that were finished.
    written_bytes: AtomicU64,
}

impl Thumbnails {
    /// In this folder, which is made when there is something to put into it.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, written: AtomicU64::new(0), written_bytes: AtomicU64::new(0) }
    }

    fn path_of(&self, Key(name): &Key) -> PathBuf {
        self.dir.join(&name[..2]).join(format!("{name}.jpg"))
    }

    /// The copy, if there is one that is whole.
    pub(crate) fn load(&self, key: &Key, side: u32) -> Option<RgbImage> {
        let path = self.path_of(key);
        let limits = Limits { max_pixels: u64::from(side) * u64::from(side), max_file_bytes: MAX_FILE_BYTES };
        match taiyi_image::read(&path, &limits) {
            // Pictures cut short are shown as far as they go; a copy can be made anew.
            Ok(bytes) if bytes.ends_with(&END_OF_IMAGE) => {
                match taiyi_image::decode(&bytes, &path, &limits) {
                    Ok(decoded) => {
                        mark_used(&path);
                        return Some(decoded.image);
                    }
                    Err(e) => tracing::debug!("a thumbnail is made anew: {e}"),
                }
            }
            Ok(_) => tracing::debug!("a thumbnail is made anew: {} ends too early", path.display()),
            Err(ImageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(e) => tracing::debug!("a thumbnail is made anew: {e}"),
        }
        None
    }

    /// Keeps a copy. If that fails, it will be made again when it is needed. Whether a sweep is due.
    pub(crate) fn store(&self, key: &Key, image: &RgbImage) -> bool {
        let Some(bytes) = taiyi_image::to_jpeg(image, QUALITY) else { return false };
        let path = self.path_of(key);
        let unfinished = path.with_extension(format!(
            "{}-{}.tmp",
            std::process::id(),
            self.written.fetch_add(1, Ordering::Relaxed)
        ));
        let kept = write_private(&unfinished, &bytes).and_then(|()| fs::rename(&unfinished, &path));
        if let Err(e) = kept {
            tracing::debug!("{}: the thumbnail cannot be kept: {e}", path.display());
            // Whatever there is of it; if even that stays, a later sweep sees to it.
            let _ = fs::remove_file(&unfinished);
            return false;
        }
        let more = bytes.len() as u64;
        let before = self.written_bytes.fetch_add(more, Ordering::Relaxed);
        before / SWEEP_EVERY_BYTES != (before + more) / SWEEP_EVERY_BYTES
    }

    /// Deletes the copies used least lately if all of them take more than this, and what was never finished.
    /// Nothing that does not have the name of a copy is touched: the folder may be anyone's.
    pub(crate) fn sweep(&self, max_bytes: u64) {
        let now = SystemTime::now();
        let mut copies = Vec::new();
        let mut total: u64 = 0;
        for (path, metadata) in self.files() {
            let Ok(modified) = metadata.modified() else { continue };
            if path.extension().is_some_and(|extension| extension == "tmp") {
                if now.duration_since(modified).is_ok_and(|age| age > UNFINISHED_AFTER) {
                    let _ = fs::remove_file(&path);
                }
                continue;
            }
            total = total.saturating_add(metadata.len());
            copies.push((modified, metadata.len(), path));
        }
        if total <= max_bytes {
            return;
        }
        copies.sort();
        let kept = max_bytes / 100 * KEPT_PERCENT;
        for (_, bytes, path) in copies {
            if total <= kept {
                break;
            }
            match fs::remove_file(&path) {
                Ok(()) => total -= bytes,
                // Another process was faster.
                Err(e) if e.kind() == io::ErrorKind::NotFound => total -= bytes,
                Err(e) => tracing::debug!("{}: cannot be deleted: {e}", path.display()),
            }
        }
    }

    /// Everything in the folder that has the name of a copy, finished or not.
    fn files(&self) -> impl Iterator<Item = (PathBuf, Metadata)> {
        let shelves = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        shelves
            .filter(|shelf| shelf.file_type().is_ok_and(|kind| kind.is_dir()))
            .flat_map(|shelf| {
                let prefix = shelf.file_name();
                let files = fs::read_dir(shelf.path()).into_iter().flatten().flatten();
                files.filter(move |file| {
                    is_ours(&prefix.to_string_lossy(), &file.file_name().to_string_lossy())
                })
            })
            .filter_map(|file| Some((file.path(), file.metadata().ok().filter(Metadata::is_file)?)))
    }
}

/// Whether a file has the name of a copy, in the folder where copies of that name are.
fn is_ours(shelf: &str, name: &str) -> bool {
    let Some((stem, rest)) = name.split_once('.') else { return false };
    stem.len() == 64
        && stem.bytes().all(|b| b.is_ascii_hexdigit())
        && shelf.len() == 2
        && stem.starts_with(shelf)
        && (rest == "jpg" || rest.ends_with(".tmp"))
}

/// Marks a copy as used, if it was not lately.
fn mark_used(path: &Path) {
    let now = SystemTime::now();
    let age = fs::metadata(path).and_then(|m| m.modified()).ok().and_then(|at| now.duration_since(at).ok());
    if age.is_some_and(|age| age > TOUCH_AFTER) {
        // On a disk that cannot be written to, nothing is ever swept either.
        let _ = File::open(path).and_then(|file| file.set_modified(now));
    }
}

/// Writes a file, and its folder if need be, for the eyes of this user only: it shows the user's pictures.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut folders = fs::DirBuilder::new();
    folders.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        options.mode(0o600);
        folders.mode(0o700);
    }
    if let Some(folder) = path.parent() {
        folders.create(folder)?;
    }
    options.open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(shade: u8) -> RgbImage {
        RgbImage::new(8, 6, vec![shade; 8 * 6 * 3]).unwrap()
    }

    fn key(name: &str) -> Key {
        Key(ContentHash::of(name.as_bytes()).to_hex())
    }

    fn names(thumbnails: &Thumbnails) -> usize {
        thumbnails.files().count()
    }

    #[test]
    fn a_key_is_of_one_state_of_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other] = ["一.jpg", "二.jpg"].map(|name| dir.path().join(name));
        for path in [&one, &other] {
            fs::write(path, b"12345").unwrap();
        }
        let at = SystemTime::UNIX_EPOCH;
        let key = |path: &Path, side: u32, modified: SystemTime| {
            File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
            Key::of(path, &fs::metadata(path).unwrap(), side).unwrap()
        };
        let before = key(&one, 512, at);
        assert_eq!(before, key(&one, 512, at));
        assert_ne!(before, key(&other, 512, at));
        assert_ne!(before, key(&one, 1536, at));
        assert_ne!(before, key(&one, 512, at + Duration::from_secs(1)));
        assert_ne!(before, key(&one, 512, at - Duration::from_secs(1)), "before 1970, too");
        fs::write(&one, b"123456").unwrap();
        assert_ne!(before, key(&one, 512, at));
    }

    #[test]
    fn what_is_stored_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let thumbnails = Thumbnails::new(dir.path().join("not/yet/made"));
        assert!(thumbnails.load(&key("a"), 8).is_none());
        thumbnails.store(&key("a"), &picture(200));
        let found = thumbnails.load(&key("a"), 8).unwrap();
        assert_eq!((found.width(), found.height()), (8, 6));
        assert!(found.pixels().iter().all(|v| v.abs_diff(200) <= 2));
        assert!(thumbnails.load(&key("b"), 8).is_none());
        assert!(thumbnails.load(&key("a"), 4).is_none(), "larger than such a copy can be");
        assert_eq!(names(&thumbnails), 1, "nothing unfinished is left");
    }

    #[cfg(unix)]
    #[test]
    fn others_do_not_see_them() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let thumbnails = Thumbnails::new(dir.path().join("thumbnails"));
        thumbnails.store(&key("a"), &picture(1));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&thumbnails.path_of(&key("a"))) & 0o077, 0);
        assert_eq!(mode(&thumbnails.dir) & 0o077, 0);
    }

    #[test]
    fn a_broken_copy_is_none_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let thumbnails = Thumbnails::new(dir.path().into());
        let path = thumbnails.path_of(&key("a"));
        thumbnails.store(&key("a"), &picture(90));
        let whole = fs::read(&path).unwrap();
        let mut scrambled = whole.clone();
        scrambled[2..20].fill(0);
        for broken in [&whole[..whole.len() / 2], &whole[..0], &vec![0; whole.len()], &scrambled] {
            fs::write(&path, broken).unwrap();
            assert!(thumbnails.load(&key("a"), 8).is_none());
            thumbnails.store(&key("a"), &picture(90));
            assert!(thumbnails.load(&key("a"), 8).is_some());
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a file");
        fs::write(&file, b"in the way").unwrap();
        let thumbnails = Thumbnails::new(file.clone());
        thumbnails.store(&key("a"), &picture(1));
        assert!(thumbnails.load(&key("a"), 8).is_none());
        thumbnails.sweep(0);
        assert_eq!(fs::read(&file).unwrap(), b"in the way");
    }

    #[test]
    fn the_oldest_go_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let thumbnails = Thumbnails::new(dir.path().into());
        let at = |path: &Path, hours_ago: u64| {
            let time = SystemTime::now() - Duration::from_secs(hours_ago * 3600);
            File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        };
        let keys: Vec<Key> = (0..20).map(|i| key(&i.to_string())).collect();
        for (hours_ago, key) in keys.iter().enumerate() {
            thumbnails.store(key, &picture(7));
            at(&thumbnails.path_of(key), hours_ago as u64);
        }
        let one = fs::metadata(thumbnails.path_of(&keys[0])).unwrap().len();
        // None of ours: another name, another place, a folder of such a name.
        let shelf = thumbnails.path_of(&keys[0]).parent().unwrap().to_path_buf();
        let hex = "ab".repeat(32);
        let strangers =
            [dir.path().join("me.jpg"), shelf.join("me.jpg"), dir.path().join(format!("{hex}.jpg"))];
        for path in &strangers {
            fs::write(path, vec![0; 4096]).unwrap();
            at(path, 10_000);
        }
        // One unfinished since long, one being written now.
        let [stale, fresh] = ["1-1.tmp", "1-2.tmp"].map(|e| thumbnails.path_of(&keys[0]).with_extension(e));
        fs::write(&stale, b"half").unwrap();
        fs::write(&fresh, b"half").unwrap();
        at(&stale, 2);

        thumbnails.sweep(one * 20);
        assert_eq!(names(&thumbnails), 21, "within the bound, only what is stale goes");
        thumbnails.sweep(one * 16);
        let left: Vec<usize> = (0..20).filter(|&i| thumbnails.path_of(&keys[i]).exists()).collect();
        assert!(left.len() <= 12 && left.len() >= 11, "{left:?}");
        assert_eq!(left, (0..left.len()).collect::<Vec<_>>(), "the newest stay");
        assert!(strangers.iter().all(|path| path.exists()) && fresh.exists() && !stale.exists());
    }

    #[test]
    fn a_sweep_is_due_after_so_many_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let thumbnails = Thumbnails::new(dir.path().into());
        assert!(!thumbnails.store(&key("a"), &picture(7)));
        thumbnails.written_bytes.store(SWEEP_EVERY_BYTES - 1, Ordering::Relaxed);
        assert!(thumbnails.store(&key("b"), &picture(7)));
        assert!(!thumbnails.store(&key("c"), &picture(7)));
    }

    #[test]
    fn use_keeps_a_copy_young() {
        let dir = tempfile::tempdir().unwrap();
        let thumbnails = Thumbnails::new(dir.path().into());
        thumbnails.store(&key("a"), &picture(7));
        let path = thumbnails.path_of(&key("a"));
        let age = |path: &Path| fs::metadata(path).unwrap().modified().unwrap().elapsed().unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(100 * 24 * 3600);
        File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        thumbnails.load(&key("a"), 8).unwrap();
        assert!(age(&path) < TOUCH_AFTER);
    }
}
