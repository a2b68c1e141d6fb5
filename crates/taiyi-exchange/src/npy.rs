//! NumPy's file format, as far as embeddings need it: two-dimensional arrays of f16 or f32, row by row.
//!
//! A file is a magic string, a version, the length of a header, the header (a Python dictionary in text),
//! and the numbers. Described at <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

mod header;
mod reader;
mod writer;

pub(crate) use reader::NpyReader;
pub(crate) use writer::NpyWriter;
pub use writer::write;

/// The type of the numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE 754 half precision, as clip-retrieval writes: 11 bits of precision.
    F16,
    /// IEEE 754 single precision: an embedding of an index, bit for bit.
    F32,
}

impl Dtype {
    /// Bytes of a number.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }

    /// What NumPy calls it, little-endian.
    #[must_use]
    pub fn descr(self) -> &'static str {
        match self {
            Self::F16 => "<f2",
            Self::F32 => "<f4",
        }
    }
}
