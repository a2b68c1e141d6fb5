//! Which pictures may answer a query: by path and by date.

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use taiyi_store::{Location, RowView};

use crate::{DateError, DateRange, parse_date};

/// Conditions on a picture's files and its date; all must hold. Empty, it lets everything pass.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    paths: Vec<PathPattern>,
    after: Option<Date>,
    before: Option<Date>,
}

#[derive(Clone, Debug)]
struct PathPattern {
    typed: String,
    /// The file itself, or a folder above it.
    globs: Vec<GlobMatcher>,
}

/// A condition that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A glob that cannot be read.
    #[error("cannot read the path pattern {pattern:?}: {message}")]
    Pattern {
        /// As typed.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// A date that cannot be read.
    #[error(transparent)]
    Date(#[from] DateError),
    /// A filter word with nothing behind the colon.
    #[error("nothing follows {0:?}: write it without a blank, e.g. path:旅行/ or after:2023-05")]
    Empty(String),
}

impl Filter {
    /// Adds a condition on the path of a picture.
    ///
    /// A glob is matched against the path below the root, then against the absolute path; it may
    /// start anywhere at a folder (`旅行/*.jpg` fits `/照片/旅行/a.jpg`) unless it begins with `/`. What
    /// fits a folder fits all below it; a word without `*`, `?`, `[`, `{` and `/` also fits as a part of a
    /// file's name.
    ///
    /// # Errors
    /// When the glob is empty or cannot be read.
    pub fn add_path(&mut self, pattern: &str) -> Result<(), FilterError> {
        let refuse = |message: String| FilterError::Pattern { pattern: pattern.to_owned(), message };
        let plain = pattern.strip_prefix("./").unwrap_or(pattern);
        let folder = plain.trim_end_matches('/');
        if folder.is_empty() {
            return Err(refuse("it is empty".to_owned()));
        }
        let anchored = if folder.starts_with('/') { folder.to_owned() } else { format!("**/{folder}") };
        let mut globs = vec![format!("{anchored}/**")];
        // With a slash at its end it can only be a folder.
        if folder.len() == plain.len() {
            globs.push(anchored);
            if !plain.contains(['*', '?', '[', '{', '/']) {
                globs.push(format!("**/*{plain}*"));
            }
        }
        let compile = |glob: String| {
            let glob = GlobBuilder::new(&glob).literal_separator(true).case_insensitive(true).build();
            glob.map(|glob| glob.compile_matcher()).map_err(|e| refuse(e.kind().to_string()))
        };
        let globs = globs.into_iter().map(compile).collect::<Result<_, _>>()?;
        self.paths.push(PathPattern { typed: pattern.to_owned(), globs });
        Ok(())
    }

    /// Only pictures of this day or later.
    pub fn set_after(&mut self, date: Date) {
        self.after = Some(self.after.map_or(date, |other| other.max(date)));
    }

    /// Only pictures before this day.
    pub fn set_before(&mut self, date: Date) {
        self.before = Some(self.before.map_or(date, |other| other.min(date)));
    }

    /// Takes a word of the query language; false if it is no filter.
    pub(crate) fn take_word(&mut self, word: &str) -> Result<bool, FilterError> {
        let Some((key, value)) = word.split_once([':', '：']) else { return Ok(false) };
        if !matches!(key, "path" | "after" | "before") {
            return Ok(false);
        }
        if value.is_empty() {
            return Err(FilterError::Empty(word.to_owned()));
        }
        match key {
            "path" => self.add_path(value)?,
            "after" => self.set_after(parse_date(value)?),
            _ => self.set_before(parse_date(value)?),
        }
        Ok(true)
    }

    /// Both conditions at once.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.paths.extend(other.paths);
        if let Some(date) = other.after {
            self.set_after(date);
        }
        if let Some(date) = other.before {
            self.set_before(date);
        }
        self
    }

    /// Whether everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.has_dates()
    }

    /// Whether pictures pass by their dates, so that the time zone matters.
    #[must_use]
    pub fn has_dates(&self) -> bool {
        self.after.is_some() || self.before.is_some()
    }

    /// Whether one file of a picture fits the conditions on paths.
    #[must_use]
    pub fn matches_location(&self, location: &Location) -> bool {
        if self.paths.is_empty() {
            return true;
        }
        let (below, absolute) = (location.relative.to_path(), location.path());
        self.paths.iter().all(|pattern| pattern.matches(&below, &absolute))
    }

    /// The form that a search takes: dates turned into moments of a time zone once. `None` if
    /// everything passes.
    pub(crate) fn compile(&self, zone: &TimeZone) -> Option<impl Fn(RowView<'_>) -> bool + Sync + use<'_>> {
        let range = self.date_range(zone);
        (!self.is_empty())
            .then_some(move |row: RowView<'_>| range.contains(row.time()) && self.fits_paths(row))
    }

    /// The conditions on dates alone, for the clocks of a time zone.
    pub(crate) fn date_range(&self, zone: &TimeZone) -> DateRange {
        DateRange::new(self.after, self.before, zone)
    }

    /// Whether a file of a row fits the conditions on paths. Decodes the row only if there are any.
    pub(crate) fn fits_paths(&self, row: RowView<'_>) -> bool {
        self.paths.is_empty()
            // A row that cannot be read is left to those who show it, and who report it.
            || row.item().map_or(true, |item| item.locations.iter().any(|l| self.matches_location(l)))
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        let typed = |filter: &Self| filter.paths.iter().map(|p| p.typed.clone()).collect::<Vec<_>>();
        (typed(self), self.after, self.before) == (typed(other), other.after, other.before)
    }
}

impl PathPattern {
    fn matches(&self, below: &Path, absolute: &Path) -> bool {
        self.globs.iter().any(|glob| glob.is_match(below) || glob.is_match(absolute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, path: &str) -> bool {
        let mut filter = Filter::default();
        filter.add_path(pattern).unwrap();
        let absolute = Path::new(path);
        filter.paths[0].matches(absolute.strip_prefix("/照片").unwrap(), absolute)
    }

    #[test]
    fn patterns_fit_paths_as_people_expect() {
        let path = "/照片/旅行/三亚/IMG_1.JPG";
        for pattern in [
            "旅行/",
            "旅行/三亚/",
            "*.jpg",
            "img_1",
            "旅行/**",
            "/照片/旅行/",
            "三亚/*.JPG",
            "./旅行/",
            "IMG_?.jpg",
            "旅行",
            "三亚",
            "旅行/三亚",
            "/照片/旅行",
            "./旅行",
            "旅行/三亚/img_1.jpg",
        ] {
            assert!(fits(pattern, path), "{pattern}");
        }
        for pattern in ["行/", "旅行/*.jpg", "/旅行/", "*.png", "行/三亚", "img_1/"] {
            assert!(!fits(pattern, path), "{pattern}");
        }
        for bad in ["[", "", "/", "./"] {
            assert!(Filter::default().add_path(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn conditions_add_up() {
        let date = |text| parse_date(text).unwrap();
        let mut a = Filter::default();
        a.set_after(date("2020"));
        let mut b = Filter::default();
        b.set_after(date("2021"));
        b.set_before(date("2022"));
        let both = a.and(b);
        assert_eq!((both.after, both.before), (Some(date("2021")), Some(date("2022"))));
        assert!(!both.is_empty() && Filter::default().is_empty());
        assert!(Filter::default().take_word("path:").is_err());
        assert!(!Filter::default().take_word("https://x").unwrap());
    }
}
