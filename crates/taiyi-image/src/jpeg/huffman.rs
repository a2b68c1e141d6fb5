//! The bits of a scan, and the codes in them.

/// Codes of up to this many bits are found by one look-up.
const FAST_BITS: u32 = 10;

/// Symbols are skipped by looking at this many bits, in which there are often several.
const SKIP_BITS: u32 = 11;

/// What the end of a block advances by: past any block. One more than a power of two, see [`Table::skip`].
pub(super) const END_OF_BLOCK: usize = 257;

/// Reads the bits of a scan. Behind its end come zeros, which are counted.
///
/// What is rarely called takes it by value: a reference would keep it out of the registers.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// The next byte to take in.
    at: usize,
    /// The next bits, from the top. Below the `count` that are valid, some that will come again may stand already.
    buffer: u64,
    count: u32,
    /// How many of all bits ever taken in are none of the scan's.
    padding: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, buffer: 0, count: 0, padding: 0 }
    }

    /// Makes sure of at least 32 bits, more than any symbol has with its value.
    #[inline]
    pub(super) fn refill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(next) = self.data.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_be_bytes(*next);
            // Whether any byte is 0xff: then it is stuffed, or a marker.
            let complement = !word;
            if complement.wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 == 0 {
                self.buffer |= word >> self.count;
                let bytes = (64 - self.count) / 8;
                self.at += bytes as usize;
                self.count += bytes * 8;
                return;
            }
        }
        *self = self.refilled_slowly();
    }

    #[cold]
    #[inline(never)]
    fn refilled_slowly(mut self) -> Self {
        // Bits taken in ahead of time are taken in again.
        self.buffer &= !(u64::MAX.checked_shr(self.count).unwrap_or(0));
        while self.count <= 56 {
            let byte = match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xff), Some(0)) => {
                    self.at += 2;
                    0xff
                }
                (Some(0xff) | None, _) => {
                    self.padding = self.padding.saturating_add(8);
                    0
                }
                (Some(byte), _) => {
                    self.at += 1;
                    *byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
        self
    }

    #[inline]
    fn consume(&mut self, bits: u32) {
        self.buffer <<= bits;
        self.count -= bits;
    }

    /// Whether all bits that were used are the scan's.
    pub(super) fn is_sound(&self) -> bool {
        self.padding <= self.count
    }

    /// Whether all whole bytes before the next marker have been used.
    fn is_at_marker(&self) -> bool {
        self.is_sound() && self.count - self.padding < 8 && self.data.get(self.at) == Some(&0xff)
    }

    /// Passes over the restart marker of this number, from 0 to 7; `None` if it is not next.
    pub(super) fn restart(&mut self, number: u8) -> Option<()> {
        let is_next = self.is_at_marker() && self.data.get(self.at + 1) == Some(&(0xd0 + number));
        is_next.then(|| *self = Self { at: self.at + 2, ..Self::new(self.data) })
    }

    /// Whether no other scan follows: the next marker ends the picture.
    pub(super) fn ends_picture(&self) -> bool {
        self.is_at_marker() && self.data.get(self.at + 1) == Some(&0xd9)
    }
}

/// What a code says.
pub(super) struct Symbol {
    /// How far it leads in the block: 1 and the zeros before the value, or [`END_OF_BLOCK`].
    pub(super) advance: usize,
    pub(super) value: i32,
    pub(super) has_value: bool,
}

/// Codes of differences (DC) or of coefficients (AC).
pub(super) struct Table {
    /// By the next bits: an entry, or 0 for longer codes and for what is none.
    fast: [u32; 1 << FAST_BITS],
    /// By the next bits: all symbols that are whole in them, as one entry, up to the end of a block; 0 if there is none.
    skip: [u32; 1 << SKIP_BITS],
    /// For each length the first 16 bits, as a number, that are beyond its codes.
    limits: [u32; 17],
    /// For each length what turns its codes into places in `entries`.
    offsets: [i32; 17],
    entries: Vec<u32>,
}

/// An entry: bits of the code and of the value behind it in the lowest byte, those of the code in the second, the
/// advance in the third. Never 0.
fn entry(code_bits: u32, value_bits: u32, advance: u32) -> u32 {
    (code_bits + value_bits) | code_bits << 8 | advance << 16
}

