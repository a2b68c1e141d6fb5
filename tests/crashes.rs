//! Runs that end before their time: killed, interrupted.
#![cfg(unix)]

use std::time::{Duration, Instant};

use crate::harness::{Output, Running, Sandbox, assert_counts, assert_same_hits, count, generations, signal};
use crate::pictures;

const ALL: &[&str] = &["两只老虎"];
const PICTURES: u64 = 60;

fn with_many() -> Sandbox {
    let s = Sandbox::new();
    for seed in 1..=PICTURES {
        s.paint(format!("{seed:02}.png"), seed);
    }
    s
}

fn start(s: &Sandbox, more: &[&str]) -> Running {
    let mut command = s.command();
    command.args(["index", "photos", "--format", "json", "--batch-images", "4"]).args(more);
    Running::start(command)
}

/// Contents that the ledger has, by `verify`; 0 where there is no index yet.
fn committed(s: &Sandbox) -> u64 {
    let output: Output = s.run(&["verify", "--format", "json"]);
    match output.code {
        Some(0) => {}
        Some(1) => {
            for problem in output.json()["problems"].as_array().unwrap() {
                assert!(problem["remedy"].as_str().unwrap().contains("index again"), "{problem}");
                assert!(!problem["what"].as_str().unwrap().contains("damaged"), "{problem}");
            }
        }
        _ => {
            output.refused(&["index"]);
            return 0;
        }
    }
    count(&output.json(), "contents_checked")
}

#[test]
fn a_run_killed_again_and_again_goes_on_and_ends_as_an_undisturbed_one() {
    let undisturbed = with_many();
    let begin = Instant::now();
    start(&undisturbed, &[]).wait().succeeded();
    let whole = begin.elapsed();
    let expected = undisturbed.hits(ALL);
    assert_eq!(expected.len() as u64, PICTURES);

    // Each run goes on from where the one before was killed.
    let s = with_many();
    let mut before = 0;
    for part in 1..=8 {
        let mut run = start(&s, &[]);
        std::thread::sleep(whole * part / 12);
        run.child.kill().unwrap();
        let finished = run.wait().code == Some(0);
        let now = committed(&s);
        assert!(now >= before, "{now} contents are left of {before}");
        assert!(!finished || now == PICTURES, "{now}");
        before = now;
    }
    let output = start(&s, &[]).wait();
    output.succeeded();
    let summary = output.json();
    assert_eq!(count(&summary, "added"), PICTURES - before, "what was committed is not embedded again");
    assert_eq!(count(&summary, "unchanged"), before);
    assert_same_hits(&s.hits(ALL), &expected);
    s.assert_sound();
    assert!(generations(&s.index_dir()).iter().all(|dir| !dir.to_string_lossy().ends_with(".tmp")));
}

#[test]
fn a_first_run_may_be_killed_at_any_moment() {
    let expected = {
        let s = with_many();
        start(&s, &[]).wait().succeeded();
        s.hits(ALL)
    };
    for delay_ms in [5, 30, 60, 100, 160, 240, 340] {
        let s = with_many();
        let mut run = start(&s, &[]);
        std::thread::sleep(Duration::from_millis(delay_ms));
        run.child.kill().unwrap();
        run.wait();
        let kept = committed(&s);
        // Until the next run there is nothing to search, or all; never a part that says it is all.
        let searched = s.run(&["query", "老虎"]);
        if searched.code != Some(0) {
            searched.refused(&["index"]);
        }
        let summary = s.index(&["photos"]);
        assert_counts(&summary, &[("added", PICTURES - kept), ("unchanged", kept)]);
        assert_same_hits(&s.hits(ALL), &expected);
        s.assert_sound();
    }
}

#[test]
fn a_rebuild_that_is_killed_keeps_the_old_index_until_it_is_through() {
    let s = with_many();
    start(&s, &[]).wait().succeeded();
    let expected = s.hits(ALL);
    for part in [2u32, 4, 6] {
        let mut run = start(&s, &["--rebuild"]);
        std::thread::sleep(Duration::from_millis(40) * part);
        run.child.kill().unwrap();
        run.wait();
        assert_same_hits(&s.hits(ALL), &expected);
    }
    // Any later run ends the rebuild.
    s.index(&["photos"]);
    assert_same_hits(&s.hits(ALL), &expected);
    assert_counts(&s.index(&["photos"]), &[("unchanged", PICTURES)]);
    s.assert_sound();
}

