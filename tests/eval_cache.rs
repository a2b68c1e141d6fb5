//! What `eval` keeps from one measurement to the next: pictures in an index of the cache or one's own, and captions.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Running, Sandbox, files_below};
use crate::pictures;
use crate::retrieval::{cache, embedded, eval, measured, two_captions_each};

/// The files of the cache with this ending.
fn cached(s: &Sandbox, ending: &str) -> Vec<PathBuf> {
    let found: Vec<PathBuf> =
        files_below(&cache(s)).into_iter().filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    assert!(!found.is_empty(), "{ending}");
    found
}

#[test]
fn a_second_run_embeds_what_is_new() {
    let s = Sandbox::new();
    two_captions_each(&s, 4);
    let first = eval(&s, "captions.tsv", &[]);
    assert_eq!(embedded(&first), (4, 8));
    let second = eval(&s, "captions.tsv", &[]);
    assert_eq!((embedded(&second), measured(&second)), ((0, 0), measured(&first)));
    assert!(second.stderr.contains("4 pictures are from an earlier run"), "{}", second.stderr);

    // Another picture under the same name, one more, one less, and another text.
    s.paint("2.png", 22);
    s.paint("5.png", 5);
    fs::remove_file(s.photo("4.png")).unwrap();
    let table: String = ["1", "2", "3", "5"].map(|n| format!("{n}.png\t第{n}张\n")).concat();
    s.write("other.tsv", table.as_bytes());
    let third = eval(&s, "other.tsv", &[]);
    assert_eq!(embedded(&third), (2, 1));
    assert_eq!(third.json()["pictures"], 4);
    let fresh = eval(&s, "other.tsv", &["--fresh"]);
    assert_eq!((embedded(&fresh), measured(&fresh)), ((4, 4), measured(&third)));
    // What another file of captions needs is still there.
    assert_eq!(embedded(&eval(&s, "other.tsv", &[])), (0, 0));

    // Another model, another cache.
    let other = crate::errors::other_model(&s);
    assert_eq!(embedded(&eval(&s, "other.tsv", &["--model", &other])), (4, 4));
    assert_eq!(embedded(&eval(&s, "other.tsv", &[])), (0, 0));
    assert!(!s.index_dir().exists());
}

#[test]
fn an_index_of_ones_own_takes_the_pictures() {
    let s = Sandbox::new();
    two_captions_each(&s, 3);
    let own = ["--index", "own"];
    let first = eval(&s, "captions.tsv", &own);
    assert_eq!(embedded(&first), (3, 6));
    assert_eq!(embedded(&eval(&s, "captions.tsv", &own)).0, 0);
    // It is an index as any other, and other folders may be in it.
    s.write("more/9.png", &pictures::png(9));
    s.run(&["index", "more", "--index", "own"]).succeeded();
    let again = eval(&s, "captions.tsv", &own);
    assert_eq!(measured(&again), measured(&first));
    let hits = s.run(&["query", "猫", "--index", "own", "--format", "json"]).succeeded().json();
    assert_eq!(hits["hits"].as_array().unwrap().len(), 4);
    eval(&s, "captions.tsv", &["--index", "own", "--fresh"]).refused(&["--fresh", "index --rebuild"]);
    assert!(!cache(&s).join("pictures").exists());
}

#[test]
fn another_model_of_the_same_dimension_is_refused_by_an_index_of_ones_own() {
    let s = Sandbox::new();
    two_captions_each(&s, 2);
    s.run(&["index", "photos", "--index", "own"]).succeeded();
    let other = crate::errors::other_model(&s);
    let told = ["was built with tiny", "--rebuild"];
    for args in [
        &["index", "photos"][..],
        &["query", "猫"],
        &["eval", "retrieval", "--images", "photos", "--captions", "captions.tsv"],
        &["eval", "classification", "--images", "photos", "--labels", "a,b", "--classes", "captions.tsv"],
    ] {
        if args[1] == "classification" {
            s.write("captions.tsv", b"1.png\ta\n2.png\tb\n");
        }
        s.run(&[args, &["--index", "own", "--model", &other]].concat()).refused(&told);
    }
}

