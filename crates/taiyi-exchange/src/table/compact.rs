//! Thrift's compact protocol, in which Parquet writes all that is not values: as much of it as is read here.
//!
//! Nothing is taken at its word: no text is longer than its reader allows, and nothing is nested without end.

use std::io::{self, ErrorKind, Read};

/// Structures in structures, at most, of what is passed over.
const MAX_DEPTH: u32 = 8;

/// Kinds of value, as the protocol numbers them.
pub(super) mod kind {
    pub(crate) const TRUE: u8 = 1;
    pub(crate) const FALSE: u8 = 2;
    pub(crate) const BYTE: u8 = 3;
    pub(crate) const I16: u8 = 4;
    pub(crate) const I32: u8 = 5;
    pub(crate) const I64: u8 = 6;
    pub(crate) const DOUBLE: u8 = 7;
    pub(crate) const BINARY: u8 = 8;
    pub(crate) const LIST: u8 = 9;
    pub(crate) const SET: u8 = 10;
    pub(crate) const STRUCT: u8 = 12;
}

pub(super) fn invalid() -> io::Error {
    io::Error::from(ErrorKind::InvalidData)
}

/// Takes values off the front of a file. Every one fails with `InvalidData` where there is another, or none.
pub(super) struct Compact<R> {
    input: R,
    /// Bytes taken so far.
    read: u64,
}

impl<R: Read> Compact<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, read: 0 }
    }

    /// Bytes taken so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        self.read += 1;
        Ok(byte[0])
    }

    fn pass_bytes(&mut self, count: u64) -> io::Result<()> {
        let passed = io::copy(&mut self.input.by_ref().take(count), &mut io::sink())?;
        self.read += passed;
        if passed == count { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    /// Seven bits a byte, the lowest first.
    fn unsigned(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(invalid())
    }

    /// Zigzag: 0, −1, 1, −2, …
    pub(super) fn integer(&mut self) -> io::Result<i64> {
        let value = self.unsigned()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A text in UTF-8 of `most` bytes.
    pub(super) fn text(&mut self, most: usize) -> io::Result<String> {
        let length = usize::try_from(self.unsigned()?).ok().filter(|length| *length <= most);
        let mut bytes = vec![0; length.ok_or_else(invalid)?];
        self.input.read_exact(&mut bytes)?;
        self.read += bytes.len() as u64;
        String::from_utf8(bytes).map_err(|_| invalid())
    }

    /// How many elements a list has, and their kind.
    pub(super) fn list(&mut self) -> io::Result<(u64, u8)> {
        let byte = self.byte()?;
        let (short, element) = (byte >> 4, byte & 0xf);
        Ok((if short == 0xf { self.unsigned()? } else { u64::from(short) }, element))
    }

    /// Number and kind of the next field of a structure, whose last one was `last`; `None` at its end.
    pub(super) fn field(&mut self, last: i64) -> io::Result<Option<(i64, u8)>> {
        let byte = self.byte()?;
        let (step, kind) = (byte >> 4, byte & 0xf);
        match (step, kind) {
            (_, 0) => Ok(None),
            (0, kind) => Ok(Some((self.integer()?, kind))),
            (step, kind) => Ok(Some((last.saturating_add(i64::from(step)), kind))),
        }
    }

    /// Gives number and kind of each field of a structure to `take`, which takes its value.
    pub(super) fn fields(
        &mut self,
        mut take: impl FnMut(&mut Self, i64, u8) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut last = 0;
        while let Some((number, kind)) = self.field(last)? {
            take(self, number, kind)?;
            last = number;
        }
        Ok(())
    }

    pub(super) fn pass_over(&mut self, kind: u8) -> io::Result<()> {
        self.pass_over_within(kind, MAX_DEPTH)
    }

    fn pass_over_within(&mut self, kind: u8, depth: u32) -> io::Result<()> {
        let depth = depth.checked_sub(1).ok_or_else(invalid)?;
        match kind {
            // In a field, its kind is its value.
            kind::TRUE | kind::FALSE => Ok(()),
            kind::BYTE => self.pass_bytes(1),
            kind::I16 | kind::I32 | kind::I64 => self.unsigned().map(drop),
            kind::DOUBLE => self.pass_bytes(8),
            kind::BINARY => {
                let length = self.unsigned()?;
                self.pass_bytes(length)
            }
            kind::LIST | kind::SET => match self.list()? {
                (count, kind::TRUE | kind::FALSE) => self.pass_bytes(count),
                (count, element) => (0..count).try_for_each(|_| self.pass_over_within(element, depth)),
            },
            kind::STRUCT => self.fields(|input, _, kind| input.pass_over_within(kind, depth)),
            // Nothing here has a map.
            _ => Err(invalid()),
        }
    }
}
