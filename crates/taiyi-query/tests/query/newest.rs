//! Looking through a published index: order on two kinds of clock, filters, ties, removed pictures.

use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::{TimeZone, offset};
use proptest::prelude::*;
use taiyi_query::{
    BrowseRequest, DateRange, Filter, Picture, QueryError, RowTime, Snapshot, StoreError, newest, parse_date,
};

use crate::support::{Index, MAY_2023, Photo, ROOT, damage, name, photo};

const HOUR: i64 = 3600;

fn request(k: usize) -> BrowseRequest {
    BrowseRequest { k, filter: Filter::default(), threads: NonZeroUsize::MIN, zone: TimeZone::UTC }
}

fn names(pictures: &[Picture]) -> Vec<&str> {
    pictures.iter().map(|picture| name(&picture.path)).collect()
}

fn at(path: &str, taken_s: Option<i64>, modified_s: i64) -> Photo {
    Photo { modified_s, ..photo(&[path], [1.0, 0.0, 0.0], taken_s) }
}

/// The same by sorting everything, with clocks read by the calendar.
fn sorted(snapshot: &Snapshot, request: &BrowseRequest, dates: &DateRange) -> Vec<Picture> {
    let moment = |time: RowTime| match time {
        RowTime::Modified(seconds) => seconds,
        RowTime::Taken(seconds) => {
            let wall = TimeZone::UTC.to_datetime(Timestamp::from_second(seconds).unwrap());
            request.zone.to_timestamp(wall).unwrap().as_second()
        }
    };
    let mut all = Vec::new();
    for row in snapshot.rows() {
        let (item, time) = (snapshot.item(row).unwrap(), snapshot.time(row));
        let mut files: Vec<_> =
            item.locations.iter().map(|l| (!request.filter.matches_location(l), l.path())).collect();
        files.sort();
        if files[0].0 || !dates.contains(time) {
            continue;
        }
        let mut paths = files.into_iter().map(|(_, path)| path);
        let picture = Picture {
            path: paths.next().unwrap(),
            copies: paths.collect(),
            metadata: item.metadata,
            time,
            content: item.hash,
        };
        all.push((Reverse(time.map(moment)), picture));
    }
    all.sort_by(|a, b| (a.0, &a.1.path).cmp(&(b.0, &b.1.path)));
    all.into_iter().map(|(_, picture)| picture).take(request.k).collect()
}

#[test]
fn the_newest_come_first_by_the_clocks_of_a_zone() {
    let index = Index::new(&[
        at("old.png", Some(MAY_2023 - 400 * 24 * HOUR), MAY_2023 + 9 * HOUR),
        at("camera.png", Some(MAY_2023 + 12 * HOUR), MAY_2023 + 90 * HOUR),
        at("file.png", None, MAY_2023 + 6 * HOUR),
        at("b/same.png", None, MAY_2023 + HOUR),
        at("a/same2.png", None, MAY_2023 + HOUR),
    ]);
    let snapshot = index.publish();
    let in_zone = |hours| {
        let request = BrowseRequest { zone: TimeZone::fixed(offset(hours)), ..request(9) };
        newest(&snapshot, &request).unwrap()
    };
    assert_eq!(names(&in_zone(0)), ["camera.png", "file.png", "same2.png", "same.png", "old.png"]);
    // Noon in Beijing is four in the morning in Greenwich.
    assert_eq!(names(&in_zone(8)), ["file.png", "camera.png", "same2.png", "same.png", "old.png"]);
    assert_eq!(in_zone(8)[1].time, Some(RowTime::Taken(MAY_2023 + 12 * HOUR)));
    assert_eq!(names(&newest(&snapshot, &request(3)).unwrap()), ["camera.png", "file.png", "same2.png"]);
    assert!(matches!(newest(&snapshot, &request(0)), Err(QueryError::ZeroHits)));
    let empty = Index::new(&[]).publish();
    assert_eq!(newest(&empty, &request(usize::MAX)).unwrap(), []);
}

#[test]
fn filters_choose_pictures_and_the_path_that_is_shown() {
    let snapshot = Index::new(&[
        photo(&["海边/z.png", "备份/a.png"], [1.0, 0.0, 0.0], Some(MAY_2023)),
        photo(&["海边/c.png"], [1.0, 0.0, 0.0], Some(MAY_2023 + 40 * 24 * HOUR)),
        photo(&["山/b.png"], [1.0, 0.0, 0.0], Some(MAY_2023 + 50 * 24 * HOUR)),
    ])
    .publish();
    let filtered = |k, set: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        set(&mut filter);
        newest(&snapshot, &BrowseRequest { filter, ..request(k) }).unwrap()
    };
    let at_the_sea = filtered(9, &|filter| filter.add_path("海边/").unwrap());
    assert_eq!(names(&at_the_sea), ["c.png", "z.png"]);
    assert_eq!(at_the_sea[1].copies, [Path::new(ROOT).join("备份/a.png")], "the copy that fits comes first");
    assert_eq!(names(&filtered(1, &|filter| filter.add_path("海边/").unwrap())), ["c.png"]);
    assert_eq!(names(&filtered(1, &|filter| filter.set_before(parse_date("2023-06").unwrap()))), ["a.png"]);
    assert!(filtered(1, &|filter| filter.add_path("nowhere/").unwrap()).is_empty());
}