#[test]
fn a_rebuild_to_another_model_that_is_killed_goes_on_with_that_model() {
    let s = Sandbox::new();
    for seed in 1..=60 {
        s.write(format!("photos/{seed:03}.png"), &pictures::png(seed));
    }
    s.index(&["photos"]);
    let before = s.hits(ALL);
    let other = crate::errors::other_model(&s);
    s.write("photos/00.jpg", b"no picture");
    let mut command = s.command();
    command.args([
        "index",
        "photos",
        "--rebuild",
        "--batch-images",
        "1",
        "--threads",
        "1",
        "--model",
        &other,
    ]);
    let mut run = Running::start(command);
    run.wait_for("00.jpg");
    run.child.kill().unwrap();
    run.wait();
    // Searches see the index as it was; it goes on only with the model it was going to.
    assert_same_hits(&s.hits(ALL), &before);
    s.run(&["index", "photos"]).refused(&["other", "--model"]);
    let output = s.run(&["index", "photos", "--model", &other, "--format", "json"]);
    output.succeeded();
    assert_eq!(s.status()["model"]["name"], "other");
    assert_eq!(s.status()["pictures"], 60);
    let hits = s.hits(&["--model", &other, "老虎"]);
    assert_eq!(hits.len(), 60);
    s.assert_sound();
}

/// A run that has begun to read files: the first one it meets is bad, and its report is the sign.
fn begun(s: &Sandbox) -> Running {
    s.write("photos/00.jpg", b"no picture");
    let mut command = s.command();
    command.args(["index", "photos", "--format", "json", "--batch-images", "1", "--threads", "1"]);
    let mut run = Running::start(command);
    run.wait_for("00.jpg");
    run
}

#[test]
fn an_interrupted_run_publishes_what_it_has_and_the_next_goes_on() {
    let s = Sandbox::new();
    for seed in 1..=300 {
        s.write(format!("photos/{seed:03}.png"), &pictures::png(seed));
    }
    let run = begun(&s);
    signal("INT", run.pid());
    let output = run.wait();
    output.exited(130);
    assert!(output.stderr.contains("stopping"), "{}", output.stderr);
    let summary = output.json();
    assert_eq!(summary["interrupted"], true);
    let added = count(&summary, "added");
    assert!(added < 300, "the run was through before it was interrupted");
    assert_eq!(s.names().len() as u64, added, "what was embedded can be found");
    s.assert_sound();
    let summary = s.index(&["photos"]);
    assert_counts(&summary, &[("added", 300 - added), ("unchanged", added), ("failed_before", 1)]);
    assert_eq!(s.names().len(), 300);
    s.assert_sound();
}

#[test]
fn an_interrupted_run_removes_nothing() {
    let s = Sandbox::with_indexed(2);
    for seed in 3..=200 {
        s.write(format!("photos/{seed:03}.png"), &pictures::png(seed));
    }
    std::fs::remove_file(s.photo("1.png")).unwrap();
    let run = begun(&s);
    signal("TERM", run.pid());
    let output = run.wait();
    output.exited(130);
    assert_eq!(count(&output.json(), "removed"), 0);
    assert!(s.names().contains(&"1.png".to_owned()));
    let summary = s.index(&["photos"]);
    assert_eq!(count(&summary, "removed"), 1);
    assert!(!s.names().contains(&"1.png".to_owned()));
}

#[test]
fn a_second_interruption_does_not_wait() {
    let s = Sandbox::new();
    for seed in 1..=300 {
        s.write(format!("photos/{seed:03}.png"), &pictures::png(seed));
    }
    let mut run = begun(&s);
    signal("INT", run.pid());
    run.wait_for("stopping");
    // It may have come to its end by itself meanwhile; both are in order.
    let _ = std::process::Command::new("kill")
        .args(["-INT", &run.pid().to_string()])
        .stderr(std::process::Stdio::null())
        .status();
    run.wait().exited(130);
    let kept = committed(&s);
    let summary = s.index(&["photos"]);
    assert_eq!(count(&summary, "added"), 300 - kept, "{summary:#}");
    assert_eq!(s.names().len(), 300);
}
