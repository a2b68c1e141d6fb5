//! NumPy's file format, version 1.0: one two-dimensional array of f32, row by row.

use std::io::{self, Write};

use taiyi_core::Embedding;

/// Writes `rows`, which all have `dimension` components.
pub(crate) fn write(out: &mut impl Write, dimension: usize, rows: &[Embedding]) -> io::Result<()> {
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {dimension}), }}", rows.len());
    // Magic, version and length take 10 bytes; the data begins at a multiple of 64.
    let padding = 63 - (10 + header.len()) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    let length = u16::try_from(header.len()).map_err(io::Error::other)?;
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for row in rows {
        for x in row.as_slice() {
            out.write_all(&x.to_le_bytes())?;
        }
    }
    Ok(())
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
