//! One writer at a time, across processes and machines that share a disk.
//!
//! The operating system's lock on `LOCK` decides, and goes when its holder dies, however it dies. What
//! the file says is only for the message to whoever comes second; without a lock on it, it means nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::{StoreError, manifest::LOCK_NAME};

/// Held for as long as it lives.
#[derive(Debug)]
pub(crate) struct WriterLock {
    file: File,
}

#[derive(Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
    since_s: i64,
}

impl WriterLock {
    /// Takes the lock of an index folder that exists.
    ///
    /// # Errors
    /// `Busy` when another writer holds it.
    pub(crate) fn acquire(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(LOCK_NAME);
        let io = |e| StoreError::io(&path, e);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Busy { dir: dir.to_owned(), holder: describe_holder(&mut file) });
            }
            Err(TryLockError::Error(e)) => return Err(io(e)),
        }
        let holder = Holder {
            pid: std::process::id(),
            host: gethostname::gethostname().to_string_lossy().into_owned(),
            since_s: unix_now_s(),
        };
        let text = serde_json::to_string(&holder).unwrap_or_default();
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(io)?;
        Ok(Self { file })
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        // Closing alone would leave the lock to a child process that was just forked and still has the file.
        let _ = self.file.unlock();
    }
}

fn describe_holder(file: &mut File) -> String {
    let mut text = String::new();
    // A lock may forbid reading (Windows), or its holder may be just about to write.
    let holder = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str::<Holder>(&text).ok());
    match holder {
        Some(Holder { pid, host, since_s }) => {
            let since = jiff::Timestamp::from_second(since_s).map_or_else(|_| "?".into(), |t| t.to_string());
            format!("another taiyi-search (process {pid} on {host}, since {since})")
        }
        None => "another taiyi-search".to_owned(),
    }
}

/// Seconds since 1970; 0 on a clock set before.
pub(crate) fn unix_now_s() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_writer_is_told_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = WriterLock::acquire(dir.path()).unwrap();
        let refusal = WriterLock::acquire(dir.path()).unwrap_err();
        assert!(matches!(refusal, StoreError::Busy { .. }));
        assert!(refusal.to_string().contains(&format!("process {} on ", std::process::id())), "{refusal}");
        drop(first);
        // What a dead holder left in the file locks nothing.
        WriterLock::acquire(dir.path()).unwrap();
    }
}
