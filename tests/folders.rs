//! Which files a walk takes: hidden ones, links, patterns, pipes.

use std::fs;

use crate::harness::{Sandbox, assert_counts, count};

#[test]
fn hidden_files_and_the_folders_of_systems_are_left_out_unless_asked_for() {
    let s = Sandbox::new();
    let hidden = [
        ".隐藏.png",
        ".git/1.png",
        "@eaDir/1.png",
        "node_modules/1.png",
        "System Volume Information/1.png",
        "$RECYCLE.BIN/1.png",
        "子/.缩略图/1.png",
    ];
    for (seed, path) in (10..).zip(hidden) {
        s.paint(path, seed);
    }
    s.paint("看得见.png", 1);
    assert_counts(&s.index(&["photos"]), &[("added", 1)]);
    assert_counts(&s.index(&["photos", "--hidden"]), &[("added", 7), ("unchanged", 1)]);
    assert_eq!(s.names().len(), 8);
    // Without the flag they are out of the index again.
    assert_counts(&s.index(&["photos"]), &[("removed", 7), ("unchanged", 1)]);
    assert_eq!(s.names(), ["看得见.png"]);
}

#[test]
fn a_hidden_folder_that_is_named_is_wanted() {
    let s = Sandbox::new();
    s.paint(".私人/1.png", 1);
    assert_counts(&s.index(&["photos/.私人"]), &[("added", 1)]);
}

#[test]
fn excluded_files_are_left_out_and_leave_the_index() {
    let s = Sandbox::new();
    for (seed, path) in
        [(1, "1.png"), (2, "截图/2.png"), (3, "旅行/截图/3.png"), (4, "旅行/4.gif.png"), (5, "旅行/5.png")]
    {
        s.paint(path, seed);
    }
    assert_counts(&s.index(&["photos"]), &[("added", 5)]);
    let args = ["photos", "--exclude", "截图", "--exclude", "*.gif.png"];
    assert_counts(&s.index(&args), &[("removed", 3), ("unchanged", 2)]);
    assert_eq!(s.names(), ["1.png", "旅行/5.png"]);
    // With a slash, a pattern means a path.
    assert_counts(
        &s.index(&["photos", "--exclude", "旅行/*.png"]),
        &[("added", 2), ("removed", 1), ("unchanged", 1)],
    );
    assert_eq!(s.names(), ["1.png", "截图/2.png", "旅行/截图/3.png"]);
}

#[test]
fn settings_of_a_walk_may_stand_in_the_config_file() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    s.paint(".2.png", 2);
    s.paint("草稿/3.png", 3);
    s.write("home/config/taiyi-search/config.toml", "hidden = true\nexclude = [\"草稿\"]\n".as_bytes());
    assert_counts(&s.index(&["photos"]), &[("added", 2)]);
    assert_eq!(s.names(), [".2.png", "1.png"]);
}

#[cfg(unix)]
#[test]
fn links_are_followed_only_when_asked_and_loops_end() {
    use std::os::unix::fs::symlink;
    let s = Sandbox::new();
    s.paint("1.png", 1);
    s.write("elsewhere/2.png", &crate::pictures::png(2));
    s.write("elsewhere/3.png", &crate::pictures::png(3));
    symlink(s.at("elsewhere"), s.photo("链接")).unwrap();
    symlink(s.at("elsewhere/3.png"), s.photo("三.png")).unwrap();
    symlink(s.photo(""), s.photo("回路")).unwrap();
    symlink("nowhere", s.photo("断.png")).unwrap();

    assert_counts(&s.index(&["photos"]), &[("added", 1)]);
    assert_eq!(s.names(), ["1.png"]);
    let followed = s.index(&["photos", "--follow-links"]);
    assert_counts(&followed, &[("added", 2), ("reused", 1), ("unchanged", 1)]);
    assert_eq!(count(&followed, "problems"), 0, "{followed:#}");
    assert_eq!(s.names(), ["1.png", "三.png", "链接/2.png"]);
    assert_eq!(s.status()["files"], 4);
}

#[cfg(unix)]
#[test]
fn a_root_reached_through_a_link_is_the_folder_itself() {
    let s = Sandbox::with_indexed(2);
    std::os::unix::fs::symlink(s.photo(""), s.at("别名")).unwrap();
    assert_counts(&s.index(&["别名"]), &[("unchanged", 2)]);
    assert_eq!(s.status()["roots"].as_array().unwrap().len(), 1);
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_never_opened() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    let pipe = s.photo("管道.jpg");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_counts(&s.index(&["photos"]), &[("added", 1)]);
    s.run(&["query", "--image", "photos/管道.jpg"]).refused(&["管道.jpg", "not a regular file"]);
    s.run(&["embed", "--image", "photos/管道.jpg"]).refused(&["管道.jpg", "not a regular file"]);
    let named = s.run(&["index", "photos/管道.jpg"]);
    named.exited(2);
    assert!(named.stderr.contains("neither a folder nor a regular file"), "{}", named.stderr);
    assert_eq!(s.names(), ["1.png"]);
}

#[test]
fn an_empty_folder_makes_an_empty_index() {
    let s = Sandbox::new();
    fs::create_dir(s.photo("空")).unwrap();
    assert_counts(&s.index(&["photos"]), &[]);
    let none = s.run(&["query", "两只老虎"]);
    none.exited(1).quietly();
    assert_eq!(none.text(), "");
    let status = s.status();
    assert_eq!((&status["pictures"], &status["files"]), (&0.into(), &0.into()));
    s.assert_sound();
}
