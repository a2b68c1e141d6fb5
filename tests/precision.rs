//! `--precision`: what an index remembers of it, and how near 8-bit numbers come.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::demo::graded;
use crate::harness::{Sandbox, assert_counts, assert_same_hits, files_below};

fn top_ten(s: &Sandbox, precision: &str, prompts: &[&str]) -> Vec<BTreeSet<String>> {
    let args = ["demo", "--format", "json", "-k", "10", "--precision", precision];
    let answers = s.run(&[&args[..], prompts].concat()).succeeded().json_lines();
    let path = |hit: &Value| hit["path"].as_str().unwrap().to_owned();
    answers.iter().map(|answer| answer["hits"].as_array().unwrap().iter().map(path).collect()).collect()
}

#[test]
fn int8_finds_what_f32_finds() {
    let s = Sandbox::new();
    let graded = graded();
    let prompts: Vec<&str> = graded.iter().map(|row| row.prompt.as_str()).collect();
    let (exact, coarse) = (top_ten(&s, "f32", &prompts), top_ten(&s, "int8", &prompts));
    assert_eq!((exact.len(), coarse.len()), (prompts.len(), prompts.len()));
    let common: usize = exact.iter().zip(&coarse).map(|(a, b)| a.intersection(b).count()).sum();
    let all: usize = exact.iter().map(BTreeSet::len).sum();
    assert_eq!(all, 10 * prompts.len());
    assert!(common as f64 >= 0.95 * all as f64, "{common} of {all}");
    assert_ne!(exact, coarse, "8 bits must have been used at all");
}

#[test]
fn an_index_keeps_its_precision() {
    let s = Sandbox::new();
    for seed in 1..=4 {
        s.paint(format!("{seed}.png"), seed);
    }
    assert_counts(&s.index(&["photos", "--precision", "int8"]), &[("added", 4)]);
    assert_eq!(s.status()["model"]["precision"], "int8");
    assert!(s.run(&["status"]).succeeded().text().contains("in int8 ("));

    // Nobody need say it again.
    let hits = s.hits(&["两只老虎"]);
    assert_same_hits(&s.hits(&["两只老虎", "--precision", "int8"]), &hits);
    s.paint("5.png", 5);
    assert_counts(&s.index(&["photos"]), &[("added", 1), ("unchanged", 4)]);
    for args in [&["query", "两只老虎"][..], &["index", "photos"]] {
        let refused = s.run(&[args, &["--precision", "f32"]].concat());
        refused.refused(&["in int8", "pass --precision int8", "--rebuild --precision f32"]);
    }
    // What compares nothing with the index takes any.
    s.run(&["embed", "--text", "两只老虎", "--precision", "f32"]).succeeded();

    assert_counts(&s.index(&["photos", "--rebuild", "--precision", "f32"]), &[("updated", 5)]);
    assert_eq!(s.status()["model"]["precision"], "f32");
    s.run(&["query", "两只老虎", "--precision", "int8"]).refused(&["pass --precision f32"]);
    s.assert_sound();
}

#[test]
fn it_is_set_like_the_model() {
    let s = Sandbox::with_indexed(1);
    let mut command = s.command();
    command.env("TAIYI_PRECISION", "int4").args(["status"]);
    crate::harness::finish(command, b"").refused(&["TAIYI_PRECISION", "f32 or int8"]);
    let refused = s.run(&["status", "--precision", "int4"]);
    assert!(refused.exited(2).stderr.contains("f32, int8"), "{}", refused.stderr);

    fs::create_dir_all(s.at("home/config/taiyi-search")).unwrap();
    s.write("home/config/taiyi-search/config.toml", b"precision = \"int8\"\n");
    s.run(&["query", "两只老虎"]).refused(&["--precision f32"]);
    s.run(&["query", "两只老虎", "--precision", "f32"]).succeeded();
    s.index(&["photos", "--rebuild"]);
    assert_eq!(s.status()["model"]["precision"], "int8");
}

#[test]
fn a_damaged_cache_is_mended_with_a_warning() {
    let s = Sandbox::new();
    let embed = || s.run(&["embed", "--text", "两只老虎", "--precision", "int8"]);
    let first = embed().succeeded().quietly().json();
    let kept =
        || files_below(&s.at("home/cache")).into_iter().find(|path| path.parent().unwrap().ends_with("int8"));
    let file = kept().unwrap();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 9]).unwrap();
    let again = embed();
    assert_eq!(again.succeeded().json(), first);
    assert!(again.stderr.contains("is made again"), "{}", again.stderr);
    assert_eq!(fs::read(kept().unwrap()).unwrap(), bytes);
    assert_eq!(embed().succeeded().quietly().json(), first);
}
