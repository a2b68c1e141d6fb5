//! Text in the columns of a terminal: widths, cutting, wrapping, what comes from outside, dates, numbers.

use std::borrow::Cow;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ratatui::buffer::CellWidth as _;
use taiyi_query::RowTime;
pub(crate) use taiyi_query::escape_controls as show;
use unicode_segmentation::UnicodeSegmentation as _;

/// Stands for what was cut away.
const ELLIPSIS: &str = "…";

/// The characters of `text` as people count them, with the columns each takes.
fn graphemes(text: &str) -> impl DoubleEndedIterator<Item = (&str, usize)> {
    text.graphemes(true).map(|grapheme| {
        // The screen leaves control characters out, and has no width for them.
        let is_drawn = !grapheme.contains(char::is_control);
        (grapheme, if is_drawn { usize::from(grapheme.cell_width()) } else { 0 })
    })
}

/// Columns that `text` takes: a Chinese character takes two.
pub(crate) fn width(text: &str) -> usize {
    graphemes(text).map(|(_, width)| width).sum()
}

/// The longest start of `text` that fits.
pub(crate) fn head(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let mut end = 0;
    for (grapheme, width) in graphemes(text) {
        used += width;
        if used > columns {
            break;
        }
        end += grapheme.len();
    }
    text.get(..end).unwrap_or_default()
}

/// The longest end of `text` that fits.
fn tail(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let mut start = text.len();
    for (grapheme, width) in graphemes(text).rev() {
        used += width;
        if used > columns {
            break;
        }
        start -= grapheme.len();
    }
    text.get(start..).unwrap_or_default()
}

/// `text` within so many columns; what is too much is cut from the end.
pub(crate) fn cut_end(text: &str, columns: usize) -> Cow<'_, str> {
    cut(text, columns, 0)
}

/// The same, cut from the start.
pub(crate) fn cut_start(text: &str, columns: usize) -> Cow<'_, str> {
    cut(text, columns, columns)
}

/// The same, cut in the middle: of a file name, the extension survives.
pub(crate) fn cut_middle(text: &str, columns: usize) -> Cow<'_, str> {
    cut(text, columns, columns / 3)
}

/// Keeps up to `end_columns` of the end, and of the start what then still fits.
fn cut(text: &str, columns: usize, end_columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let Some(kept) = columns.checked_sub(1) else { return Cow::Borrowed("") };
    let end = tail(text, end_columns.min(kept));
    let start = if end_columns < kept { head(text, kept - width(end)) } else { "" };
    Cow::Owned(format!("{start}{ELLIPSIS}{end}"))
}

