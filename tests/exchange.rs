//! `export` and `import`: collections of embeddings out of the index and into it.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;
use taiyi_core::Embedding;
use taiyi_exchange::npy::Dtype;
use taiyi_exchange::{CollectionWriter, ExportOptions, ExportedPicture};

use crate::errors::other_model;
use crate::harness::{Running, Sandbox, assert_counts, assert_same_hits, contents, count};
use crate::pictures::{Exif, jpeg_with_exif};

const ALL: &[&str] = &["两只老虎"];
/// Components of the tiny model's embeddings.
const DIMENSION: usize = 64;

/// Runs `import` with these arguments; its summary.
fn import(s: &Sandbox, args: &[&str]) -> Value {
    let output = s.run(&[&["import", "--format", "json"], args].concat());
    output.succeeded();
    output.json()
}

/// Asserts every count of a summary; those not named are 0.
#[track_caller]
fn assert_rows(summary: &Value, expected: &[(&str, u64)]) {
    for name in ["added", "updated", "unchanged", "kept", "repeated"] {
        let expected = expected.iter().find(|(n, _)| *n == name).map_or(0, |(_, count)| *count);
        assert_eq!(count(summary, name), expected, "{name} in {summary:#}");
    }
}

/// Some unit vector, another one for every seed.
fn vector(seed: u64) -> Vec<f32> {
    (1..=DIMENSION as u64).map(|n| ((seed * 7919 + n * n) as f32).sin()).collect()
}

/// Writes a collection of pictures that are not there.
fn collect(dir: &Path, pictures: &[(PathBuf, u64)]) {
    let part_rows = NonZeroU64::new(10_000).unwrap();
    let options = ExportOptions { dimension: DIMENSION, dtype: Dtype::F32, part_rows };
    let mut writer = CollectionWriter::create(dir, options).unwrap();
    for (path, seed) in pictures {
        let embedding = Embedding::normalize(vector(*seed)).unwrap();
        let row = ExportedPicture { path, embedding: &embedding, size: None, taken_s: None, blake3: None };
        assert!(writer.push(&row).unwrap());
    }
    writer.finish().unwrap();
}

fn far_away(rows: u64) -> Vec<(PathBuf, u64)> {
    (0..rows).map(|n| (PathBuf::from(format!("/别处/{}/{n:05}.jpg", n / 100)), n)).collect()
}

/// Takes the index away, so that the next command begins a new one.
fn forget_index(s: &Sandbox) {
    fs::remove_dir_all(s.index_dir()).unwrap();
}

#[test]
fn an_index_goes_out_and_comes_back_the_same() {
    let s = Sandbox::new();
    for seed in 1..=6 {
        s.paint(format!("旅行/{seed} 号.png"), seed);
    }
    s.paint("copy.png", 3);
    s.index(&["photos"]);
    let (before, path_filter) = (s.hits(ALL), s.hits(&["老虎", "--path", "旅行/"]));

    s.run(&["export", "out/f32", "--dtype", "f32", "--part-rows", "4"]).succeeded();
    s.run(&["export", "out/f16"]).succeeded();
    assert!(s.at("out/f32/img_emb/img_emb_0001.npy").is_file());
    assert!(s.at("out/f32/metadata/metadata_0001.parquet").is_file());
    assert_eq!(fs::metadata(s.at("out/f16/img_emb/img_emb_0000.npy")).unwrap().len(), 128 + 7 * 64 * 2);
    forget_index(&s);
    // The pictures are not needed.
    fs::rename(s.photo(""), s.at("away")).unwrap();

    assert_rows(&import(&s, &["out/f32"]), &[("added", 7)]);
    assert_same_hits(&s.hits(ALL), &before);
    assert_same_hits(&s.hits(&["老虎", "--path", "旅行/"]), &path_filter);
    let status = s.status();
    assert_eq!(
        (&status["pictures"], &status["files"], &status["imported"]),
        (&6.into(), &7.into(), &7.into())
    );
    assert_eq!(status["roots"][0]["path"], s.photo("").to_str().unwrap().trim_end_matches('/'));
    s.assert_sound();

    // What a hit does not know, it does not say.
    let hit = &s.run(&["query", "--format", "json", "-k", "1", "老虎"]).json()["hits"][0];
    assert_eq!((&hit["format"], &hit["taken"]), (&Value::Null, &Value::Null));
    assert!(hit["width"].as_u64().unwrap() > 0 && hit.get("modified").is_none(), "{hit}");
    s.run(&["query", "--after", "1900", "老虎"]).exited(1);

    // What came in goes out again, bit for bit.
    s.run(&["export", "again", "--dtype", "f32", "--part-rows", "4"]).succeeded();
    assert_rows(&import(&s, &["again"]), &[("unchanged", 7)]);

    forget_index(&s);
    assert_rows(&import(&s, &["out/f16"]), &[("added", 7)]);
    for ((name, a), (_, b)) in s.hits(ALL).iter().zip(&before) {
        assert!((a - b).abs() < 2e-3, "{name}: {a} and {b}");
    }
}

