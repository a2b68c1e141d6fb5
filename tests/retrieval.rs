//! `eval retrieval`: the layouts of data sets, and the files for Chinese-CLIP's evaluation, which an evaluation of our
//! own reads back here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::demo::data;
use crate::harness::{Output, Sandbox, copy_dir, dot, tiny_model};

/// `eval retrieval` of `photos` with the captions in `file`.
pub(crate) fn eval(s: &Sandbox, file: &str, more: &[&str]) -> Output {
    let args = ["eval", "retrieval", "--images", "photos", "--captions", file, "--format", "json"];
    s.run(&[&args[..], more].concat())
}

/// What was measured, without what depends on earlier runs.
pub(crate) fn measured(output: &Output) -> Value {
    let mut json = output.succeeded().json();
    for name in ["pictures_embedded", "captions_embedded"] {
        json.as_object_mut().unwrap().remove(name).unwrap();
    }
    json
}

pub(crate) fn embedded(output: &Output) -> (u64, u64) {
    let json = output.succeeded().json();
    (json["pictures_embedded"].as_u64().unwrap(), json["captions_embedded"].as_u64().unwrap())
}

/// Pictures 1 to `n`, and two captions of each in the first layout.
pub(crate) fn two_captions_each(s: &Sandbox, n: u64) {
    let mut table = String::new();
    for picture in 1..=n {
        s.paint(format!("{picture}.png"), picture);
        table.push_str(&format!("{picture}.png\t第{picture}张\n{picture}.png\t图画{picture}号\n"));
    }
    s.write("captions.tsv", table.as_bytes());
}

pub(crate) fn cache(s: &Sandbox) -> PathBuf {
    s.at("home/cache/taiyi-search/eval")
}

#[test]
fn every_layout_says_the_same_of_the_demo() {
    let s = Sandbox::new();
    let captions = fs::read_to_string(data().join("captions.tsv")).unwrap();
    let rows: Vec<(&str, &str)> = captions.lines().map(|line| line.split_once('\t').unwrap()).collect();
    let stem = |path: &str| Path::new(path).with_extension("").to_str().unwrap().to_owned();
    let write = |name: &str, head: &str, row: &dyn Fn(usize, &str, &str) -> String| {
        let lines = rows.iter().enumerate().map(|(index, (path, text))| row(index, path, text));
        s.write(name, (head.to_owned() + &lines.collect::<String>()).as_bytes());
    };
    write("coco.txt", "", &|index, path, text| format!("{}#{index}\t{text}\n", stem(path)));
    write("flickr.txt", "", &|_, path, text| format!("{path}#zhm#0 {text}\r\n"));
    write("wukong.csv", "dir,caption\n", &|_, path, text| format!("test/{path},\"{text}\"\n"));
    write("url.csv", "\u{feff}url,caption\n", &|_, path, text| {
        let name = path.rsplit('/').next().unwrap();
        format!("https://example.com/a/{name}?w=1,{text}\n")
    });
    write("muge.jsonl", "", &|index, path, text| {
        json!({ "query_id": index, "query_text": text, "item_ids": [stem(path)] }).to_string() + "\n"
    });
    write("texts.json", "", &|index, path, text| {
        json!({ "text_id": index, "text": text, "image_ids": [path] }).to_string() + "\n"
    });
    let photos = data().join("photos");
    let eval = |file: &str, more: &[&str]| {
        let images = photos.to_str().unwrap();
        let args = ["eval", "retrieval", "--model", "demo", "--images", images, "--format", "json"];
        s.run(&[&args[..], &["--captions", file], more].concat())
    };
    let table = data().join("captions.tsv");
    let first = eval(table.to_str().unwrap(), &[]);
    assert_eq!(embedded(&first), (rows.len() as u64, rows.len() as u64));
    let mut expected = measured(&first);
    assert_eq!(expected["candidates"].take(), "folder");
    for (file, more) in [
        ("coco.txt", &[][..]),
        ("coco.txt", &["--layout", "flickr30k-cna"]),
        ("flickr.txt", &[]),
        ("wukong.csv", &[]),
        ("url.csv", &["--layout", "wukong"]),
        ("muge.jsonl", &[]),
        ("texts.json", &["--layout", "muge"]),
    ] {
        let output = eval(file, more);
        let mut told = measured(&output);
        let is_muge = file == "muge.jsonl" || file == "texts.json";
        assert_eq!(told["candidates"].take(), if is_muge { "folder" } else { "captions" }, "{file}");
        assert_eq!(told, expected, "{file}");
        assert_eq!(embedded(&output), (0, 0), "{file}");
    }
    // What is kept for one command serves the other.
    let images = photos.to_str().unwrap();
    let labels = "乐器,水果,建筑";
    let classes = s.write(
        "classes.tsv",
        captions
            .lines()
            .map(|line| format!("{}\t乐器\n", line.split_once('\t').unwrap().0))
            .collect::<String>()
            .as_bytes(),
    );
    let args =
        ["eval", "classification", "--model", "demo", "--images", images, "--labels", labels, "--classes"];
    let output = s.run(&[&args[..], &[classes.to_str().unwrap(), "--format", "json"]].concat());
    assert_eq!(output.succeeded().json()["pictures_embedded"], 0);
    assert!(!s.index_dir().exists());
}

