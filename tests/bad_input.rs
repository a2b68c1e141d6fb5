//! Files that are no good: each is reported, remembered, and stops nothing.

use std::fs;
use std::time::Duration;

use image::ImageFormat;
use serde_json::Value;

use crate::harness::{Sandbox, assert_counts, count, set_modified};
use crate::pictures;

/// Kind of failure by file name below `photos`.
fn kinds(s: &Sandbox, list: &Value) -> Vec<(String, String)> {
    let mut kinds: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (s.short(f["path"].as_str().unwrap()), f["kind"].as_str().unwrap().to_owned()))
        .collect();
    kinds.sort();
    kinds
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    pairs.sort();
    pairs
}

const BAD: &[(&str, &str)] = &[
    ("坏.png", "corrupt"),
    ("断.png", "corrupt"),
    ("头.jpg", "corrupt"),
    ("空.jpg", "not-a-picture"),
    ("文字.jpg", "not-a-picture"),
    ("炸弹.png", "too-large"),
    ("无名炸弹", "too-large"),
    ("照片.heic.jpg", "unsupported"),
];

fn with_bad_files() -> Sandbox {
    let s = Sandbox::new();
    for seed in 1..=4 {
        s.paint(format!("{seed}.png"), seed);
    }
    let good = pictures::png(9);
    let mut corrupt = good.clone();
    let middle = corrupt.len() / 2;
    corrupt[middle - 20..middle + 20].fill(0x55);
    s.write("photos/坏.png", &corrupt);
    s.write("photos/断.png", &good[..good.len() / 3]);
    s.write("photos/头.jpg", &pictures::jpeg(9)[..40]);
    s.write("photos/空.jpg", b"");
    s.write("photos/文字.jpg", "这不是照片".as_bytes());
    s.write("photos/炸弹.png", &pictures::png_header(65535, 65535));
    s.write("photos/无名炸弹", &pictures::png_header(65535, 65535));
    s.write(
        "photos/照片.heic.jpg",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic and so on, for more than a few bytes",
    );
    s.write("photos/视频.mp4", &[b"\0\0\0\x18ftypisom".as_slice(), &[7; 5000]].concat());
    s.write("photos/说明.txt", "文字".as_bytes());
    s
}

#[test]
fn bad_files_are_reported_and_all_others_indexed() {
    let s = with_bad_files();
    let output = s.run(&["index", "photos", "--format", "json"]);
    output.succeeded();
    assert!(output.took < Duration::from_secs(30), "a bomb must cost nothing: {:?}", output.took);
    let summary = output.json();
    assert_counts(&summary, &[("added", 4), ("failed", BAD.len() as u64), ("ignored", 2)]);
    assert_eq!(kinds(&s, &summary["failed"]), pairs(BAD));
    assert_eq!(s.names(), ["1.png", "2.png", "3.png", "4.png"]);
    for (name, _) in BAD {
        assert!(output.stderr.contains(name), "{name} is not told on standard error: {}", output.stderr);
    }
    s.assert_sound();
}

#[test]
fn bad_files_are_remembered_until_they_change_or_are_to_be_tried_again() {
    let s = with_bad_files();
    s.index(&["photos"]);
    let bad = BAD.len() as u64;
    assert_counts(&s.index(&["photos"]), &[("unchanged", 4), ("failed_before", bad), ("ignored", 2)]);
    let again = s.index(&["photos", "--retry-failed"]);
    assert_counts(&again, &[("unchanged", 4), ("failed", bad), ("ignored", 2)]);

    s.paint("坏.png", 5);
    set_modified(&s.photo("空.jpg"), 1_000_000_000);
    let summary = s.index(&["photos"]);
    assert_eq!(count(&summary, "added") + count(&summary, "updated"), 1, "{summary:#}");
    assert_eq!(kinds(&s, &summary["failed"]), pairs(&[("空.jpg", "not-a-picture")]));
    assert_eq!(count(&summary, "failed_before"), bad - 2);
    assert_eq!(s.names().len(), 5);

    // What is gone is no failure any more.
    for (name, _) in BAD.iter().filter(|(name, _)| *name != "坏.png") {
        fs::remove_file(s.photo(name)).unwrap();
    }
    s.index(&["photos"]);
    assert_eq!(s.status()["failed"], serde_json::json!([]));
    s.assert_sound();
}

#[test]
fn status_lists_what_failed() {
    let s = with_bad_files();
    s.index(&["photos"]);
    assert_eq!(kinds(&s, &s.status()["failed"]), pairs(BAD));
    let short = s.run(&["status"]);
    let short = short.succeeded().text();
    assert!(short.contains("status --failed") && !short.contains("炸弹.png"), "{short}");
    let long = s.run(&["status", "--failed"]);
    let long = long.succeeded().text();
    for (name, _) in BAD {
        assert!(long.contains(name), "{name} in {long}");
    }
    assert!(long.contains("65535×65535"), "{long}");
}

