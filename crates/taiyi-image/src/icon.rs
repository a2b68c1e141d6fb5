//! Windows icons and cursors: which of the pictures inside is meant.

/// The largest picture of an icon, in the form that a decoder of its own can take.
pub(crate) enum IconEntry<'a> {
    /// A whole PNG file, of any colour type.
    Png(&'a [u8]),
    /// An icon file with this bitmap as its only entry.
    Bitmap(Vec<u8>),
}

const DIRECTORY: usize = 6;
const ENTRY: usize = 16;

impl<'a> IconEntry<'a> {
    /// The entry with the most pixels, then with the most bits a pixel.
    ///
    /// The icon decoder would prefer depth to size, would read a cursor's hot spot as its depth, and takes
    /// PNG only as RGBA.
    pub(crate) fn largest(bytes: &'a [u8]) -> Option<Self> {
        let count = usize::from(u16::from_le_bytes(bytes.get(4..DIRECTORY)?.try_into().ok()?));
        let entries = bytes.get(DIRECTORY..)?.chunks_exact(ENTRY).take(count);
        let (_, entry, body) = entries
            .filter_map(|entry| {
                let body = body(bytes, entry)?;
                let (width, height, depth) = size(body)?;
                Some(((u64::from(width) * u64::from(height), depth), entry, body))
            })
            .max_by_key(|(rank, ..)| *rank)?;
        if is_png(body) {
            return Some(Self::Png(body));
        }
        let mut icon = vec![0, 0, 1, 0, 1, 0];
        icon.extend(entry.get(..4)?);
        icon.extend([1, 0, 32, 0]);
        icon.extend(u32::try_from(body.len()).ok()?.to_le_bytes());
        icon.extend(((DIRECTORY + ENTRY) as u32).to_le_bytes());
        icon.extend(body);
        Some(Self::Bitmap(icon))
    }
}

/// The bytes of an entry, as far as the file has them.
fn body<'a>(bytes: &'a [u8], entry: &[u8]) -> Option<&'a [u8]> {
    let number = |at: usize| u32::from_le_bytes(entry.get(at..at + 4)?.try_into().ok()?).try_into().ok();
    let (length, offset): (usize, usize) = (number(8)?, number(12)?);
    let rest = bytes.get(offset..)?;
    Some(rest.get(..length).unwrap_or(rest))
}

fn is_png(body: &[u8]) -> bool {
    body.starts_with(b"\x89PNG\r\n\x1a\n")
}

/// Width, height and bits a pixel by the picture's own header; the directory's are often wrong.
fn size(body: &[u8]) -> Option<(u32, u32, u16)> {
    if is_png(body) {
        let number = |at: usize| Some(u32::from_be_bytes(body.get(at..at + 4)?.try_into().ok()?));
        return Some((number(16)?, number(20)?, 32));
    }
    let number = |at: usize| Some(u32::from_le_bytes(body.get(at..at + 4)?.try_into().ok()?));
    let depth = u16::from_le_bytes(body.get(14..16)?.try_into().ok()?);
    // The bitmap's height counts its mask too.
    Some((number(4)?, number(8)? / 2, depth))
}