/// R@1, R@5, R@10 in per cent as Chinese-CLIP's evaluation defines them: among exactly ten distinct answers to a
/// query, one that is right stands within k.
fn recall_of_files(s: &Sandbox, truth: &str, predictions: &str, query: &str, answers: &str) -> [f64; 3] {
    let read = |file: &str| -> BTreeMap<u64, Vec<u64>> {
        let text = fs::read_to_string(s.at("out").join(file)).unwrap();
        let row = |line: &str| {
            let row: Value = serde_json::from_str(line).unwrap();
            let answers = row[answers].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
            (row[query].as_u64().unwrap(), answers)
        };
        let rows: Vec<(u64, Vec<u64>)> = text.lines().map(row).collect();
        let count = rows.len();
        let rows: BTreeMap<_, _> = rows.into_iter().collect();
        assert_eq!(rows.len(), count, "{file} answers a query twice");
        rows
    };
    let (truth, predictions) = (read(truth), read(predictions));
    assert!(truth.keys().eq(predictions.keys()));
    [1, 5, 10].map(|k| {
        let is_found = |(query, right): &(&u64, &Vec<u64>)| {
            let found = &predictions[query];
            assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len()), (10, 10));
            right.iter().any(|right| found[..k].contains(right))
        };
        100.0 * truth.iter().filter(is_found).count() as f64 / truth.len() as f64
    })
}

/// The same from the vectors alone: the share of queries with a right answer that fewer than `k` wrong ones reach.
fn recall_of_vectors(
    queries: &[Vec<f64>],
    candidates: &[Vec<f64>],
    is_right: &dyn Fn(usize, usize) -> bool,
) -> [f64; 3] {
    let ranks: Vec<usize> = queries
        .iter()
        .enumerate()
        .map(|(query, vector)| {
            // Vectors are printed with some digits: what differs by less was equal.
            let scores: Vec<f64> = candidates.iter().map(|candidate| dot(vector, candidate)).collect();
            let right = (0..scores.len()).filter(|&c| is_right(query, c)).map(|c| scores[c]);
            let best = right.fold(f64::NEG_INFINITY, f64::max);
            1 + (0..scores.len()).filter(|&c| !is_right(query, c) && scores[c] > best - 1e-7).count()
        })
        .collect();
    [1, 5, 10].map(|k| 100.0 * ranks.iter().filter(|rank| **rank <= k).count() as f64 / ranks.len() as f64)
}

fn recall_told(direction: &Value) -> [f64; 3] {
    ["1", "5", "10"].map(|k| 100.0 * direction["recall"][k].as_f64().unwrap())
}

#[track_caller]
fn assert_close(a: &[f64], b: &[f64]) {
    assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} {b:?}");
}

