//! `classify` and `eval classification`: labels for pictures, and how often they are right.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;

use crate::demo::{data, graded};
use crate::harness::{Output, Sandbox, dot, tiny_model};
use crate::pictures;

/// What a line of JSON says of each label, best first: label, cosine, probability.
fn fits(line: &Value) -> Vec<(String, f64, Option<f64>)> {
    let labels = line["labels"].as_array().unwrap();
    let fit = |fit: &Value| {
        (fit["label"].as_str().unwrap().into(), fit["cosine"].as_f64().unwrap(), fit["probability"].as_f64())
    };
    labels.iter().map(fit).collect()
}

fn classify(s: &Sandbox, args: &[&str]) -> Output {
    s.run(&[&["classify", "--format", "json"], args].concat())
}

/// Things of the demo model's world, each with the pictures of the collection that show it and no other of
/// these things.
fn things() -> BTreeMap<String, Vec<PathBuf>> {
    let bare: Vec<_> = graded().into_iter().filter(|row| row.grade == "bare").collect();
    let shown_in = |picture: &String| bare.iter().filter(|row| row.fitting.contains(picture)).count();
    let only = |row: &Vec<String>| -> Vec<PathBuf> {
        let only = row.iter().filter(|picture| shown_in(picture) == 1);
        only.map(|picture| data().join("photos").join(picture)).collect()
    };
    bare.iter().map(|row| (row.prompt.clone(), only(&row.fitting))).collect()
}

