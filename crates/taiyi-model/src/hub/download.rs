//! One file into the cache: resumed where it was broken off, and checked by its hash before it counts.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::cache::{RepositoryCache, make_dir};
use super::http::{Answer, Client, Subject, Trouble};
use super::remote::{Remote, RemoteFile};
use super::{FetchEvent, Hasher, HubError};

const BUFFER_BYTES: usize = 1 << 18;
/// What has to come before a broken connection counts as progress.
const PROGRESS_BYTES: u64 = 1 << 16;
/// How often a file that turns out wrong is fetched anew.
const MAX_RESTARTS: u32 = 2;

/// Counts the bytes of a whole fetch.
pub(super) struct Tally<'a> {
    pub(super) client: &'a Client<'a>,
    /// Of the files before this one.
    pub(super) done: u64,
}

impl Tally<'_> {
    fn show(&self, of_this_file: u64) {
        self.client.progress().event(FetchEvent::Bytes { done: self.done + of_this_file });
    }
}

/// Makes sure that the file's blob is in the cache.
pub(super) fn download(
    tally: &Tally<'_>,
    cache: &RepositoryCache,
    remote: &Remote,
    file: &RemoteFile,
) -> Result<(), HubError> {
    let client = tally.client;
    let blob = cache.blob(&file.hash);
    if is_whole(&blob, file.bytes) {
        return Ok(());
    }
    let name = format!("{}/{}", remote.repository, file.name);
    make_dir(&cache.blobs())?;
    let waiting = || client.progress().event(FetchEvent::Waiting { name: &name });
    let _lock = cache.lock(&file.hash, client.cancel(), &waiting)?;
    if is_whole(&blob, file.bytes) {
        return Ok(());
    }
    let path = cache.part(&file.hash);
    let mut part = PartFile::open(&path, file, client)?;
    client.progress().event(FetchEvent::File { name: &name, bytes: file.bytes, resumed_at: part.len });
    tally.show(part.len);
    let subject = Subject { repository: &remote.repository, file: Some(file.name) };
    // Bytes of an earlier run, or of several answers, may not belong together; then all are fetched anew.
    part.is_mended = part.len > 0;
    let mut restarts_left = MAX_RESTARTS;
    loop {
        client.persist(|| part.extend(tally, remote, subject))?;
        let actual = part.hash_so_far();
        if actual == file.hash.digits() {
            break;
        }
        if !part.is_mended || restarts_left == 0 {
            drop(part);
            fs::remove_file(&path).map_err(|error| HubError::io(&path, error))?;
            return Err(HubError::Mismatch { what: name, expected: file.hash.to_string(), actual });
        }
        tracing::warn!(file = name, "the part that was here already does not fit, fetching all of it anew");
        restarts_left -= 1;
        part.start_over()?;
        tally.show(0);
    }
    part.file.sync_all().map_err(|error| HubError::io(&path, error))?;
    drop(part);
    fs::rename(&path, &blob).map_err(|error| HubError::io(&blob, error))
}

/// Bytes of a file that are here already, whole or in part.
pub(super) fn present_bytes(cache: &RepositoryCache, file: &RemoteFile) -> u64 {
    let length = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    if is_whole(&cache.blob(&file.hash), file.bytes) {
        return file.bytes;
    }
    Some(length(&cache.part(&file.hash))).filter(|length| *length <= file.bytes).unwrap_or(0)
}

fn is_whole(blob: &Path, bytes: u64) -> bool {
    fs::metadata(blob).is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes)
}

/// The beginning of a file, with the hash of what is there.
struct PartFile<'a> {
    path: &'a Path,
    remote: &'a RemoteFile,
    file: File,
    len: u64,
    hasher: Option<Hasher>,
    /// Whether bytes of more than one answer are in it.
    is_mended: bool,
    /// The most bytes that were there so far.
    best_len: u64,
}

impl<'a> PartFile<'a> {
    fn open(path: &'a Path, remote: &'a RemoteFile, client: &Client<'_>) -> Result<Self, HubError> {
        let io = |error| HubError::io(path, error);
        let mut file =
            File::options().create(true).truncate(false).read(true).write(true).open(path).map_err(io)?;
        if file.metadata().map_err(io)?.len() > remote.bytes {
            file.set_len(0).map_err(io)?;
        }
        let mut hasher = remote.hash.hasher(remote.bytes);
        let len = hasher.update_from(&mut file, client.cancel()).map_err(io)?.ok_or(HubError::Cancelled)?;
        Ok(Self { path, remote, file, len, hasher: Some(hasher), is_mended: false, best_len: len })
    }

