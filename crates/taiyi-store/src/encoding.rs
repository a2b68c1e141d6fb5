//! Bytes of records, in the ledger and in item tables: little-endian, laid out by hand.
//!
//! A hand layout, and not a serialisation library's, because `docs/FORMAT.md` promises every byte to
//! future versions and a struct of another crate may gain a field any day. Decoding takes arbitrary
//! bytes and answers `None` where they are no such record.

use taiyi_core::{GpsPosition, ImageFormat, Orientation, PhotoMetadata};

use crate::{
    ContentHash, Failure, FailureKind, FileStamp, LocationRecord, LocationState, RelativePath, RootId,
};

/// First byte of every ledger record.
const RECORD_VERSION: u8 = 1;

/// A content as the ledger has it, besides its embedding.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContentRecord {
    /// Which run of embedding everything it belongs to.
    pub(crate) epoch: u64,
    pub(crate) metadata: PhotoMetadata,
}

/// A location as an item table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredLocation {
    pub(crate) root: RootId,
    pub(crate) stamp: FileStamp,
    pub(crate) path: RelativePath,
}

/// Reads numbers and strings off the front of a slice.
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn f64(&mut self) -> Option<f64> {
        self.array().map(f64::from_le_bytes)
    }

    /// Bytes behind their length as u32.
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        self.take(usize::try_from(len).ok()?)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn stamp(&mut self) -> Option<FileStamp> {
        Some(FileStamp { size: self.u64()?, mtime_ns: self.i64()? })
    }

    fn hash(&mut self) -> Option<ContentHash> {
        self.array().map(ContentHash)
    }

    fn failure(&mut self) -> Option<Failure> {
        let kind = failure_kind(self.u8()?)?;
        Some(Failure { kind, message: self.text()? })
    }

    /// Metadata, the first part of an item.
    pub(crate) fn metadata(&mut self) -> Option<PhotoMetadata> {
        let (width, height) = (self.u32()?, self.u32()?);
        let format = image_format(self.u8()?)?;
        let orientation = self.u8()?;
        if !(1..=8).contains(&orientation) {
            return None;
        }
        let present = self.u8()?;
        if present & !ALL_PRESENT != 0 {
            return None;
        }
        let has = |bit: u8| present & bit != 0;
        let taken_s = if has(TAKEN) { Some(self.i64()?) } else { None };
        let taken_offset_min = if has(TAKEN_OFFSET) { Some(self.i16()?) } else { None };
        let gps = if has(GPS) {
            let (latitude, longitude) = (self.f64()?, self.f64()?);
            let altitude = if has(ALTITUDE) { Some(self.f64()?) } else { None };
            Some(GpsPosition { latitude, longitude, altitude })
        } else if has(ALTITUDE) {
            return None;
        } else {
            None
        };
        let camera = if has(CAMERA) { Some(self.text()?) } else { None };
        let orientation = Orientation::from_exif(u32::from(orientation));
        Some(PhotoMetadata { width, height, format, orientation, taken_s, taken_offset_min, gps, camera })
    }

    /// One location of an item.
    pub(crate) fn location(&mut self) -> Option<StoredLocation> {
        let (root, stamp, path) = self.location_bytes()?;
        Some(StoredLocation { root, stamp, path: RelativePath::from_bytes(path)? })
    }

    /// The same with the path as it lies there.
    pub(crate) fn location_bytes(&mut self) -> Option<(RootId, FileStamp, &'a [u8])> {
        Some((RootId(self.u32()?), self.stamp()?, self.bytes()?))
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// One failed file of an item table.
    pub(crate) fn failed_location(&mut self) -> Option<(StoredLocation, Failure)> {
        Some((self.location()?, self.failure()?))
    }
}

const TAKEN: u8 = 1;
const TAKEN_OFFSET: u8 = 2;
const GPS: u8 = 4;
const ALTITUDE: u8 = 8;
const CAMERA: u8 = 16;
const ALL_PRESENT: u8 = TAKEN | TAKEN_OFFSET | GPS | ALTITUDE | CAMERA;

/// Appends bytes behind their length; what is longer than a u32 can say is cut off (nothing is).
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(bytes.get(..len as usize).unwrap_or(bytes));
}

fn put_stamp(out: &mut Vec<u8>, stamp: FileStamp) {
    out.extend_from_slice(&stamp.size.to_le_bytes());
    out.extend_from_slice(&stamp.mtime_ns.to_le_bytes());
}

fn put_failure(out: &mut Vec<u8>, failure: &Failure) {
    out.push(failure_code(failure.kind));
    put_bytes(out, failure.message.as_bytes());
}