#[test]
fn a_file_of_another_kind_is_read_again_when_it_changes() {
    let s = Sandbox::with_indexed(1);
    s.write("photos/文件", b"nothing to see");
    assert_counts(&s.index(&["photos"]), &[("unchanged", 1), ("ignored", 1)]);
    assert_counts(&s.index(&["photos"]), &[("unchanged", 1), ("ignored", 1)]);
    s.paint("文件", 2);
    let summary = s.index(&["photos"]);
    assert_eq!(count(&summary, "added") + count(&summary, "updated"), 1, "{summary:#}");
    assert_eq!(s.names(), ["1.png", "文件"]);
}

#[test]
fn the_limit_of_megapixels_can_be_set() {
    let s = Sandbox::new();
    s.paint("小.png", 1);
    let large = image::RgbImage::from_pixel(1500, 1000, image::Rgb([200, 30, 30]));
    s.write("photos/大.png", &pictures::encode_rgb(large, ImageFormat::Png));
    let summary = s.index(&["photos", "--max-megapixels", "1"]);
    assert_counts(&summary, &[("added", 1), ("failed", 1)]);
    assert_eq!(kinds(&s, &summary["failed"]), pairs(&[("大.png", "too-large")]));
    let reason = summary["failed"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("1500×1000") && reason.contains("--max-megapixels"), "{reason}");
    assert_counts(
        &s.index(&["photos", "--max-megapixels", "2", "--retry-failed"]),
        &[("added", 1), ("unchanged", 1)],
    );
    assert_eq!(s.names(), ["大.png", "小.png"]);
    s.run(&["index", "photos", "--max-megapixels", "0"]).refused(&["--max-megapixels 0"]);
    // The same limit holds for query pictures.
    s.write("bomb.png", &pictures::png_header(65535, 65535));
    s.run(&["query", "--image", "bomb.png"]).refused(&["bomb.png", "65535×65535"]);
    s.run(&["embed", "--image", "bomb.png"]).refused(&["bomb.png", "65535×65535"]);
}

#[test]
fn copies_of_a_bad_file_fail_each() {
    let s = Sandbox::with_indexed(1);
    for n in 0..5 {
        s.write(format!("photos/坏-{n}.png"), &pictures::png(2)[..60]);
    }
    let summary = s.index(&["photos"]);
    assert_counts(&summary, &[("unchanged", 1), ("failed", 5)]);
    assert_counts(&s.index(&["photos"]), &[("unchanged", 1), ("failed_before", 5)]);
}

#[test]
fn a_jpeg_cut_in_its_tail_is_still_a_picture() {
    let s = Sandbox::new();
    let whole = pictures::encode_rgb(pictures::scene(3), ImageFormat::Jpeg);
    s.write("photos/尾.jpg", &whole[..whole.len() - 30]);
    assert_counts(&s.index(&["photos"]), &[("added", 1)]);
}

#[cfg(unix)]
#[test]
fn an_unreadable_file_is_tried_again_every_time() {
    use crate::system::User;
    use std::os::unix::fs::PermissionsExt as _;
    let s = Sandbox::new();
    s.paint("1.png", 1);
    let locked = s.paint("锁.png", 2);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let user = User::of(&s);
    let index = || {
        let output = user.run(&["index", "photos", "--format", "json"]);
        output.succeeded();
        output.json()
    };
    let summary = index();
    assert_counts(&summary, &[("added", 1), ("failed", 1)]);
    assert_eq!(kinds(&s, &summary["failed"]), pairs(&[("锁.png", "unreadable")]));
    assert_counts(&index(), &[("unchanged", 1), ("failed", 1)]);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o644)).unwrap();
    let summary = index();
    assert_counts(&summary, &[("added", 1), ("unchanged", 1)]);
}

#[cfg(unix)]
#[test]
fn a_picture_that_becomes_unreadable_is_not_taken_for_gone() {
    use crate::system::User;
    use std::os::unix::fs::PermissionsExt as _;
    let s = Sandbox::new();
    let first = s.paint("1.png", 1);
    s.paint("2.png", 2);
    let user = User::of(&s);
    user.run(&["index", "photos"]).succeeded();
    fs::set_permissions(&first, fs::Permissions::from_mode(0o000)).unwrap();
    // Its size and time are as they were, so nobody tries to read it.
    let output = user.run(&["index", "photos", "--format", "json"]);
    assert_counts(&output.succeeded().json(), &[("unchanged", 2)]);
    assert_eq!(user.run(&["query", "两只老虎"]).succeeded().text().lines().count(), 2);
}