#[test]
fn size_and_date_go_out_and_come_back() {
    let s = Sandbox::new();
    let exif = Exif { taken: Some("2023:05:01 14:00:00"), ..Exif::default() };
    s.write("photos/拍.jpg", &jpeg_with_exif(1, &exif));
    s.paint("号.png", 2);
    s.index(&["photos"]);
    let facts = || -> BTreeSet<String> {
        let hits = s.run(&["query", "老虎", "--format", "json"]).json()["hits"].take();
        let fact = |hit: &Value| {
            let known = ["path", "width", "height", "taken"].map(|name| hit[name].to_string());
            assert!(known[1].parse::<u32>().is_ok_and(|width| width > 0), "{hit}");
            known.join(" ")
        };
        hits.as_array().unwrap().iter().map(fact).collect()
    };
    let before = facts();
    assert!(before.iter().any(|known| known.contains("2023-05-01T14:00:00")), "{before:?}");
    s.run(&["export", "out"]).succeeded();
    forget_index(&s);
    assert_rows(&import(&s, &["out"]), &[("added", 2)]);
    assert_eq!(facts(), before);
    // So an imported picture is found by its date.
    let found = s.run(&["query", "老虎", "--after", "2023-05", "--before", "2023-06"]);
    assert_eq!(found.succeeded().text().lines().count(), 1);
    s.assert_sound();
}

#[test]
fn size_and_date_stay_those_of_the_first_import() {
    let s = Sandbox::new();
    let collection = |name: &str, pictures: &[&str], size: Option<(u32, u32)>| {
        let part_rows = NonZeroU64::new(10).unwrap();
        let options = ExportOptions { dimension: DIMENSION, dtype: Dtype::F32, part_rows };
        let mut writer = CollectionWriter::create(&s.at(name), options).unwrap();
        let embedding = Embedding::normalize(vector(1)).unwrap();
        for path in pictures {
            let path = Path::new(path);
            let row = ExportedPicture { path, embedding: &embedding, size, taken_s: None, blake3: None };
            assert!(writer.push(&row).unwrap());
        }
        writer.finish().unwrap();
    };
    let width = || s.run(&["query", "老虎", "--format", "json"]).json()["hits"][0]["width"].take();
    collection("without", &["/别处/一.jpg"], None);
    collection("with", &["/别处/一.jpg", "/别处/二.jpg"], Some((640, 480)));
    assert_rows(&import(&s, &["without"]), &[("added", 1)]);
    // They belong to the embedding, which is known, and so to both pictures that have it.
    assert_rows(&import(&s, &["with"]), &[("added", 1), ("unchanged", 1)]);
    assert_eq!(width(), Value::Null);
    // What the README says to do.
    s.run(&["remove", "/别处"]).succeeded();
    assert_rows(&import(&s, &["with"]), &[("added", 2)]);
    assert_eq!(width(), 640);
    s.assert_sound();
}