/// `text` with blanks behind it up to `columns`.
pub(crate) fn pad_end(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// `text` with blanks before it up to `columns`.
pub(crate) fn pad_start(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

/// A part of a line that is longer than its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// What is seen.
    pub(crate) text: String,
    /// The column of the caret, always less than those there are.
    pub(crate) caret: usize,
}

/// What to show of a line with a caret between `before` and `after`: all of it, or the part around the
/// caret.
pub(crate) fn window(before: &str, after: &str, columns: usize) -> Window {
    // The caret itself needs a column, or as many as the character it stands on.
    let at_caret = graphemes(after).map(|(_, width)| width).find(|width| *width > 0).unwrap_or(1);
    let behind = at_caret.max(width(after).min(columns / 3)).min(columns);
    let shown = cut_start(before, columns - behind);
    let caret = width(&shown);
    let rest = head(after, columns - caret);
    Window { text: format!("{shown}{rest}"), caret: caret.min(columns.saturating_sub(1)) }
}

/// `text` in lines of so many columns, broken at blanks and around Chinese characters.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if columns == 0 {
        return lines;
    }
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut used = 0;
        for piece in pieces(paragraph) {
            if used + width(piece.trim_end()) > columns && !line.is_empty() {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                used = 0;
            }
            let mut rest = piece;
            while width(rest.trim_end()) > columns {
                let start = head(rest, columns);
                if start.is_empty() {
                    // Not even one character fits: there is no place for it.
                    let lost = graphemes(rest).next().map_or(rest.len(), |(grapheme, _)| grapheme.len());
                    rest = rest.get(lost..).unwrap_or_default();
                } else {
                    lines.push(start.to_owned());
                    rest = rest.get(start.len()..).unwrap_or_default();
                }
            }
            line.push_str(rest);
            used += width(rest);
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Cuts a line wherever it may be broken.
fn pieces(line: &str) -> Vec<&str> {
    const NEVER_FIRST: &str = "，。、；：！？）》」』】";
    const NEVER_LAST: &str = "（《「『【";
    let mut pieces = Vec::new();
    let (mut start, mut end) = (0, 0);
    let mut before = ("", 0);
    for (grapheme, columns) in graphemes(line) {
        let is_between_wide = (before.1 > 1 || columns > 1)
            && !NEVER_FIRST.contains(grapheme)
            && (before.0.is_empty() || !NEVER_LAST.contains(before.0));
        if end > start && grapheme != " " && (before.0 == " " || is_between_wide) {
            pieces.extend(line.get(start..end));
            start = end;
        }
        end += grapheme.len();
        before = (grapheme, columns);
    }
    pieces.extend(line.get(start..));
    pieces
}

/// Text from outside in several lines, which stay lines.
pub(crate) fn show_lines(text: &str) -> String {
    text.lines().map(show).collect::<Vec<_>>().join("\n")
}

/// A path for the eye.
pub(crate) fn show_path(path: &Path) -> String {
    show(&path.to_string_lossy())
}

/// The name of a file for the eye.
pub(crate) fn file_name(path: &Path) -> String {
    show(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
}

/// The folder of a file for the eye.
pub(crate) fn folder(path: &Path) -> String {
    path.parent().map(show_path).unwrap_or_default()
}

/// A number of pictures, as `1,234,567`.
pub(crate) fn thousands(n: usize) -> String {
    taiyi_query::thousands(n as u64)
}

/// The day a picture was made, as `2023-05-01`.
pub(crate) fn day(time: RowTime, zone: &TimeZone) -> Option<String> {
    Some(moment(time, zone)?.strftime("%Y-%m-%d").to_string())
}

/// The same with the time, as `2023-05-01 12:34:56`.
pub(crate) fn date_time(time: RowTime, zone: &TimeZone) -> Option<String> {
    Some(moment(time, zone)?.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// What the camera's clock said; for a modification time, what the clock on the wall said.
fn moment(time: RowTime, zone: &TimeZone) -> Option<DateTime> {
    let (seconds, zone) = match time {
        RowTime::Taken(seconds) => (seconds, &TimeZone::UTC),
        RowTime::Modified(seconds) => (seconds, zone),
    };
    Some(zone.to_datetime(Timestamp::from_second(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_are_display_widths() {
        assert_eq!(width("两只老虎"), 8);
        assert_eq!(width("e\u{301}a"), 2, "a combining mark stands on its letter");
        assert_eq!(width("👨‍👩‍👧🐯"), 4, "a family is one character");
        assert_eq!(width("：＋"), 4, "full-width punctuation");
        assert_eq!((pad_end("老虎", 6).as_str(), pad_start("老虎", 6).as_str()), ("老虎  ", "  老虎"));
        assert_eq!(pad_end("too long", 3), "too long");
    }

    #[test]
    fn names_are_cut_where_it_hurts_least() {
        assert_eq!(cut_end("两只老虎", 8), "两只老虎");
        assert_eq!(cut_end("两只老虎", 7), "两只老…");
        assert_eq!(cut_end("两只老虎", 6), "两只…", "half a character is none");
        assert_eq!(cut_start("/home/照片/旅行", 8), "…片/旅行");
        assert_eq!(cut_middle("a-very-long-name.jpg", 12), "a-very-….jpg");
        assert_eq!(cut_end("虎", 1), "…");
        assert_eq!(cut_end("虎", 0), "");
    }

    #[test]
    fn the_caret_is_in_the_window() {
        let at = |before, after, columns| {
            let window = window(before, after, columns);
            (window.text, window.caret)
        };
        assert_eq!(at("两只", "老虎", 20), ("两只老虎".to_owned(), 4));
        assert_eq!(
            at("两只老虎", "", 8),
            ("…只老虎".to_owned(), 7),
            "the caret behind it needs a column, too"
        );
        assert_eq!(at("", "两只老虎", 5), ("两只".to_owned(), 0));
        assert_eq!(at("两", "只", 1).1, 0);
        assert_eq!(at("两", "只", 0), (String::new(), 0));
    }

    #[test]
    fn text_is_wrapped_at_blanks_and_between_chinese_characters() {
        assert_eq!(wrap("no index in here", 8), ["no index", "in here"]);
        assert_eq!(
            wrap("两只老虎，两只老虎", 8),
            ["两只老", "虎，两只", "老虎"],
            "a comma never comes first"
        );
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("a\n\nb", 3), ["a", "", "b"]);
        assert_eq!(wrap("虎a", 1), ["a"]);
    }

    #[test]
    fn names_cannot_write_on_the_terminal() {
        assert_eq!(show("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(show("gpj.\u{202e}exe"), "gpj.\\u{202e}exe");
        assert_eq!(show("鳥鳥 🐯.png"), "鳥鳥 🐯.png");
        assert_eq!(show_lines("a\u{7}\nb"), "a\\u{7}\nb");
        assert_eq!((file_name(Path::new("/")), folder(Path::new("/"))), ("/".to_owned(), String::new()));
    }

    #[test]
    fn numbers_and_dates_read_well() {
        assert_eq!((thousands(0).as_str(), thousands(1_234_567).as_str()), ("0", "1,234,567"));
        let beijing = TimeZone::fixed(jiff::tz::offset(8));
        assert_eq!(date_time(RowTime::Taken(1_682_899_200), &beijing).unwrap(), "2023-05-01 00:00:00");
        assert_eq!(date_time(RowTime::Modified(1_682_899_200), &beijing).unwrap(), "2023-05-01 08:00:00");
        assert_eq!(day(RowTime::Modified(1_682_899_200), &beijing).unwrap(), "2023-05-01");
        assert_eq!(date_time(RowTime::Taken(i64::MAX), &beijing), None);
    }

    /// Letters, Chinese, marks, joined emoji, flags, controls, and whatever else there is.
    fn hostile() -> impl Strategy<Value = String> {
        let bits = prop_oneof![
            Just("a".to_owned()),
            Just(" ".to_owned()),
            Just("虎".to_owned()),
            Just("，".to_owned()),
            Just("e\u{301}\u{302}".to_owned()),
            Just("\u{301}".to_owned()),
            Just("👨‍👩‍👧".to_owned()),
            Just("🇨🇳".to_owned()),
            Just("❤\u{fe0f}".to_owned()),
            Just("\u{200d}".to_owned()),
            Just("ﾊﾞ".to_owned()),
            Just("\u{202e}\u{7}\r\n".to_owned()),
            any::<String>(),
        ];
        proptest::collection::vec(bits, 0..12).prop_map(|bits| bits.concat())
    }

    proptest! {
        #[test]
        fn cut_text_fits_and_no_character_is_split(text in hostile(), columns in 0usize..40) {
            let text = show(&text);
            let whole: Vec<&str> = text.graphemes(true).collect();
            prop_assert!(whole.starts_with(&head(&text, columns).graphemes(true).collect::<Vec<_>>()));
            prop_assert!(whole.ends_with(&tail(&text, columns).graphemes(true).collect::<Vec<_>>()));
            for cut in [cut_end(&text, columns), cut_start(&text, columns), cut_middle(&text, columns)] {
                prop_assert!(width(&cut) <= columns, "{:?} in {}", cut, columns);
                prop_assert!(cut == text || columns == 0 || cut.contains(ELLIPSIS));
            }
        }

        #[test]
        fn wrapped_text_fits_and_is_complete(text in hostile(), columns in 4usize..40) {
            let text = show_lines(&text);
            let lines = wrap(&text, columns);
            prop_assert!(lines.iter().all(|line| width(line) <= columns), "{:?}", lines);
            let bare = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(bare(&lines.concat()), bare(&text));
        }

        #[test]
        fn the_caret_is_on_the_screen(before in hostile(), after in hostile(), columns in 1usize..40) {
            let window = window(&show(&before), &show(&after), columns);
            prop_assert!(window.caret < columns);
            prop_assert!(width(&window.text) <= columns);
        }
    }
}
