//! What EXIF says, sorted out: cameras, phones and editors write it loosely, so every field is checked,
//! and a field that makes no sense is left out rather than guessed.

use std::panic;

use exif::{Exif, In, Tag, Value};
use jiff::civil::DateTime;
use taiyi_core::{GpsPosition, ImageFormat, Orientation, PhotoMetadata};

/// Longest name of a maker or a model that is kept, in characters.
const NAME_CHARS: usize = 64;

/// Years before photography are defaults of broken clocks.
const FIRST_YEAR: i16 = 1826;

/// The farthest that a clock on earth is from UTC, in minutes.
const MAX_OFFSET_MIN: i16 = 14 * 60;

/// What EXIF says that is worth keeping.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// `None` where EXIF stores none, or none that exists.
    pub(crate) orientation: Option<Orientation>,
    taken: Option<(i64, Option<i16>)>,
    gps: Option<GpsPosition>,
    camera: Option<String>,
}

impl Facts {
    /// Reads raw EXIF, or a whole TIFF file, which has the same structure. Of a broken one, what is still
    /// legible. The parser's copy of it is gone before any pixels are decoded.
    pub(crate) fn read(raw: &[u8]) -> Self {
        parse(raw).map_or_else(Self::default, |exif| Self {
            orientation: orientation(&exif),
            taken: taken(&exif),
            gps: gps(&exif),
            camera: camera(&exif),
        })
    }

    /// The metadata of a picture of this size, seen upright.
    pub(crate) fn describe(
        self,
        width: u32,
        height: u32,
        format: ImageFormat,
        orientation: Orientation,
    ) -> PhotoMetadata {
        let (taken_s, taken_offset_min) = self.taken.unzip();
        PhotoMetadata {
            width,
            height,
            format: Some(format),
            orientation,
            taken_s,
            taken_offset_min: taken_offset_min.flatten(),
            gps: self.gps,
            camera: self.camera,
        }
    }
}

/// Parses raw EXIF (a TIFF structure, with or without the `Exif` preamble); of a broken one, what is
/// still legible.
fn parse(raw: &[u8]) -> Option<Exif> {
    let raw = raw.strip_prefix(b"Exif\0\0").unwrap_or(raw).to_vec();
    // A picture is never lost to its EXIF, not even by a panic.
    let parsed = panic::catch_unwind(|| {
        exif::Reader::new()
            .continue_on_error(true)
            .read_raw(raw)
            .or_else(|e| e.distill_partial_result(|faults| tracing::debug!(?faults, "EXIF is partly broken")))
    });
    match parsed {
        Ok(Ok(exif)) => Some(exif),
        Ok(Err(error)) => {
            tracing::debug!(%error, "EXIF is broken");
            None
        }
        Err(_) => None,
    }
}

/// The orientation that EXIF stores; `None` where it stores none, or none that exists.
fn orientation(exif: &Exif) -> Option<Orientation> {
    let value = field(exif, Tag::Orientation)?.get_uint(0)?;
    (1..=8).contains(&value).then(|| Orientation::from_exif(value))
}

fn field(exif: &Exif, tag: Tag) -> Option<&Value> {
    Some(&exif.get_field(tag, In::PRIMARY)?.value)
}

fn ascii(exif: &Exif, tag: Tag) -> Option<&[u8]> {
    match field(exif, tag)? {
        Value::Ascii(texts) => texts.first().map(Vec::as_slice),
        _ => None,
    }
}

/// When it was taken, by the camera's clock, and that clock's offset from UTC: the best date that is
/// legible, with the offset that belongs to it.
fn taken(exif: &Exif) -> Option<(i64, Option<i16>)> {
    [
        (Tag::DateTimeOriginal, Tag::OffsetTimeOriginal),
        (Tag::DateTimeDigitized, Tag::OffsetTimeDigitized),
        (Tag::DateTime, Tag::OffsetTime),
    ]
    .into_iter()
    .find_map(|(date, offset)| {
        let seconds = clock_seconds(ascii(exif, date)?)?;
        Some((seconds, ascii(exif, offset).and_then(offset_minutes)))
    })
}

