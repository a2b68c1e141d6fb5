//! The two hashes that a hub announces: SHA-256 of large files, git's blob SHA-1 of small ones.
//!
//! A blob in the cache is named after its hash.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// A hash, in lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileHash(String);

impl FileHash {
    /// From an `ETag` or a blob's name: 64 digits of SHA-256 or 40 of git's SHA-1.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
        let is_hash = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then(|| Self(text.to_ascii_lowercase()))
    }

    pub(crate) fn digits(&self) -> &str {
        &self.0
    }

    /// A hasher of the same kind, for a file of `bytes` bytes.
    pub(crate) fn hasher(&self, bytes: u64) -> Hasher {
        if self.0.len() == 64 { Hasher::sha256() } else { Hasher::git(bytes) }
    }
}

impl fmt::Display for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A hash under way.
pub(crate) enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    pub(crate) fn sha256() -> Self {
        Self::Sha256(Sha256::new())
    }

    /// Git hashes the length before the bytes.
    fn git(bytes: u64) -> Self {
        let mut sha1 = Sha1::new();
        sha1.update(format!("blob {bytes}\0"));
        Self::Git(sha1)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Git(hash) => hash.update(bytes),
        }
    }

    /// Takes in the whole of a reader; the bytes read, or nothing when asked to stop.
    pub(crate) fn update_from(&mut self, file: &mut File, cancel: &AtomicBool) -> io::Result<Option<u64>> {
        let mut buffer = vec![0; 1 << 18];
        let mut total = 0;
        loop {
            if cancel.load(Ordering::Relaxed) {
                return Ok(None);
            }
            match file.read(&mut buffer)? {
                0 => return Ok(Some(total)),
                n => {
                    self.update(buffer.get(..n).unwrap_or_default());
                    total += n as u64;
                }
            }
        }
    }

    pub(crate) fn finish(self) -> FileHash {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        FileHash(match self {
            Self::Sha256(hash) => hex(&hash.finalize()),
            Self::Git(hash) => hex(&hash.finalize()),
        })
    }
}

impl FileHash {
    /// The hash of the file at `path`, of the same kind as this one; nothing when asked to stop.
    pub(crate) fn of_same_kind(&self, path: &Path, cancel: &AtomicBool) -> io::Result<Option<Self>> {
        let mut file = File::open(path)?;
        let mut hasher = self.hasher(file.metadata()?.len());
        Ok(hasher.update_from(&mut file, cancel)?.map(|_| hasher.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_those_of_git_and_sha256sum() {
        let hash = |kind: &str| {
            let mut hasher = FileHash::parse(kind).unwrap().hasher(6);
            hasher.update(b"hel");
            hasher.update(b"lo\n");
            hasher.finish().digits().to_owned()
        };
        // `printf 'hello\n' | git hash-object --stdin`, and by sha256sum.
        assert_eq!(hash(&"0".repeat(40)), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(hash(&"0".repeat(64)), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    }

    #[test]
    fn only_hashes_are_taken_from_an_etag() {
        let sha1 = "CE013625030ba8dba906f756967f9e9ca394464a";
        for etag in [sha1.to_owned(), format!("\"{sha1}\""), format!("W/\"{sha1}\"")] {
            assert_eq!(FileHash::parse(&etag).unwrap().digits(), sha1.to_lowercase());
        }
        for other in ["", "\"abc\"", "../../../../etc/passwd", &"g".repeat(40), &"a".repeat(41), "é"] {
            assert_eq!(FileHash::parse(other), None, "{other}");
        }
    }
}
