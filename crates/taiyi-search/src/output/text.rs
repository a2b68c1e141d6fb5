//! Text for people: display widths, control characters, sizes, dates.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use taiyi_query::Picture;
pub(crate) use taiyi_query::{escape_controls, thousands};
use taiyi_store::RowTime;
use unicode_width::UnicodeWidthStr as _;

/// Columns that `text` takes on a terminal: a Chinese character takes two.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text` with blanks behind it up to `columns`.
pub(crate) fn pad_right(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// `text` with blanks before it up to `columns`.
pub(crate) fn pad_left(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

/// A path for the eye: control characters, which could rewrite the terminal, are shown as escapes.
pub(crate) fn show_path(path: &Path) -> String {
    escape_controls(&path.to_string_lossy())
}

/// `1234567` bytes as `1.2 MB`.
pub(crate) fn bytes(count: u64) -> String {
    let mut size = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if size < 1000.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1000.0;
    }
    format!("{size:.1} TB")
}

/// `1 picture`, `2 pictures`, `1,234 pictures`.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n), if n == 1 { one } else { many })
}

/// The day a picture was made, e.g. `2023-05-01`.
pub(crate) fn day(picture: &Picture, zone: &TimeZone) -> String {
    date_time(picture.time, zone).map_or_else(String::new, |text| text[..10.min(text.len())].to_owned())
}

/// `2023-05-01T12:34:56`: the camera's clock, or for a modification time the clock on the wall.
pub(crate) fn date_time(time: Option<RowTime>, zone: &TimeZone) -> Option<String> {
    let (seconds, zone) = match time? {
        RowTime::Taken(seconds) => (seconds, &TimeZone::UTC),
        RowTime::Modified(seconds) => (seconds, zone),
    };
    let moment = zone.to_datetime(Timestamp::from_second(seconds).ok()?);
    Some(moment.strftime("%Y-%m-%dT%H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_display_widths() {
        assert_eq!(width("两只老虎"), 8);
        assert_eq!(pad_right("老虎", 6), "老虎  ");
        assert_eq!(pad_left("老虎", 6), "  老虎");
        assert_eq!(pad_left("too long", 3), "too long");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!((bytes(999).as_str(), bytes(1_234_567).as_str()), ("999 B", "1.2 MB"));
        assert_eq!(count(1, "picture", "pictures"), "1 picture");
        assert_eq!(count(100, "picture", "pictures"), "100 pictures");
    }

    #[test]
    fn times_are_told_by_their_own_clock() {
        let beijing = TimeZone::fixed(jiff::tz::offset(8));
        let at = |time| date_time(Some(time), &beijing).unwrap();
        assert_eq!(at(RowTime::Taken(1_682_899_200)), "2023-05-01T00:00:00");
        assert_eq!(at(RowTime::Modified(1_682_899_200)), "2023-05-01T08:00:00");
        assert_eq!(date_time(None, &beijing), None);
        assert_eq!(date_time(Some(RowTime::Taken(i64::MAX)), &beijing), None);
    }
}
