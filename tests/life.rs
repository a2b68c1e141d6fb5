//! The life of an index: files come, change, move and go.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::harness::{
    Sandbox, assert_counts, assert_same_hits, contents, count, generations, listing, set_modified,
};
use crate::pictures;

const ALL: &[&str] = &["两只老虎"];

#[test]
fn a_new_index_has_every_picture_and_a_second_run_does_nothing() {
    let s = Sandbox::with_indexed(3);
    s.paint("2023/夏天/4.png", 4);
    assert_counts(&s.index(&["photos"]), &[("added", 1), ("unchanged", 3)]);
    assert_eq!(s.names(), ["1.png", "2.png", "2023/夏天/4.png", "3.png"]);
    let before = s.status();

    let again = s.index(&["photos"]);
    assert_counts(&again, &[("unchanged", 4)]);
    assert_eq!(again["generation"], serde_json::Value::Null, "nothing new was published");
    assert_eq!(s.status()["generation"], before["generation"]);
    s.assert_sound();
}

#[test]
fn without_paths_all_known_folders_are_renewed() {
    let s = Sandbox::with_indexed(1);
    s.write("more/9.png", &pictures::png(9));
    assert_counts(&s.index(&["more"]), &[("added", 1)]);
    s.paint("2.png", 2);
    s.write("more/8.png", &pictures::png(8));
    assert_counts(&s.index(&[]), &[("added", 2), ("unchanged", 2)]);
    assert_eq!(s.hits(ALL).len(), 4);
}

#[test]
fn changed_content_is_embedded_again() {
    let s = Sandbox::with_indexed(3);
    s.paint("2.png", 20);
    assert_counts(&s.index(&["photos"]), &[("updated", 1), ("unchanged", 2)]);
    let own = s.write("own.bmp", &pictures::encode_rgb(pictures::scene(20), image::ImageFormat::Bmp));
    let hits = s.hits(&["--image", own.to_str().unwrap()]);
    assert_eq!(hits[0].0, "2.png");
    assert!(hits[0].1 > 0.9999, "{hits:?}");
    assert_eq!(hits.len(), 3, "the old content is gone");
}

#[test]
fn a_touched_file_costs_a_hash_only() {
    let s = Sandbox::with_indexed(2);
    let before = s.hits(ALL);
    set_modified(&s.photo("1.png"), 1_000_000_000);
    assert_counts(&s.index(&["photos"]), &[("reused", 1), ("unchanged", 1)]);
    assert_same_hits(&s.hits(ALL), &before);
    assert_counts(&s.index(&["photos"]), &[("unchanged", 2)]);
}

#[test]
fn a_renamed_file_keeps_its_embedding() {
    let s = Sandbox::with_indexed(3);
    let mut expected = s.hits(ALL);
    fs::rename(s.photo("2.png"), s.photo("第二张.png")).unwrap();
    assert_counts(&s.index(&["photos"]), &[("reused", 1), ("removed", 1), ("unchanged", 2)]);
    for (name, _) in &mut expected {
        if name == "2.png" {
            *name = "第二张.png".into();
        }
    }
    assert_same_hits(&s.hits(ALL), &expected);
    s.assert_sound();
}

#[test]
fn a_moved_folder_keeps_its_embeddings() {
    let s = Sandbox::new();
    s.paint("旧/1.png", 1);
    s.paint("旧/2.png", 2);
    assert_counts(&s.index(&["photos"]), &[("added", 2)]);
    fs::rename(s.photo("旧"), s.photo("新")).unwrap();
    assert_counts(&s.index(&["photos"]), &[("reused", 2), ("removed", 2)]);
    assert_eq!(s.names(), ["新/1.png", "新/2.png"]);
}

