//! Sizes that a decoder would trust before it tells anyone, read from the bytes directly.

use taiyi_core::ImageFormat;

/// The size that the header promises, for formats whose decoder spends memory on it before (or without)
/// reporting it; `None` for the rest, and for headers that the decoder will refuse anyway.
pub(crate) fn largest_size(format: ImageFormat, bytes: &[u8]) -> Option<(u32, u32)> {
    match format {
        // IHDR is always first. The decoder makes room for rows while it looks for the pixels.
        ImageFormat::Png => sides(bytes, 16),
        // The decoder has a limit of its own and calls what is beyond it corrupt.
        ImageFormat::Qoi => sides(bytes, 4),
        ImageFormat::WebP => webp_frame_size(bytes),
        _ => None,
    }
}

/// Width and height as big-endian numbers, one after the other.
fn sides(bytes: &[u8], at: usize) -> Option<(u32, u32)> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    Some((number(at)?, number(at + 4)?))
}

/// The lossy frame inside of an extended file. The decoder reports the canvas, then decodes the frame, and
/// only then compares the two.
fn webp_frame_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 12;
    loop {
        let kind = bytes.get(at..at + 4)?;
        let length = u32::from_le_bytes(bytes.get(at + 4..at + 8)?.try_into().ok()?);
        let body = bytes.get(at + 8..)?;
        match kind {
            b"VP8 " => return vp8_size(body),
            // A frame's own header, then chunks as outside.
            b"ANMF" => at += 8 + 16,
            // Chunks are padded to an even length.
            _ => at = at.checked_add(8 + length as usize + (length & 1) as usize)?,
        }
    }
}

fn vp8_size(body: &[u8]) -> Option<(u32, u32)> {
    let side =
        |at: usize| Some(u32::from(u16::from_le_bytes(body.get(at..at + 2)?.try_into().ok()?) & 0x3fff));
    Some((side(6)?, side(8)?))
}