#[test]
fn the_label_of_what_is_shown_comes_first() {
    let s = Sandbox::new();
    let things: Vec<(String, Vec<PathBuf>)> = things().into_iter().take(12).collect();
    let labels: Vec<&str> = things.iter().map(|(thing, _)| thing.as_str()).collect();
    let mut args = vec!["--model", "demo", "--labels"];
    let labels = labels.join(",");
    args.extend([labels.as_str(), "-k", "12"]);
    args.extend(things.iter().map(|(_, pictures)| pictures[0].to_str().unwrap()));
    let output = classify(&s, &args);
    let lines = output.succeeded().quietly().json_lines();
    assert_eq!(lines.len(), 12);
    for ((thing, pictures), line) in things.iter().zip(&lines) {
        assert_eq!(line["image"], pictures[0].to_str().unwrap());
        assert_eq!(line["model"], "demo");
        let fits = fits(line);
        assert_eq!((fits.len(), &fits[0].0), (12, thing), "{fits:?}");
        assert!(fits.windows(2).all(|pair| pair[0].1 >= pair[1].1 && pair[0].2 >= pair[1].2));
        let sum: f64 = fits.iter().map(|fit| fit.2.unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
}

#[test]
fn the_table_of_the_model_card_is_reproduced() {
    let reference = tiny_model().join("../reference.json");
    let card = serde_json::from_slice::<Value>(&fs::read(reference).unwrap()).unwrap()["card"].take();
    let prompts: Vec<&str> =
        card["prompts"].as_array().unwrap().iter().map(|prompt| prompt.as_str().unwrap()).collect();
    let s = Sandbox::new();
    let picture = RgbImage::from_fn(256, 256, |x, y| Rgb([x as u8, y as u8, (x ^ y) as u8]));
    s.write("card.png", &pictures::encode_rgb(picture, ImageFormat::Png));
    let labels = prompts.join("，");
    for (flags, expected) in
        [(&[][..], "probabilities"), (&["--reference-padding"], "probabilities_as_padded")]
    {
        let line = classify(&s, &[&["card.png", "--labels", &labels], flags].concat()).succeeded().json();
        let fits = fits(&line);
        for (prompt, expected) in prompts.iter().zip(card[expected].as_array().unwrap()) {
            let (_, _, found) = fits.iter().find(|(label, ..)| label == prompt).unwrap();
            let decimals = |probability: f64| format!("{probability:.3}");
            assert_eq!(decimals(found.unwrap()), decimals(expected.as_f64().unwrap()), "{prompt} {flags:?}");
        }
    }
}

#[test]
fn numbers_are_those_of_the_vectors() {
    let s = Sandbox::with_indexed(1);
    let labels = ["一只猫", "一只狗", "two cats"];
    let picture = s.embed("--image", &["photos/1.png"]).remove(0);
    let check = |texts: &dyn Fn(&str) -> Vec<String>, more: &[&str]| {
        let mut cosines = BTreeMap::new();
        for label in labels {
            let texts = texts(label);
            let vectors = s.embed("--text", &texts.iter().map(String::as_str).collect::<Vec<_>>());
            let mean: Vec<f64> =
                (0..picture.len()).map(|i| vectors.iter().map(|vector| vector[i]).sum::<f64>()).collect();
            cosines.insert(label, dot(&mean, &picture) / dot(&mean, &mean).sqrt());
        }
        let sum: f64 = cosines.values().map(|cosine| (100.0 * cosine).exp()).sum();
        let list = labels.join("、");
        let args = [&["photos/1.png", "--labels", &list], more].concat();
        for (label, cosine, probability) in fits(&classify(&s, &args).succeeded().json()) {
            let expected = cosines[label.as_str()];
            assert!((cosine - expected).abs() < 2e-6, "{label}: {cosine} instead of {expected}");
            let expected = (100.0 * expected).exp() / sum;
            assert!((probability.unwrap() - expected).abs() < 1e-4, "{label}: {probability:?}, {expected}");
        }
    };
    check(&|label| vec![label.to_owned()], &[]);
    check(&|label| vec![format!("一张{label}的照片")], &["--template", "一张{}的照片"]);
    // The unit vectors of the texts are averaged, not the probabilities.
    let both = ["--template", "一张{}的照片", "--template", "雪地里的{}"];
    check(&|label| vec![format!("一张{label}的照片"), format!("雪地里的{label}")], &both);
}

#[test]
fn one_label_alone_has_no_probability() {
    let s = Sandbox::with_indexed(1);
    let output = classify(&s, &["photos/1.png", "--labels", "猫"]);
    let fits = fits(&output.succeeded().json());
    assert_eq!((fits.len(), fits[0].2), (1, None));
    let text = s.embed("--text", &["猫"]).remove(0);
    assert!((fits[0].1 - dot(&text, &s.embed("--image", &["photos/1.png"])[0])).abs() < 2e-6);
    assert!(output.stderr.contains("give two or more"), "{}", output.stderr);
    let table = s.run(&["classify", "photos/1.png", "--labels", "猫", "-q"]);
    assert!(table.succeeded().quietly().text().starts_with("label  cosine\n猫"), "{}", table.text());
}

#[test]
fn a_broken_picture_does_not_stop_the_others() {
    let s = Sandbox::with_indexed(2);
    s.write("坏.jpg", b"\xff\xd8\xff\xe0 no more");
    let args = ["photos/1.png", "坏.jpg", "无.png", "photos/2.png", "--labels", "猫,狗,鸟", "--top", "2"];
    let output = classify(&s, &args);
    let lines = output.exited(2).json_lines();
    assert_eq!(lines.len(), 4, "a line a picture");
    assert_eq!((fits(&lines[0]).len(), fits(&lines[3]).len()), (2, 2));
    for (line, name) in lines[1..3].iter().zip(["坏.jpg", "无.png"]) {
        assert!(fits(line).is_empty() && line["error"].as_str().unwrap().contains(name), "{line}");
        assert!(output.stderr.lines().any(|line| line.starts_with("error: ") && line.contains(name)));
    }
    let output = s.run(&[&["classify"], &args[..]].concat());
    let text = output.exited(2).text();
    assert!(text.starts_with("photos/1.png\nlabel  probability  cosine\n"), "{text}");
    assert!(text.contains("\n\nphotos/2.png\nlabel "), "{text}");
    assert_eq!(text.lines().count(), 2 * 4 + 1, "{text}");
}

#[test]
fn labels_come_from_a_file_and_the_model_from_the_index() {
    let s = Sandbox::with_indexed(1);
    s.write("labels.txt", "猫\r\n\r\nn02084071\t 狗, 或狼 \n".as_bytes());
    let mut command = s.command();
    let args = ["classify", "photos/1.png", "--labels-file", "labels.txt", "--format", "json"];
    command.env_remove("TAIYI_MODEL").args(args);
    let line = crate::harness::finish(command, b"").succeeded().json();
    assert_eq!(line["model"], s.status()["model"]["name"]);
    let labels: BTreeSet<String> = fits(&line).into_iter().map(|(label, ..)| label).collect();
    assert_eq!(labels, BTreeSet::from(["猫".into(), "狗, 或狼".into()]));
    let dog = line["labels"].as_array().unwrap().iter().find(|fit| fit["label"] == "狗, 或狼").unwrap();
    assert_eq!(dog["class"], "n02084071");
}

#[test]
fn slips_are_refused_before_any_picture_is_read() {
    let s = Sandbox::new();
    let refused = |args: &[&str], parts: &[&str]| {
        s.run(&[&["classify", "无.png"], args].concat()).refused(parts);
    };
    refused(&["--labels", "猫,狗，猫"], &["\"猫\" is given twice"]);
    refused(&["--labels", "猫,"], &["a label is empty"]);
    refused(&["--labels", ""], &["a label is empty"]);
    refused(&["--labels", "猫,狗", "--template", "照片"], &["\"照片\"", "{}"]);
    refused(&["--labels", "猫,狗", "-k", "0"], &["-k 0"]);
    refused(&["--labels-file", "无.txt"], &["cannot read 无.txt"]);
    s.write("labels.txt", "猫\n狗\n猫\n".as_bytes());
    refused(&["--labels-file", "labels.txt"], &["line 3 of labels.txt", "line 1", "猫"]);
    let long = "好".repeat(511);
    refused(&["--labels", &format!("猫,{long}")], &["longer than the 512 tokens", "shorten"]);
    refused(&["--labels", "猫,狗", "--template", &format!("{long}{{}}")], &["longer than the 512 tokens"]);
    s.run(&["classify", "无.png"]).exited(2);
    s.run(&["classify", "无.png", "--labels", "猫", "--labels-file", "labels.txt"]).exited(2);
}

/// `eval classification` over `photos`, with the labels in `labels.txt`.
fn eval(s: &Sandbox, labels: &str, more: &[&str]) -> Output {
    s.write("labels.txt", labels.as_bytes());
    let args = ["eval", "classification", "--images", "photos", "--labels-file", "labels.txt"];
    s.run(&[&args[..], more].concat())
}

/// What it found for a class.
fn class<'a>(measured: &'a Value, name: &str) -> &'a Value {
    measured["classes"].as_array().unwrap().iter().find(|class| class["class"] == name).unwrap()
}

