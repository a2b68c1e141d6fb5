//! What the index knows: contents, the locations where they lie, and the roots above them.

use std::fmt;
use std::path::PathBuf;

use taiyi_core::{Embedding, PhotoMetadata};

use crate::RelativePath;

/// BLAKE3 of a file's bytes: the identity of a picture, wherever it lies. Of a picture that was imported, see
/// [`of_imported`](Self::of_imported).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// Hashes the bytes of a file.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Names a picture of which nothing but the embedding is known, by that embedding: equal embeddings are
    /// one content, as equal files are. Never that of a file.
    #[must_use]
    pub fn of_imported(embedding: &Embedding) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("taiyi-search imported embedding, f32 little-endian");
        hasher.update(bytemuck::cast_slice(embedding.as_slice()));
        Self(*hasher.finalize().as_bytes())
    }

    /// 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// Names a root within one index. Never used again for another root of that index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootId(pub(crate) u32);

impl RootId {
    /// The number, as in status output.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

/// A folder whose pictures are indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its name within the index.
    pub id: RootId,
    /// Where it is mounted; absolute.
    pub path: PathBuf,
    /// Whether only files of it that were named are indexed, and not all below it.
    pub partial: bool,
}

/// What tells cheaply that a file has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileStamp {
    /// Bytes.
    pub size: u64,
    /// Modification time, in nanoseconds since 1970-01-01T00:00:00Z; negative before.
    pub mtime_ns: i64,
}

impl FileStamp {
    /// Of a location that was imported: its file was never looked at, and need not be there. No file has this
    /// stamp, so that the next run that finds one reads it.
    pub const IMPORTED: Self = Self { size: u64::MAX, mtime_ns: i64::MIN };

    /// Whether the location was imported.
    #[must_use]
    pub fn is_imported(self) -> bool {
        self == Self::IMPORTED
    }
}

/// Why a file has no embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It is a picture, and damaged.
    Corrupt,
    /// It has more pixels than allowed.
    TooLarge,
    /// It is named like a picture, and is none.
    NotAPicture,
    /// It is a picture of a kind that cannot be read.
    Unsupported,
    /// The operating system would not let it be read.
    Unreadable,
    /// The model would not take it.
    Encoder,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Corrupt,
        Self::TooLarge,
        Self::NotAPicture,
        Self::Unsupported,
        Self::Unreadable,
        Self::Encoder,
    ];

    /// A short name for reports, e.g. `too-large`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Corrupt => "corrupt",
            Self::TooLarge => "too-large",
            Self::NotAPicture => "not-a-picture",
            Self::Unsupported => "unsupported",
            Self::Unreadable => "unreadable",
            Self::Encoder => "encoder",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A file that could not be embedded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which sort of trouble.
    pub kind: FailureKind,
    /// The reason in words.
    pub message: String,
}

/// What is known of the file at a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocationState {
    /// It has this content, whose embedding is in the index.
    Indexed(ContentHash),
    /// It could not be embedded, and is not tried again until it changes.
    Failed(Failure),
    /// It is no picture and is not named like one.
    Ignored,
}

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocationRecord {
    /// The file as it was when it was looked at.
    pub stamp: FileStamp,
    /// What was found.
    pub state: LocationState,
}

/// One thing learned of one file; see [`Writer::commit`](crate::Writer::commit).
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// The file was decoded and embedded.
    Embedded {
        /// The root above the file.
        root: RootId,
        /// The file below it.
        path: RelativePath,
        /// The file as it was read.
        stamp: FileStamp,
        /// Hash of the bytes that were read.
        hash: ContentHash,
        /// What the picture says of itself.
        metadata: PhotoMetadata,
        /// Its place in the model's space.
        embedding: Embedding,
    },
    /// The file has content that the index knows already.
    Reused {
        /// The root above the file.
        root: RootId,
        /// The file below it.
        path: RelativePath,
        /// The file as it was read.
        stamp: FileStamp,
        /// Hash of the bytes that were read.
        hash: ContentHash,
    },
    /// The file could not be embedded.
    Failed {
        /// The root above the file.
        root: RootId,
        /// The file below it.
        path: RelativePath,
        /// The file as it was read.
        stamp: FileStamp,
        /// Why.
        failure: Failure,
    },
    /// The file is no picture and is not named like one.
    Ignored {
        /// The root above the file.
        root: RootId,
        /// The file below it.
        path: RelativePath,
        /// The file as it was looked at.
        stamp: FileStamp,
    },
}
