//! What EXIF says, sorted out: cameras, phones and editors write it loosely, so every field is checked,
//! and a field that makes no sense is left out rather than guessed.

use std::panic;

use exif::{Exif, In, Tag, Value};
use jiff::civil::DateTime;
use taiyi_core::{GpsPosition, ImageFormat, Orientation, PhotoMetadata, RgbImage};

/// Longest name of a maker or a model that is kept, in characters.
const NAME_CHARS: usize = 64;

/// Years before photography are defaults of broken clocks.
const FIRST_YEAR: i16 = 1826;

/// The farthest that a clock on earth is from UTC, in minutes.
const MAX_OFFSET_MIN: i16 = 14 * 60;

/// Parses raw EXIF (a TIFF structure, with or without the `Exif` preamble); of a broken one, what is
/// still legible.
pub(crate) fn parse(raw: &[u8]) -> Option<Exif> {
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
pub(crate) fn orientation(exif: &Exif) -> Option<Orientation> {
    let value = field(exif, Tag::Orientation)?.get_uint(0)?;
    (1..=8).contains(&value).then(|| Orientation::from_exif(value))
}

/// The metadata of an upright picture.
pub(crate) fn describe(
    image: &RgbImage,
    format: ImageFormat,
    orientation: Orientation,
    exif: Option<&Exif>,
) -> PhotoMetadata {
    let (taken_s, taken_offset_min) = exif.and_then(taken).unzip();
    PhotoMetadata {
        width: image.width(),
        height: image.height(),
        format,
        orientation,
        taken_s,
        taken_offset_min: taken_offset_min.flatten(),
        gps: exif.and_then(gps),
        camera: exif.and_then(camera),
    }
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