#[test]
fn a_damaged_cache_is_only_a_cache() {
    let s = Sandbox::new();
    two_captions_each(&s, 4);
    let expected = measured(&eval(&s, "captions.tsv", &[]));
    let flip_last = |file: &Path| {
        let mut bytes = fs::read(file).unwrap();
        // Not in the last bytes, which may be padding.
        let at = bytes.len() / 2;
        bytes[at] ^= 0x10;
        fs::write(file, bytes).unwrap();
    };
    let texts =
        cached(&s, ".bin").into_iter().find(|path| path.parent().unwrap().ends_with("texts")).unwrap();
    flip_last(&texts);
    let output = eval(&s, "captions.tsv", &[]);
    assert_eq!((embedded(&output), measured(&output)), ((0, 8), expected.clone()));
    assert!(output.stderr.contains("is damaged, so texts are embedded anew"), "{}", output.stderr);
    fs::write(&texts, b"").unwrap();
    assert_eq!(embedded(&eval(&s, "captions.tsv", &[])), (0, 8));
    assert_eq!(embedded(&eval(&s, "captions.tsv", &[])), (0, 0));

    let vectors = cached(&s, "").into_iter().find(|path| path.to_str().unwrap().contains("vectors")).unwrap();
    for (file, damage) in [
        (
            cached(&s, "manifest.json").remove(0),
            &(|file: &Path| fs::write(file, "cut").unwrap()) as &dyn Fn(&Path),
        ),
        (vectors, &flip_last),
    ] {
        damage(&file);
        let output = eval(&s, "captions.tsv", &[]);
        assert_eq!((embedded(&output), measured(&output)), ((4, 0), expected.clone()), "{}", output.stderr);
        assert!(
            output.stderr.contains("damaged") && output.stderr.contains("embedding anew"),
            "{}",
            output.stderr
        );
        assert_eq!(embedded(&eval(&s, "captions.tsv", &[])), (0, 0));
    }

    // A cache that cannot be written is no reason to stop.
    fs::remove_dir_all(cache(&s).join("texts")).unwrap();
    fs::write(cache(&s).join("texts"), b"in the way").unwrap();
    let output = eval(&s, "captions.tsv", &[]);
    assert_eq!(measured(&output), expected);
    assert!(output.stderr.contains("could not be kept"), "{}", output.stderr);
}

#[test]
fn measurements_at_once_wait_for_each_other() {
    let s = Sandbox::new();
    two_captions_each(&s, 6);
    let start = || {
        let mut command = s.command();
        let args =
            ["eval", "retrieval", "--images", "photos", "--captions", "captions.tsv", "--format", "json"];
        command.args(args);
        Running::start(command)
    };
    let running = [start(), start(), start()];
    let outputs = running.map(Running::wait);
    let pictures: u64 = outputs.iter().map(|output| embedded(output).0).sum();
    assert_eq!(pictures, 6, "each picture once");
    assert_eq!(measured(&outputs[0]), measured(&outputs[1]));
    assert_eq!(measured(&outputs[0]), measured(&outputs[2]));
    let again = eval(&s, "captions.tsv", &[]);
    assert_eq!(embedded(&again), (0, 0));
    let texts: Vec<_> = cache(&s).join("texts").read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(texts.len(), 2, "the file and the lock: {texts:?}");
}

#[cfg(unix)]
#[test]
fn a_killed_measurement_leaves_nothing_half() {
    let s = Sandbox::new();
    s.write("photos/000.jpg", b"no picture");
    let mut table = String::new();
    for seed in 1..=60 {
        s.paint(format!("{seed:03}.png"), seed);
        table.push_str(&format!("{seed:03}.png\t第{seed}张\n"));
    }
    s.write("captions.tsv", table.as_bytes());
    let mut command = s.command();
    command.args(["eval", "retrieval", "--images", "photos", "--captions", "captions.tsv", "--threads", "1"]);
    let mut run = Running::start(command);
    run.wait_for("000.jpg");
    run.child.kill().unwrap();
    run.wait();
    let output = eval(&s, "captions.tsv", &[]);
    assert_eq!(output.succeeded().json()["pictures"], 60);
    assert!(!output.stderr.contains("damaged"), "{}", output.stderr);
    assert_eq!(measured(&output), measured(&eval(&s, "captions.tsv", &["--fresh"])));
}

#[test]
fn precisions_in_turn_keep_what_each_has_embedded() {
    let s = Sandbox::new();
    two_captions_each(&s, 3);
    for (precision, expected) in [("f32", (3, 6)), ("int8", (3, 6)), ("f32", (0, 0)), ("int8", (0, 0))] {
        let output = eval(&s, "captions.tsv", &["--precision", precision]);
        assert_eq!(embedded(&output), expected, "{precision}");
        assert!(!output.stderr.contains("embedded anew"), "{}", output.stderr);
    }
}

#[test]
fn each_way_of_decoding_has_its_own_pictures() {
    let s = Sandbox::new();
    two_captions_each(&s, 3);
    for (more, expected) in [(&[][..], 3), (&["--full-decode"], 3), (&[], 0), (&["--full-decode"], 0)] {
        assert_eq!(embedded(&eval(&s, "captions.tsv", more)).0, expected, "{more:?}");
    }
}