pub(crate) fn put_metadata(out: &mut Vec<u8>, metadata: &PhotoMetadata) {
    out.extend_from_slice(&metadata.width.to_le_bytes());
    out.extend_from_slice(&metadata.height.to_le_bytes());
    out.push(format_code(metadata.format));
    out.push(metadata.orientation.to_exif() as u8);
    let altitude = metadata.gps.and_then(|gps| gps.altitude);
    let bit = |present: bool, bit: u8| if present { bit } else { 0 };
    out.push(
        bit(metadata.taken_s.is_some(), TAKEN)
            | bit(metadata.taken_offset_min.is_some(), TAKEN_OFFSET)
            | bit(metadata.gps.is_some(), GPS)
            | bit(altitude.is_some(), ALTITUDE)
            | bit(metadata.camera.is_some(), CAMERA),
    );
    if let Some(taken_s) = metadata.taken_s {
        out.extend_from_slice(&taken_s.to_le_bytes());
    }
    if let Some(offset) = metadata.taken_offset_min {
        out.extend_from_slice(&offset.to_le_bytes());
    }
    if let Some(gps) = metadata.gps {
        out.extend_from_slice(&gps.latitude.to_le_bytes());
        out.extend_from_slice(&gps.longitude.to_le_bytes());
    }
    if let Some(altitude) = altitude {
        out.extend_from_slice(&altitude.to_le_bytes());
    }
    if let Some(camera) = &metadata.camera {
        put_bytes(out, camera.as_bytes());
    }
}

pub(crate) fn put_location(out: &mut Vec<u8>, root: RootId, stamp: FileStamp, path: &RelativePath) {
    out.extend_from_slice(&root.0.to_le_bytes());
    put_stamp(out, stamp);
    put_bytes(out, path.as_bytes());
}

pub(crate) fn put_failed_location(
    out: &mut Vec<u8>,
    root: RootId,
    stamp: FileStamp,
    path: &RelativePath,
    failure: &Failure,
) {
    put_location(out, root, stamp, path);
    put_failure(out, failure);
}

pub(crate) fn encode_location(record: &LocationRecord) -> Vec<u8> {
    let mut out = vec![RECORD_VERSION];
    put_stamp(&mut out, record.stamp);
    match &record.state {
        LocationState::Indexed(hash) => {
            out.push(0);
            out.extend_from_slice(&hash.0);
        }
        LocationState::Failed(failure) => {
            out.push(1);
            put_failure(&mut out, failure);
        }
        LocationState::Ignored => out.push(2),
    }
    out
}

pub(crate) fn decode_location(bytes: &[u8]) -> Option<LocationRecord> {
    let mut cursor = Cursor::new(bytes);
    if cursor.u8()? != RECORD_VERSION {
        return None;
    }
    let stamp = cursor.stamp()?;
    let state = match cursor.u8()? {
        0 => LocationState::Indexed(cursor.hash()?),
        1 => LocationState::Failed(cursor.failure()?),
        2 => LocationState::Ignored,
        _ => return None,
    };
    cursor.is_empty().then_some(LocationRecord { stamp, state })
}

pub(crate) fn encode_content(record: &ContentRecord) -> Vec<u8> {
    let mut out = vec![RECORD_VERSION];
    out.extend_from_slice(&record.epoch.to_le_bytes());
    put_metadata(&mut out, &record.metadata);
    out
}

pub(crate) fn decode_content(bytes: &[u8]) -> Option<ContentRecord> {
    let mut cursor = Cursor::new(bytes);
    if cursor.u8()? != RECORD_VERSION {
        return None;
    }
    let (epoch, metadata) = (cursor.u64()?, cursor.metadata()?);
    cursor.is_empty().then_some(ContentRecord { epoch, metadata })
}

/// The epoch alone, for the question asked of every file.
pub(crate) fn content_epoch(bytes: &[u8]) -> Option<u64> {
    let mut cursor = Cursor::new(bytes);
    if cursor.u8()? == RECORD_VERSION { cursor.u64() } else { None }
}

fn failure_code(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::Corrupt => 0,
        FailureKind::TooLarge => 1,
        FailureKind::NotAPicture => 2,
        FailureKind::Unsupported => 3,
        FailureKind::Unreadable => 4,
        FailureKind::Encoder => 5,
    }
}

fn failure_kind(code: u8) -> Option<FailureKind> {
    FailureKind::ALL.into_iter().find(|&kind| failure_code(kind) == code)
}

/// Where the format is not known.
const NO_FORMAT: u8 = 255;

