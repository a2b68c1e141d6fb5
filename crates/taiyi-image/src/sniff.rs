//! What kind of picture a file is: by its first bytes, whatever its name says.

use std::path::Path;

use taiyi_core::ImageFormat;

use crate::ImageError;

/// How many of a file's first bytes [`sniff`] wants; fewer are fine where the file has no more.
pub const SNIFF_BYTES: usize = 64;

/// File name endings that promise a picture.
const PICTURE_EXTENSIONS: [&str; 19] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "dib", "tif", "tiff", "pbm", "pgm", "ppm",
    "pnm", "pam", "ico", "tga", "qoi",
];

/// Camera raw files that are TIFF by their first bytes. What a TIFF decoder finds in them is a stamp-sized
/// preview or unprocessed sensor data, not the photograph.
const RAW_EXTENSIONS: [&str; 17] = [
    "3fr", "arw", "cr2", "dcr", "dng", "erf", "iiq", "kdc", "mef", "mos", "nef", "nrw", "orf", "pef", "raw",
    "sr2", "srw",
];

/// What a file's first bytes (and, for formats without magic such as TGA, its name) say.
///
/// `head` is the first [`SNIFF_BYTES`] bytes of the file, or all of it where it is shorter, or more.
/// Camera raw files that are TIFF inside are no pictures yet.
#[must_use]
pub fn sniff(head: &[u8], path: &Path) -> Option<ImageFormat> {
    let is = |magic: &[u8]| head.starts_with(magic);
    if is(b"\xff\xd8\xff") {
        Some(ImageFormat::Jpeg)
    } else if is(b"\x89PNG\r\n\x1a\n") {
        Some(ImageFormat::Png)
    } else if is(b"GIF87a") || is(b"GIF89a") {
        Some(ImageFormat::Gif)
    } else if is(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        Some(ImageFormat::WebP)
    } else if is(b"II\x2a\0") || is(b"MM\0\x2a") || is(b"II\x2b\0") || is(b"MM\0\x2b") {
        let is_raw = head.get(8..10) == Some(b"CR") || has_extension(path, &RAW_EXTENSIONS);
        (!is_raw).then_some(ImageFormat::Tiff)
    } else if is_bmp(head) {
        Some(ImageFormat::Bmp)
    } else if is_pnm(head) {
        Some(ImageFormat::Pnm)
    } else if is_qoi(head) {
        Some(ImageFormat::Qoi)
    } else if is_icon(head) {
        Some(ImageFormat::Ico)
    } else if has_extension(path, &["tga"]) && is_plausible_tga(head) {
        Some(ImageFormat::Tga)
    } else {
        None
    }
}

/// Whether the *name* promises a picture, in upper or lower case: such a file that is no picture is worth
/// reporting.
#[must_use]
pub fn has_picture_extension(path: &Path) -> bool {
    has_extension(path, &PICTURE_EXTENSIONS)
}

/// The format of a file that begins with `head`, at least [`SNIFF_BYTES`] of it if it has as many.
///
/// # Errors
/// [`ImageError::Unsupported`] for a picture of a kind that cannot be read here, such as HEIC;
/// [`ImageError::NotAPicture`] for anything else.
pub fn recognize(head: &[u8], path: &Path) -> Result<ImageFormat, ImageError> {
    sniff(head, path).ok_or_else(|| match sniff_unsupported(head, path) {
        Some(name) => ImageError::Unsupported { path: path.into(), message: format!("{name} pictures") },
        None => ImageError::NotAPicture { path: path.into(), is_empty: head.is_empty() },
    })
}

/// The name of a picture format that is recognized but cannot be read, so that the message can say more
/// than "not a picture".
fn sniff_unsupported(head: &[u8], path: &Path) -> Option<&'static str> {
    let is = |magic: &[u8]| head.starts_with(magic);
    if head.get(4..8) == Some(b"ftyp") {
        match head.get(8..12)? {
            b"avif" | b"avis" => Some("AVIF"),
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => Some("HEIC"),
            b"crx " => Some("camera raw (CR3)"),
            _ => None,
        }
    } else if is(b"\xff\x0a") || is(b"\0\0\0\x0cJXL \r\n\x87\n") {
        Some("JPEG XL")
    } else if is(b"\0\0\0\x0cjP  \r\n\x87\n") || is(b"\xff\x4f\xff\x51") {
        Some("JPEG 2000")
    } else if is(b"8BPS") {
        Some("Photoshop")
    } else if (is(b"II") || is(b"MM")) && has_extension(path, &RAW_EXTENSIONS) {
        Some("camera raw")
    } else {
        None
    }
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| extensions.iter().any(|known| known.eq_ignore_ascii_case(e)))
}

fn u16_le(head: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?))
}

fn u32_le(head: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?))
}

