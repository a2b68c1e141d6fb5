//! Searching a published index: order, copies, filters, exclusions.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::Path;

use jiff::tz::TimeZone;
use taiyi_core::{Embedding, ImageFormat, ModelId, Orientation, PhotoMetadata};
use taiyi_query::{Filter, Hit, QueryError, SearchRequest, combine, parse_date, search};
use taiyi_store::{
    ContentHash, Entry, FileStamp, GraphOptions, PublishOptions, RelativePath, Snapshot, Writer,
    WriterOptions,
};

/// 2023-05-01T00:00:00 as a clock shows it.
const MAY_2023: i64 = 1_682_899_200;

struct Picture {
    /// Every place where it lies, below the root.
    paths: &'static [&'static str],
    vector: [f32; 3],
    taken_s: Option<i64>,
}

fn index(pictures: &[Picture]) -> (tempfile::TempDir, Snapshot) {
    let dir = tempfile::tempdir().unwrap();
    let model = ModelId { name: "test".into(), weights: "ab".repeat(32), dimension: 3 };
    let options = WriterOptions { model, graph: GraphOptions::default(), threads: NonZeroUsize::MIN };
    let writer = Writer::open(dir.path(), options).unwrap();
    let root = writer.add_root(Path::new("/照片")).unwrap();
    let mut entries = Vec::new();
    for (number, picture) in pictures.iter().enumerate() {
        let hash = ContentHash([number as u8; 32]);
        let stamp = FileStamp { size: 1, mtime_ns: MAY_2023 * 1_000_000_000 };
        for (copy, path) in picture.paths.iter().enumerate() {
            let path = RelativePath::from_path(Path::new(path)).unwrap();
            entries.push(if copy > 0 {
                Entry::Reused { root, path, stamp, hash }
            } else {
                let metadata = PhotoMetadata {
                    width: 4,
                    height: 3,
                    format: ImageFormat::Png,
                    orientation: Orientation::Upright,
                    taken_s: picture.taken_s,
                    taken_offset_min: None,
                    gps: None,
                    camera: None,
                };
                let embedding = Embedding::normalize(picture.vector.to_vec()).unwrap();
                Entry::Embedded { root, path, stamp, hash, metadata, embedding }
            });
        }
    }
    writer.commit(&entries).unwrap();
    writer.publish(&PublishOptions { build_graph: true }, &mut |_| {}).unwrap();
    drop(writer);
    let snapshot = Snapshot::open(dir.path()).unwrap();
    (dir, snapshot)
}

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
    hits.iter().map(|hit| hit.picture.path.file_name().unwrap().to_str().unwrap()).collect()
}

const PICTURES: [Picture; 4] = [
    Picture { paths: &["海边/z.png", "备份/a.png"], vector: [1.0, 0.0, 0.0], taken_s: Some(MAY_2023) },
    Picture { paths: &["海边/c.png"], vector: [0.9, 0.1, 0.0], taken_s: Some(MAY_2023 + 40 * 86_400) },
    Picture { paths: &["山/b.png"], vector: [0.0, 1.0, 0.0], taken_s: None },
    Picture { paths: &["山/a2.png"], vector: [0.0, 1.0, 0.0], taken_s: Some(0) },
];

#[test]
fn hits_are_ordered_by_score_then_path() {
    let (_dir, snapshot) = index(&PICTURES);
    let hits = search(&snapshot, &direction(1.0, 0.2, 0.0), &request(10)).unwrap();
    assert_eq!(names(&hits), ["c.png", "a.png", "a2.png", "b.png"]);
    assert_eq!(hits.iter().map(|hit| hit.rank).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(hits[2].score, hits[3].score);
    assert_eq!(hits[1].picture.copies, [Path::new("/照片/海边/z.png")]);
    assert_eq!(names(&search(&snapshot, &direction(0.0, 1.0, 0.0), &request(1)).unwrap()), ["a2.png"]);
}

#[test]
fn a_tie_at_the_edge_is_decided_by_path_however_long_it_is() {
    const NAMES: [&str; 60] = {
        let mut names = [""; 60];
        let all = "zyxwvutsrqponmlkjihgfedcbaZYXWVUTSRQPONMLKJIHGFEDCBA98765432";
        let mut at = 0;
        while at < 60 {
            names[at] = all.split_at(at).1.split_at(1).0;
            at += 1;
        }
        names
    };
    let pictures = NAMES.map(|name| Picture {
        paths: Box::leak(Box::new([name])),
        vector: [1.0, 0.0, 0.0],
        taken_s: None,
    });
    let (_dir, snapshot) = index(&pictures);
    let hits = search(&snapshot, &direction(1.0, 0.0, 0.0), &request(3)).unwrap();
    assert_eq!(names(&hits), ["2", "3", "4"]);
}

#[test]
fn filters_choose_pictures_and_the_path_that_is_shown() {
    let (_dir, snapshot) = index(&PICTURES);
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
    let (_dir, snapshot) = index(&PICTURES);
    let without = HashSet::from([ContentHash([0; 32]), ContentHash([1; 32])]);
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