/// Seconds from 1970 of `YYYY:MM:DD HH:MM:SS`, whatever stands between the numbers. A clock that was never
/// set writes zeros or blanks.
fn clock_seconds(text: &[u8]) -> Option<i64> {
    let number = |from: usize, to: usize| digits(text.get(from..to)?);
    let year = number(0, 4)?;
    let small = |from: usize| number(from, from + 2).and_then(|n| i8::try_from(n).ok());
    let clock =
        DateTime::new(year, small(5)?, small(8)?, small(11)?, small(14)?, small(17).unwrap_or(0), 0).ok()?;
    (year >= FIRST_YEAR).then(|| clock.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).as_secs())
}

/// Minutes of `+HH:MM`, `-HH:MM` or `Z`.
fn offset_minutes(text: &[u8]) -> Option<i16> {
    let text = text.trim_ascii();
    if text == b"Z" {
        return Some(0);
    }
    let (sign, rest) = match text.split_first()? {
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let minutes = match rest {
        [_, _, b':', _, _] => digits(&rest[..2])? * 60 + digits(&rest[3..]).filter(|m| *m < 60)?,
        _ => return None,
    };
    (minutes <= MAX_OFFSET_MIN).then_some(sign * minutes)
}

fn digits(text: &[u8]) -> Option<i16> {
    text.iter().try_fold(0i16, |n, c| {
        let digit = c.is_ascii_digit().then(|| i16::from(c - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

fn gps(exif: &Exif) -> Option<GpsPosition> {
    let latitude = angle(exif, Tag::GPSLatitude, Tag::GPSLatitudeRef, [b'N', b'S'], 90.0)?;
    let longitude = angle(exif, Tag::GPSLongitude, Tag::GPSLongitudeRef, [b'E', b'W'], 180.0)?;
    // Exactly nowhere off Africa is what receivers write before they know where they are.
    if latitude == 0.0 && longitude == 0.0 {
        return None;
    }
    Some(GpsPosition { latitude, longitude, altitude: altitude(exif) })
}

/// Degrees, minutes and seconds with a hemisphere, as signed degrees within ±`limit`.
fn angle(exif: &Exif, tag: Tag, reference: Tag, hemispheres: [u8; 2], limit: f64) -> Option<f64> {
    let Value::Rational(parts) = field(exif, tag)? else { return None };
    let [positive, negative] = hemispheres;
    let sign = match ascii(exif, reference)?.trim_ascii().first()?.to_ascii_uppercase() {
        c if c == positive => 1.0,
        c if c == negative => -1.0,
        _ => return None,
    };
    if parts.is_empty() || parts.len() > 3 {
        return None;
    }
    let mut degrees = 0.0;
    for (part, unit) in parts.iter().zip([1.0, 60.0, 3600.0]) {
        degrees += ratio(*part)? / unit;
    }
    (degrees <= limit).then_some(sign * degrees)
}

fn altitude(exif: &Exif) -> Option<f64> {
    let Value::Rational(parts) = field(exif, Tag::GPSAltitude)? else { return None };
    let metres = ratio(*parts.first()?)?;
    let is_below_sea = field(exif, Tag::GPSAltitudeRef).and_then(|v| v.get_uint(0)) == Some(1);
    // From the deepest trench to the edge of space.
    let metres = if is_below_sea { -metres } else { metres };
    (-11_000.0..=100_000.0).contains(&metres).then_some(metres)
}

fn ratio(value: exif::Rational) -> Option<f64> {
    (value.denom != 0).then(|| value.to_f64())
}

/// Maker and model, without the maker where the model names it already.
fn camera(exif: &Exif) -> Option<String> {
    let make = ascii(exif, Tag::Make).and_then(name);
    let model = ascii(exif, Tag::Model).and_then(name);
    let (Some(make), Some(model)) = (&make, &model) else { return model.or(make) };
    // "NIKON CORPORATION" and "NIKON D90", "Eastman Kodak Company" and "KODAK DC210": any word counts.
    let mut words = model.split(|c: char| !c.is_alphanumeric());
    let first = words.next().unwrap_or_default();
    let repeats = make.split(|c: char| !c.is_alphanumeric()).any(|word| caseless_eq(word, first));
    Some(if repeats { model.clone() } else { format!("{make} {model}") })
}

fn caseless_eq(a: &str, b: &str) -> bool {
    !a.is_empty() && a.to_lowercase() == b.to_lowercase()
}

/// A name fit for a terminal: no control characters, none that reverse the direction of writing, single
/// spaces, not too long, and not empty.
fn name(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let visible: String = text
        .chars()
        .map(|c| if c.is_whitespace() || c == '\0' { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .collect();
    let words: Vec<&str> = visible.split_whitespace().collect();
    let name: String = words.join(" ").chars().take(NAME_CHARS).collect();
    let name = name.trim_end();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Zero-width characters and directional marks.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use exif::experimental::Writer;
    use exif::{Field, Rational};
    use proptest::prelude::*;

    fn text(tag: Tag, value: &str) -> Field {
        Field { tag, ifd_num: In::PRIMARY, value: Value::Ascii(vec![value.as_bytes().to_vec()]) }
    }

    fn fractions(tag: Tag, parts: &[(u32, u32)]) -> Field {
        let parts = parts.iter().map(|&(num, denom)| Rational { num, denom }).collect();
        Field { tag, ifd_num: In::PRIMARY, value: Value::Rational(parts) }
    }

    fn exif_of(fields: &[Field]) -> Exif {
        let mut writer = Writer::new();
        for field in fields {
            writer.push_field(field);
        }
        let mut raw = std::io::Cursor::new(Vec::new());
        writer.write(&mut raw, true).unwrap();
        parse(&raw.into_inner()).unwrap()
    }

    fn place(
        latitude: &[(u32, u32)],
        north: &str,
        longitude: &[(u32, u32)],
        east: &str,
    ) -> Option<(f64, f64)> {
        let exif = exif_of(&[
            fractions(Tag::GPSLatitude, latitude),
            text(Tag::GPSLatitudeRef, north),
            fractions(Tag::GPSLongitude, longitude),
            text(Tag::GPSLongitudeRef, east),
        ]);
        gps(&exif).map(|p| (p.latitude, p.longitude))
    }

    fn camera_of(make: &str, model: &str) -> Option<String> {
        camera(&exif_of(&[text(Tag::Make, make), text(Tag::Model, model)]))
    }

    #[test]
    fn clocks_count_from_1970_as_they_showed() {
        assert_eq!(clock_seconds(b"1970:01:01 00:00:00"), Some(0));
        assert_eq!(clock_seconds(b"2019:05:01 13:37:42"), Some(1_556_717_862));
        assert_eq!(clock_seconds(b"2019-05-01T13:37:42.5"), Some(1_556_717_862));
        assert_eq!(clock_seconds(b"1969:12:31 23:59:59"), Some(-1));
        assert_eq!(clock_seconds(b"2020:02:29 12:00"), Some(1_582_977_600));
    }

    #[test]
    fn dates_that_never_were_are_none() {
        for text in [
            "0000:00:00 00:00:00",
            "    :  :     :  :  ",
            "0001:01:01 00:00:00",
            "2019:02:29 00:00:00",
            "2019:13:01 00:00:00",
            "2019:05:01 25:00:00",
            "2019:05:01",
            "+019:05:01 00:00:00",
            "",
        ] {
            assert_eq!(clock_seconds(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn offsets_are_minutes() {
        assert_eq!(offset_minutes(b"+08:00"), Some(480));
        assert_eq!(offset_minutes(b"-03:30 "), Some(-210));
        assert_eq!(offset_minutes(b"Z"), Some(0));
        for text in ["+15:00", "08:00", "+8:00", "+08:60", "   :  ", "+0800", ""] {
            assert_eq!(offset_minutes(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_best_legible_date_wins_and_keeps_its_own_offset() {
        let exif = exif_of(&[
            text(Tag::DateTimeOriginal, "0000:00:00 00:00:00"),
            text(Tag::OffsetTimeOriginal, "+01:00"),
            text(Tag::DateTimeDigitized, "1970:01:01 00:00:09"),
            text(Tag::DateTime, "2021:01:01 00:00:00"),
            text(Tag::OffsetTime, "+02:00"),
        ]);
        assert_eq!(taken(&exif), Some((9, None)));
        let edited = exif_of(&[text(Tag::DateTime, "1970:01:01 00:01:00"), text(Tag::OffsetTime, "+02:00")]);
        assert_eq!(taken(&edited), Some((60, Some(120))));
    }

    #[test]
    fn positions_need_their_hemispheres_and_sane_fractions() {
        let (north, east) = (&[(30, 1), (15, 1), (0, 1)][..], &[(120, 1), (301, 10)][..]);
        let (latitude, longitude) = place(north, "S", east, "w").unwrap();
        assert!((latitude + 30.25).abs() < 1e-9 && (longitude + 120.501_666_666).abs() < 1e-6);
        assert_eq!(place(north, "", east, "E"), None);
        assert_eq!(place(north, "E", east, "N"), None);
        assert_eq!(place(&[(30, 1), (0, 0), (0, 1)], "N", east, "E"), None);
        assert_eq!(place(&[(91, 1)], "N", east, "E"), None);
        assert_eq!(place(north, "N", &[(180, 1), (1, 1)], "E"), None);
        assert_eq!(place(&[(0, 1); 3], "N", &[(0, 1); 3], "E"), None);
    }

    #[test]
    fn heights_may_be_below_the_sea() {
        let below = Field { tag: Tag::GPSAltitudeRef, ifd_num: In::PRIMARY, value: Value::Byte(vec![1]) };
        assert_eq!(altitude(&exif_of(&[fractions(Tag::GPSAltitude, &[(861, 2)])])), Some(430.5));
        assert_eq!(altitude(&exif_of(&[fractions(Tag::GPSAltitude, &[(861, 2)]), below])), Some(-430.5));
        assert_eq!(altitude(&exif_of(&[fractions(Tag::GPSAltitude, &[(1, 0)])])), None);
        assert_eq!(altitude(&exif_of(&[fractions(Tag::GPSAltitude, &[(u32::MAX, 1)])])), None);
    }

    #[test]
    fn a_camera_is_named_once() {
        assert_eq!(camera_of("Canon", "Canon EOS R5").as_deref(), Some("Canon EOS R5"));
        assert_eq!(camera_of("NIKON CORPORATION", "NIKON D90  ").as_deref(), Some("NIKON D90"));
        assert_eq!(camera_of("Eastman Kodak Company", "KODAK DC210").as_deref(), Some("KODAK DC210"));
        assert_eq!(camera_of("LG Electronics", "LG-H870").as_deref(), Some("LG-H870"));
        assert_eq!(camera_of("Apple", "iPhone 12").as_deref(), Some("Apple iPhone 12"));
        assert_eq!(camera_of("HUAWEI\0\0", " ").as_deref(), Some("HUAWEI"));
        assert_eq!(camera_of(" ", "\u{1b}"), None);
        assert_eq!(camera_of("小米", "小米 14").as_deref(), Some("小米 14"));
        assert_eq!(camera_of("a\u{1b}[31mb", "c\u{202e}d\te").as_deref(), Some("a[31mb cd e"));
        let long = camera_of(&"x".repeat(500), &"y".repeat(500)).unwrap();
        assert_eq!(long.chars().count(), 2 * NAME_CHARS + 1);
    }

    #[test]
    fn an_orientation_outside_of_1_to_8_is_none() {
        let stored =
            |value| Field { tag: Tag::Orientation, ifd_num: In::PRIMARY, value: Value::Short(vec![value]) };
        assert_eq!(orientation(&exif_of(&[stored(6)])), Some(Orientation::Rotate90));
        assert_eq!(orientation(&exif_of(&[stored(0)])), None);
        assert_eq!(orientation(&exif_of(&[stored(9)])), None);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_parsed(raw: Vec<u8>, big_endian: bool) {
            let start: &[u8] = if big_endian { b"MM\0\x2a\0\0\0\x08\0\x02" } else { b"II\x2a\0\x08\0\0\0\x02\0" };
            let raw = [start, &raw].concat();
            let facts = Facts::read(&raw);
            prop_assert!(facts.camera.is_none_or(|name| !name.is_empty()));
            prop_assert!(facts.gps.is_none_or(|p| p.latitude.abs() <= 90.0 && p.longitude.abs() <= 180.0));
        }
    }
}