/// Two letters are weak magic (a text may begin "BMW"), so the size of the second header counts too.
fn is_bmp(head: &[u8]) -> bool {
    head.starts_with(b"BM") && matches!(u32_le(head, 14), Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
}

/// `P1` to `P6`, white space or a comment, then a number; `P7` on a line of its own, then a header word.
fn is_pnm(head: &[u8]) -> bool {
    let (Some(b'P'), Some(kind @ b'1'..=b'7'), Some(&separator)) = (head.first(), head.get(1), head.get(2))
    else {
        return false;
    };
    let next = head.iter().skip(2).find(|b| !b.is_ascii_whitespace());
    if *kind == b'7' {
        separator == b'\n' && matches!(next, Some(b'#' | b'W' | b'H' | b'D' | b'M' | b'T'))
    } else {
        (separator.is_ascii_whitespace() || separator == b'#') && matches!(next, Some(b'#' | b'0'..=b'9'))
    }
}

fn is_qoi(head: &[u8]) -> bool {
    head.starts_with(b"qoif") && matches!(head.get(12), Some(3 | 4)) && matches!(head.get(13), Some(0 | 1))
}

/// Four bytes, three of them zero, are weak magic, so the first directory entry has to make sense.
fn is_icon(head: &[u8]) -> bool {
    if !head.starts_with(b"\0\0\x01\0") && !head.starts_with(b"\0\0\x02\0") {
        return false;
    }
    let (Some(count), Some(reserved), Some(length), Some(offset)) =
        (u16_le(head, 4), head.get(9), u32_le(head, 14), u32_le(head, 18))
    else {
        return false;
    };
    count > 0 && matches!(reserved, 0 | 255) && length > 0 && offset >= 6 + 16 * u32::from(count)
}

/// TGA has no magic at all: colour map, image type, size and depth have to agree with each other.
fn is_plausible_tga(head: &[u8]) -> bool {
    let (Some(&[_, map, kind]), Some(&map_bits), Some(width), Some(height), Some(&depth)) =
        (head.first_chunk::<3>(), head.get(7), u16_le(head, 12), u16_le(head, 14), head.get(16))
    else {
        return false;
    };
    let colours = match kind {
        1 | 9 => map == 1 && matches!(map_bits, 15 | 16 | 24 | 32) && matches!(depth, 8 | 16),
        2 | 10 => map <= 1 && matches!(depth, 15 | 16 | 24 | 32),
        3 | 11 => map <= 1 && matches!(depth, 8 | 16),
        _ => false,
    };
    colours && width > 0 && height > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sniff_named(head: &[u8], name: &str) -> Option<ImageFormat> {
        sniff(head, Path::new(name))
    }

    #[test]
    fn texts_that_begin_like_pictures_are_none() {
        for text in [
            "BMW is a car maker and this is a long text",
            "P1 is the first page of it",
            "P6 ",
            "P7 332\n#XVVERSION",
            "P3x 3 4",
            "GIF is a format",
            "RIFFxxxxWAVEfmt ",
            "II. a second chapter",
            "qoifenly spelled words",
            "",
        ] {
            assert_eq!(sniff_named(text.as_bytes(), "story.txt"), None, "{text}");
        }
    }

    #[test]
    fn portable_maps_may_have_comments_and_any_white_space() {
        for head in ["P1\n# drawn by hand\n3 2\n", "P5\t40\t24", "P6#x\n3 2", "P7\nWIDTH 3", "P4\r\n 12 3"] {
            assert_eq!(sniff_named(head.as_bytes(), "x"), Some(ImageFormat::Pnm), "{head:?}");
        }
    }

    #[test]
    fn targa_needs_its_name_and_a_sensible_header() {
        let mut head = [0u8; 18];
        (head[2], head[12], head[14], head[16]) = (2, 3, 2, 24);
        assert_eq!(sniff_named(&head, "a.TGA"), Some(ImageFormat::Tga));
        assert_eq!(sniff_named(&head, "a.dat"), None);
        assert_eq!(sniff_named(&head[..17], "a.tga"), Some(ImageFormat::Tga));
        assert_eq!(sniff_named(&head[..16], "a.tga"), None);
        head[16] = 7;
        assert_eq!(sniff_named(&head, "a.tga"), None);
        assert_eq!(sniff_named(&[0; 18], "a.tga"), None);
    }

    #[test]
    fn camera_raw_is_not_tiff() {
        assert_eq!(sniff_named(b"II\x2a\0\x08\0\0\0", "scan.tif"), Some(ImageFormat::Tiff));
        assert_eq!(sniff_named(b"MM\0\x2a\0\0\0\x08", "scan"), Some(ImageFormat::Tiff));
        assert_eq!(sniff_named(b"II\x2a\0\x08\0\0\0", "DSC_1.NEF"), None);
        assert_eq!(sniff_named(b"II\x2a\0\x10\0\0\0CR\x02\0", "renamed.tif"), None);
        assert_eq!(sniff_unsupported(b"II\x2a\0\x08\0\0\0", Path::new("DSC_1.NEF")), Some("camera raw"));
        assert_eq!(sniff_unsupported(b"\0\0\0\x18ftypheic", Path::new("a.jpg")), Some("HEIC"));
    }

    #[test]
    fn names_that_promise_a_picture() {
        for name in ["a.jpg", "b.JPEG", "鸟.Png", "dir.x/c.tiff", "x.y.qoi"] {
            assert!(has_picture_extension(Path::new(name)), "{name}");
        }
        for name in ["jpg", ".jpg", "a.jpg.txt", "a.mp4", "a", "a.heic"] {
            assert!(!has_picture_extension(Path::new(name)), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_sniffed(head: Vec<u8>, name in "[a-z]{0,3}\\.(tga|nef|jpg)") {
            let format = sniff(&head, Path::new(&name));
            // More bytes than asked for change nothing.
            let mut longer = head.clone();
            longer.truncate(SNIFF_BYTES);
            prop_assert_eq!(sniff(&longer, Path::new(&name)), format);
        }
    }
}