#[test]
fn a_folder_a_class_is_classified() {
    let s = Sandbox::new();
    let things = things();
    let mut firsts = BTreeMap::new();
    let labels: Vec<&str> = things.keys().map(String::as_str).collect();
    for (thing, pictures) in &things {
        for picture in pictures {
            // Below the folder of the class, at whatever depth.
            let copy = Path::new("photos").join(thing).join(picture.strip_prefix(data()).unwrap());
            s.write(&copy, &fs::read(picture).unwrap());
            firsts.insert(copy.to_str().unwrap().to_owned(), (thing.clone(), String::new()));
        }
    }
    let json = ["--model", "demo", "--format", "json"];
    let measured = eval(&s, &labels.join("\n"), &json).succeeded().json();
    assert_eq!((&measured["pictures"], &measured["labels"]), (&firsts.len().into(), &things.len().into()));
    let share = |name: &str| measured[name].as_f64().unwrap();
    assert!(share("top_1") >= 0.9 && share("top_5") >= 0.97 && share("top_5") <= 1.0, "{measured:#}");

    // The same as `classify` says of each picture.
    let paths: Vec<String> = firsts.keys().cloned().collect();
    let mut args = vec!["--model", "demo", "--labels-file", "labels.txt"];
    args.extend(paths.iter().map(String::as_str));
    for line in classify(&s, &args).succeeded().json_lines() {
        firsts.get_mut(line["image"].as_str().unwrap()).unwrap().1 = fits(&line)[0].0.clone();
    }
    for (thing, pictures) in &things {
        let found = class(&measured, thing);
        assert_eq!(found["pictures"], pictures.len());
        let of_this: Vec<&String> =
            firsts.values().filter(|(right, _)| right == thing).map(|(_, first)| first).collect();
        let right = of_this.iter().filter(|first| **first == thing).count();
        assert_eq!(found["top_1"], right as f64 / pictures.len() as f64, "{thing}");
        for wrong in found["taken_for"].as_array().unwrap() {
            let times = of_this.iter().filter(|first| wrong["label"] == ***first).count();
            assert_eq!(wrong["pictures"], times, "{thing}");
        }
    }

    // A table that says the same, of pictures wherever they lie.
    let table: String = firsts
        .iter()
        .map(|(path, (thing, _))| format!("{}\t{thing}\n", path.strip_prefix("photos/").unwrap()))
        .collect();
    s.write("classes.tsv", table.as_bytes());
    let by_table = eval(&s, &labels.join("\n"), &[&json[..], &["--classes", "classes.tsv"]].concat());
    let mut expected = measured.clone();
    // They are kept from run to run.
    expected["pictures_embedded"] = 0.into();
    assert_eq!(by_table.succeeded().json(), expected);
    assert!(!s.index_dir().exists());
}

