//! Dates as people type them, and the stretch of time that they mean.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use taiyi_store::RowTime;

/// No zone is further from UTC: jiff takes offsets up to 25:59:59.
const MAX_OFFSET_S: i64 = 26 * 3600;

/// A date that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the date {0:?}: write 2023, 2023-05, 2023-05-01 or 2023年5月1日")]
pub struct DateError(pub String);

/// The first moment of the year, month or day that `text` names: `2023`, `2023-05`, `2023/5/1`,
/// `2023年5月`, full-width digits included.
///
/// # Errors
/// When it is none of these, or no day of the calendar.
pub fn parse_date(text: &str) -> Result<Date, DateError> {
    let error = || DateError(text.to_owned());
    let plain: String = text.trim().chars().map(plain_digit).collect();
    let separated: String = plain
        .trim_end_matches(['日', '号', '月', '年'])
        .chars()
        .map(|c| if matches!(c, '年' | '月' | '/' | '.' | '-') { '-' } else { c })
        .collect();
    let fields: Vec<&str> = separated.split('-').collect();
    let number = |field: &str, most: usize| {
        let valid = !field.is_empty() && field.len() <= most && field.bytes().all(|b| b.is_ascii_digit());
        valid.then(|| field.parse::<i16>().ok()).flatten().ok_or_else(error)
    };
    let (year, month, day) = match fields.as_slice() {
        [year] => (year, "1", "1"),
        [year, month] => (year, *month, "1"),
        [year, month, day] => (year, *month, *day),
        _ => return Err(error()),
    };
    if year.len() != 4 {
        return Err(error());
    }
    // Two digits always fit an i8.
    let small = |field| number(field, 2).map(|n| n as i8);
    Date::new(number(year, 4)?, small(month)?, small(day)?).map_err(|_| error())
}

/// `１` to `1`; anything else as it is.
pub(crate) fn plain_digit(c: char) -> char {
    match c {
        '０'..='９' => char::from(b'0' + (c as u32 - '０' as u32) as u8),
        _ => c,
    }
}

/// A stretch of time, from the start of one day to the start of another.
///
/// Capture times are compared as the camera's clock showed them; modification times as the clock on
/// the wall of this machine shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DateRange {
    after: Option<Bound>,
    before: Option<Bound>,
}

/// The start of a day on the two kinds of clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound {
    /// Seconds since 1970 by a clock on the wall.
    wall_s: i64,
    /// Seconds since 1970-01-01T00:00:00Z.
    utc_s: i64,
}

impl Bound {
    fn start_of(date: Date, zone: &TimeZone) -> Self {
        let midnight: DateTime = date.to_datetime(jiff::civil::Time::midnight());
        // Past the last moment that has a number there is no bound: 9999-12-31 means "for ever".
        let seconds = |zone: &TimeZone| {
            zone.to_ambiguous_timestamp(midnight).compatible().map_or(i64::MAX, |t| t.as_second())
        };
        Self { wall_s: seconds(&TimeZone::UTC), utc_s: seconds(zone) }
    }
}

impl DateRange {
    /// From the start of `after` (included) to the start of `before` (excluded), in the given zone;
    /// `None` is no bound.
    #[must_use]
    pub fn new(after: Option<Date>, before: Option<Date>, zone: &TimeZone) -> Self {
        let bound = |date: Option<Date>| date.map(|date| Bound::start_of(date, zone));
        Self { after: bound(after), before: bound(before) }
    }

    /// Whether there is a bound at all.
    #[must_use]
    pub fn is_unbounded(&self) -> bool {
        self.after.is_none() && self.before.is_none()
    }

    /// Whether a picture's time lies within; an unknown time only lies within no bounds.
    #[must_use]
    pub fn contains(&self, time: Option<RowTime>) -> bool {
        if self.is_unbounded() {
            return true;
        }
        let (seconds, side): (i64, fn(&Bound) -> i64) = match time {
            Some(RowTime::Taken(s)) => (s, |bound| bound.wall_s),
            Some(RowTime::Modified(s)) => (s, |bound| bound.utc_s),
            None => return false,
        };
        self.after.is_none_or(|bound| seconds >= side(&bound))
            && self.before.is_none_or(|bound| seconds < side(&bound))
    }
}

