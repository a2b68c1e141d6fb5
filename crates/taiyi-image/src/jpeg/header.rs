//! What stands before the scan.

use super::ZIGZAG;
use super::huffman::Table;

/// All that a decoder of plain files has to know.
pub(super) struct Header<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    /// One, grey, or three, YCbCr.
    pub(super) components: Vec<Component>,
    /// In the order of the file, coarse to fine.
    pub(super) quantization: [Option<[u16; 64]>; 4],
    pub(super) dc: [Option<Box<Table>>; 4],
    pub(super) ac: [Option<Box<Table>>; 4],
    /// MCUs between two restart markers, 0 for none.
    pub(super) restart_interval: usize,
    /// The content of the first EXIF segment.
    pub(super) exif: Option<&'a [u8]>,
    /// From the first byte of the scan to the end of the file.
    pub(super) scan: &'a [u8],
}

/// A component, by places in the tables.
pub(super) struct Component {
    id: u8,
    /// Blocks of it in an MCU, the unit in which components take turns.
    pub(super) across: usize,
    pub(super) down: usize,
    pub(super) quantization: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
}

/// Reads big-endian numbers off the front of a segment.
struct Segment<'a>(&'a [u8]);

impl<'a> Segment<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn nibbles(&mut self) -> Option<(u8, u8)> {
        self.byte().map(|byte| (byte >> 4, byte & 15))
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken;
        (taken, self.0) = self.0.split_at_checked(count)?;
        Some(taken)
    }
}

impl<'a> Header<'a> {
    /// Reads up to the first scan; `None` when the file is not plain, or `wants_size` does not want its size.
    pub(super) fn parse(bytes: &'a [u8], wants_size: impl Fn(u32, u32) -> bool) -> Option<Self> {
        let mut header = Self {
            width: 0,
            height: 0,
            components: Vec::new(),
            quantization: [None; 4],
            dc: Default::default(),
            ac: Default::default(),
            restart_interval: 0,
            exif: None,
            scan: &[],
        };
        let (mut has_jfif, mut adobe_transform) = (false, None);
        let mut rest = Segment(bytes.strip_prefix(b"\xff\xd8")?);
        loop {
            (rest.byte()? == 0xff).then_some(())?;
            let mut marker = rest.byte()?;
            while marker == 0xff {
                marker = rest.byte()?;
            }
            // Every marker that may stand here has a length, which counts itself.
            let length = usize::from(match marker {
                0xc0 | 0xc1 | 0xc4 | 0xda..=0xdb | 0xdd | 0xe0..=0xef | 0xfe => rest.number()?,
                _ => return None,
            });
            let mut segment = Segment(rest.take(length.checked_sub(2)?)?);
            match marker {
                0xc0 | 0xc1 => {
                    header.read_frame(&mut segment)?;
                    // Before any table: most files end here, being small.
                    wants_size(header.width, header.height).then_some(())?;
                }
                0xc4 => header.read_codes(&mut segment)?,
                0xdb => header.read_quantization(&mut segment)?,
                0xdd => header.restart_interval = usize::from(segment.number()?),
                0xe0 => has_jfif |= segment.0.starts_with(b"JFIF\0"),
                0xe1 if header.exif.is_none() => header.exif = segment.0.strip_prefix(b"Exif\0\0"),
                0xee if segment.0.starts_with(b"Adobe") => adobe_transform = segment.0.get(11).copied(),
                0xda => {
                    header.read_scan(&mut segment)?;
                    header.scan = rest.0;
                    return header.has_plain_colours(has_jfif, adobe_transform).then_some(header);
                }
                _ => {}
            }
        }
    }

    fn read_frame(&mut self, segment: &mut Segment<'_>) -> Option<()> {
        let bits = segment.byte()?;
        (self.height, self.width) = (u32::from(segment.number()?), u32::from(segment.number()?));
        let count = segment.byte()?;
        let is_plain = bits == 8 && self.height > 0 && self.width > 0 && matches!(count, 1 | 3);
        // A second frame would be another picture.
        (is_plain && self.components.is_empty()).then_some(())?;
        for _ in 0..count {
            let id = segment.byte()?;
            let (across, down) = segment.nibbles()?;
            let quantization = usize::from(segment.byte()?);
            matches!((across, down), (1 | 2 | 4, 1 | 2 | 4)).then_some(())?;
            let (across, down) = (usize::from(across), usize::from(down));
            self.components.push(Component { id, across, down, quantization, dc: 0, ac: 0 });
        }
        // A component alone takes no turns.
        if let [only] = self.components.as_mut_slice() {
            (only.across, only.down) = (1, 1);
        }
        Some(())
    }

    fn read_codes(&mut self, segment: &mut Segment<'_>) -> Option<()> {
        while !segment.0.is_empty() {
            let (class, place) = segment.nibbles()?;
            let counts: &[u8; 16] = segment.take(16)?.try_into().ok()?;
            let symbols = segment.take(counts.iter().map(|count| usize::from(*count)).sum())?;
            let tables = match class {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *tables.get_mut(usize::from(place))? = Some(Box::new(Table::new(counts, symbols, class == 1)?));
        }
        Some(())
    }

    fn read_quantization(&mut self, segment: &mut Segment<'_>) -> Option<()> {
        while !segment.0.is_empty() {
            let (bytes, place) = segment.nibbles()?;
            let mut table = [0; ZIGZAG.len()];
            for value in &mut table {
                *value = match bytes {
                    0 => u16::from(segment.byte()?),
                    1 => segment.number()?,
                    _ => return None,
                };
            }
            *self.quantization.get_mut(usize::from(place))? = Some(table);
        }
        Some(())
    }

    /// The scan has to hold all of every component.
    fn read_scan(&mut self, segment: &mut Segment<'_>) -> Option<()> {
        (!self.components.is_empty() && usize::from(segment.byte()?) == self.components.len())
            .then_some(())?;
        for component in &mut self.components {
            (segment.byte()? == component.id).then_some(())?;
            let (dc, ac) = segment.nibbles()?;
            (component.dc, component.ac) = (usize::from(dc), usize::from(ac));
        }
        (segment.0 == [0, 63, 0]).then_some(())
    }

    /// Whether three components are certainly YCbCr.
    fn has_plain_colours(&self, has_jfif: bool, adobe_transform: Option<u8>) -> bool {
        match (self.components.as_slice(), adobe_transform) {
            ([_], _) => true,
            (_, Some(transform)) => transform == 1,
            ([first, second, third], None) => has_jfif || [first.id, second.id, third.id] == [1, 2, 3],
            _ => false,
        }
    }

    /// Blocks in an MCU of the component that has the most, across and down.
    pub(super) fn blocks_of_mcu(&self) -> (usize, usize) {
        let most = |of: fn(&Component) -> usize| self.components.iter().map(of).max().unwrap_or(1);
        (most(|component| component.across), most(|component| component.down))
    }
}
