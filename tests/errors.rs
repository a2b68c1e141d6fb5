//! What a person may get wrong: one line on standard error, which says what to do.

use std::fs;

use crate::harness::{
    Sandbox, assert_counts, assert_same_hits, copy_dir, count, finish, listing, tiny_model,
};
use crate::pictures;

#[test]
fn slips_in_a_query_are_told() {
    let s = Sandbox::with_indexed(1);
    for (args, parts) in [
        (&["query", ""][..], &["empty", "两只老虎"][..]),
        (&["query", " \t　"], &["empty"]),
        (&["query", "--literal", " "], &["empty"]),
        (&["query", "after:2023"], &["only narrows down"]),
        (&["query", "猫 +"], &["nothing follows", "--literal"]),
        (&["query", "猫 + - 人"], &["nothing follows"]),
        (&["query", "0:猫"], &["weight", "above 0"]),
        (&["query", "老虎", "--plus", ""], &["--plus"]),
        (&["query", "老虎", "--minus", "2:"], &["--minus"]),
        (&["query", "猫 - 猫"], &["nothing to look for"]),
        (&["query", "-k", "0", "老虎"], &["-k 0", "from 1"]),
        (&["query", "老虎", "--min-score", "2"], &["--min-score", "-1 to 1"]),
        (&["query", "老虎", "--min-score", "nan"], &["--min-score"]),
        (&["query", "老虎", "--after", "昨天"], &["昨天", "2023年5月1日"]),
        (&["query", "老虎", "--before", "2023-02-30"], &["2023-02-30"]),
        (&["query", "老虎 after:2023-13"], &["2023-13"]),
        (&["query", "老虎 after:"], &["nothing follows"]),
        (&["query", "老虎", "--path", "["], &["\"[\""]),
        (&["query", "--image", "没有.png"], &["没有.png"]),
        (&["query", "@没有.png"], &["没有.png"]),
        (&["query", "老虎", "--threads", "0"], &["0 threads", "--threads"]),
        (&["query", "老虎", "--path", ""], &["path pattern", "empty"]),
        (&["embed", "--text", " "], &["--text"]),
        (&["embed", "--image", "没有.png"], &["没有.png"]),
        (&["embed", "--image", "photos"], &["photos", "folder"]),
        (&["index", "photos", "--exclude", "["], &["exclude", "\"[\""]),
        (&["index", "photos", "--threads", "0"], &["0 threads", "--threads"]),
    ] {
        let told = s.run(args);
        told.refused(parts);
    }
}

#[test]
fn an_empty_exclude_pattern_is_told() {
    let s = Sandbox::with_indexed(1);
    s.run(&["index", "photos", "--exclude", ""]).refused(&["exclude"]);
    assert_eq!(s.names(), ["1.png"]);
}

#[test]
fn query_files_that_are_no_pictures_are_told() {
    let s = Sandbox::with_indexed(1);
    s.write("文字.jpg", b"text");
    s.write("空.jpg", b"");
    s.write("断.png", &pictures::png(5)[..50]);
    for name in ["文字.jpg", "空.jpg", "断.png"] {
        s.run(&["query", "--image", name]).refused(&[name]);
        s.run(&["query", &format!("老虎 + @{name}")]).refused(&[name]);
        s.run(&["embed", "--image", name]).refused(&[name]);
    }
}

#[test]
fn a_prompt_that_is_too_long_is_refused_or_cut_with_a_note() {
    let s = Sandbox::with_indexed(3);
    let long = "虎".repeat(600);
    s.run(&["query", &long]).refused(&["512", "--truncate"]);
    s.run(&["query", "--literal", &long]).refused(&["512", "--truncate"]);
    s.run(&["query", "猫", "--minus", &long]).refused(&["512"]);
    let cut = s.run(&["query", &long, "--truncate", "--format", "json"]);
    assert_eq!(cut.succeeded().stderr.lines().count(), 1, "{}", cut.stderr);
    assert!(cut.stderr.contains("cut") && cut.stderr.contains("512"), "{}", cut.stderr);
    // 512 tokens are [CLS], 510 characters and [SEP].
    assert_same_hits(&s.hits_of(&cut.json()), &s.hits(&[&"虎".repeat(510)]));
    s.run(&["query", &"虎".repeat(510)]).succeeded().quietly();
    s.run(&["query", &"虎".repeat(511)]).refused(&["512"]);
    let embedded = s.run(&["embed", "--text", &long]);
    assert!(embedded.succeeded().stderr.contains("512"), "{}", embedded.stderr);
    assert_eq!(embedded.json()["token_ids"].as_array().unwrap().len(), 512);
}