#[test]
fn equal_scores_count_against_the_right_label() {
    let s = Sandbox::new();
    s.paint("a/1.png", 1);
    s.paint("b/2.png", 2);
    // To the tokenizer, these are the same.
    let measured = eval(&s, "a\tcat\nb\tCAT\n", &["--format", "json"]).succeeded().json();
    assert_eq!((&measured["top_1"], &measured["top_5"]), (&0.0.into(), &1.0.into()));
    assert_eq!(class(&measured, "a")["taken_for"][0]["label"], "CAT");
    let text = eval(&s, "a\tcat\nb\tCAT\n", &[]);
    let text = text.succeeded().text();
    assert!(
        text.starts_with("model tiny, 2 pictures, 2 labels, 1 template\nlabel  class  n   top-1"),
        "{text}"
    );
    assert!(text.contains("top-5 says nothing among 2 labels"), "{text}");
    assert!(text.contains("\nworst   top-1  taken for\ncat    0.0000  CAT 1\n"), "{text}");
}

#[test]
fn classes_of_one_label_are_told_and_measured() {
    let s = Sandbox::new();
    for (name, seed) in [("n02012849/1.png", 1), ("n03126707/2.png", 2), ("n02084071/3.png", 3)] {
        s.paint(name, seed);
    }
    // As ImageNet has it: the bird and the machine.
    let labels = "n02012849\t鹤\nn02084071\t狗\nn03126707\t鹤\n";
    let output = eval(&s, labels, &["--format", "json"]);
    let measured = output.succeeded().json();
    assert_eq!((&measured["pictures"], &measured["labels"]), (&3.into(), &3.into()));
    // Equal scores count against the right label, whichever it is.
    for bird_or_machine in ["n02012849", "n03126707"] {
        assert_eq!(class(&measured, bird_or_machine)["top_1"], 0.0);
    }
    let told = "1 class has the label of another, and cannot be told apart from it; the first: line 3 of labels.txt \
                repeats the label of line 1: 鹤";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    s.write("labels.txt", labels.as_bytes());
    let output = classify(&s, &["photos/n02084071/3.png", "--labels-file", "labels.txt"]);
    assert!(output.succeeded().stderr.contains(told), "{}", output.stderr);
    assert_eq!(fits(&output.json()).len(), 3);
}

