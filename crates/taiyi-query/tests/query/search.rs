//! Searching a published index: order, copies, filters, exclusions.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::Path;

use jiff::tz::TimeZone;
use taiyi_core::Embedding;
use taiyi_query::{Filter, Hit, QueryError, SearchRequest, StoreError, combine, parse_date, search};

use crate::support::{Index, MAY_2023, Photo, content, damage, name, photo};

fn request(k: usize) -> SearchRequest {
    SearchRequest {
        k,
        min_score: None,
        filter: Filter::default(),
        without: HashSet::new(),
        exact: false,
        threads: NonZeroUsize::MIN,
        zone: TimeZone::UTC,
    }
}

fn direction(x: f32, y: f32, z: f32) -> Embedding {
    Embedding::normalize(vec![x, y, z]).unwrap()
}

fn names(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| name(&hit.picture.path)).collect()
}

fn photos() -> [Photo; 4] {
    [
        photo(&["海边/z.png", "备份/a.png"], [1.0, 0.0, 0.0], Some(MAY_2023)),
        photo(&["海边/c.png"], [0.9, 0.1, 0.0], Some(MAY_2023 + 40 * 86_400)),
        photo(&["山/b.png"], [0.0, 1.0, 0.0], None),
        photo(&["山/a2.png"], [0.0, 1.0, 0.0], Some(0)),
    ]
}

#[test]
fn hits_are_ordered_by_score_then_path() {
    let snapshot = Index::new(&photos()).publish();
    let hits = search(&snapshot, &direction(1.0, 0.2, 0.0), &request(10)).unwrap();
    assert_eq!(names(&hits), ["c.png", "a.png", "a2.png", "b.png"]);
    assert_eq!(hits.iter().map(|hit| hit.rank).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(hits[2].score, hits[3].score);
    assert_eq!(hits[1].picture.copies, [Path::new("/照片/海边/z.png")]);
    assert_eq!(names(&search(&snapshot, &direction(0.0, 1.0, 0.0), &request(1)).unwrap()), ["a2.png"]);
}

#[test]
fn a_tie_at_the_edge_is_decided_by_path_however_long_it_is() {
    let names_downwards = "zyxwvutsrqponmlkjihgfedcbaZYXWVUTSRQPONMLKJIHGFEDCBA98765432";
    let photos: Vec<Photo> = names_downwards
        .chars()
        .map(|name| photo(&[name.encode_utf8(&mut [0; 4])], [1.0, 0.0, 0.0], None))
        .collect();
    let snapshot = Index::new(&photos).publish();
    let hits = search(&snapshot, &direction(1.0, 0.0, 0.0), &request(3)).unwrap();
    assert_eq!(names(&hits), ["2", "3", "4"]);
}

#[test]
fn filters_choose_pictures_and_the_path_that_is_shown() {
    let snapshot = Index::new(&photos()).publish();
    let filtered = |set: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        set(&mut filter);
        search(&snapshot, &direction(1.0, 0.2, 0.0), &SearchRequest { filter, ..request(10) }).unwrap()
    };
    let at_the_sea = filtered(&|filter| filter.add_path("海边/").unwrap());
    assert_eq!(names(&at_the_sea), ["c.png", "z.png"]);
    assert_eq!(
        at_the_sea[1].picture.copies,
        [Path::new("/照片/备份/a.png")],
        "the copy that fits comes first"
    );
    let date = |text: &str| parse_date(text).unwrap();
    assert_eq!(names(&filtered(&|f| f.set_after(date("2023-06")))), ["c.png"]);
    assert_eq!(names(&filtered(&|f| f.set_before(date("2023-05-01")))), ["a2.png"]);
    // b.png has no capture time, so its file's time counts.
    assert_eq!(
        names(&filtered(&|f| {
            f.set_after(date("2023-05-01"));
            f.set_before(date("2023-05-02"));
        })),
        ["a.png", "b.png"]
    );
    assert!(filtered(&|f| f.add_path("nowhere/").unwrap()).is_empty());
}

#[test]
fn what_is_left_out_does_not_shorten_the_list() {
    let snapshot = Index::new(&photos()).publish();
    let without = HashSet::from([content(0), content(1)]);
    let hits =
        search(&snapshot, &direction(1.0, 0.0, 0.0), &SearchRequest { without, ..request(2) }).unwrap();
    assert_eq!(names(&hits), ["a2.png", "b.png"]);
    let close = SearchRequest { min_score: Some(0.5), ..request(10) };
    assert_eq!(search(&snapshot, &direction(1.0, 0.0, 0.0), &close).unwrap().len(), 2);
    assert!(matches!(search(&snapshot, &direction(1.0, 0.0, 0.0), &request(0)), Err(QueryError::ZeroHits)));
}

#[test]
fn sums_point_between_their_terms() {
    let (x, y) = (direction(1.0, 0.0, 0.0), direction(0.0, 1.0, 0.0));
    let sum = combine(&[(2.0, x.clone()), (-1.0, y)]).unwrap();
    assert!((sum.as_slice()[0] - 2.0 / 5f32.sqrt()).abs() < 1e-6);
    assert!(matches!(combine(&[(1.0, x.clone()), (-1.0, x)]), Err(QueryError::NoDirection(_))));
    assert!(combine(&[]).is_err());
}

#[test]
fn a_damaged_record_is_told_with_or_without_a_filter() {
    let index = Index::new(&photos());
    index.publish();
    damage(&index, "c.png");
    let snapshot = taiyi_query::Snapshot::open(index.dir.path()).unwrap();
    let mut filter = Filter::default();
    filter.add_path("海边/").unwrap();
    for request in [request(1), SearchRequest { filter, ..request(1) }] {
        let error = search(&snapshot, &direction(0.9, 0.1, 0.0), &request).unwrap_err();
        assert!(matches!(error, QueryError::Store(StoreError::Corrupt { .. })), "{error}");
    }
}