#[test]
fn a_copy_is_one_hit_with_two_places() {
    let s = Sandbox::with_indexed(2);
    s.paint("备份/1.png", 1);
    assert_counts(&s.index(&["photos"]), &[("reused", 1), ("unchanged", 2)]);
    let answer = s.run(&["query", "--format", "json", "两只老虎"]).json();
    let hits = answer["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 2);
    let hit = hits.iter().find(|hit| hit["path"] == s.photo("1.png").to_str().unwrap()).unwrap();
    assert_eq!(hit["copies"], serde_json::json!([s.photo("备份/1.png")]));
    let status = s.status();
    assert_eq!((&status["pictures"], &status["files"]), (&2.into(), &3.into()));

    // The other place answers when the first is gone.
    fs::remove_file(s.photo("1.png")).unwrap();
    assert_counts(&s.index(&["photos"]), &[("removed", 1), ("unchanged", 2)]);
    assert_eq!(s.names(), ["2.png", "备份/1.png"]);
    s.assert_sound();
}

#[test]
fn copies_met_in_one_run_are_embedded_once() {
    let s = Sandbox::new();
    for n in 0..6 {
        s.paint(format!("同一张-{n}.png"), 7);
    }
    assert_counts(&s.index(&["photos", "--batch-images", "2"]), &[("added", 1), ("reused", 5)]);
    let answer = s.run(&["query", "--format", "json", "两只老虎"]).json();
    assert_eq!(answer["hits"][0]["copies"].as_array().unwrap().len(), 5);
}

#[test]
fn a_deleted_file_is_swept() {
    let s = Sandbox::with_indexed(3);
    fs::remove_file(s.photo("2.png")).unwrap();
    assert_eq!(s.names().len(), 3, "the index changes only when it is renewed");
    assert_counts(&s.index(&["photos"]), &[("removed", 1), ("unchanged", 2)]);
    assert_eq!(s.names(), ["1.png", "3.png"]);
    let status = s.status();
    assert_eq!((&status["pictures"], &status["files"]), (&2.into(), &2.into()));
    s.assert_sound();
}

#[test]
fn a_file_that_became_another_kind_leaves_the_index() {
    let s = Sandbox::with_indexed(2);
    s.write("photos/1.png", b"no picture any more");
    let summary = s.index(&["photos"]);
    assert_counts(&summary, &[("failed", 1), ("unchanged", 1)]);
    assert_eq!(summary["failed"][0]["kind"], "not-a-picture");
    assert_eq!(s.names(), ["2.png"]);
    s.paint("1.png", 1);
    let summary = s.index(&["photos"]);
    assert_eq!(count(&summary, "added") + count(&summary, "updated") + count(&summary, "reused"), 1);
    assert_eq!(s.names(), ["1.png", "2.png"]);
}

#[test]
fn removing_takes_files_folders_and_roots_out_and_touches_no_photo() {
    let s = Sandbox::new();
    for (path, seed) in
        [("1.png", 1), ("2.png", 2), ("旅行/3.png", 3), ("旅行/4.png", 4), ("旅行记/5.png", 5)]
    {
        s.paint(path, seed);
    }
    s.index(&["photos"]);
    let before = listing(&s.photo(""));

    s.run(&["remove", "photos/1.png"]).succeeded();
    assert_eq!(s.names(), ["2.png", "旅行/3.png", "旅行/4.png", "旅行记/5.png"]);
    s.run(&["remove", "photos/旅行"]).succeeded();
    assert_eq!(s.names(), ["2.png", "旅行记/5.png"], "a folder whose name only begins alike stays");
    let unknown = s.run(&["remove", "photos/没有"]);
    unknown.exited(2);
    assert!(unknown.stderr.contains("没有"), "{}", unknown.stderr);
    s.assert_sound();

    s.run(&["remove", "photos"]).succeeded();
    assert_eq!(s.names(), [""; 0]);
    assert_eq!(s.status()["roots"], serde_json::json!([]));
    assert_eq!(listing(&s.photo("")), before);
    s.assert_sound();

    // What was taken out can come back; and a folder above a root takes it out whole.
    s.index(&["photos"]);
    assert_eq!(s.names().len(), 5);
    fs::remove_dir_all(s.photo("")).unwrap();
    s.run(&["remove", "."]).succeeded();
    assert_eq!(s.status()["roots"], serde_json::json!([]));
}

#[test]
fn a_rebuild_embeds_everything_anew() {
    let s = Sandbox::with_indexed(3);
    let before = s.hits(ALL);
    let summary = s.index(&["photos", "--rebuild"]);
    assert_eq!(count(&summary, "added") + count(&summary, "updated"), 3, "{summary:#}");
    assert_eq!(count(&summary, "unchanged") + count(&summary, "reused"), 0, "{summary:#}");
    assert_same_hits(&s.hits(ALL), &before);
    assert_counts(&s.index(&["photos"]), &[("unchanged", 3)]);
    s.assert_sound();
}

#[test]
fn a_rebuild_needs_every_root() {
    let s = Sandbox::with_indexed(2);
    s.write("usb/9.png", &pictures::png(9));
    s.index(&["usb"]);
    let before = s.hits(ALL);
    fs::rename(s.at("usb"), s.at("unplugged")).unwrap();
    let refusal = s.run(&["index", "photos", "--rebuild"]);
    refusal.refused(&["cannot rebuild", "usb", "remove"]);
    assert_same_hits(&s.hits(ALL), &before);

    // A root that is named must not be the only one that is embedded anew.
    fs::rename(s.at("unplugged"), s.at("usb")).unwrap();
    let summary = s.index(&["photos", "--rebuild"]);
    assert_eq!(count(&summary, "added") + count(&summary, "updated"), 3, "{summary:#}");
    assert_same_hits(&s.hits(ALL), &before);
    s.assert_sound();
}

/// Every byte of the index but for the ledger's, whose housekeeping is its own.
fn published(s: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = contents(&s.index_dir());
    all.retain(|path, _| !path.starts_with(s.at("index/ledger")));
    all
}

#[test]
fn a_dry_run_tells_and_changes_nothing() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    let plan = s.run(&["index", "photos", "--dry-run", "--format", "json"]);
    plan.succeeded();
    let plan = plan.json();
    assert_eq!(plan["dry_run"], true);
    assert_eq!(plan["read"][0]["path"], s.photo("1.png").to_str().unwrap());
    assert!(!s.index_dir().exists(), "not even a folder is made");

    s.index(&["photos"]);
    s.paint("2.png", 2);
    fs::remove_file(s.photo("1.png")).unwrap();
    let (before, verified) = (published(&s), s.verify());
    let plan = s.run(&["index", "photos", "--dry-run", "--format", "json"]).json();
    assert_eq!((count(&plan, "read"), count(&plan, "remove")), (1, 1), "{plan:#}");
    assert_eq!(plan["remove"][0]["path"], s.photo("1.png").to_str().unwrap());
    let text = s.run(&["index", "photos", "--dry-run"]);
    assert!(text.succeeded().text().contains(s.photo("2.png").to_str().unwrap()));
    assert_eq!(published(&s), before);
    let (code, report) = s.verify();
    assert_eq!((code, report), verified, "the ledger says what it said");
    assert_eq!(s.names(), ["1.png"]);
    assert_counts(&s.index(&["photos"]), &[("added", 1), ("removed", 1)]);
}