#[test]
fn an_evaluation_from_the_definition_comes_to_the_same_numbers() {
    let s = Sandbox::new();
    let numbers: Vec<u64> = (0..24).map(|i| 1000 + 7 * i).collect();
    for number in &numbers {
        s.paint(format!("{number}.png"), *number);
    }
    // Several pictures a text, several texts a picture, and texts that say the same of others: equal scores.
    let words = ["猫", "狗", "海边的日落", "一个苹果", "雪地", "夜空", "三辆汽车", "森林"];
    let texts: Vec<(u64, &str, Vec<u64>)> = (0..40)
        .map(|i: usize| {
            let right = (0..=i % 3).map(|j| numbers[(5 * i + 9 * j) % numbers.len()]);
            (500 + i as u64, words[i % words.len()], right.collect())
        })
        .collect();
    let lines = texts.iter().map(|(id, text, right)| {
        json!({ "text_id": id, "text": text, "image_ids": right }).to_string() + "\n"
    });
    s.write("texts.jsonl", lines.collect::<String>().as_bytes());
    let output = eval(&s, "texts.jsonl", &["--export", "out"]);
    let told = output.succeeded().json();
    let (there, back) = (&told["text_to_image"], &told["image_to_text"]);

    // From the files, whose numbers are those of the data set.
    let of_texts = recall_of_files(&s, "texts.jsonl", "predictions.jsonl", "text_id", "image_ids");
    let of_pictures = recall_of_files(&s, "texts.tr.jsonl", "tr_predictions.jsonl", "image_id", "text_ids");
    assert_close(&recall_told(there), &of_texts);
    assert_close(&recall_told(back), &of_pictures);
    let mean = |of: &[f64; 3]| of.iter().sum::<f64>() / 300.0;
    let close = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-9;
    assert!(close(&there["mean_recall"], mean(&of_texts)) && close(&back["mean_recall"], mean(&of_pictures)));
    assert!(close(&told["mean_recall"], (mean(&of_texts) + mean(&of_pictures)) / 2.0));
    let truth: Vec<Value> = fs::read_to_string(s.at("out/texts.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (row, (id, text, right)) in truth.iter().zip(&texts) {
        assert_eq!((&row["text_id"], &row["text"]), (&(*id).into(), &(*text).into()));
        let found: BTreeSet<u64> =
            row["image_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
        assert_eq!(found, right.iter().copied().collect());
    }

    // From the vectors, without any of the program's ranking.
    let vectors = s.embed("--text", &texts.iter().map(|(_, text, _)| *text).collect::<Vec<_>>());
    let paths: Vec<String> = numbers.iter().map(|number| format!("photos/{number}.png")).collect();
    let pictures = s.embed("--image", &paths.iter().map(String::as_str).collect::<Vec<_>>());
    let is_right = |text: usize, picture: usize| texts[text].2.contains(&numbers[picture]);
    assert_close(&recall_told(there), &recall_of_vectors(&vectors, &pictures, &is_right));
    assert_close(&recall_told(back), &recall_of_vectors(&pictures, &vectors, &|p, t| is_right(t, p)));
    // Neither everything nor nothing is found, or this would say little.
    assert!(of_texts[0] < 60.0 && of_texts[2] > of_texts[0] && of_pictures[2] > of_pictures[0]);
}

#[test]
fn files_that_are_there_are_replaced_only_when_asked() {
    let s = Sandbox::new();
    two_captions_each(&s, 3);
    s.write("out/predictions.jsonl", b"mine");
    eval(&s, "captions.tsv", &["--export", "out"])
        .refused(&["out/predictions.jsonl is there", "--overwrite"]);
    assert!(!cache(&s).exists(), "told before anything is embedded");
    assert_eq!(fs::read(s.at("out/predictions.jsonl")).unwrap(), b"mine");
    let output = eval(&s, "captions.tsv", &["--export", "out", "--overwrite"]);
    assert!(output.succeeded().stderr.contains("only 3"), "{}", output.stderr);
    let names: BTreeSet<String> = s
        .at("out")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let all = ["images.tsv", "predictions.jsonl", "texts.jsonl", "texts.tr.jsonl", "tr_predictions.jsonl"];
    assert_eq!(names, all.map(str::to_owned).into());
    assert_eq!(fs::read_to_string(s.at("out/images.tsv")).unwrap(), "0\t1.png\n1\t2.png\n2\t3.png\n");
    // A picture without a caption: the other direction is not measured, and nothing of it stays.
    s.paint("4.png", 4);
    eval(&s, "captions.tsv", &["--export", "out", "--overwrite"]).succeeded();
    assert!(!s.at("out/texts.tr.jsonl").exists() && !s.at("out/tr_predictions.jsonl").exists());
    eval(&s, "captions.tsv", &["--overwrite"]).exited(2);
    eval(&s, "captions.tsv", &["--export", "captions.tsv"]).refused(&["captions.tsv is not a folder"]);
}

/// A folder with the tiny model in it, under the name of a published one.
fn as_published(s: &Sandbox, name: &str) {
    copy_dir(&tiny_model(), &s.at("home/data/taiyi-search/models").join(name));
}

#[test]
fn published_numbers_stand_beside() {
    let s = Sandbox::new();
    two_captions_each(&s, 3);
    as_published(&s, "taiyi-102m");
    let published = ["--model", "taiyi-102m", "--published"];
    let told =
        eval(&s, "captions.tsv", &[&published[..], &["coco-cn", "-k", "2"]].concat()).succeeded().json();
    let beside = &told["published"];
    assert_eq!((&beside["set"], &beside["published"]["5"]), (&"coco-cn".into(), &0.517.into()));
    let here = beside["measured"]["5"].as_f64().unwrap();
    assert!((beside["difference"]["5"].as_f64().unwrap() - (here - 0.517)).abs() < 1e-9);
    assert_eq!(told["text_to_image"]["recall"].as_object().unwrap().len(), 1, "-k stays what it is");
    let args = ["eval", "retrieval", "--images", "photos", "--captions", "captions.tsv"];
    let text = s.run(&[&args[..], &published, &["coco-cn"]].concat());
    let text = text.succeeded().text();
    let row = text.lines().find(|line| line.starts_with("published on coco-cn ")).unwrap();
    assert!(row.split_whitespace().skip(3).eq(["25.47", "51.70", "63.07"]), "{text}");
    assert!(text.contains("+48.30") && text.contains("mean recall of both directions"), "{text}");

    let refused = |more: &[&str], parts: &[&str]| {
        eval(&s, "captions.tsv", more).refused(parts);
    };
    refused(
        &[&published[..], &["flickr30k-cna"]].concat(),
        &["taiyi-102m on flickr30k-cna", "taiyi-326m, taiyi-102m-vit-l"],
    );
    refused(&["--published", "coco-cn"], &["the model tiny on coco-cn", "taiyi-102m"]);
    refused(
        &[&published[..], &["imagenet1k-cn"]].concat(),
        &["eval classification --published imagenet1k-cn"],
    );
    eval(&s, "captions.tsv", &["--published", "imagenet"]).exited(2);

    s.paint("猫/1.png", 11);
    s.paint("狗/2.png", 12);
    let args = ["eval", "classification", "--images", "photos", "--labels", "猫,狗", "--model", "taiyi-102m"];
    let classify = |set: &str, more: &[&str]| s.run(&[&args[..], &["--published", set], more].concat());
    let told = classify("imagenet1k-cn", &["--format", "json"]).succeeded().json();
    assert_eq!(told["published"]["published"], json!({ "1": 0.41, "5": 0.6919 }));
    assert_eq!(told["published"]["measured"]["1"], told["top_1"]);
    let text = classify("imagenet1k-cn", &[]);
    assert!(text.succeeded().text().contains("published on imagenet1k-cn"), "{}", text.text());
    classify("coco-cn", &[]).refused(&["eval retrieval --published coco-cn"]);
}

#[test]
fn pictures_that_are_not_there_are_told_and_others_stand_apart() {
    let s = Sandbox::new();
    for picture in 1..=4 {
        s.paint(format!("val/COCO_val2014_00000000000{picture}.png"), picture);
    }
    // A note beside a picture is not the picture.
    s.write("photos/val/COCO_val2014_000000000001.txt", b"a note");
    let id = |n: u64| format!("COCO_val2014_00000000000{n}");
    let caps = format!("{}#0\t猫\n{}#1\t狗\n{}#0\t雪\n{}#0\t海\n", id(1), id(1), id(2), id(9));
    s.write("caps.txt", caps.as_bytes());
    let output = eval(&s, "caps.txt", &[]);
    let told = output.succeeded().json();
    // Pictures 3 and 4 are of another part of COCO, and are neither embedded nor in the way.
    assert_eq!(
        (&told["pictures"], &told["captions"], &told["pictures_embedded"]),
        (&2.into(), &3.into(), &2.into())
    );
    assert_eq!((&told["captions_without_picture"], &told["pictures_missing"]), (&1.into(), &1.into()));
    assert_eq!(told["image_to_text"]["queries"], 2);
    for part in [
        "1 picture is not in photos",
        "1 caption takes no part",
        "line 4 of caps.txt: COCO_val2014_000000000009",
    ] {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
    // All are candidates where the layout says so.
    let muge = json!({ "query_id": 1, "query_text": "猫", "item_ids": [id(1), id(3), id(8)] }).to_string();
    s.write("muge.jsonl", muge.as_bytes());
    let output = eval(&s, "muge.jsonl", &[]);
    let told = output.succeeded().json();
    assert_eq!(
        (&told["pictures"], &told["captions"], &told["pictures_missing"]),
        (&4.into(), &1.into(), &1.into())
    );
    assert_eq!((&told["captions_without_picture"], &told["pictures_embedded"]), (&0.into(), &2.into()));
    let part = "1 picture is not in photos, though every caption has another that is; the first is line 1 of muge.jsonl";
    assert!(output.stderr.contains(part), "{}", output.stderr);
    assert_eq!(told["image_to_text"], Value::Null);

    s.write("none.txt", format!("{}#0\t猫\n", id(9)).as_bytes());
    eval(&s, "none.txt", &[]).refused(&["none of the pictures is in photos", "line 1 of none.txt"]);
    s.paint("train/COCO_val2014_000000000001.png", 7);
    eval(&s, "caps.txt", &[]).refused(&["line 1 of caps.txt", "val/COCO", "train/COCO"]);
}

#[test]
fn candidates_are_those_of_the_data_sets_list() {
    let s = Sandbox::new();
    for number in 1..=6 {
        s.paint(format!("{number}.png"), number);
    }
    let text = |id: u64, picture: u64| {
        json!({ "text_id": id, "text": format!("第{picture}张"), "image_ids": [picture] }).to_string() + "\n"
    };
    s.write("valid_texts.jsonl", (text(1, 1) + &text(2, 2)).as_bytes());
    let candidates = |output: &Output| {
        let told = output.succeeded().json();
        let [pictures, missing] = ["pictures", "candidates_missing"].map(|name| told[name].as_u64().unwrap());
        (told["candidates"].as_str().unwrap().to_owned(), pictures, missing)
    };
    let without = eval(&s, "valid_texts.jsonl", &[]);
    assert_eq!(candidates(&without), ("folder".into(), 6, 0));

    // The list beside the texts, with the pictures themselves in it, one of which is not in the folder.
    s.write("valid_imgs.tsv", "1\t/9j/4AAQ\n2\tSkZJ\n4\tRgAB\n77\tAQAB\n".as_bytes());
    let beside = eval(&s, "valid_texts.jsonl", &[]);
    assert_eq!(candidates(&beside), ("list".into(), 3, 1));
    for part in ["1 picture that valid_imgs.tsv lists is not in photos", "line 4 of valid_imgs.tsv: 77"] {
        assert!(beside.stderr.contains(part), "{part}: {}", beside.stderr);
    }
    let args = ["eval", "retrieval", "--images", "photos", "--captions", "valid_texts.jsonl"];
    let shown = s.run(&args);
    let shown = shown.succeeded().text();
    assert!(
        shown.starts_with("model tiny, 2 captions, 3 candidates: the pictures that valid_imgs.tsv lists\n"),
        "{shown}"
    );
    assert!(shown.contains("1 candidate is not there"), "{shown}");

    // A list of one's own, for any layout; it must have what is asked for.
    s.write("captions.tsv", "1.png\t猫\n".as_bytes());
    s.write("list.txt", "1.png\r\n5.png\r\n".as_bytes());
    assert_eq!(candidates(&eval(&s, "captions.tsv", &[])), ("folder".into(), 6, 0));
    assert_eq!(candidates(&eval(&s, "captions.tsv", &["--candidates", "list.txt"])), ("list".into(), 2, 0));
    eval(&s, "valid_texts.jsonl", &["--candidates", "list.txt"])
        .refused(&["line 2 of valid_texts.jsonl: 2.png is not among", "list.txt lists"]);
    s.write("list.txt", b"\n");
    eval(&s, "captions.tsv", &["--candidates", "list.txt"]).refused(&["list.txt lists no pictures"]);
    s.write("list.txt", b"1\n\xff\n");
    eval(&s, "captions.tsv", &["--candidates", "list.txt"]).refused(&["line 2 of list.txt is not UTF-8"]);
}

#[test]
fn slips_in_every_layout_are_told_with_their_line() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    for (file, text, parts) in [
        ("a.txt", "1#0\t猫\n1 狗\n", &["line 2 of a.txt", "picture#number"][..]),
        ("a.csv", "dir,caption\n1.png,猫\n1.png,猫,狗\n", &["line 3 of a.csv has 3 columns"]),
        ("a.csv", "dir,caption\n1.png,\"猫\n", &["line 2 of a.csv opens a quote"]),
        ("a.csv", "path,text\n", &["a.csv does not begin with dir,caption"]),
        (
            "a.jsonl",
            "{\"text_id\": 1, \"text\": \"猫\", \"image_ids\": []}\n",
            &["line 1 of a.jsonl", "image_ids is empty"],
        ),
        ("a.jsonl", "{\"text_id\": 1,\n", &["line 1 of a.jsonl", "expected a JSON object"]),
    ] {
        s.write(file, text.as_bytes());
        eval(&s, file, &[]).refused(parts);
    }
    s.write("gb.csv", b"dir,caption\n1.png,\xc3\xa8\n1.png,\xb0\xa1\n");
    eval(&s, "gb.csv", &[]).refused(&["line 3 of gb.csv is not UTF-8"]);
    assert!(!cache(&s).exists(), "told before anything is embedded");
}