/// The moment that `time` names in a zone, in seconds since 1970-01-01T00:00:00Z, by which pictures
/// with a capture time and those with a modification time can be put into one order.
pub(crate) fn moment_s(time: RowTime, zone: &TimeZone) -> i64 {
    match time {
        RowTime::Modified(seconds) => seconds,
        RowTime::Taken(seconds) => Timestamp::from_second(seconds)
            .and_then(|wall| zone.to_ambiguous_timestamp(TimeZone::UTC.to_datetime(wall)).compatible())
            // Outside the calendar no zone means anything.
            .map_or(seconds, |moment| moment.as_second()),
    }
}

/// No earlier than [`moment_s`] in whatever zone, and cheaper.
pub(crate) fn latest_moment_s(time: RowTime) -> i64 {
    match time {
        RowTime::Modified(seconds) => seconds,
        RowTime::Taken(seconds) => seconds.saturating_add(MAX_OFFSET_S),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn dates_as_people_type_them() {
        for text in [
            "2023-05-01",
            "2023/5/1",
            "2023.05.01",
            "2023年5月1日",
            "２０２３年５月１号",
            " 2023-5 ",
            "2023年5月",
        ] {
            assert_eq!(parse_date(text).unwrap(), date(2023, 5, 1), "{text}");
        }
        assert_eq!(parse_date("2023").unwrap(), date(2023, 1, 1));
        assert_eq!(parse_date("2024-02-29").unwrap(), date(2024, 2, 29));
        for text in [
            "",
            "23",
            "2023-13",
            "2023-02-30",
            "昨天",
            "2023-",
            "-2023",
            "2023-1-1-1",
            "2023-001",
            "20230501",
        ] {
            let error = parse_date(text).unwrap_err();
            assert!(error.to_string().contains("2023年5月1日"), "{text}");
        }
    }

    #[test]
    fn a_range_includes_its_start_and_excludes_its_end() {
        let beijing = TimeZone::fixed(jiff::tz::offset(8));
        let may = DateRange::new(Some(date(2023, 5, 1)), Some(date(2023, 6, 1)), &beijing);
        let start = 1_682_899_200; // 2023-05-01T00:00:00Z
        assert!(may.contains(Some(RowTime::Taken(start))));
        assert!(!may.contains(Some(RowTime::Taken(start - 1))));
        assert!(!may.contains(Some(RowTime::Taken(start + 31 * 86_400))));
        // Midnight in Beijing is eight hours before midnight in Greenwich.
        assert!(may.contains(Some(RowTime::Modified(start - 8 * 3600))));
        assert!(!may.contains(Some(RowTime::Modified(start - 8 * 3600 - 1))));
        assert!(!may.contains(None));
        assert!(DateRange::default().contains(None));

        let end = date(9999, 12, 31);
        let past = DateRange::new(None, Some(end), &beijing);
        let far_west = TimeZone::fixed(jiff::tz::offset(-12));
        assert!(past.contains(Some(RowTime::Taken(start))) && past.contains(Some(RowTime::Modified(start))));
        assert!(!DateRange::new(Some(end), None, &far_west).contains(Some(RowTime::Modified(start))));
    }
    #[test]
    fn moments_put_both_clocks_into_one_order() {
        let noon = 1_682_942_400; // 2023-05-01T12:00:00Z
        let zone = |hours| TimeZone::fixed(jiff::tz::offset(hours));
        assert_eq!(moment_s(RowTime::Taken(noon), &zone(8)), noon - 8 * 3600);
        assert_eq!(moment_s(RowTime::Taken(noon), &zone(-12)), noon + 12 * 3600);
        assert_eq!(moment_s(RowTime::Modified(noon), &zone(8)), noon);
        // Summer time counts on a day in summer.
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(moment_s(RowTime::Taken(noon), &berlin), noon - 2 * 3600);
        assert_eq!(moment_s(RowTime::Taken(0), &berlin), -3600);
        for wild in [i64::MIN, i64::MAX, 253_402_207_200, -377_705_023_201] {
            for zone in [zone(8), zone(-12), zone(-25), zone(25), berlin.clone()] {
                let time = RowTime::Taken(wild);
                assert!(moment_s(time, &zone) <= latest_moment_s(time), "{wild} {zone:?}");
            }
        }
    }
}