#[test]
fn what_a_killed_export_has_left_is_cleared_away() {
    let s = Sandbox::with_indexed(2);
    s.write(".out.part.lock", b"An export of taiyi-search");
    s.write(".out.part/img_emb/img_emb_0000.npy", b"half of it");
    s.run(&["export", "out"]).succeeded();
    assert!(!s.at(".out.part").exists() && !s.at(".out.part.lock").exists());
    assert_rows(&import(&s, &["out", "--index", "fresh"]), &[("added", 2)]);

    s.write(".more.part/mine.txt", b"mine");
    s.run(&["export", "more"]).refused(&[".more.part is in the way", "move it away"]);
    assert!(s.at(".more.part/mine.txt").exists() && !s.at("more").exists());
}

#[test]
fn importing_again_changes_nothing_and_changed_rows_are_replaced() {
    let s = Sandbox::new();
    let mut pictures = far_away(5);
    collect(&s.at("one"), &pictures);
    let summary = import(&s, &["one"]);
    assert_rows(&summary, &[("added", 5)]);
    let before = contents(&s.index_dir().join("gen-1"));
    assert_rows(&import(&s, &["one"]), &[("unchanged", 5)]);
    assert_eq!(contents(&s.index_dir().join("gen-1")), before);
    assert_eq!(s.status()["generation"], summary["generation"]);

    pictures[1].1 = 77;
    pictures.push((PathBuf::from("/别处/neu.jpg"), 78));
    pictures.push(pictures[0].clone());
    collect(&s.at("two"), &pictures);
    assert_rows(&import(&s, &["two"]), &[("added", 1), ("updated", 1), ("unchanged", 4), ("repeated", 1)]);
    assert_eq!(s.names().len(), 6);
    s.assert_sound();

    s.run(&["remove", "/别处/0"]).succeeded();
    assert_eq!(s.names(), ["/别处/neu.jpg"]);
    s.assert_sound();
}

#[test]
fn what_is_indexed_takes_the_place_of_what_was_imported() {
    let s = Sandbox::new();
    for seed in 1..=4 {
        s.paint(format!("{seed}.png"), seed);
    }
    let mut pictures: Vec<_> = (1..=5).map(|n| (s.photo(format!("{n}.png")), 100 + n)).collect();
    pictures.extend(far_away(3));
    collect(&s.at("all"), &pictures);
    assert_rows(&import(&s, &["all"]), &[("added", 8)]);
    assert_eq!(s.names().len(), 8);

    // Only what is there and was imported is read; a root that is not there is no news.
    s.paint("new.png", 9);
    assert_counts(&s.index(&[]), &[("updated", 4)]);
    assert_counts(&s.index(&["photos"]), &[("added", 1), ("unchanged", 4)]);
    assert_eq!(s.names().len(), 9, "one more, and 5.png stays though it is not there");
    assert_eq!(s.status()["imported"], 4);
    s.assert_sound();

    // And stays, whatever is imported again; what was read and is gone is gone.
    assert_rows(&import(&s, &["all"]), &[("unchanged", 4), ("kept", 4)]);
    fs::remove_file(s.photo("1.png")).unwrap();
    assert_counts(&s.index(&["photos"]), &[("unchanged", 4), ("removed", 1)]);
    let names = s.names();
    assert!(names.contains(&"5.png".to_owned()) && !names.contains(&"1.png".to_owned()), "{names:?}");
    s.assert_sound();

    // What was imported and is not there cannot be embedded anew.
    s.run(&["index", "--rebuild", "photos"]).refused(&["cannot rebuild", "remove"]);
    assert_eq!(s.names().len(), names.len());
}

