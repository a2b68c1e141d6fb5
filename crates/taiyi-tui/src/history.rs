//! Former prompts, kept in a file: one a line, the newest last.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::editor::Editor;

/// So many prompts are offered.
const MAX_PROMPTS: usize = 1000;
/// A file with more lines than this is written anew, without what nobody would see again.
const MAX_LINES: usize = 4000;
/// Of a larger file only the end is read, and kept.
const MAX_BYTES: u64 = 16 << 20;

/// The prompts cannot be kept.
#[derive(Debug, Error)]
#[error("prompt history {}: cannot {what}: {source}: check the file and its folder, or remove it", path.display())]
pub(crate) struct HistoryError {
    path: PathBuf,
    what: &'static str,
    source: io::Error,
}

/// A file of prompts. Several interfaces may use it at once.
#[derive(Clone, Debug)]
pub(crate) struct History {
    path: PathBuf,
    prompts: Vec<String>,
}

impl History {
    /// Reads the last thousand different prompts; without a file there are none. Lines that are no text are
    /// skipped.
    ///
    /// # Errors
    /// If there is a file that cannot be read.
    pub(crate) fn load(path: &Path) -> Result<Self, HistoryError> {
        let (content, is_whole) = read_end(path).map_err(failed(path, "read it"))?;
        let lines = content.iter().filter(|byte| **byte == b'\n').count();
        if (lines > MAX_LINES || !is_whole)
            && let Err(error) = rewrite(path)
        {
            // All can be read; only the file is longer than it had to be.
            tracing::warn!("prompt history {}: cannot shorten it: {error}", path.display());
        }
        Ok(Self { path: path.to_owned(), prompts: newest(&content) })
    }

    /// The prompts that were in the file when it was read, the newest last.
    #[must_use]
    pub(crate) fn prompts(&self) -> &[String] {
        &self.prompts
    }

    /// Adds a prompt to the file; a blank one is none.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn append(&self, prompt: &str) -> Result<(), HistoryError> {
        let Some(prompt) = clean(prompt) else { return Ok(()) };
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(failed(&self.path, "make its folder"))?;
        }
        let lock = lock_file(&self.path).map_err(failed(&self.path, "write beside it"))?;
        let _held = Held::shared(&lock);
        append_line(&self.path, &prompt).map_err(failed(&self.path, "write it"))
    }
}

fn failed<'a>(path: &'a Path, what: &'static str) -> impl FnOnce(io::Error) -> HistoryError + 'a {
    move |source| HistoryError { path: path.to_owned(), what, source }
}

/// A prompt as it can stand in a line, if there is something to it.
fn clean(prompt: &str) -> Option<String> {
    let line = Editor::with_text(prompt);
    let line = line.text().trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// The file from its first whole line on that is within [`MAX_BYTES`]; and whether that is all of it.
fn read_end(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((Vec::new(), true)),
        Err(error) => return Err(error),
    };
    let skipped = file.metadata()?.len().saturating_sub(MAX_BYTES);
    file.seek(SeekFrom::Start(skipped))?;
    let mut content = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut content)?;
    if skipped > 0 {
        let line = content.iter().position(|byte| *byte == b'\n').map_or(content.len(), |at| at + 1);
        content.drain(..line);
    }
    Ok((content, skipped == 0))
}

/// The last different prompts, the newest last.
fn newest(content: &[u8]) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut prompts: Vec<String> = content
        .rsplit(|byte| *byte == b'\n')
        .filter_map(|line| clean(std::str::from_utf8(line).ok()?))
        .filter(|prompt| seen.insert(prompt.clone()))
        .take(MAX_PROMPTS)
        .collect();
    prompts.reverse();
    prompts
}

fn append_line(path: &Path, prompt: &str) -> io::Result<()> {
    let mut file = private(OpenOptions::new().read(true).append(true).create(true)).open(path)?;
    let mut line = format!("{prompt}\n");
    // Whoever wrote last may have been stopped within a line.
    if file.seek(SeekFrom::End(-1)).is_ok() {
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            line.insert(0, '\n');
        }
    }
    // In one piece: what others append at the same time comes before or after it.
    file.write_all(line.as_bytes())
}

/// Leaves only the newest prompts in the file.
fn rewrite(path: &Path) -> io::Result<()> {
    let lock = lock_file(path)?;
    // If others hold it, one of them does this, or somebody does the next time.
    let Some(_held) = Held::exclusive(&lock) else { return Ok(()) };
    let (content, _) = read_end(path)?;
    let mut lines = newest(&content).join("\n");
    lines.push('\n');
    let new = beside(path, "new");
    let mut file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&new)?;
    file.write_all(lines.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

/// What keeps a line from being appended to a file that is just being replaced.
fn lock_file(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().write(true).create(true)).open(beside(path, "lock"))
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// What people look for is nobody else's business.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// A lock until this is dropped.
struct Held<'a>(&'a File);

impl<'a> Held<'a> {
    /// Not every file system has locks; without them, two interfaces seldom meet just here.
    fn shared(lock: &'a File) -> Option<Self> {
        lock.lock_shared().ok().map(|()| Self(lock))
    }

