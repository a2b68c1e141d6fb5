//! Roots: folders inside folders, disks that are not there.

use std::fs;

use crate::harness::{Sandbox, assert_counts, assert_same_hits, count};
use crate::pictures;

const ALL: &[&str] = &["两只老虎"];

fn root_paths(s: &Sandbox) -> Vec<String> {
    let status = s.status();
    status["roots"].as_array().unwrap().iter().map(|r| r["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_single_file_and_then_its_folder() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    s.paint("2.png", 2);
    assert_counts(&s.index(&["photos/1.png"]), &[("added", 1)]);
    assert_eq!(s.names(), ["1.png"]);
    assert_counts(&s.index(&["photos"]), &[("added", 1), ("unchanged", 1)]);
    assert_eq!(s.names(), ["1.png", "2.png"]);
    assert_eq!(root_paths(&s), [s.photo("").to_str().unwrap().trim_end_matches('/')]);

    // Indexing one file does not sweep its neighbours.
    s.paint("1.png", 10);
    fs::remove_file(s.photo("2.png")).unwrap();
    assert_counts(&s.index(&["photos/1.png"]), &[("updated", 1)]);
    assert_eq!(s.names(), ["1.png", "2.png"]);
}

#[test]
fn a_folder_below_a_known_root_is_part_of_it() {
    let s = Sandbox::with_indexed(2);
    s.paint("2023/3.png", 3);
    assert_counts(&s.index(&["photos/2023"]), &[("added", 1)]);
    assert_eq!(root_paths(&s).len(), 1);
    assert_eq!(s.names(), ["1.png", "2.png", "2023/3.png"]);
    // Only what was walked can be swept.
    fs::remove_file(s.photo("1.png")).unwrap();
    fs::remove_file(s.photo("2023/3.png")).unwrap();
    s.paint("2023/4.png", 4);
    assert_counts(&s.index(&["photos/2023"]), &[("added", 1), ("removed", 1)]);
    assert_eq!(s.names(), ["1.png", "2.png", "2023/4.png"]);
    s.assert_sound();
}

#[test]
fn the_parent_of_known_roots_is_walked_with_them() {
    let s = Sandbox::new();
    s.paint("2022/1.png", 1);
    s.paint("2023/2.png", 2);
    s.paint("3.png", 3);
    assert_counts(&s.index(&["photos/2022", "photos/2023"]), &[("added", 2)]);
    assert_eq!(root_paths(&s).len(), 2);
    let before = s.hits(ALL);
    assert_counts(&s.index(&["photos"]), &[("added", 1), ("unchanged", 2)]);
    // They stay roots of their own: each may be a disk that is not there the next time.
    assert_eq!(root_paths(&s).len(), 3);
    let after = s.hits(ALL);
    assert_eq!(after.len(), 3);
    let kept: Vec<_> = after.into_iter().filter(|(name, _)| name != "3.png").collect();
    assert_same_hits(&kept, &before);
    let status = s.status();
    assert_eq!((&status["pictures"], &status["files"]), (&3.into(), &3.into()), "no file has two places");
    s.assert_sound();
}

#[test]
fn overlapping_paths_are_walked_once() {
    let s = Sandbox::new();
    s.paint("2023/1.png", 1);
    let summary = s.index(&["photos/2023", "photos", "photos/2023/1.png", "photos/../photos"]);
    assert_counts(&summary, &[("added", 1)]);
    assert_eq!(s.status()["files"], 1);
}

#[test]
fn a_picture_on_two_roots_is_one_hit() {
    let s = Sandbox::with_indexed(2);
    s.write("usb/1.png", &pictures::png(1));
    assert_counts(&s.index(&["usb"]), &[("reused", 1)]);
    assert_eq!(s.hits(ALL).len(), 2);
    assert_eq!(s.status()["files"], 3);
}

#[test]
fn an_unmounted_root_loses_nothing() {
    let s = Sandbox::with_indexed(3);
    let before = s.hits(ALL);
    fs::rename(s.photo(""), s.at("unplugged")).unwrap();
    let output = s.run(&["index", "photos", "--format", "json"]);
    output.exited(2);
    assert!(output.stderr.contains("photos") && output.stderr.contains("stay"), "{}", output.stderr);
    assert_counts(&output.json(), &[]);
    assert_same_hits(&s.hits(ALL), &before);
    assert_eq!(s.status()["roots"][0]["available"], false);
    // Neither does a run over all roots, nor one that goes on with another root.
    s.write("usb/9.png", &pictures::png(9));
    let output = s.run(&["index", "--format", "json"]);
    output.exited(2);
    assert_counts(&output.json(), &[]);
    let output = s.run(&["index", "photos", "usb", "--format", "json"]);
    output.exited(2);
    assert_counts(&output.json(), &[("added", 1)]);
    assert_eq!(s.hits(ALL).len(), 4);

    fs::rename(s.at("unplugged"), s.photo("")).unwrap();
    assert_counts(&s.index(&["photos"]), &[("unchanged", 3)]);
    assert_eq!(s.status()["roots"][0]["available"], true);
    s.assert_sound();
}

#[test]
fn a_root_that_is_suddenly_empty_loses_nothing() {
    let s = Sandbox::with_indexed(3);
    let before = s.hits(ALL);
    fs::rename(s.photo(""), s.at("unplugged")).unwrap();
    fs::create_dir(s.photo("")).unwrap();
    let output = s.run(&["index", "photos", "--format", "json"]);
    output.exited(2);
    assert!(output.stderr.contains("empty") && output.stderr.contains("remove"), "{}", output.stderr);
    assert_counts(&output.json(), &[]);
    assert_eq!(count(&output.json(), "problems"), 1);
    assert_same_hits(&s.hits(ALL), &before);
    // As the message says: `remove` is for those that are really gone.
    s.run(&["remove", "photos"]).succeeded();
    assert_eq!(s.names(), [""; 0]);
}

#[test]
fn a_folder_below_a_root_may_become_empty() {
    let s = Sandbox::with_indexed(1);
    s.paint("2023/2.png", 2);
    s.index(&["photos"]);
    fs::remove_file(s.photo("2023/2.png")).unwrap();
    assert_counts(&s.index(&["photos/2023"]), &[("removed", 1)]);
    assert_eq!(s.names(), ["1.png"]);
}

#[test]
fn a_folder_that_is_gone_leaves_with_its_root() {
    let s = Sandbox::with_indexed(1);
    s.paint("2023/2.png", 2);
    s.index(&["photos"]);
    fs::remove_dir_all(s.photo("2023")).unwrap();
    assert_counts(&s.index(&["photos"]), &[("removed", 1), ("unchanged", 1)]);
    assert_eq!(s.names(), ["1.png"]);
}

#[test]
fn paths_that_are_not_there_make_no_index() {
    let s = Sandbox::new();
    s.run(&["index", "没有"]).refused(&["没有"]);
    s.run(&["index", "没有", "也没有"]).refused(&[]);
    assert!(!s.index_dir().exists());
    s.run(&["index"]).refused(&["no index", "taiyi-search index PATH"]);
    assert!(!s.index_dir().exists());
}

#[test]
fn what_cannot_be_walked_does_not_stop_the_rest() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    let output = s.run(&["index", "没有", "photos", "--format", "json"]);
    output.exited(2);
    assert!(output.stderr.contains("没有"), "{}", output.stderr);
    assert_counts(&output.json(), &[("added", 1)]);
    assert_eq!(output.json()["problems"].as_array().unwrap().len(), 1);
    assert_eq!(s.names(), ["1.png"]);
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_read_keeps_its_pictures() {
    use crate::system::User;
    use std::os::unix::fs::PermissionsExt as _;
    let s = Sandbox::new();
    s.paint("1.png", 1);
    s.paint("锁/2.png", 2);
    let user = User::of(&s);
    user.run(&["index", "photos"]).succeeded();
    fs::set_permissions(s.photo("锁"), fs::Permissions::from_mode(0o000)).unwrap();
    s.paint("3.png", 3);
    let output = user.run(&["index", "photos", "--format", "json"]);
    fs::set_permissions(s.photo("锁"), fs::Permissions::from_mode(0o755)).unwrap();
    output.exited(2);
    assert_counts(&output.json(), &[("added", 1), ("unchanged", 1)]);
    assert!(output.stderr.contains("锁"), "{}", output.stderr);
    let found = user.run(&["query", "两只老虎", "-k", "9"]);
    assert_eq!(found.succeeded().text().lines().count(), 3);
}