    fn start_over(&mut self) -> Result<(), HubError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|error| HubError::io(self.path, error))?;
        (self.len, self.is_mended) = (0, false);
        self.hasher = Some(self.remote.hash.hasher(self.remote.bytes));
        Ok(())
    }

    /// Ends the hash; [`start_over`](Self::start_over) begins another.
    fn hash_so_far(&mut self) -> String {
        self.hasher.take().map_or_else(String::new, |hasher| hasher.finish().to_string())
    }

    /// Fetches what is missing; the file has its size afterwards.
    fn extend(&mut self, tally: &Tally<'_>, remote: &Remote, subject: Subject<'_>) -> Result<(), Trouble> {
        let client = tally.client;
        if self.len == self.remote.bytes {
            return Ok(());
        }
        let url = client.endpoint().below(&remote.url_path(self.remote));
        let answer = client.get(&url, self.len, subject)?;
        if answer
            .header("content-encoding")
            .is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity"))
        {
            return Err(HubError::server(subject.name(), "it comes encoded, which was not asked for").into());
        }
        match answer.status() {
            206 if continues_at(&answer, self.len, self.remote.bytes) => self.is_mended |= self.len > 0,
            // A server that knows no ranges, or another range than the one asked for.
            200 => {
                let announced =
                    answer.header("content-length").and_then(|text| text.trim().parse::<u64>().ok());
                if let Some(length) = announced.filter(|length| *length != self.remote.bytes) {
                    let problem =
                        format!("{length} bytes would come, the hub announced {}", self.remote.bytes);
                    return Err(HubError::server(subject.name(), problem).into());
                }
                if self.len > 0 {
                    self.start_over()?;
                    tally.show(0);
                }
            }
            status => {
                self.start_over()?;
                tally.show(0);
                let problem = format!("the rest of it cannot be had ({status}), starting over");
                return Err(Trouble::passing(HubError::server(subject.name(), problem)));
            }
        }
        let taken = self.take(answer, tally, subject);
        // A server without ranges sends the same again and again: that is no progress.
        let has_progressed = self.len >= self.best_len.saturating_add(PROGRESS_BYTES);
        self.best_len = self.best_len.max(self.len);
        taken.map_err(|trouble| match trouble {
            Trouble::Passing { error, wait, .. } => Trouble::Passing { error, wait, has_progressed },
            other => other,
        })
    }

    fn take(&mut self, answer: Answer, tally: &Tally<'_>, subject: Subject<'_>) -> Result<(), Trouble> {
        let client = tally.client;
        let origin = answer.url.clone();
        let mut body = answer.into_body().into_reader();
        let mut buffer = vec![0; BUFFER_BYTES];
        let broken = |part: &Self, how: &str| {
            let (here, all) = (part.len, part.remote.bytes);
            let problem =
                format!("the connection broke after {here} of {all} bytes of {} ({how})", subject.name());
            Trouble::passing(client.unreachable(&origin, problem))
        };
        while self.len < self.remote.bytes {
            client.check_cancelled()?;
            let n = match body.read(&mut buffer) {
                Ok(0) => return Err(broken(self, "it ended")),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(self, &error.to_string())),
            };
            // What comes beyond the announced size is not looked at: the hash decides.
            let room = usize::try_from(self.remote.bytes - self.len).unwrap_or(usize::MAX);
            let bytes = buffer.get(..n.min(room)).unwrap_or_default();
            self.file.write_all(bytes).map_err(|error| HubError::io(self.path, error))?;
            if let Some(hasher) = &mut self.hasher {
                hasher.update(bytes);
            }
            self.len += bytes.len() as u64;
            tally.show(self.len);
        }
        Ok(())
    }
}

/// Whether an answer of status 206 goes on at `from` in a file of `bytes` bytes.
fn continues_at(answer: &Answer, from: u64, bytes: u64) -> bool {
    let Some(range) = answer.header("content-range").and_then(|text| text.trim().strip_prefix("bytes "))
    else {
        return false;
    };
    let Some((span, total)) = range.split_once('/') else { return false };
    let begins = span.split('-').next().and_then(|text| text.trim().parse::<u64>().ok());
    begins == Some(from) && (total == "*" || total.trim().parse() == Ok(bytes))
}
