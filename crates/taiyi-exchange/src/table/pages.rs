//! The pages of a column, none of which takes more memory than a page may.
//!
//! The Parquet reader holds one page at a time, unpacked, and the dictionary; but it takes a file's word for how
//! large these are. A few kilobytes can be made to unpack to gigabytes, or to count billions of values. So every
//! page is looked at before it is unpacked, and its counts before they are used.

use std::fs::File;

use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::ChunkReader as _;

use super::page_header::PageHeader;

/// Bytes of a page of text, packed or unpacked. Most programs begin a new one after a megabyte; some write a million
/// paths as one, ...
const MAX_TEXT_BYTES: u64 = 256 << 20;
/// ... or a million numbers.
const MAX_NUMBERS_BYTES: u64 = 32 << 20;
/// Values of a dictionary: each takes 32 bytes beside its own.
const MAX_DICTIONARY_VALUES: u32 = 1 << 22;
/// What a byte can unpack to where the reader unpacks all that comes, whatever the page says: 1032 by deflate, ...
const GZIP_RATIO: u64 = 1032;
/// ... 255 by LZ4.
const LZ4_RATIO: u64 = 255;
/// And what such a page may come to.
const MAX_UNBOUNDED_BYTES: u64 = 1 << 30;

/// The pages of one column of one row group.
pub(super) struct BoundedPages {
    pages: Box<dyn PageReader>,
    file: File,
    /// Where the next page begins, and where the last one ends.
    at: u64,
    end: u64,
    compression: Compression,
    max_page_bytes: u64,
    is_optional: bool,
}

impl BoundedPages {
    pub(super) fn new(
        pages: Box<dyn PageReader>,
        file: File,
        chunk: &ColumnChunkMetaData,
        is_optional: bool,
    ) -> Self {
        let (at, length) = chunk.byte_range();
        Self {
            pages,
            file,
            at,
            end: at.saturating_add(length),
            compression: chunk.compression(),
            max_page_bytes: match chunk.column_type() {
                Type::BYTE_ARRAY => MAX_TEXT_BYTES,
                _ => MAX_NUMBERS_BYTES,
            },
            is_optional,
        }
    }

    /// Looks at the header of the next page that the reader will unpack.
    fn check_next(&mut self) -> Result<()> {
        while self.at < self.end {
            let header = PageHeader::read(&mut self.file.get_read(self.at)?)
                .map_err(|e| ParquetError::General(format!("the header of a page cannot be read: {e}")))?;
            self.at = self.at.saturating_add(header.length).saturating_add(header.packed);
            if header.is_index {
                continue;
            }
            return check_sizes(&header, self.compression, self.max_page_bytes);
        }
        Ok(())
    }
}

fn check_sizes(header: &PageHeader, compression: Compression, max_page_bytes: u64) -> Result<()> {
    let &PageHeader { packed, unpacked, .. } = header;
    let unbounded = match compression {
        Compression::GZIP(_) => packed.saturating_mul(GZIP_RATIO),
        Compression::LZ4 => packed.saturating_mul(LZ4_RATIO),
        _ => 0,
    };
    if packed.max(unpacked) > max_page_bytes || unbounded > MAX_UNBOUNDED_BYTES {
        return Err(too_large(&format!("a page of {packed} bytes, {unpacked} unpacked,")));
    }
    Ok(())
}

/// `is_optional`: values may be null.
fn check_counts(page: &Page, is_optional: bool) -> Result<()> {
    let (num_values, levels) = match page {
        Page::DictionaryPage { num_values, .. } if *num_values > MAX_DICTIONARY_VALUES => {
            return Err(too_large(&format!("a dictionary of {num_values} values")));
        }
        Page::DictionaryPage { .. } => return Ok(()),
        Page::DataPage { buf, num_values, .. } if is_optional => {
            let length = buf.first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
            (*num_values, 4 + length as usize)
        }
        Page::DataPage { num_values, .. } => (*num_values, 0),
        Page::DataPageV2 { num_values, def_levels_byte_len, rep_levels_byte_len, .. } => {
            (*num_values, *def_levels_byte_len as usize + *rep_levels_byte_len as usize)
        }
    };
    let lists_of_lengths = match page.encoding() {
        Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
        Encoding::DELTA_BYTE_ARRAY => 2,
        _ => 0,
    };
    let mut rest = page.buffer().get(levels..).unwrap_or_default();
    for _ in 0..lists_of_lengths {
        let deltas = Deltas::read(rest).filter(|deltas| deltas.count <= u64::from(num_values));
        let deltas = deltas.ok_or_else(|| {
            ParquetError::General("the lengths in a page are not those of its values".to_owned())
        })?;
        rest = deltas.rest;
    }
    Ok(())
}

fn too_large(what: &str) -> ParquetError {
    ParquetError::General(format!(
        "{what} is more than is read at once: smaller row groups, packed with snappy, have smaller pages"
    ))
}

impl PageReader for BoundedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.check_next()?;
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            check_counts(page, self.is_optional)?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        Err(ParquetError::NYI("every page is read".to_owned()))
    }
}

