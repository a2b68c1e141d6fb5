//! JPEG files that stop early, as downloads and failing disks leave them.

/// Ends a JPEG that stops within or behind its first scan after the last thing that is complete, with the
/// end marker that it lacks; `None` when it has one, or stops before there are any pixels.
///
/// The decoder fills up what is missing from a scan, but gives up on a progressive file that is cut within
/// the tables between two scans.
pub(crate) fn mended_jpeg(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut at = 2; // behind the start marker
    let mut has_pixels = false;
    loop {
        match segment_end(bytes, at) {
            Segment::Ends(end) => at = end,
            Segment::StartsScan(end) => {
                has_pixels = true;
                at = scan_end(bytes, end);
            }
            Segment::LastOfFile => return None,
            Segment::IsCut => break,
        }
    }
    has_pixels.then(|| [bytes.get(..at).unwrap_or(bytes), b"\xff\xd9"].concat())
}

enum Segment {
    Ends(usize),
    StartsScan(usize),
    LastOfFile,
    IsCut,
}

fn segment_end(bytes: &[u8], at: usize) -> Segment {
    let Some(&[0xff, marker]) = bytes.get(at..at.saturating_add(2)) else { return Segment::IsCut };
    match marker {
        0xd9 => return Segment::LastOfFile,
        // A fill byte; markers without a length.
        0xff => return Segment::Ends(at + 1),
        0x01 | 0xd0..=0xd8 => return Segment::Ends(at + 2),
        _ => {}
    }
    let Some(&[high, low]) = bytes.get(at + 2..at + 4) else { return Segment::IsCut };
    let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
    match (marker, end <= bytes.len()) {
        (_, false) => Segment::IsCut,
        (0xda, true) => Segment::StartsScan(end),
        (_, true) => Segment::Ends(end),
    }
}

/// Where the next marker stands that is no part of the scan at `start`, or the end of the file.
fn scan_end(bytes: &[u8], start: usize) -> usize {
    let Some(scan) = bytes.get(start..) else { return bytes.len() };
    let marker = scan.windows(2).position(|w| w[0] == 0xff && !matches!(w[1], 0x00 | 0xff | 0xd0..=0xd7));
    start + marker.unwrap_or(scan.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: &[u8] = b"\xff\xd8\xff\xdb\x00\x04ab";
    const SCAN: &[u8] = b"\xff\xda\x00\x03x\x01\xff\x00\x02\xff\xd3\x03";

    #[test]
    fn a_cut_between_scans_goes_back_to_the_last_whole_scan() {
        let whole = [HEADER, SCAN].concat();
        let mended = [&whole[..], b"\xff\xd9"].concat();
        assert_eq!(mended_jpeg(&whole), Some(mended.clone()));
        for rest in [&b"\xff\xc4"[..], b"\xff\xc4\x00\x09abc", b"\xff\xda", b"\xff\xda\x00\x03"] {
            assert_eq!(mended_jpeg(&[&whole, rest].concat()), Some(mended.clone()), "{rest:?}");
        }
    }

    #[test]
    fn whole_files_and_mere_headers_are_left_alone() {
        assert_eq!(mended_jpeg(&[HEADER, SCAN, b"\xff\xd9"].concat()), None);
        assert_eq!(mended_jpeg(HEADER), None);
        assert_eq!(mended_jpeg(&[HEADER, b"\xff\xda\x00"].concat()), None);
        assert_eq!(mended_jpeg(b""), None);
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(tail in prop::collection::vec(prop_oneof![Just(0xffu8), Just(0xda), Just(0), any::<u8>()], 0..200)) {
            if let Some(mended) = mended_jpeg(&[b"\xff\xd8", &tail[..]].concat()) {
                prop_assert!(mended.ends_with(b"\xff\xd9") && mended.len() <= tail.len() + 4);
            }
        }
    }
}
