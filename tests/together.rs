//! Several processes on one index.
#![cfg(unix)]

use crate::harness::{Running, Sandbox, assert_counts, signal};
use crate::pictures;

/// A run of `index` that has begun to read files, and is held there. The first file it meets is bad;
/// its report on standard error is the sign.
fn held_run(s: &Sandbox, pictures: u64) -> Running {
    s.write("photos/000.jpg", b"no picture");
    for seed in 0..pictures {
        s.write(format!("photos/new-{seed:03}.png"), &pictures::png(1000 + seed));
    }
    let mut command = s.command();
    command.args(["index", "photos", "--format", "json", "--batch-images", "1", "--threads", "1"]);
    let mut run = Running::start(command);
    run.wait_for("000.jpg");
    signal("STOP", run.pid());
    run
}

#[test]
fn a_second_writer_is_told_of_the_first() {
    let s = Sandbox::with_indexed(2);
    let run = held_run(&s, 60);
    let pid = format!("process {}", run.pid());
    for args in [&["index", "photos"][..], &["index", "photos", "--rebuild"], &["remove", "photos"]] {
        s.run(args).refused(&["writing", &pid, "wait"]);
    }
    signal("CONT", run.pid());
    let output = run.wait();
    assert_counts(&output.succeeded().json(), &[("added", 60), ("unchanged", 2), ("failed", 1)]);
    s.assert_sound();
}

#[test]
fn readers_work_while_a_writer_is_at_it() {
    let s = Sandbox::with_indexed(3);
    let before = s.hits(&["老虎"]);
    let run = held_run(&s, 60);
    crate::harness::assert_same_hits(&s.hits(&["老虎"]), &before);
    s.hits(&["--image", "photos/1.png"]);
    s.embed("--text", &["老虎"]);
    let status = s.status();
    assert_eq!((&status["pictures"], &status["files"]), (&3.into(), &3.into()));
    let output = s.run(&["verify", "--format", "json"]);
    assert_eq!(output.succeeded().json()["ledger_checked"], false);
    assert!(output.stderr.contains("another process"), "{}", output.stderr);
    signal("CONT", run.pid());
    run.wait().succeeded();
    assert_eq!(s.hits(&["老虎"]).len(), 63);
}

#[test]
fn a_dry_run_beside_a_writer_is_told_or_answered() {
    let s = Sandbox::with_indexed(1);
    let run = held_run(&s, 20);
    let dry = s.run(&["index", "photos", "--dry-run"]);
    if dry.code != Some(0) {
        dry.refused(&["writing"]);
    }
    signal("CONT", run.pid());
    run.wait().succeeded();
}

#[test]
fn two_first_runs_at_once_make_one_index() {
    let s = Sandbox::new();
    for seed in 1..=20 {
        s.paint(format!("{seed}.png"), seed);
    }
    let runs: Vec<Running> = (0..3)
        .map(|_| {
            let mut command = s.command();
            command.args(["index", "photos", "--format", "json"]);
            Running::start(command)
        })
        .collect();
    let outputs: Vec<_> = runs.into_iter().map(Running::wait).collect();
    let mut done = 0;
    for output in &outputs {
        if output.code == Some(0) {
            done += 1;
        } else {
            output.refused(&["writing"]);
        }
    }
    assert!(done >= 1);
    assert_eq!(s.names().len(), 20);
    s.assert_sound();
}

#[test]
fn queries_during_whole_runs_always_see_one_generation() {
    let s = Sandbox::with_indexed(2);
    for round in 0..4u64 {
        for seed in 0..4 {
            s.paint(format!("{round}-{seed}.png"), 100 + round * 4 + seed);
        }
        let mut command = s.command();
        command.args(["index", "photos", "--quiet"]);
        let mut run = Running::start(command);
        let (before, after) = (2 + round * 4, 2 + (round + 1) * 4);
        let mut seen = 0;
        while run.child.try_wait().unwrap().is_none() || seen == 0 {
            let found = s.hits(&["老虎"]).len() as u64;
            assert!(found == before || found == after, "{found} pictures in round {round}");
            seen += 1;
        }
        run.wait().succeeded().quietly();
        assert_eq!(s.hits(&["老虎"]).len() as u64, after);
    }
}
