//! A damaged index: found by `verify`, told by everything else, never a panic.

use std::fs;
use std::path::Path;

use crate::harness::{Sandbox, assert_counts, assert_same_hits, copy_dir, count, files_below, generations};

const ALL: &[&str] = &["两只老虎"];

/// A sandbox with a failed file and a removed one in its history, and a copy of its index.
fn with_history() -> Sandbox {
    let s = Sandbox::with_indexed(4);
    s.paint("5.png", 5);
    s.write("photos/坏.jpg", b"no picture");
    s.index(&["photos"]);
    fs::remove_file(s.photo("2.png")).unwrap();
    assert_counts(&s.index(&["photos"]), &[("removed", 1), ("unchanged", 4), ("failed_before", 1)]);
    s.assert_sound();
    copy_dir(&s.index_dir(), &s.at("pristine"));
    s
}

fn restore(s: &Sandbox) {
    fs::remove_dir_all(s.index_dir()).unwrap();
    copy_dir(&s.at("pristine"), &s.index_dir());
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_sound_index_is_told_so() {
    let s = with_history();
    let output = s.run(&["verify"]);
    let text = output.succeeded().quietly().text();
    assert!(text.contains("all is well") && text.contains("4 pictures"), "{text}");
    let (code, report) = s.verify();
    assert_eq!(code, Some(0));
    assert_eq!((&report["contents_checked"], &report["ledger_checked"]), (&4.into(), &true.into()));
    assert!(count(&report, "files_checked") >= 2 && count(&report, "locations_checked") >= 4, "{report:#}");
    assert_eq!(report["generation"], s.status()["generation"]);
}

#[test]
fn any_changed_byte_of_a_generation_is_found() {
    let s = with_history();
    let before = s.hits(ALL);
    let mut files: Vec<_> = generations(&s.index_dir()).iter().flat_map(|dir| files_below(dir)).collect();
    files.push(s.at("index/manifest.json"));
    // What only the manifest before the present one names is not checked, and read by nobody new.
    let (_, sound) = s.verify();
    let mut found = 0;
    for path in files {
        let length = fs::metadata(&path).unwrap().len() as usize;
        let mut found_here = 0;
        let places = [0, length / 3, length / 2, length - 1];
        for at in places {
            flip(&path, at);
            let output = s.run(&["verify", "--format", "json"]);
            match output.code {
                Some(1) => {
                    let report = output.json();
                    let problems = report["problems"].as_array().unwrap();
                    assert!(!problems.is_empty());
                    for problem in problems {
                        assert!(!problem["what"].as_str().unwrap().is_empty());
                        assert!(!problem["remedy"].as_str().unwrap().is_empty(), "{report:#}");
                    }
                    found_here += 1;
                }
                // A version number made larger is told as such.
                Some(2) => {
                    output.refused(&["update"]);
                    found_here += 1;
                }
                code => assert_eq!(code, Some(0), "{path:?} at {at}: {}", output.stderr),
            }
            // Whatever the damage, a search answers or says one line.
            let searched = s.run(&["query", "两只老虎"]);
            if searched.code != Some(0) {
                searched.refused(&[]);
            }
            flip(&path, at);
        }
        assert!(found_here == 0 || found_here == places.len(), "{path:?}: {found_here} of 4 found");
        found += usize::from(found_here > 0);
    }
    let checked = count(&sound, "files_checked") as usize;
    assert_eq!(found, checked + 1, "every file that is checked, and the manifest");
    s.assert_sound();
    assert_same_hits(&s.hits(ALL), &before);
}

#[test]
fn damaged_generations_are_mended_as_the_message_says() {
    let s = with_history();
    let before = s.hits(ALL);
    for generation in generations(&s.index_dir()) {
        for path in files_below(&generation) {
            flip(&path, fs::metadata(&path).unwrap().len() as usize / 2);
        }
    }
    let output = s.run(&["verify"]);
    let text = output.exited(1).text();
    assert!(text.contains("broken: ") && text.contains("gen-*") && text.contains("index again"), "{text}");
    for generation in generations(&s.index_dir()) {
        fs::remove_dir_all(generation).unwrap();
    }
    assert_counts(&s.index(&["photos"]), &[("unchanged", 4), ("failed_before", 1)]);
    assert_same_hits(&s.hits(ALL), &before);
    s.assert_sound();
}

#[test]
fn truncated_and_missing_files_of_a_generation_are_told() {
    let s = with_history();
    let before = s.hits(ALL);
    let newest = generations(&s.index_dir()).pop().unwrap();
    for path in files_below(&newest) {
        let bytes = fs::read(&path).unwrap();
        for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            fs::write(&path, &bytes[..length]).unwrap();
            s.run(&["query", "两只老虎"]).refused(&["damaged", "gen-", "index again"]);
            s.run(&["status"]).refused(&["damaged"]);
            assert_eq!(s.verify().0, Some(1));
        }
        fs::remove_file(&path).unwrap();
        s.run(&["query", "两只老虎"]).refused(&["damaged", "missing", "index again"]);
        assert_eq!(s.verify().0, Some(1));
        // The next run mends it by itself: what is there differs from what was published.
        assert_counts(&s.index(&["photos"]), &[("unchanged", 4), ("failed_before", 1)]);
        assert_same_hits(&s.hits(ALL), &before);
        s.assert_sound();
        restore(&s);
    }
}

