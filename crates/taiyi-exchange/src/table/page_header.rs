//! What stands before a page of a Parquet column: how many bytes it has, packed and unpacked.
//!
//! A header's first three fields are needed, the rest is passed over. The Parquet reader knows it all as well, but
//! tells nobody before it has unpacked the page.

use std::io::{self, Read};

use super::compact::{Compact, invalid, kind};

/// Statistics of a page hold two of its values each way; nothing else in a header has any size.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// A page of an index, which readers of values pass over.
const INDEX_PAGE: i64 = 1;

/// The sizes of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageHeader {
    /// Bytes of the header itself.
    pub(super) length: u64,
    /// Whether the page holds no values.
    pub(super) is_index: bool,
    /// Bytes of the page in the file.
    pub(super) packed: u64,
    /// Bytes of the page in memory.
    pub(super) unpacked: u64,
}

impl PageHeader {
    /// Reads a header off the front of `input`.
    ///
    /// # Errors
    /// `InvalidData` for anything but a header, and what `input` fails with.
    pub(super) fn read(input: &mut impl Read) -> io::Result<Self> {
        let mut input = Compact::new(input.take(MAX_HEADER_BYTES));
        let mut first = [0; 3];
        for (number, value) in (1..).zip(&mut first) {
            if input.field(number - 1)? != Some((number, kind::I32)) {
                return Err(invalid());
            }
            *value = input.integer()?;
        }
        while let Some((_, kind)) = input.field(0)? {
            input.pass_over(kind)?;
        }
        let [page_type, unpacked, packed] = first;
        let size = |bytes: i64| u64::try_from(bytes).map_err(|_| invalid());
        Ok(Self {
            length: input.bytes_read(),
            is_index: page_type == INDEX_PAGE,
            packed: size(packed)?,
            unpacked: size(unpacked)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A data page of 100 bytes, 300 unpacked: its header as the specification of Parquet has it.
    const HEADER: &[u8] = &[
        0x15, 0x00, // 1: type 0
        0x15, 0xd8, 0x04, // 2: 300 bytes unpacked
        0x15, 0xc8, 0x01, // 3: 100 bytes packed
        0x2c, // 5: of a data page:
        0x15, 0x06, 0x15, 0x00, 0x15, 0x06, 0x15, 0x06, // 3 values, encodings
        0x1c, // statistics:
        0x18, 0x02, b'a', b'b', // a text of two bytes
        0x16, 0x01, // a number
        0x11, // true
        0x19, 0x25, 0x02, 0x04, // a list of two numbers
        0x00, 0x00, 0x00,
    ];

    #[test]
    fn sizes_are_read_and_the_rest_is_passed_over() {
        let mut bytes = [HEADER, b"the page"].concat();
        let header = PageHeader::read(&mut bytes.as_slice()).unwrap();
        let length = HEADER.len() as u64;
        assert_eq!(header, PageHeader { length, is_index: false, packed: 100, unpacked: 300 });
        bytes[1] = 0x02;
        assert!(PageHeader::read(&mut bytes.as_slice()).unwrap().is_index);
        for cut in 0..HEADER.len() {
            assert!(PageHeader::read(&mut &HEADER[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let with = |at: usize, byte: u8| {
            let mut bytes = HEADER.to_vec();
            bytes[at] = byte;
            PageHeader::read(&mut bytes.as_slice())
        };
        // Another field first, another kind, a negative size, a map.
        for (at, byte) in [(0, 0x25), (2, 0x16), (3, 0xd9), (8, 0x2b)] {
            assert!(with(at, byte).is_err(), "{at}");
        }
        // Structures without end, and a text that is longer than any header.
        let deep = [&HEADER[..8], &[0x1c; 1 << 10]].concat();
        assert!(PageHeader::read(&mut deep.as_slice()).is_err());
        let mut long = HEADER[..8].to_vec();
        long.extend([0x18, 0xff, 0xff, 0xff, 0x7f]);
        long.resize(4 << 20, b'a');
        assert!(PageHeader::read(&mut long.as_slice()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let _ = PageHeader::read(&mut bytes.as_slice());
            let mut damaged = HEADER.to_vec();
            let at = at.index(damaged.len());
            damaged[at] = byte;
            let _ = PageHeader::read(&mut damaged.as_slice());
        }
    }
}