impl Iterator for BoundedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

/// Numbers that are stored by their differences, as the lengths of texts may be.
struct Deltas<'a> {
    count: u64,
    /// What stands behind them.
    rest: &'a [u8],
}

impl<'a> Deltas<'a> {
    fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let block = unsigned(&mut bytes)?;
        let runs = unsigned(&mut bytes)?;
        let count = unsigned(&mut bytes)?;
        unsigned(&mut bytes)?;
        let in_run = block.checked_div(runs)?;
        let mut left = count.saturating_sub(1);
        while left > 0 {
            unsigned(&mut bytes)?;
            let (widths, behind) = bytes.split_at_checked(usize::try_from(runs).ok()?)?;
            bytes = behind;
            for width in widths {
                if left == 0 {
                    break;
                }
                let length = usize::try_from(in_run.checked_mul(u64::from(*width))? / 8).ok()?;
                // Some writers leave out what fills up the last run.
                bytes = bytes.get(length..).unwrap_or_default();
                left = left.saturating_sub(in_run);
            }
        }
        Some(Self { count, rest: bytes })
    }
}

/// Seven bits a byte, the lowest first.
fn unsigned(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn deltas_are_counted_and_passed_over() {
        // 128 numbers a block in 4 runs; 34 numbers from 3: a run in 2 bits each, and a number of the next in 4.
        let mut bytes = vec![0x80, 0x01, 4, 34, 6, 2, 2, 4, 0, 0];
        bytes.extend([0; 32 * 2 / 8 + 32 * 4 / 8]);
        bytes.extend(b"rest");
        let deltas = Deltas::read(&bytes).unwrap();
        assert_eq!((deltas.count, deltas.rest), (34, &b"rest"[..]));
        let one = Deltas::read(&[0x80, 0x01, 4, 1, 6, 9]).unwrap();
        assert_eq!((one.count, one.rest), (1, &[9][..]));
        for cut in 0..10 {
            assert!(Deltas::read(&bytes[..cut]).is_none(), "{cut}");
        }
        // No runs in a block, and so many numbers that nothing could hold them.
        assert!(Deltas::read(&[0x80, 0x01, 0, 34, 6, 2]).is_none());
        assert_eq!(Deltas::read(&so_many_lengths()).unwrap().count, (1 << 63) - 1);
    }

    /// Lengths of 2⁶³ − 1 texts, all in one run of no bits.
    fn so_many_lengths() -> Vec<u8> {
        let most = [&[0xff; 8][..], &[0x7f]].concat();
        [&most[..], &[1], &most, &[0, 2, 0]].concat()
    }

    #[test]
    fn no_page_takes_more_than_it_may() {
        let fits = |packed, unpacked, compression| {
            let header = PageHeader { length: 20, is_index: false, packed, unpacked };
            check_sizes(&header, compression, MAX_TEXT_BYTES).is_ok()
        };
        let gzip = Compression::GZIP(Default::default());
        assert!(fits(1 << 20, 100 << 20, Compression::SNAPPY));
        assert!(fits(300 << 10, 1 << 20, gzip) && fits(1 << 20, 1 << 20, Compression::LZ4));
        assert!(!fits(10, MAX_TEXT_BYTES + 1, Compression::SNAPPY));
        assert!(!fits(MAX_TEXT_BYTES + 1, 10, Compression::UNCOMPRESSED));
        // What such a page says of its size, nothing holds it to.
        assert!(!fits(2 << 20, 10, gzip) && !fits(5 << 20, 10, Compression::LZ4));
    }

    #[test]
    fn no_page_counts_more_than_it_may() {
        let page = |encoding, values: &[u8]| Page::DataPageV2 {
            buf: [&[3, 1], values].concat().into(),
            num_values: 3,
            encoding,
            num_nulls: 0,
            num_rows: 3,
            def_levels_byte_len: 2,
            rep_levels_byte_len: 0,
            is_compressed: false,
            statistics: None,
        };
        let three = [0x80, 0x01, 4, 3, 6, 2, 0, 0, 0, 0];
        let many = so_many_lengths();
        for (encoding, values, is_taken) in [
            (Encoding::DELTA_LENGTH_BYTE_ARRAY, &three[..], true),
            (Encoding::DELTA_LENGTH_BYTE_ARRAY, &many, false),
            (Encoding::DELTA_BYTE_ARRAY, &[three, three].concat(), true),
            (Encoding::DELTA_BYTE_ARRAY, &[&three[..], &many].concat(), false),
            (Encoding::DELTA_BYTE_ARRAY, &three, false),
            (Encoding::PLAIN, &many, true),
        ] {
            assert_eq!(check_counts(&page(encoding, values), true).is_ok(), is_taken, "{encoding}");
        }
        let dictionary = |num_values| Page::DictionaryPage {
            buf: vec![0; 8].into(),
            num_values,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        assert!(check_counts(&dictionary(1 << 20), true).is_ok());
        assert!(check_counts(&dictionary(u32::MAX), true).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = Deltas::read(&bytes);
        }
    }
}
