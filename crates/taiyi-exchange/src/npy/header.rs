//! The header of a NumPy file: a Python dictionary with the type, the order and the shape.

use super::Dtype;

/// Before the header: magic, version, length of the header in two bytes.
const FIXED_BYTES: usize = 10;
/// Where the numbers begin in files written here: a multiple of 64, as NumPy has it, and room for any shape.
const DATA_AT: usize = 128;
pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) dtype: Dtype,
    pub(super) rows: u64,
    pub(super) dimension: usize,
}

impl Header {
    /// Reads the text of a header; the error says what is wrong with it, or with the array.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let mut parser = Parser(text);
        let (descr, is_fortran, shape) = parser
            .dictionary()
            .ok_or("the header of the array cannot be read: save it again with numpy.save")?;
        let dtype = match descr.as_deref() {
            Some("<f2") => Dtype::F16,
            Some("<f4") => Dtype::F32,
            Some(">f2" | ">f4") => {
                return Err(format!(
                    "its numbers are big-endian ({}), expected little-endian: save the array again as \
                     x.astype('<f2')",
                    descr.unwrap_or_default()
                ));
            }
            other => {
                return Err(format!(
                    "its numbers are of type {}, expected f16 or f32: save the array again as x.astype('<f4')",
                    other.unwrap_or("record")
                ));
            }
        };
        let &[rows, dimension] = shape.as_slice() else {
            let dimensions = match shape.len() {
                1 => "1 dimension".to_owned(),
                n => format!("{n} dimensions"),
            };
            return Err(format!("its array has {dimensions}, expected 2: a row for each picture"));
        };
        if is_fortran && rows > 1 && dimension > 1 {
            return Err(
                "its array is stored column by column (Fortran order), expected row by row: save it \
                        again as numpy.ascontiguousarray(x)"
                    .to_owned(),
            );
        }
        let dimension = usize::try_from(dimension).ok().filter(|d| (1..=1 << 20).contains(d));
        let dimension = dimension.ok_or("its rows have no sensible number of components")?;
        Ok(Self { dtype, rows, dimension })
    }

    /// Bytes of all numbers; `None` where that is more than can be counted.
    pub(super) fn data_bytes(&self) -> Option<u64> {
        let row_bytes = u64::try_from(self.dimension.checked_mul(self.dtype.bytes())?).ok()?;
        self.rows.checked_mul(row_bytes)
    }

    /// All that stands before the numbers: always as long, so that the number of rows may be put in later.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let (descr, rows, dimension) = (self.dtype.descr(), self.rows, self.dimension);
        let text =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {dimension}), }}");
        let mut bytes = Vec::with_capacity(DATA_AT);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[1, 0]);
        bytes.extend_from_slice(&((DATA_AT - FIXED_BYTES) as u16).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(DATA_AT - 1, b' ');
        bytes.push(b'\n');
        bytes
    }
}

type Fields = (Option<String>, bool, Vec<u64>);

/// Takes Python literals off the front of a text.
struct Parser<'a>(&'a [u8]);

