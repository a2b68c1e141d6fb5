//! Reading a NumPy file row by row.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use half::f16;
use half::slice::HalfFloatSliceExt as _;

use super::Dtype;
use super::header::{Header, MAGIC};
use crate::ExchangeError;

/// Longer headers are not of arrays of numbers.
const MAX_HEADER_BYTES: u32 = 1 << 16;
const BUFFER_BYTES: usize = 1 << 20;

/// A file under way.
pub(crate) struct NpyReader {
    path: PathBuf,
    file: BufReader<File>,
    header: Header,
    next_row: u64,
    bytes: Vec<u8>,
}

impl NpyReader {
    /// Opens a file and checks that it holds just as many numbers as its header says.
    ///
    /// # Errors
    /// `Io`, and `File` for anything but a whole two-dimensional array of f16 or f32.
    pub(crate) fn open(path: &Path) -> Result<Self, ExchangeError> {
        let file = File::open(path).map_err(|e| ExchangeError::io(path, e))?;
        let length = file.metadata().map_err(|e| ExchangeError::io(path, e))?.len();
        let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
        let (header, data_at) = read_header(&mut file, path)?;
        let expected = header.data_bytes().and_then(|bytes| bytes.checked_add(data_at));
        if expected != Some(length) {
            let (rows, dimension) = (header.rows, header.dimension);
            let (expected, shape) = match expected {
                Some(expected) => (expected.to_string(), format!("{rows} rows of {dimension} numbers")),
                None => ("more than there can be".to_owned(), format!("{rows} rows")),
            };
            let what = format!(
                "its header says {shape}, which take {expected} bytes, but it has {length}: copy it again, or \
                 make it again"
            );
            return Err(ExchangeError::file(path, what));
        }
        Ok(Self { path: path.to_owned(), file, header, next_row: 0, bytes: Vec::new() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.header.dtype
    }

    pub(crate) fn rows(&self) -> u64 {
        self.header.rows
    }

    pub(crate) fn dimension(&self) -> usize {
        self.header.dimension
    }

    /// The next row, if there is one, as f32.
    ///
    /// # Errors
    /// `Io`, also when the file has become shorter.
    pub(crate) fn next_row(&mut self) -> Result<Option<Vec<f32>>, ExchangeError> {
        if self.next_row >= self.header.rows {
            return Ok(None);
        }
        self.bytes.resize(self.header.dimension * self.header.dtype.bytes(), 0);
        self.file.read_exact(&mut self.bytes).map_err(|e| ExchangeError::io(&self.path, e))?;
        self.next_row += 1;
        Ok(Some(match self.header.dtype {
            Dtype::F16 => {
                let halves: Vec<f16> =
                    self.bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b)).collect();
                let mut row = vec![0.0; halves.len()];
                halves.convert_to_f32_slice(&mut row);
                row
            }
            Dtype::F32 => self.bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        }))
    }
}

/// The header, and where the numbers begin.
fn read_header(file: &mut impl Read, path: &Path) -> Result<(Header, u64), ExchangeError> {
    let failed = |e: std::io::Error| match e.kind() {
        ErrorKind::UnexpectedEof => ExchangeError::file(
            path,
            "it ends within its header: it is no NumPy array, or was cut off; copy it again, or make it again",
        ),
        _ => ExchangeError::io(path, e),
    };
    let mut start = [0; 8];
    file.read_exact(&mut start).map_err(failed)?;
    let &[.., major, _minor] = &start;
    if !start.starts_with(MAGIC) {
        return Err(ExchangeError::file(path, "it is no NumPy array: expected a file made by numpy.save"));
    }
    let (length, fixed) = match major {
        1 => {
            let mut length = [0; 2];
            file.read_exact(&mut length).map_err(failed)?;
            (u32::from(u16::from_le_bytes(length)), 10)
        }
        2 | 3 => {
            let mut length = [0; 4];
            file.read_exact(&mut length).map_err(failed)?;
            (u32::from_le_bytes(length), 12)
        }
        other => {
            let what = format!(
                "it is of version {other} of NumPy's format, expected 1 to 3: save it again with numpy.save"
            );
            return Err(ExchangeError::file(path, what));
        }
    };
    if length > MAX_HEADER_BYTES {
        let what = format!("its header is {length} bytes long: it is damaged, or no array of numbers");
        return Err(ExchangeError::file(path, what));
    }
    let mut text = vec![0; length as usize];
    file.read_exact(&mut text).map_err(failed)?;
    let header = Header::parse(&text).map_err(|what| ExchangeError::file(path, what))?;
    Ok((header, fixed + u64::from(length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    /// A file of version `version` with two rows of two numbers.
    fn file(version: u8) -> Vec<u8> {
        let text = b"{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2), }\n";
        let mut bytes = [&MAGIC[..], &[version, 0]].concat();
        match version {
            1 => bytes.extend((text.len() as u16).to_le_bytes()),
            _ => bytes.extend((text.len() as u32).to_le_bytes()),
        }
        bytes.extend(text);
        for x in [1.0, 0.0, -0.5, 0.25] {
            bytes.extend(f16::from_f32(x).to_le_bytes());
        }
        bytes
    }

    fn open(bytes: &[u8]) -> Result<Vec<Vec<f32>>, ExchangeError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("img_emb_0.npy");
        fs::write(&path, bytes).unwrap();
        let mut reader = NpyReader::open(&path)?;
        let mut rows = Vec::new();
        while let Some(row) = reader.next_row()? {
            rows.push(row);
        }
        Ok(rows)
    }

    #[test]
    fn every_version_is_read() {
        for version in 1..=3 {
            assert_eq!(open(&file(version)).unwrap(), [vec![1.0, 0.0], vec![-0.5, 0.25]], "{version}");
        }
        let error = open(&file(4)).unwrap_err().to_string();
        assert!(error.contains("version 4"), "{error}");
    }

    #[test]
    fn too_little_and_too_much_is_told() {
        let whole = file(1);
        for cut in 0..whole.len() {
            assert!(matches!(open(&whole[..cut]), Err(ExchangeError::File { .. })), "{cut}");
        }
        let longer = [&whole[..], &[0]].concat();
        let error = open(&longer).unwrap_err().to_string();
        assert!(error.contains("2 rows of 2 numbers") && error.contains("but it has"), "{error}");
    }

    #[test]
    fn a_header_that_promises_too_much_takes_no_memory() {
        let mut bytes = file(2);
        bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(open(&bytes).unwrap_err().to_string().contains("4294967295 bytes"));
        let text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551615, 1048576), }";
        let bytes = [&MAGIC[..], &[1, 0, text.len() as u8, 0], text].concat();
        assert!(open(&bytes).unwrap_err().to_string().contains("more than there can be"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), bytes in any::<Vec<u8>>()) {
            let mut damaged = file(1);
            let at = at.index(damaged.len());
            damaged[at] = byte;
            let _ = open(&damaged);
            let _ = open(&bytes);
            let _ = open(&[&MAGIC[..], &bytes].concat());
        }
    }
}