impl Table {
    /// From the number of codes of each length, 1 to 16, and the symbols; `None` where they fit no code, or say what a plain
    /// file does not.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8], is_ac: bool) -> Option<Self> {
        let mut table = Self {
            fast: [0; 1 << FAST_BITS],
            skip: [0; 1 << SKIP_BITS],
            limits: [0; 17],
            offsets: [0; 17],
            entries: Vec::with_capacity(symbols.len()),
        };
        let mut code = 0u32;
        let mut rest = symbols;
        for (bits, count) in (1u32..).zip(counts) {
            let own;
            (own, rest) = rest.split_at_checked(usize::from(*count))?;
            table.offsets[bits as usize] = table.entries.len() as i32 - code as i32;
            for symbol in own {
                let (zeros, value_bits) = (u32::from(symbol >> 4), u32::from(symbol & 15));
                let entry = match (is_ac, zeros, value_bits) {
                    (false, 0, 0..=11) => entry(bits, value_bits, 1),
                    (true, 0, 0) => entry(bits, 0, END_OF_BLOCK as u32),
                    (true, 15, 0) => entry(bits, 0, 16),
                    (true, _, 1..) => entry(bits, value_bits, zeros + 1),
                    _ => return None,
                };
                table.entries.push(entry);
                if bits <= FAST_BITS {
                    let shift = FAST_BITS - bits;
                    let own = (code as usize) << shift..(code as usize + 1) << shift;
                    table.fast.get_mut(own)?.fill(entry);
                }
                code += 1;
            }
            if code > 1 << bits {
                return None;
            }
            table.limits[bits as usize] = code << (16 - bits);
            code <<= 1;
        }
        if is_ac {
            table.skip = std::array::from_fn(|bits| table.symbols_in(bits as u32));
        }
        rest.is_empty().then_some(table)
    }

    /// All symbols that are whole in `bits`, of which there are [`SKIP_BITS`], as one entry.
    fn symbols_in(&self, bits: u32) -> u32 {
        let (mut used, mut advance) = (0, 0);
        while used < SKIP_BITS && advance < END_OF_BLOCK as u32 {
            // The bits behind are not known: zeros stand for them, and any symbol that needs them is none.
            let next = bits << used & ((1 << SKIP_BITS) - 1);
            let symbol = self.fast[(next >> (SKIP_BITS - FAST_BITS)) as usize];
            let length = symbol & 0xff;
            if symbol == 0 || used + length > SKIP_BITS {
                break;
            }
            used += length;
            advance += symbol >> 16;
        }
        if used == 0 { 0 } else { used | advance << 16 }
    }

    #[inline]
    fn entry(&self, buffer: u64) -> Option<u32> {
        match self.fast[(buffer >> (64 - FAST_BITS)) as usize] {
            0 => self.long_entry(buffer),
            entry => Some(entry),
        }
    }

    #[cold]
    #[inline(never)]
    fn long_entry(&self, buffer: u64) -> Option<u32> {
        let next = (buffer >> 48) as u32;
        let length = (FAST_BITS as usize + 1..=16).find(|length| next < self.limits[*length])?;
        let at = (next >> (16 - length)) as i32 + self.offsets[length];
        self.entries.get(usize::try_from(at).ok()?).copied()
    }

    /// The next symbol with its value; `None` if the bits are no code. Needs 32 bits.
    #[inline]
    pub(super) fn next(&self, bits: &mut Bits<'_>) -> Option<Symbol> {
        let entry = self.entry(bits.buffer)?;
        let (all, code_bits) = (entry & 0xff, entry >> 8 & 0xff);
        let value_bits = all - code_bits;
        let mut value = 0;
        if value_bits > 0 {
            let plain = ((bits.buffer << code_bits) >> (64 - value_bits)) as i32;
            // A value that begins with 0 is negative.
            let is_negative = plain >> (value_bits - 1) == 0;
            value = if is_negative { plain - (1 << value_bits) + 1 } else { plain };
        }
        bits.consume(all);
        Some(Symbol { advance: (entry >> 16) as usize, value, has_value: value_bits > 0 })
    }

    /// Passes over symbols of a block of which `at` coefficients have come, at least one of them, and returns how many
    /// have come then; `None` if the bits are no code. Needs 32 bits.
    #[inline]
    pub(super) fn skip(&self, bits: &mut Bits<'_>, at: usize) -> Option<usize> {
        let several = self.skip[(bits.buffer >> (64 - SKIP_BITS)) as usize];
        let then = at + (several >> 16) as usize;
        // Symbols behind a full block are the next one's, and an end of block may not follow the last coefficient.
        if several != 0 && then & (END_OF_BLOCK - 2) <= 64 {
            bits.consume(several & 0xff);
            return Some(then);
        }
        let entry = self.entry(bits.buffer)?;
        bits.consume(entry & 0xff);
        Some(at + (entry >> 16) as usize)
    }
}