#[test]
fn a_manifest_of_a_newer_version_is_left_alone() {
    let s = with_history();
    let path = s.at("index/manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let version = manifest["format"].as_u64().unwrap();
    manifest["format"] = (version + 1).into();
    manifest["something"] = "new".into();
    let newer = manifest.to_string();
    fs::write(&path, &newer).unwrap();
    let commands: [&[&str]; 6] = [
        &["query", "老虎"],
        &["status"],
        &["verify"],
        &["index", "photos"],
        &["index", "photos", "--rebuild"],
        &["remove", "photos"],
    ];
    for args in commands {
        s.run(args).refused(&["format version", &(version + 1).to_string(), "update taiyi-search"]);
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
}

#[test]
fn a_damaged_manifest_is_told_and_made_anew() {
    let s = with_history();
    let before = s.hits(ALL);
    let path = s.at("index/manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    let locations = format!("\"locations\":{}", s.status()["files"]);
    let compact: String = text.split_whitespace().collect();
    let damages = [
        String::new(),
        "{".to_owned(),
        text[..text.len() / 2].to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        compact.replace(&locations, "\"locations\":99"),
    ];
    assert_ne!(damages[5], compact, "{compact}");
    for damage in damages {
        fs::write(&path, &damage).unwrap();
        s.run(&["query", "老虎"]).refused(&["manifest.json", "damaged", "index again"]);
        s.run(&["status"]).refused(&["manifest.json", "damaged"]);
        let (code, report) = s.verify();
        assert_eq!(code, Some(1), "{damage}: {report:#}");
        assert!(report["problems"][0]["what"].as_str().unwrap().contains("manifest.json"), "{report:#}");
        assert_counts(&s.index(&["photos"]), &[("unchanged", 4), ("failed_before", 1)]);
        assert_same_hits(&s.hits(ALL), &before);
        restore(&s);
    }
}

#[test]
fn a_damaged_ledger_is_never_a_panic() {
    let s = with_history();
    let before = s.hits(ALL);
    let mut found = 0;
    for path in files_below(&s.at("index/ledger")) {
        let bytes = fs::read(&path).unwrap();
        let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        if used == 0 {
            continue;
        }
        for at in [0, used / 4, used / 2, used * 3 / 4, used - 1] {
            flip(&path, at);
            let output = s.run(&["verify", "--format", "json"]);
            match output.code {
                // Not every byte of it is in use.
                Some(0) => {}
                Some(1) => found += usize::from(count(&output.json(), "problems") > 0),
                _ => {
                    output.refused(&[]);
                    found += 1;
                }
            }
            // Searching never looks at the ledger.
            assert_same_hits(&s.hits(ALL), &before);
            let indexed = s.run(&["index", "photos"]);
            if indexed.code != Some(0) {
                indexed.refused(&[]);
            }
            restore(&s);
        }
    }
    assert!(found > 0, "no damage of the ledger is ever found");
}

#[test]
fn a_lost_ledger_is_mended_by_a_rebuild() {
    let s = with_history();
    let before = s.hits(ALL);
    fs::remove_dir_all(s.at("index/ledger")).unwrap();
    assert_same_hits(&s.hits(ALL), &before);
    let (code, report) = s.verify();
    assert_eq!(code, Some(1), "{report:#}");
    assert!(report["problems"].to_string().contains("--rebuild"), "{report:#}");
    s.run(&["index", "photos"]).refused(&["ledger", "--rebuild"]);
    let summary = s.index(&["photos", "--rebuild"]);
    assert_eq!(count(&summary, "added") + count(&summary, "updated"), 4, "{summary:#}");
    assert_same_hits(&s.hits(ALL), &before);
    s.assert_sound();
}

#[test]
fn a_garbled_ledger_is_mended_by_a_rebuild() {
    let s = with_history();
    let before = s.hits(ALL);
    for path in files_below(&s.at("index/ledger")) {
        let length = fs::metadata(&path).unwrap().len() as usize;
        fs::write(&path, vec![0xa5; length.min(4096)]).unwrap();
    }
    assert_same_hits(&s.hits(ALL), &before);
    let (code, report) = s.verify();
    assert_eq!(code, Some(1), "{report:#}");
    s.run(&["index", "photos"]).refused(&["ledger", "--rebuild"]);
    let summary = s.index(&["photos", "--rebuild"]);
    assert_eq!(count(&summary, "added") + count(&summary, "updated"), 4, "{summary:#}");
    assert_same_hits(&s.hits(ALL), &before);
    s.assert_sound();
}

#[test]
fn what_a_crash_may_leave_behind_is_no_damage() {
    let s = with_history();
    let before = s.hits(ALL);
    s.write("index/gen-99.tmp/vectors.f32", b"half of a generation");
    s.write("index/manifest.json.tmp", b"{\"format\":");
    s.write("index/LOCK", b"{\"pid\": 1, \"host\":");
    assert_same_hits(&s.hits(ALL), &before);
    s.assert_sound();
    s.paint("6.png", 6);
    assert_counts(&s.index(&["photos"]), &[("added", 1), ("unchanged", 4), ("failed_before", 1)]);
    assert!(!s.at("index/gen-99.tmp").exists());
    s.assert_sound();
}