#[test]
fn an_index_that_is_not_there_is_told() {
    let s = Sandbox::new();
    for args in [&["query", "老虎"][..], &["status"], &["verify"], &["remove", "photos"]] {
        s.run(args).refused(&["no index in", s.index_dir().to_str().unwrap(), "taiyi-search index PATH"]);
        assert!(!s.index_dir().exists(), "{args:?} made one");
    }
    // A folder of something else is no index either, and is left alone.
    s.write("index/notes.txt", b"mine");
    s.run(&["query", "老虎"]).refused(&["no index in"]);
    s.run(&["remove", "photos"]).refused(&["no index in"]);
    assert_eq!(fs::read_dir(s.index_dir()).unwrap().count(), 1);
}

#[test]
fn a_folder_cannot_be_indexed_into_itself() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    let before = listing(&s.photo(""));
    s.run(&["index", "photos", "--index", "photos"]).refused(&["photos", "--index"]);
    assert_eq!(listing(&s.photo("")), before, "nothing is written among the photos");
}

#[test]
fn embedding_needs_no_index() {
    let s = Sandbox::new();
    assert_eq!(s.embed("--text", &["老虎"])[0].len(), 64);
    assert!(!s.index_dir().exists());
}

/// The tiny model with another normalisation of its layers: the same shapes, other embeddings.
pub(crate) fn other_model(s: &Sandbox) -> String {
    let dir = s.at("other");
    copy_dir(&tiny_model(), &dir);
    let config = dir.join("image/config.json");
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("\"layer_norm_eps\": 1e-05"));
    fs::write(&config, text.replace("\"layer_norm_eps\": 1e-05", "\"layer_norm_eps\": 0.001")).unwrap();
    dir.to_str().unwrap().to_owned()
}

#[test]
fn another_model_is_refused_until_the_index_is_rebuilt() {
    let s = Sandbox::with_indexed(3);
    let other = other_model(&s);
    let before = s.hits(&["老虎"]);
    for args in [&["query", "老虎", "--model", &other][..], &["index", "photos", "--model", &other]] {
        s.run(args).refused(&["tiny", "--model", "--rebuild"]);
    }
    assert_same_hits(&s.hits(&["老虎"]), &before);

    let output = s.run(&["index", "photos", "--model", &other, "--rebuild", "--format", "json"]);
    let summary = output.succeeded().json();
    assert_eq!(count(&summary, "added") + count(&summary, "updated"), 3, "{summary:#}");
    assert_eq!(s.status()["model"]["name"], "other");
    s.run(&["query", "老虎"]).refused(&["other", "--model"]);
    let output = s.run(&["query", "老虎", "--format", "json", "--model", &other]);
    let after = s.hits_of(&output.succeeded().json());
    let scores = |hits: &[(String, f64)]| hits.iter().map(|(_, score)| *score).collect::<Vec<_>>();
    assert_ne!(scores(&after), scores(&before));
    s.assert_sound();
}

#[test]
fn other_weights_are_another_model() {
    let s = Sandbox::with_indexed(1);
    let dir = s.at("tiny");
    copy_dir(&tiny_model(), &dir);
    let weights = dir.join("text/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    // The mantissa of some weight in the middle of the file.
    let middle = bytes.len() / 8 * 4;
    bytes[middle] ^= 1;
    fs::write(&weights, bytes).unwrap();
    s.run(&["query", "老虎", "--model", dir.to_str().unwrap()]).refused(&["--model", "--rebuild"]);
}

#[test]
fn the_same_weights_as_a_pickle_are_the_same_model() {
    let s = Sandbox::with_indexed(3);
    let pickled = tiny_model().with_file_name("tiny-bin");
    let before = s.hits(&["老虎"]);
    assert_same_hits(&s.hits(&["老虎", "--model", pickled.to_str().unwrap()]), &before);
    let output = s.run(&["index", "photos", "--model", pickled.to_str().unwrap(), "--format", "json"]);
    assert_counts(&output.succeeded().json(), &[("unchanged", 3)]);
}

#[test]
fn a_model_that_has_moved_is_asked_for() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    copy_dir(&tiny_model(), &s.at("mine"));
    let run = |args: &[&str]| {
        let mut command = s.command();
        command.env_remove("TAIYI_MODEL").args(args);
        finish(command, b"")
    };
    run(&["index", "photos", "--model", "mine"]).succeeded();
    // Its folder was noted.
    run(&["query", "老虎"]).succeeded().quietly();
    run(&["index", "photos"]).succeeded();
    fs::rename(s.at("mine"), s.at("elsewhere")).unwrap();
    run(&["query", "老虎"]).refused(&["mine", "--model"]);
    run(&["index", "photos"]).refused(&["mine", "--model"]);
    run(&["query", "老虎", "--model", "elsewhere"]).succeeded().quietly();
    // What needs no model asks for none.
    run(&["status"]).succeeded().quietly();
    run(&["verify"]).succeeded().quietly();
    run(&["index", "photos", "--dry-run"]).succeeded();
}