#[test]
fn the_photos_are_never_written() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    s.paint("子/2.png", 2);
    s.write("photos/坏.jpg", b"not a picture");
    s.write("photos/说明.txt", b"text");
    let before = listing(&s.photo(""));
    s.index(&["photos"]);
    s.index(&["photos", "--retry-failed"]);
    s.index(&["photos", "--rebuild"]);
    s.hits(&["老虎", "--image", "photos/1.png"]);
    s.run(&["verify"]).succeeded();
    s.run(&["remove", "photos/子"]).succeeded();
    assert_eq!(listing(&s.photo("")), before);
}

#[test]
fn an_index_among_the_photos_is_not_indexed() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    for _ in 0..2 {
        let output = s.run(&["index", "photos", "--index", "photos/索引", "--format", "json"]);
        output.succeeded();
        assert_eq!(count(&output.json(), "ignored"), 0, "{:#}", output.json());
    }
    let output = s.run(&["query", "老虎", "--index", "photos/索引"]);
    assert_eq!(output.succeeded().text(), format!("{}\n", s.photo("1.png").display()));
}

#[test]
fn generations_do_not_pile_up() {
    let s = Sandbox::with_indexed(1);
    for seed in 2..8 {
        s.paint(format!("{seed}.png"), seed);
        assert_counts(&s.index(&["photos"]), &[("added", 1), ("unchanged", seed - 1)]);
        if seed % 3 == 0 {
            fs::remove_file(s.photo(format!("{}.png", seed - 1))).unwrap();
            s.paint(format!("again-{seed}.png"), seed - 1);
            assert_counts(&s.index(&["photos"]), &[("reused", 1), ("removed", 1), ("unchanged", seed - 1)]);
        }
    }
    assert!(generations(&s.index_dir()).len() <= 4, "{:?}", generations(&s.index_dir()));
    assert_eq!(s.names().len(), 7);
    s.assert_sound();
}

#[test]
fn deleting_all_generations_loses_nothing() {
    let s = Sandbox::with_indexed(4);
    let before = s.hits(ALL);
    for generation in generations(&s.index_dir()) {
        fs::remove_dir_all(generation).unwrap();
    }
    s.run(&["query", "两只老虎"]).refused(&["damaged", "gen-", "index again"]);
    assert_counts(&s.index(&["photos"]), &[("unchanged", 4)]);
    assert_same_hits(&s.hits(ALL), &before);
    s.assert_sound();

    // The manifest can be made again too.
    fs::remove_file(s.at("index/manifest.json")).unwrap();
    s.run(&["query", "两只老虎"]).refused(&["index"]);
    assert_counts(&s.index(&["photos"]), &[("unchanged", 4)]);
    assert_same_hits(&s.hits(ALL), &before);
    s.assert_sound();
}