fn format_code(format: Option<ImageFormat>) -> u8 {
    match format {
        Some(ImageFormat::Jpeg) => 0,
        Some(ImageFormat::Png) => 1,
        Some(ImageFormat::WebP) => 2,
        Some(ImageFormat::Gif) => 3,
        Some(ImageFormat::Bmp) => 4,
        Some(ImageFormat::Tiff) => 5,
        Some(ImageFormat::Pnm) => 6,
        Some(ImageFormat::Ico) => 7,
        Some(ImageFormat::Tga) => 8,
        Some(ImageFormat::Qoi) => 9,
        None => NO_FORMAT,
    }
}

/// `None` for a code that is none; `Some(None)` where the format is not known.
fn image_format(code: u8) -> Option<Option<ImageFormat>> {
    use ImageFormat as F;
    if code == NO_FORMAT {
        return Some(None);
    }
    [F::Jpeg, F::Png, F::WebP, F::Gif, F::Bmp, F::Tiff, F::Pnm, F::Ico, F::Tga, F::Qoi]
        .into_iter()
        .find(|&format| format_code(Some(format)) == code)
        .map(Some)
}

#[cfg(test)]
pub(crate) mod strategies {
    //! Arbitrary records.

    use super::*;
    use proptest::prelude::*;

    pub(crate) fn path() -> impl Strategy<Value = RelativePath> {
        prop::collection::vec("[a-c鳥.]{1,4}", 1..4).prop_filter_map("`.` and `..` are no names", |names| {
            RelativePath::from_bytes(names.join("/").as_bytes())
        })
    }

    pub(crate) fn stamp() -> impl Strategy<Value = FileStamp> {
        (any::<u64>(), any::<i64>()).prop_map(|(size, mtime_ns)| FileStamp { size, mtime_ns })
    }

    pub(crate) fn failure() -> impl Strategy<Value = Failure> {
        (0u8..6, ".{0,12}").prop_filter_map("codes end at 5", |(code, message)| {
            Some(Failure { kind: failure_kind(code)?, message })
        })
    }

    pub(crate) fn metadata() -> impl Strategy<Value = PhotoMetadata> {
        let gps = (-90f64..90.0, -180f64..180.0, prop::option::of(-500f64..9000.0))
            .prop_map(|(latitude, longitude, altitude)| GpsPosition { latitude, longitude, altitude });
        (
            (any::<u32>(), any::<u32>(), prop_oneof![0u8..10, Just(NO_FORMAT)], 1u32..=8),
            prop::option::of(any::<i64>()),
            prop::option::of(any::<i16>()),
            prop::option::of(gps),
            prop::option::of(".{0,12}"),
        )
            .prop_filter_map(
                "every code is one",
                |((width, height, format, o), taken_s, offset, gps, camera)| {
                    Some(PhotoMetadata {
                        width,
                        height,
                        format: image_format(format)?,
                        orientation: Orientation::from_exif(o),
                        taken_s,
                        taken_offset_min: offset,
                        gps,
                        camera,
                    })
                },
            )
    }

    pub(crate) fn location() -> impl Strategy<Value = LocationRecord> {
        let state = prop_oneof![
            any::<[u8; 32]>().prop_map(|h| LocationState::Indexed(ContentHash(h))),
            failure().prop_map(LocationState::Failed),
            Just(LocationState::Ignored),
        ];
        (stamp(), state).prop_map(|(stamp, state)| LocationRecord { stamp, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn location_records_round_trip(record in strategies::location()) {
            prop_assert_eq!(decode_location(&encode_location(&record)), Some(record));
        }

        #[test]
        fn content_records_round_trip(epoch in any::<u64>(), metadata in strategies::metadata()) {
            let record = ContentRecord { epoch, metadata };
            let bytes = encode_content(&record);
            prop_assert_eq!(content_epoch(&bytes), Some(epoch));
            prop_assert_eq!(decode_content(&bytes), Some(record));
        }

        #[test]
        fn item_parts_round_trip(
            root in any::<u32>(), stamp in strategies::stamp(), path in strategies::path(), failure in strategies::failure()
        ) {
            let mut bytes = Vec::new();
            put_failed_location(&mut bytes, RootId(root), stamp, &path, &failure);
            let mut cursor = Cursor::new(&bytes);
            let stored = StoredLocation { root: RootId(root), stamp, path };
            prop_assert_eq!(cursor.failed_location(), Some((stored, failure)));
            prop_assert!(cursor.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode_location(&bytes);
            let _ = decode_content(&bytes);
            let _ = Cursor::new(&bytes).metadata();
            let _ = Cursor::new(&bytes).failed_location();
        }

        #[test]
        fn cut_or_lengthened_records_are_refused(record in strategies::location(), cut in any::<prop::sample::Index>()) {
            let mut bytes = encode_location(&record);
            prop_assert_eq!(decode_location(&bytes[..cut.index(bytes.len())]), None);
            bytes.push(0);
            prop_assert_eq!(decode_location(&bytes), None);
        }
    }
}