#[test]
fn a_model_by_name_lies_in_the_data_folder() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    let run = |args: &[&str]| {
        let mut command = s.command();
        command.env_remove("TAIYI_MODEL").args(args);
        finish(command, b"")
    };
    let wanted = s.at("home/data/taiyi-search/models/taiyi-102m");
    let parts = ["taiyi-102m", "taiyi-search model fetch taiyi-102m", "model import DIR --as taiyi-102m"];
    run(&["index", "photos"]).refused(&parts);
    run(&["embed", "--text", "老虎"]).refused(&parts);
    assert!(!s.index_dir().exists());
    run(&["index", "photos", "--model", "没有这个"]).refused(&["没有这个", "taiyi-102m"]);
    run(&["index", "photos", "--model", "./没有"]).refused(&["./没有"]);
    copy_dir(&tiny_model(), &wanted);
    run(&["index", "photos"]).succeeded();
    run(&["query", "老虎"]).succeeded();
    assert_eq!(s.status()["model"]["name"], "taiyi-102m");
}

#[test]
fn a_damaged_model_is_told_by_its_file() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    let fresh = |name: &str| {
        copy_dir(&tiny_model(), &s.at(name));
        s.at(name)
    };
    let refused = |name: &str, parts: &[&str]| {
        s.run(&["index", "photos", "--model", &format!("./{name}")]).refused(parts);
        s.run(&["embed", "--text", "老虎", "--model", &format!("./{name}")]).refused(parts);
        assert!(!s.index_dir().exists());
    };
    for (n, file) in ["text/vocab.txt", "text/config.json", "image/model.safetensors", "image/config.json"]
        .iter()
        .enumerate()
    {
        let name = format!("without-{n}");
        fs::remove_file(fresh(&name).join(file)).unwrap();
        refused(&name, &[file.split('/').next().unwrap(), file.rsplit('/').next().unwrap()]);
    }
    for (n, file) in ["text/model.safetensors", "image/model.safetensors"].iter().enumerate() {
        let name = format!("cut-{n}");
        let path = fresh(&name).join(file);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        refused(&name, &[file]);
    }
    let name = "garbled";
    fs::write(fresh(name).join("text/config.json"), b"{ not json").unwrap();
    refused(name, &["text/config.json"]);
    fs::remove_dir_all(fresh("half").join("image")).unwrap();
    refused("half", &["image"]);
}

#[test]
fn the_config_file_is_checked() {
    let s = Sandbox::with_indexed(1);
    let run = |config: Option<&str>| {
        let mut command = s.command();
        if let Some(config) = config {
            command.env("TAIYI_CONFIG", config);
        }
        command.args(["query", "老虎"]);
        finish(command, b"")
    };
    s.write("slip.toml", b"modle = \"demo\"\n");
    run(Some("slip.toml")).refused(&["slip.toml", "modle"]);
    s.write("broken.toml", b"threads = [1\n\n= 3");
    run(Some("broken.toml")).refused(&["broken.toml"]);
    s.write("zero.toml", b"threads = 0\n");
    run(Some("zero.toml")).refused(&["threads"]);
    run(Some("没有.toml")).refused(&["没有.toml"]);
    s.write("home/config/taiyi-search/config.toml", b"threads = \"many\"\n");
    run(None).refused(&["config.toml", "threads"]);
    s.write("home/config/taiyi-search/config.toml", b"threads = 1\ncolor = \"never\"\n");
    run(None).succeeded().quietly();
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_config_file() {
    let s = Sandbox::with_indexed(2);
    s.write("other/9.png", &pictures::png(9));
    s.run(&["index", "other", "--index", "by-flag"]).succeeded();
    s.write("config.toml", b"index = \"by-config\"\n");
    let lines = |environment: bool, args: &[&str]| {
        let mut command = s.command();
        command.env("TAIYI_CONFIG", "config.toml").args(args);
        if !environment {
            command.env_remove("TAIYI_INDEX");
        }
        finish(command, b"")
    };
    assert_eq!(lines(true, &["query", "老虎", "--index", "by-flag"]).succeeded().text().lines().count(), 1);
    assert_eq!(lines(true, &["query", "老虎"]).succeeded().text().lines().count(), 2);
    lines(false, &["query", "老虎"]).refused(&["by-config"]);
}

#[test]
fn without_any_settings_the_index_lies_in_the_data_folder() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    let mut command = s.command();
    command.env_remove("TAIYI_INDEX").args(["index", "photos"]);
    finish(command, b"").succeeded();
    assert!(s.at("home/data/taiyi-search/index/manifest.json").is_file());
    let written: Vec<_> = fs::read_dir(s.base()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(written.len(), 2, "only home and photos: {written:?}");
}