#[test]
fn paths_are_placed_as_asked() {
    let s = Sandbox::new();
    s.paint("a/1.png", 1);
    let relative = vec![(PathBuf::from("a/1.png"), 1), (PathBuf::from("b/2.png"), 2)];
    collect(&s.at("relative"), &relative);
    s.run(&["import", "relative"]).refused(&[
        "metadata_0000.parquet",
        "row 0",
        "a/1.png",
        "relative",
        "--root",
    ]);
    assert!(!s.index_dir().exists(), "a failed import leaves nothing");
    import(&s, &["relative", "--root", "photos"]);
    assert_eq!(s.names(), ["a/1.png", "b/2.png"]);

    let moved: Vec<_> = relative.iter().map(|(path, n)| (Path::new("/old/disk").join(path), *n)).collect();
    collect(&s.at("moved"), &moved);
    s.run(&["import", "moved", "--root", "photos"]).refused(&["/old/disk/a/1.png", "--strip"]);
    s.run(&["import", "moved", "--root", "photos", "--strip", "/new"]).refused(&["does not begin with /new"]);
    assert_rows(&import(&s, &["moved", "--root", "photos", "--strip", "/old/disk"]), &[("unchanged", 2)]);
    assert_eq!(s.status()["roots"].as_array().unwrap().len(), 1);
}

#[cfg(unix)]
#[test]
fn a_folder_has_one_name_though_links_lead_to_it() {
    let s = Sandbox::with_indexed(2);
    std::os::unix::fs::symlink(s.photo(""), s.at("link")).unwrap();
    collect(&s.at("in"), &[(s.at("link/1.png"), 1), (s.at("link/3.png"), 3)]);
    assert_rows(&import(&s, &["in"]), &[("added", 1), ("kept", 1)]);
    assert_eq!(s.names(), ["1.png", "2.png", "3.png"]);
}

#[test]
fn a_collection_that_is_not_right_changes_nothing() {
    let s = Sandbox::with_indexed(2);
    let before = (contents(&s.index_dir().join("gen-1")), s.hits(ALL));
    collect(&s.at("good"), &far_away(5));
    let vectors = "img_emb/img_emb_0000.npy";
    let broken = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let dir = s.at(name);
        collect(&dir, &far_away(5));
        let mut bytes = fs::read(dir.join(vectors)).unwrap();
        change(&mut bytes);
        fs::write(dir.join(vectors), bytes).unwrap();
    };
    let at_row = |row: usize| 128 + row * DIMENSION * 4;
    broken("nan", &|bytes| bytes[at_row(3)..at_row(3) + 4].copy_from_slice(&f32::NAN.to_le_bytes()));
    broken("long", &|bytes| bytes[at_row(2)..at_row(2) + 4].copy_from_slice(&9f32.to_le_bytes()));
    broken("cut", &|bytes| bytes.truncate(at_row(4) + 1));
    broken("short", &|_| ());
    collect(&s.at("four"), &far_away(4));
    let table = "metadata/metadata_0000.parquet";
    fs::copy(s.at("four").join(table), s.at("short").join(table)).unwrap();
    let s_run = |dir: &str, parts: &[&str]| {
        s.run(&["import", dir]).refused(parts);
        s.run(&["import", dir, "--index", "fresh"]).refused(parts);
        assert!(!s.at("fresh").exists(), "{dir}");
    };
    s_run("nan", &[vectors, "row 3 (the first is 0)", "component 0", "NaN"]);
    s_run("long", &[vectors, "row 2 (the first is 0)", "length 9", "expected 1"]);
    s_run("cut", &[vectors, "5 rows of 64 numbers", "1408 bytes", "1153"]);
    s_run("short", &[table, "it has 4 rows, but", "has 5"]);
    s_run("photos", &["is no collection", "img_emb and metadata"]);
    s_run("nowhere", &["is no collection"]);
    fs::remove_file(s.at("good/metadata/metadata_0000.parquet")).unwrap();
    s_run("good", &[vectors, "metadata_0000.parquet, is missing"]);
    assert!((contents(&s.index_dir().join("gen-1")), s.hits(ALL)) == before);
    assert_eq!(s.status()["generation"], 1);
    s.assert_sound();
}

