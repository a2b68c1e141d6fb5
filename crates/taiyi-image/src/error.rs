//! Why a file gave no picture.

use std::io;
use std::path::{Path, PathBuf};

use taiyi_core::ImageFormat;

/// Why a file gave no picture. Every message names the file; [`reason`](Self::reason) leaves it out.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file could not be read.
    #[error("{}: {}", path.display(), self.reason())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds more bytes than the limits allow.
    #[error("{}: {}", path.display(), self.reason())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Most bytes allowed.
        limit_bytes: u64,
    },
    /// The content is of no picture format known here.
    #[error("{}: {}", path.display(), self.reason())]
    NotAPicture {
        /// The file.
        path: PathBuf,
        /// Whether the file has no content at all.
        is_empty: bool,
    },
    /// The header promises more pixels than the limits allow. Nothing was decoded.
    #[error("{}: {}", path.display(), self.reason())]
    TooManyPixels {
        /// The file.
        path: PathBuf,
        /// Columns, by the header.
        width: u32,
        /// Rows, by the header.
        height: u32,
        /// Most pixels allowed, in millions.
        limit_megapixels: f64,
    },
    /// The file breaks the rules of its format.
    #[error("{}: {}", path.display(), self.reason())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The format that the content claims to be.
        format: ImageFormat,
        /// What is wrong.
        message: String,
    },
    /// The file may be a fine picture, of a kind that cannot be read here.
    #[error("{}: {}", path.display(), self.reason())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is not supported.
        message: String,
    },
    /// A picture that was decoded could not be resized. There is no file to name here.
    #[error("{}", self.reason())]
    Resize {
        /// What went wrong.
        message: String,
    },
    /// The decoder panicked on this file.
    #[error("{}: {}", path.display(), self.reason())]
    DecoderPanicked {
        /// The file.
        path: PathBuf,
        /// The panic's message.
        message: String,
    },
}

impl ImageError {
    /// The file; empty for [`Resize`](Self::Resize).
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::FileTooLarge { path, .. }
            | Self::NotAPicture { path, .. }
            | Self::TooManyPixels { path, .. }
            | Self::Corrupt { path, .. }
            | Self::Unsupported { path, .. }
            | Self::DecoderPanicked { path, .. } => path,
            Self::Resize { .. } => Path::new(""),
        }
    }

    /// The message without the file's name, for reports that list names in a column of their own.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Io { source, .. } => format!("cannot be read: {source}"),
            Self::FileTooLarge { limit_bytes, .. } => {
                format!("the file is larger than {:.0} MiB, the most that is read", mebibytes(*limit_bytes))
            }
            Self::NotAPicture { is_empty: true, .. } => "the file is empty".into(),
            Self::NotAPicture { is_empty: false, .. } => "not a picture of a known format".into(),
            Self::TooManyPixels { width, height, limit_megapixels, .. } => format!(
                "{width}×{height} is {:.1} megapixels, the limit is {limit_megapixels:.1}: \
                 raise --max-megapixels to read it",
                f64::from(*width) * f64::from(*height) / 1e6
            ),
            Self::Corrupt { format, message, .. } => format!("broken {format}: {message}"),
            Self::Unsupported { message, .. } => format!("not supported: {message}"),
            Self::Resize { message } => format!("cannot be resized: {message}"),
            Self::DecoderPanicked { message, .. } => format!("the decoder failed on it: {message}"),
        }
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1u64 << 20) as f64
}
