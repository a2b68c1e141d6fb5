//! JPEG at a half, a quarter or an eighth of its size, straight from its coefficients.
//!
//! A photo of 12 megapixels is embedded from 224 × 224 pixels: nearly all of what a full decode computes is thrown
//! away by the resize. A block of 8 × 8 pixels is stored as 64 coefficients from coarse to fine; the inverse transform of
//! the coarsest 4 × 4, 2 × 2 or 1 gives the block at 1/2, 1/4 or 1/8 of its size, and the rest is skipped, bit by bit but without
//! arithmetic. No kept decoder does this quickly.
//!
//! This is for what cameras write, and for nothing else: one scan of Huffman-coded 8-bit samples, grey or YCbCr. Whatever is
//! out of the ordinary (progressive, CMYK, damaged, cut off) gives `None` and is left to the decoder for full
//! size, which thereby also has the last word on what is an error.

use header::Header;
use huffman::{Bits, Table};
use planes::Plane;

mod header;
mod huffman;
mod inverse;
mod planes;

/// A picture smaller than it is stored.
pub(crate) struct Reduced<'a> {
    /// Columns and rows that are stored.
    pub(crate) stored: (u32, u32),
    pub(crate) denominator: u32,
    /// Columns and rows that `pixels` has: a last one that is not whole counts.
    pub(crate) size: (u32, u32),
    /// RGB, row by row.
    pub(crate) pixels: Vec<u8>,
    /// The content of the first EXIF segment.
    pub(crate) exif: Option<&'a [u8]>,
}

/// Decodes `bytes` at the fraction 1/2, 1/4 or 1/8 whose denominator `reduction` tells for a size; `None` when that is
/// another number, and for any file that is not plain.
pub(crate) fn decode_reduced(bytes: &[u8], reduction: impl Fn(u32, u32) -> u32) -> Option<Reduced<'_>> {
    let header = Header::parse(bytes, |width, height| matches!(reduction(width, height), 2 | 4 | 8))?;
    let denominator = reduction(header.width, header.height);
    let planes = decode_scan(&header, denominator)?;
    let size = (header.width.div_ceil(denominator), header.height.div_ceil(denominator));
    let pixels = planes::to_rgb(&planes, size.0 as usize, size.1 as usize)?;
    Some(Reduced { stored: (header.width, header.height), denominator, size, pixels, exif: header.exif })
}

/// The samples of every component, all at the same scale: chroma that is stored at half the resolution is
/// reduced by half as much.
fn decode_scan(header: &Header<'_>, denominator: u32) -> Option<Vec<Plane>> {
    let (across, down) = header.blocks_of_mcu();
    let mcus = |side: u32, blocks: usize| (side as usize).div_ceil(8 * blocks);
    let (columns, rows) = (mcus(header.width, across), mcus(header.height, down));
    let scale = 8 / denominator as usize;
    let mut parts = Vec::with_capacity(header.components.len());
    for component in &header.components {
        let dc = header.dc.get(component.dc)?.as_deref()?;
        let ac = header.ac.get(component.ac)?.as_deref()?;
        let quantization = header.quantization.get(component.quantization)?.as_ref()?;
        // Samples that a block becomes, so that all components come out alike.
        let (width, height) = (scale * across / component.across, scale * down / component.down);
        let stride = columns * component.across * width;
        let plane = Plane::new(stride, rows * component.down * height);
        let decoder = BlockDecoder::new(dc, ac, quantization, width, height)?;
        parts.push((component, decoder, plane));
    }

    let mut bits = Bits::new(header.scan);
    let mut until_restart = header.restart_interval;
    let mut restarts = 0u8;
    for row in 0..rows {
        for column in 0..columns {
            if header.restart_interval > 0 {
                if until_restart == 0 {
                    bits.restart(restarts)?;
                    restarts = (restarts + 1) % 8;
                    until_restart = header.restart_interval;
                    parts.iter_mut().for_each(|(_, decoder, _)| decoder.last_dc = 0);
                }
                until_restart -= 1;
            }
            for (component, decoder, plane) in &mut parts {
                for y in 0..component.down {
                    for x in 0..component.across {
                        bits = decoder.decode(bits)?;
                        let at = (column * component.across + x, row * component.down + y);
                        let first = at.1 * decoder.height * plane.stride + at.0 * decoder.width;
                        decoder.write(plane.samples.get_mut(first..)?, plane.stride);
                    }
                }
            }
        }
        // Cut off or damaged: better known after a row than after them all.
        bits.is_sound().then_some(())?;
    }
    bits.ends_picture().then(|| parts.into_iter().map(|(_, _, plane)| plane).collect())
}