#[test]
fn the_model_must_be_the_one_of_the_index() {
    let s = Sandbox::with_indexed(1);
    let other = other_model(&s);
    collect(&s.at("in"), &far_away(2));
    s.run(&["import", "in", "--model", &other]).refused(&["tiny", "--model"]);
    // Of a model that is not here, nothing can be said.
    s.run(&["import", "in", "--index", "fresh", "--model", "taiyi-326m"]).refused(&["taiyi-326m"]);
    assert!(!s.at("fresh").exists());
    // An index knows its model, which need not be here.
    let mut command = s.command();
    command.args(["import", "in", "--format", "json"]).env_remove("TAIYI_MODEL");
    assert_rows(&crate::harness::finish(command, b"").json(), &[("added", 2)]);
    // 64 components do not go into an index of 512 or whatever it is.
    let demo = s.run(&["import", "in", "--index", "fresh", "--model", "demo"]);
    demo.refused(&["img_emb_0000.npy", "64 components", "demo", "--model"]);
    assert!(!s.at("fresh").exists());
}

#[test]
fn an_export_overwrites_nothing_and_tells_what_it_leaves_out() {
    let s = Sandbox::with_indexed(2);
    s.run(&["export", "photos"]).refused(&["is there already"]);
    assert_eq!(fs::read_dir(s.photo("")).unwrap().count(), 2);
    s.run(&["export", "out", "--index", "nowhere"]).refused(&["no index in"]);
    assert!(!s.at("out").exists());
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt as _;
        s.paint(std::ffi::OsStr::from_bytes(b"\xff.png"), 3);
        s.index(&["photos"]);
        let output = s.run(&["export", "out"]);
        output.exited(2);
        assert!(output.stderr.contains("left out 1 file, whose names are not UTF-8"), "{}", output.stderr);
        assert_rows(&import(&s, &["out", "--index", "fresh"]), &[("added", 2)]);
    }
}

#[cfg(unix)]
#[test]
fn a_killed_import_is_finished_by_the_next() {
    const ROWS: u64 = 30_000;
    let s = Sandbox::new();
    collect(&s.at("in"), &far_away(ROWS));
    let start = Instant::now();
    assert_rows(&import(&s, &["in", "--index", "whole"]), &[("added", ROWS)]);
    let whole = start.elapsed();
    let mut before = 0;
    for part in 1..=4 {
        let mut command = s.command();
        command.args(["import", "in"]);
        let mut run = Running::start(command);
        std::thread::sleep(whole * part / 5);
        run.child.kill().unwrap();
        run.wait();
        let verify = s.run(&["verify", "--format", "json"]);
        let committed = if verify.code == Some(2) { 0 } else { count(&verify.json(), "locations_checked") };
        assert!(committed >= before, "{committed} after {before}");
        before = committed;
    }
    let summary = import(&s, &["in"]);
    assert_rows(&summary, &[("added", ROWS - before), ("unchanged", before)]);
    s.assert_sound();
    let args = |index| ["query", "老虎", "--format", "tsv", "-k", "50", "--index", index];
    assert_eq!(s.run(&args("index")).text(), s.run(&args("whole")).text());
}

#[cfg(unix)]
#[test]
fn an_interrupted_import_publishes_what_it_has() {
    const ROWS: u64 = 60_000;
    let s = Sandbox::new();
    collect(&s.at("in"), &far_away(ROWS));
    let mut command = s.command();
    command.args(["import", "in", "--format", "json"]);
    let run = Running::start(command);
    while !s.index_dir().join("ledger").exists() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    crate::harness::signal("INT", run.pid());
    let output = run.wait();
    output.exited(130);
    let summary = output.json();
    assert_eq!(summary["interrupted"], true);
    let added = count(&summary, "added");
    assert!(added < ROWS);
    assert_eq!(s.status()["pictures"], added);
    s.assert_sound();
}