#[test]
fn what_takes_no_part_is_told() {
    let s = Sandbox::new();
    for (name, seed) in [("猫/1.png", 1), ("猫/深/2.png", 2), ("鸟/3.png", 3), ("4.png", 4)] {
        s.paint(name, seed);
    }
    // The same content in the same class, and in another.
    s.paint("猫/再.png", 1);
    s.paint("狗/1.png", 1);
    s.write("photos/狗/坏.jpg", b"\xff\xd8\xff\xe0 no more");
    let output = eval(&s, "猫\n狗\n鱼\n", &["--format", "json"]);
    let measured = output.succeeded().json();
    assert_eq!((&measured["pictures"], &measured["failed"]), (&3.into(), &1.into()));
    assert_eq!(
        (&class(&measured, "猫")["pictures"], &class(&measured, "狗")["pictures"]),
        (&2.into(), &1.into())
    );
    assert_eq!(
        (&class(&measured, "鱼")["pictures"], &class(&measured, "鱼")["top_1"]),
        (&0.into(), &Value::Null)
    );
    assert_eq!(measured["classes_without_label"], serde_json::json!([{ "class": "鸟", "files": 1 }]));
    assert_eq!(measured["files_without_class"], 1);
    for told in [
        "1 file lies in no folder of photos",
        "1 class has no label, so that 1 file takes no part: 鸟",
        "1 class has no picture, and can only be wrong: 鱼",
        "1 picture is of more than one class",
    ] {
        assert!(output.stderr.contains(told), "{told}: {}", output.stderr);
    }
    let text = eval(&s, "猫\n狗\n鱼\n", &["--template", "一张{}的照片", "--template", "{}"]);
    let text = text.succeeded().text();
    assert!(
        text.contains("3 labels, 2 templates") && text.contains("\n鱼     0       –       –\n"),
        "{text}"
    );
    assert!(text.contains("1 file could not be read and took no part"), "{text}");

    s.write("classes.tsv", "猫/1.png\t猫\n狗/坏.jpg\t狗\n鸟/3.png\t鸟\n".as_bytes());
    let output = eval(&s, "猫\n狗\n", &["--classes", "classes.tsv", "--format", "json"]);
    let measured = output.succeeded().json();
    assert_eq!((&measured["pictures"], &measured["rows_left_out"]), (&1.into(), &1.into()));
    assert!(output.stderr.contains("1 row was left out") && output.stderr.contains("line 2 of classes.tsv"));
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let s = Sandbox::new();
    s.paint("猫/1.png", 1);
    eval(&s, "猫\n", &[]).refused(&["one label alone"]);
    eval(&s, "狗\n鸟\n", &[]).refused(&["no picture in photos", "the classes are 猫", "狗, 鸟"]);
    s.write("classes.tsv", "无.png\t猫\n".as_bytes());
    eval(&s, "狗\n猫\n", &["--classes", "classes.tsv"])
        .refused(&["line 1 of classes.tsv", "no picture 无.png"]);
    s.write("classes.tsv", b"1.png cat\n");
    eval(&s, "狗\n猫\n", &["--classes", "classes.tsv"]).refused(&["line 1", "0 tabs", "class"]);
    s.run(&["eval", "classification", "--images", "无", "--labels", "猫,狗"]).refused(&["--images 无"]);
    s.write("photos/猫/1.png", b"\x89PNG no more");
    eval(&s, "狗\n猫\n", &["-q"]).exited(2);
}
