//! A tensor's f32 values: where they lie in a mapped file, or copied.

use std::ops::Range;
use std::sync::Arc;

use crate::files::FileBytes;

/// The values of one tensor, row by row.
pub(crate) enum Values {
    /// In a file as they are in memory: f32, little-endian, aligned.
    Mapped { file: Arc<FileBytes>, range: Range<usize> },
    /// Converted from another type or file format.
    Owned(Vec<f32>),
}

impl Values {
    /// Takes `range` of `file` as it lies if it can be read as f32 there, else a copy.
    pub(crate) fn in_file(file: &Arc<FileBytes>, range: Range<usize>) -> Option<Self> {
        let bytes = file.bytes().get(range.clone())?;
        if cfg!(target_endian = "little") && bytemuck::try_cast_slice::<u8, f32>(bytes).is_ok() {
            return Some(Self::Mapped { file: Arc::clone(file), range });
        }
        let (values, _) = bytes.as_chunks::<4>();
        Some(Self::Owned(values.iter().copied().map(f32::from_le_bytes).collect()))
    }

    /// Brings what is mapped into memory before it is read.
    pub(crate) fn fetch(&self) {
        if let Self::Mapped { file, range } = self {
            file.fetch(range.clone());
        }
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        match self {
            // Checked when made; a map does not move.
            Self::Mapped { file, range } => file
                .bytes()
                .get(range.clone())
                .and_then(|bytes| bytemuck::try_cast_slice(bytes).ok())
                .unwrap_or_default(),
            Self::Owned(values) => values,
        }
    }
}