    fn exclusive(lock: &'a File) -> Option<Self> {
        lock.try_lock().ok().map(|()| Self(lock))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::debug!("prompt history: cannot unlock: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use tempfile::tempdir;

    use super::*;

    fn load(path: &Path) -> Vec<String> {
        History::load(path).unwrap().prompts().to_vec()
    }

    #[test]
    fn what_is_kept_is_there_the_next_time() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("not there yet").join("history");
        let history = History::load(&path).unwrap();
        assert!(history.prompts().is_empty());
        for prompt in ["两只老虎", "海边\n日落", "  ", "两只老虎", " 雪 "] {
            history.append(prompt).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "两只老虎\n海边 日落\n两只老虎\n雪\n");
        assert_eq!(load(&path), ["海边 日落", "两只老虎", "雪"]);
    }

    #[test]
    fn garbage_is_skipped_and_a_torn_line_spoils_no_other() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("history");
        fs::write(&path, b"\xff\xfe\x00\n\n\x1b[2J\xe8\x99\x8e\r\n\xe8\x99\ncat\ntor").unwrap();
        assert_eq!(load(&path), ["[2J虎", "cat", "tor"]);
        History::load(&path).unwrap().append("dog").unwrap();
        assert_eq!(load(&path), ["[2J虎", "cat", "tor", "dog"]);
    }

    #[test]
    fn a_long_file_is_shortened_to_what_can_be_seen() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("history");
        let lines: String = (0..=MAX_LINES).map(|i| format!("prompt {}\n", i % 3000)).collect();
        fs::write(&path, &lines).unwrap();
        let before = load(&path);
        assert_eq!((before.len(), before.last().unwrap().as_str()), (1000, "prompt 1000"));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().collect::<Vec<_>>(), before);
        assert_eq!(load(&path), before);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name == "history.new"), "{left:?}");
    }

    #[test]
    fn a_huge_file_is_read_from_its_end() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("history");
        let mut content = vec![b'x'; usize::try_from(MAX_BYTES).unwrap() + 9];
        content.extend(b"\ncat\n");
        fs::write(&path, &content).unwrap();
        assert_eq!(load(&path), ["cat"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "cat\n");
    }

    #[test]
    fn two_interfaces_lose_nothing_while_the_file_is_shortened() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("history");
        let often = "the same again\n".repeat(MAX_LINES + 1);
        std::thread::scope(|scope| {
            for name in ["left", "right"] {
                let (path, often) = (&path, &often);
                scope.spawn(move || {
                    for i in 0..200 {
                        // Reading it shortens it, most of the time.
                        History::load(path).unwrap().append(&format!("{name} {i}")).unwrap();
                        if i % 3 == 0 {
                            let lock = lock_file(path).unwrap();
                            let _held = Held::shared(&lock);
                            append_line(path, often).unwrap();
                        }
                    }
                });
            }
        });
        let kept = load(&path);
        assert_eq!(kept.len(), 401);
        assert!(fs::read(&path).unwrap().len() < often.len());
    }

    #[test]
    fn two_who_append_at_once_lose_nothing() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("history");
        std::thread::scope(|scope| {
            for name in ["left", "right"] {
                let path = &path;
                scope.spawn(move || {
                    let history = History::load(path).unwrap();
                    for i in 0..300 {
                        history.append(&format!("{name} {}{i}", "虎".repeat(i % 90))).unwrap();
                    }
                });
            }
        });
        let kept = load(&path);
        for name in ["left", "right"] {
            let mine: Vec<_> = kept.iter().filter(|prompt| prompt.starts_with(name)).collect();
            assert!(
                (0..300).eq(mine.iter().map(|p| p
                    .rsplit([' ', '虎'])
                    .next()
                    .unwrap()
                    .parse::<i32>()
                    .unwrap()))
            );
        }
        assert_eq!(kept.len(), 600);
    }

    #[test]
    fn failures_name_the_file() {
        let folder = tempdir().unwrap();
        let message = History::load(folder.path()).unwrap_err().to_string();
        assert!(message.contains(&folder.path().display().to_string()), "{message}");
        fs::write(folder.path().join("file"), "").unwrap();
        let below = History { path: folder.path().join("file").join("history"), prompts: Vec::new() };
        let message = below.append("cat").unwrap_err().to_string();
        assert!(message.contains("file/history") || message.contains("file\\history"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempdir().unwrap();
        let path = folder.path().join("history");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        History::load(&path).unwrap().append("cat").unwrap();
        assert_eq!(mode(), 0o600);
        let lines: String = (0..=MAX_LINES).map(|i| format!("{i}\n")).collect();
        fs::write(&path, lines).unwrap();
        assert_eq!(load(&path).len(), 1000);
        assert_eq!(mode(), 0o600);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_file_can_be_read_and_added_to(content: Vec<u8>, prompt: String) {
            let folder = tempdir().unwrap();
            let path = folder.path().join("history");
            fs::write(&path, &content).unwrap();
            let history = History::load(&path).unwrap();
            history.append(&prompt).unwrap();
            let mut wanted = history.prompts().to_vec();
            if let Some(prompt) = clean(&prompt) {
                wanted.retain(|other| *other != prompt);
                wanted.push(prompt);
            }
            prop_assert_eq!(load(&path), wanted);
        }
    }
}