impl Parser<'_> {
    /// `{'descr': …, 'fortran_order': …, 'shape': …}` in any order, each once, and nothing behind it. A type that
    /// is no string, as of records, is `None`.
    fn dictionary(&mut self) -> Option<Fields> {
        let (mut descr, mut is_fortran, mut shape) = (None, None, None);
        self.take(b'{')?;
        while !self.is_next(b'}') {
            let key = self.string()?;
            self.take(b':')?;
            let is_new = match key.as_str() {
                "descr" if self.is_next(b'[') || self.is_next(b'(') => {
                    self.skip_brackets()?;
                    descr.replace(None).is_none()
                }
                "descr" => descr.replace(Some(self.string()?)).is_none(),
                "fortran_order" => is_fortran.replace(self.boolean()?).is_none(),
                "shape" => shape.replace(self.tuple()?).is_none(),
                _ => false,
            };
            if !is_new {
                return None;
            }
            if !self.is_next(b'}') {
                self.take(b',')?;
            }
        }
        self.take(b'}')?;
        self.skip_blanks();
        if self.0.is_empty() { Some((descr?, is_fortran?, shape?)) } else { None }
    }

    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }

    fn is_next(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        self.0.first() == Some(&byte)
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.skip_blanks();
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// A string without escapes: none is needed for what stands here.
    fn string(&mut self) -> Option<String> {
        self.skip_blanks();
        let (&quote, rest) = self.0.split_first().filter(|(quote, _)| matches!(quote, b'\'' | b'"'))?;
        let end = rest.iter().position(|&b| b == quote)?;
        let (text, rest) = rest.split_at_checked(end)?;
        self.0 = rest.get(1..)?;
        if text.contains(&b'\\') { None } else { String::from_utf8(text.to_vec()).ok() }
    }

    fn boolean(&mut self) -> Option<bool> {
        self.skip_blanks();
        for (word, value) in [(&b"True"[..], true), (b"False", false)] {
            if let Some(rest) = self.0.strip_prefix(word) {
                self.0 = rest;
                return Some(value);
            }
        }
        None
    }

    /// `()`, `(3,)`, `(3, 4)`, `(3, 4,)`; `3L` as Python 2 wrote it.
    fn tuple(&mut self) -> Option<Vec<u64>> {
        self.take(b'(')?;
        let mut numbers = Vec::new();
        while !self.is_next(b')') {
            let digits = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
            let (number, rest) = self.0.split_at_checked(digits)?;
            numbers.push(std::str::from_utf8(number).ok()?.parse().ok()?);
            self.0 = rest.strip_prefix(b"L").unwrap_or(rest);
            if !self.is_next(b')') {
                self.take(b',')?;
            }
        }
        self.take(b')')?;
        Some(numbers)
    }

    /// The type of records, which is of no use here; brackets in strings do not occur in it.
    fn skip_brackets(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            match byte {
                b'[' | b'(' => depth += 1,
                b']' | b')' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Header, String> {
        Header::parse(text.as_bytes())
    }

    #[test]
    fn headers_as_numpy_writes_them() {
        let expected = Header { dtype: Dtype::F16, rows: 10, dimension: 512 };
        for text in [
            "{'descr': '<f2', 'fortran_order': False, 'shape': (10, 512), }          \n",
            "{'shape': (10L, 512L), 'fortran_order': False, 'descr': \"<f2\"}",
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&expected), "{text}");
        }
        // One row is the same in either order.
        let one = parse("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 4), }");
        assert_eq!(one, Ok(Header { dtype: Dtype::F32, rows: 1, dimension: 4 }));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("{'descr': '>f2', 'fortran_order': False, 'shape': (1, 2), }", "big-endian"),
            (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }",
                "of type <f8, expected f16 or f32",
            ),
            ("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1, 2), }", "record"),
            ("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", "Fortran"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "1 dimension, expected 2"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0), }", "no sensible number"),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 99999999999999999999), }",
                "cannot be read",
            ),
            ("{'descr': '<f4', 'shape': (2, 2), }", "cannot be read"),
            ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", "cannot be read"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), } x", "cannot be read"),
            ("", "cannot be read"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in any::<u64>(), dimension in 1usize..=1 << 20, half in any::<bool>()) {
            let header = Header { dtype: if half { Dtype::F16 } else { Dtype::F32 }, rows, dimension };
            let bytes = header.to_bytes();
            prop_assert_eq!(bytes.len(), DATA_AT);
            prop_assert_eq!(Header::parse(&bytes[FIXED_BYTES..]), Ok(header));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[{}()\\[\\]',:\"0-9L TrueFalsdcshpfortn_<>\\\\.]{0,80}", bytes in any::<Vec<u8>>()) {
            let _ = Header::parse(text.as_bytes());
            let _ = Header::parse(&bytes);
        }
    }
}