#[test]
fn a_damaged_record_is_told_where_it_would_be_shown() {
    let index = Index::new(&[at("夏/new.png", None, MAY_2023 + HOUR), at("夏/old.png", None, MAY_2023)]);
    index.publish();
    damage(&index, "old.png");
    let snapshot = Snapshot::open(index.dir.path()).unwrap();
    let mut filter = Filter::default();
    filter.add_path("夏/").unwrap();
    for filter in [Filter::default(), filter] {
        let of = |k| newest(&snapshot, &BrowseRequest { filter: filter.clone(), ..request(k) });
        assert_eq!(names(&of(1).unwrap()), ["new.png"]);
        assert!(matches!(of(2), Err(QueryError::Store(StoreError::Corrupt { .. }))));
    }
}

#[test]
fn several_threads_find_the_same_past_removed_pictures() {
    // Times go up and down, and every one comes up about nine times.
    let photos: Vec<Photo> = (0..13_000)
        .map(|i| {
            let seconds = MAY_2023 + i * 7919 % 1_447 * 60;
            at(&format!("{}/{i}.png", i % 10), (i % 3 > 0).then_some(seconds), seconds)
        })
        .collect();
    let index = Index::new(&photos);
    index.publish();
    for photo in photos.iter().step_by(17) {
        index.remove(photo);
    }
    let snapshot = index.publish();
    assert_eq!(snapshot.len(), 13_000 - 13_000usize.div_ceil(17));
    let threads = NonZeroUsize::new(3).unwrap();
    assert_eq!(snapshot.shares(threads).len(), 3);
    let zone = TimeZone::fixed(offset(8));
    for k in [1, 50, 1000] {
        for pattern in [None, Some("7/")] {
            let mut filter = Filter::default();
            if let Some(pattern) = pattern {
                filter.add_path(pattern).unwrap();
            }
            let request = BrowseRequest { k, filter, threads, zone: zone.clone() };
            let found = newest(&snapshot, &request).unwrap();
            assert_eq!(found, sorted(&snapshot, &request, &DateRange::default()), "{k} {pattern:?}");
        }
    }
}

fn any_photo() -> impl Strategy<Value = (Photo, bool)> {
    // Hours of two days around a change to summer time, so that times tie and clocks disagree.
    let hour = (0i64..48).prop_map(|hour| 1_679_702_400 + hour * HOUR);
    let folders = proptest::sample::subsequence(vec!["a", "b", "c"], 1..=3);
    (proptest::option::of(hour.clone()), hour, folders, proptest::bool::weighted(0.1)).prop_map(
        |(taken_s, modified_s, folders, is_removed)| {
            let photo = Photo { modified_s, ..photo(&folders, [1.0, 0.0, 0.0], taken_s) };
            (photo, is_removed)
        },
    )
}

proptest! {
    // Every case writes an index.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_newest_are_those_that_sorting_puts_first(
        photos in proptest::collection::vec(any_photo(), 0..40),
        names in Just((0..40).collect::<Vec<u32>>()).prop_shuffle(),
    ) {
        let name_files = |((photo, is_removed), name): ((Photo, bool), u32)| {
            let paths = photo.paths.iter().map(|folder| format!("{folder}/{name}.png")).collect();
            (Photo { paths, ..photo }, is_removed)
        };
        let photos: Vec<(Photo, bool)> = photos.into_iter().zip(names).map(name_files).collect();
        let index = Index::new(&photos.iter().map(|(photo, _)| photo.clone()).collect::<Vec<_>>());
        index.publish();
        for (photo, _) in photos.iter().filter(|(_, is_removed)| *is_removed) {
            index.remove(photo);
        }
        let snapshot = index.publish();
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let (after, before) = (date(2023, 3, 26), date(2023, 3, 27));
        for zone in [TimeZone::fixed(offset(8)), TimeZone::fixed(offset(-11)), berlin] {
            for k in [1, 2, 5, 13, 40] {
                for (path, is_dated) in [(None, false), (Some("b/"), false), (None, true), (Some("a/"), true)] {
                    let mut filter = Filter::default();
                    if let Some(path) = path {
                        filter.add_path(path).unwrap();
                    }
                    let mut dates = DateRange::default();
                    if is_dated {
                        filter.set_after(after);
                        filter.set_before(before);
                        dates = DateRange::new(Some(after), Some(before), &zone);
                    }
                    let request = BrowseRequest { k, filter, threads: NonZeroUsize::MIN, zone: zone.clone() };
                    prop_assert_eq!(newest(&snapshot, &request).unwrap(), sorted(&snapshot, &request, &dates));
                }
            }
        }
    }
}
