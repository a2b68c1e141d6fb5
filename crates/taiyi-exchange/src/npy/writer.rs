//! Writing NumPy files: version 1.0.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use half::f16;
use taiyi_core::Embedding;

use super::Dtype;
use super::header::Header;
use crate::ExchangeError;

/// Writes `rows`, which all have `dimension` components, as one array of f32.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write(out: &mut impl Write, dimension: usize, rows: &[Embedding]) -> io::Result<()> {
    let header = Header { dtype: Dtype::F32, rows: rows.len() as u64, dimension };
    out.write_all(&header.to_bytes())?;
    rows.iter().try_for_each(|row| write_row(out, Dtype::F32, row))
}

fn write_row(out: &mut impl Write, dtype: Dtype, row: &Embedding) -> io::Result<()> {
    for &x in row.as_slice() {
        match dtype {
            Dtype::F16 => out.write_all(&f16::from_f32(x).to_le_bytes())?,
            Dtype::F32 => out.write_all(&x.to_le_bytes())?,
        }
    }
    Ok(())
}

/// A file that grows row by row. Not valid before [`finish`](Self::finish).
pub(crate) struct NpyWriter {
    path: PathBuf,
    out: BufWriter<File>,
    header: Header,
}

impl NpyWriter {
    /// # Errors
    /// `Io`, also when the file is there already.
    pub(crate) fn create(path: &Path, dtype: Dtype, dimension: usize) -> Result<Self, ExchangeError> {
        let file = File::create_new(path).map_err(|e| ExchangeError::io(path, e))?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let header = Header { dtype, rows: 0, dimension };
        out.write_all(&header.to_bytes()).map_err(|e| ExchangeError::io(path, e))?;
        Ok(Self { path: path.to_owned(), out, header })
    }

    /// # Errors
    /// `Io`.
    pub(crate) fn push(&mut self, row: &Embedding) -> Result<(), ExchangeError> {
        write_row(&mut self.out, self.header.dtype, row).map_err(|e| ExchangeError::io(&self.path, e))?;
        self.header.rows += 1;
        Ok(())
    }

    /// Puts the number of rows into the header, and the file onto the disk.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn finish(self) -> Result<(), ExchangeError> {
        let Self { path, out, header } = self;
        (|| {
            let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&header.to_bytes())?;
            file.sync_all()
        })()
        .map_err(|e| ExchangeError::io(&path, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_aligned_and_whole() {
        let rows = [
            Embedding::normalize(vec![1.0, 0.0, 0.0]).unwrap(),
            Embedding::normalize(vec![0.0, 3.0, 4.0]).unwrap(),
        ];
        let mut out = Vec::new();
        write(&mut out, 3, &rows).unwrap();
        let length = usize::from(u16::from_le_bytes([out[8], out[9]]));
        assert_eq!((10 + length) % 64, 0);
        assert!(out[..10 + length].ends_with(b"\n"));
        assert!(String::from_utf8_lossy(&out[10..10 + length]).contains("(2, 3)"));
        assert_eq!(out.len(), 10 + length + 2 * 3 * 4);
        assert_eq!(out[10 + length + 16..10 + length + 20], 0.6f32.to_le_bytes());
    }
}