/// Decodes the blocks of one component.
struct BlockDecoder<'a> {
    dc: &'a Table,
    ac: &'a Table,
    /// In the order of the file, coarse to fine.
    quantization: [f32; 64],
    /// Where a coefficient stands in the block, in the order of the file.
    place: &'static [u8; 64],
    /// Coefficients behind this one are skipped.
    last: usize,
    /// Samples that a block becomes.
    width: usize,
    height: usize,
    transform: inverse::Transform,
    last_dc: i32,
    /// Rows of eight.
    coefficients: [f32; 64],
    is_flat: bool,
}

impl<'a> BlockDecoder<'a> {
    /// `None` for a size of blocks that has no transform.
    fn new(
        dc: &'a Table,
        ac: &'a Table,
        quantization: &[u16; 64],
        width: usize,
        height: usize,
    ) -> Option<Self> {
        let transform = inverse::Transform::new(width, height)?;
        let needed = |place: u8| usize::from(place % 8) < width && usize::from(place / 8) < height;
        let last = ZIGZAG.iter().rposition(|place| needed(*place))?;
        Some(Self {
            dc,
            ac,
            quantization: quantization.map(f32::from),
            place: &ZIGZAG,
            last,
            width,
            height,
            transform,
            last_dc: 0,
            coefficients: [0.0; 64],
            is_flat: true,
        })
    }

    /// Reads one block and returns the bits behind it; `None` when it breaks the rules.
    #[inline]
    fn decode<'b>(&mut self, mut bits: Bits<'b>) -> Option<Bits<'b>> {
        bits.refill();
        let symbol = self.dc.next(&mut bits)?;
        // A baseline difference has at most 11 bits; the accumulated one is what the next block goes by, right or not.
        self.last_dc = self.last_dc.wrapping_add(symbol.value);
        if !self.is_flat {
            self.coefficients = [0.0; 64];
            self.is_flat = true;
        }
        self.coefficients[0] = self.last_dc as f32 * self.quantization[0];
        let mut at = 1;
        while at <= self.last {
            bits.refill();
            let symbol = self.ac.next(&mut bits)?;
            at += symbol.advance;
            if symbol.has_value {
                let own = at - 1;
                if own <= self.last {
                    self.coefficients[usize::from(self.place[own] & 63)] =
                        symbol.value as f32 * self.quantization[own];
                    self.is_flat = false;
                }
            }
        }
        while at < 64 {
            bits.refill();
            at = self.ac.skip(&mut bits, at)?;
        }
        // Either all 64 have come, or the symbol that ends a block.
        (at == 64 || at >= huffman::END_OF_BLOCK).then_some(bits)
    }

    /// Writes the block's samples to the top left of `samples`.
    #[inline]
    fn write(&self, samples: &mut [u8], stride: usize) {
        if self.is_flat {
            let value = inverse::to_sample(self.coefficients[0] / 8.0);
            for y in 0..self.height {
                if let Some(row) = samples.get_mut(y * stride..y * stride + self.width) {
                    row.fill(value);
                }
            }
        } else {
            self.transform.apply(&self.coefficients, samples, stride);
        }
    }
}

/// Where the coefficients stand in a block, in the order in which a file has them.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];
