//! What the demo model means: the built-in model and collection, through the whole program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{
    Output, Running, Sandbox, assert_same_hits, dot, files_below, finish, generations, vector,
};

/// What is committed beside the code.
pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../index-data").canonicalize().unwrap()
}

/// What `demo` asks when it is given nothing to ask.
const DEFAULT_PROMPTS: [&str; 4] = ["两只老虎", "三辆汽车", "雪地里的企鹅", "森林里的猫"];

/// A line of `queries.tsv`.
pub(crate) struct Graded {
    pub(crate) grade: String,
    pub(crate) prompt: String,
    pub(crate) fitting: Vec<String>,
}

pub(crate) fn graded() -> Vec<Graded> {
    let table = fs::read_to_string(data().join("queries.tsv")).unwrap();
    let row = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [grade, prompt, fitting] = columns[..] else { panic!("{line}") };
        let fitting = fitting.split('|').map(str::to_owned).collect();
        Graded { grade: grade.to_owned(), prompt: prompt.to_owned(), fitting }
    };
    table.lines().map(row).collect()
}

/// The path of a hit below the collection, with `/`.
fn below_collection(hit: &Value) -> String {
    let path = hit["path"].as_str().unwrap().replace('\\', "/");
    let (_, below) = path.split_once("/demo/photos/").unwrap_or_else(|| panic!("{path}"));
    below.to_owned()
}

/// Runs a command that is told nothing of a model by its environment.
fn run_without_model(s: &Sandbox, args: &[&str]) -> Output {
    let mut command = s.command();
    command.env_remove("TAIYI_MODEL").args(args);
    finish(command, b"")
}

#[test]
fn the_demo_finds_what_it_is_asked_for() {
    let s = Sandbox::new();
    let graded = graded();
    let prompts: Vec<&str> = graded.iter().map(|row| row.prompt.as_str()).collect();
    let output = s.run(&[&["demo", "--format", "json"], &prompts[..]].concat());
    let answers = output.succeeded().json_lines();
    assert_eq!(answers.len(), graded.len());

    let mut misses = Vec::new();
    let (mut counted, mut counted_right) = (0, 0);
    let mut precisions = Vec::new();
    let mut places = Vec::new();
    for (row, answer) in graded.iter().zip(&answers) {
        assert_eq!((&answer["prompt"], &answer["model"]), (&row.prompt.as_str().into(), &"demo".into()));
        let found: Vec<String> = answer["hits"].as_array().unwrap().iter().map(below_collection).collect();
        assert_eq!(found.len(), 3);
        let fits = |path: &String| row.fitting.contains(path);
        match row.grade.as_str() {
            "counted" => {
                counted += 1;
                counted_right += usize::from(fits(&found[0]));
                if !fits(&found[0]) {
                    misses.push(format!("{}: {}", row.prompt, found[0]));
                }
            }
            "bare" => precisions.push(found.iter().filter(|path| fits(path)).count() as f64 / 3.0),
            "place" | "kind-at-place" => {
                places.push(fits(&found[0]));
                if !fits(&found[0]) {
                    misses.push(format!("{}: {}", row.prompt, found[0]));
                }
            }
            other => panic!("{other} is no grade"),
        }
        if DEFAULT_PROMPTS.contains(&row.prompt.as_str()) {
            assert!(fits(&found[0]), "{} was asked for, and {} came", row.prompt, found[0]);
        }
    }
    assert!(DEFAULT_PROMPTS.iter().all(|prompt| prompts.contains(prompt)));
    let right = places.iter().filter(|right| **right).count();
    assert!(places.len() >= 40 && right as f64 >= 0.95 * places.len() as f64, "{right}: {misses:#?}");
    assert!(counted >= 20 && precisions.len() >= 10, "{counted} counted, {} bare", precisions.len());
    assert!(counted_right as f64 >= 0.9 * counted as f64, "{counted_right} of {counted}: {misses:#?}");
    let precision = precisions.iter().sum::<f64>() / precisions.len() as f64;
    assert!(precision >= 0.95, "precision@3 of bare nouns is {precision}");

    // The user's own index is not touched, and the next run finds everything in place.
    assert!(!s.index_dir().exists());
    let photo = answers[0]["hits"][0]["path"].as_str().unwrap();
    let demo = Path::new(photo).ancestors().find(|dir| dir.ends_with("demo")).unwrap();
    let before = generations(&demo.join("index"));
    let again = s.run(&["demo"]);
    let text = again.succeeded().text();
    let asked: Vec<&str> = text.lines().filter(|line| DEFAULT_PROMPTS.contains(line)).collect();
    assert_eq!(asked, DEFAULT_PROMPTS, "{text}");
    assert!(text.starts_with("两只老虎\n"), "{text}");
    assert!(again.stderr.contains("emoji") && again.stderr.contains("huggingface.co"), "{}", again.stderr);
    assert!(!again.stderr.contains("indexed in"), "{}", again.stderr);
    assert_eq!(generations(&demo.join("index")), before);

    // Its index is one as any other.
    let index = demo.join("index");
    let query = ["query", "--format", "json", "-k", "3", "两只老虎", "--index", index.to_str().unwrap()];
    let hits = run_without_model(&s, &query).succeeded().json();
    let position = prompts.iter().position(|prompt| *prompt == "两只老虎").unwrap();
    assert_same_hits(&s.hits_of(&hits), &s.hits_of(&answers[position]));

    // Damaged, it is only a cache.
    fs::write(index.join("manifest.json"), "cut").unwrap();
    let mended = s.run(&["demo", "--format", "json", "两只老虎"]);
    assert_same_hits(&s.hits_of(&mended.succeeded().json()), &s.hits_of(&answers[position]));
}

#[test]
fn the_tables_fit_the_pictures() {
    let captions = fs::read_to_string(data().join("captions.tsv")).unwrap();
    let captions: BTreeMap<&str, &str> =
        captions.lines().map(|line| line.split_once('\t').unwrap()).collect();
    let photos = files_below(&data().join("photos"));
    let photos: Vec<String> = photos
        .iter()
        .map(|path| path.strip_prefix(data().join("photos")).unwrap().to_str().unwrap().replace('\\', "/"))
        .collect();
    assert!(photos.iter().map(String::as_str).eq(captions.keys().copied()), "each picture has one caption");
    let texts: BTreeSet<&str> = captions.values().copied().collect();
    assert_eq!(texts.len(), captions.len(), "no caption fits two pictures");
    for extension in ["jpg", "JPG", "png", "webp"] {
        assert!(photos.iter().any(|path| path.ends_with(&format!(".{extension}"))), "{extension}");
    }

    // A caption says how many of each kind there are, so the answers to prompts can be read off it.
    let graded = graded();
    for row in graded.iter().filter(|row| row.grade == "counted") {
        let fitting: BTreeSet<&str> = row.fitting.iter().map(String::as_str).collect();
        let told: BTreeSet<&str> =
            captions.iter().filter(|(_, text)| tells(text, &row.prompt)).map(|(path, _)| *path).collect();
        assert_eq!(fitting, told, "{}", row.prompt);
    }
    let prompts: BTreeSet<&str> = graded.iter().map(|row| row.prompt.as_str()).collect();
    assert_eq!(prompts.len(), graded.len(), "a prompt is asked twice");

    let bytes: u64 = files_below(&data()).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(bytes <= 16_000_000, "{bytes} bytes, where 16 MB is the limit");
}

/// Whether a caption has these words as one of its objects, and not as the begin of another's name.
fn tells(caption: &str, objects: &str) -> bool {
    caption.match_indices(objects).any(|(at, _)| {
        let behind = &caption[at + objects.len()..];
        behind.is_empty() || ["和", "与", "在"].iter().any(|word| behind.starts_with(word))
    })
}

#[test]
fn demos_at_once_wait_for_each_other() {
    let s = Sandbox::new();
    let start = || {
        let mut command = s.command();
        command.args(["demo", "--format", "json", "两只老虎"]);
        Running::start(command)
    };
    let running = [start(), start(), start()];
    let hits: Vec<_> = running.into_iter().map(|demo| s.hits_of(&demo.wait().succeeded().json())).collect();
    assert!(hits.iter().all(|found| found.len() == 3));
    assert_same_hits(&hits[0], &hits[1]);
    assert_same_hits(&hits[0], &hits[2]);
}

#[test]
fn what_cannot_be_asked_is_refused_before_anything_is_embedded() {
    let s = Sandbox::new();
    s.run(&["demo", "-k", "0"]).refused(&["-k 0"]);
    assert!(!s.at("home/cache/taiyi-search/demo").exists());
}

#[test]
fn captions_find_their_pictures() {
    let s = Sandbox::new();
    let (photos, captions) = (data().join("photos"), data().join("captions.tsv"));
    let output = s.run(&[
        "eval",
        "retrieval",
        "--model",
        "demo",
        "--images",
        photos.to_str().unwrap(),
        "--captions",
        captions.to_str().unwrap(),
        "--format",
        "json",
    ]);
    let measured = output.succeeded().json();
    let pictures = fs::read_to_string(captions).unwrap().lines().count();
    assert!(pictures >= 100);
    assert_eq!((&measured["pictures"], &measured["captions"]), (&pictures.into(), &pictures.into()));
    assert_eq!((&measured["model"], &measured["failed"]), (&"demo".into(), &0.into()));
    for (k, bar) in [("1", 0.85), ("5", 0.98), ("10", 0.995)] {
        let recall = measured["text_to_image"]["recall"][k].as_f64().unwrap();
        assert!(recall >= bar, "R@{k} is {recall}: {measured:#}");
    }
    assert_eq!(measured["text_to_image"]["median_rank"], 1.0);
    assert_eq!(measured["image_to_text"]["queries"], pictures);
    assert!(!s.index_dir().exists());
}

#[test]
fn embeddings_are_those_of_transformers() {
    let golden: Value = serde_json::from_slice(&fs::read(data().join("golden.json")).unwrap()).unwrap();
    let s = Sandbox::new();
    let check = |flag: &str, expected: &Value, name: &dyn Fn(&str) -> String| {
        let expected: BTreeMap<&String, Vec<f64>> =
            expected.as_object().unwrap().iter().map(|(key, value)| (key, vector(value))).collect();
        assert!(expected.len() >= 8);
        let names: Vec<String> = expected.keys().map(|key| name(key)).collect();
        let mut args = vec!["embed", "--model", "demo"];
        for name in &names {
            args.extend([flag, name]);
        }
        let lines = s.run(&args).succeeded().json_lines();
        assert_eq!(lines.len(), expected.len());
        for (line, (key, expected)) in lines.iter().zip(&expected) {
            let found = vector(&line["embedding"]);
            let cosine = dot(&found, expected) / (dot(&found, &found) * dot(expected, expected)).sqrt();
            assert!(cosine >= 0.9999, "{key}: {cosine}");
        }
    };
    check("--text", &golden["texts"], &str::to_owned);
    let photos = data().join("photos");
    check("--image", &golden["pictures"], &|name| photos.join(name).to_str().unwrap().to_owned());
}

#[test]
fn the_name_demo_means_the_built_in_model_in_any_folder() {
    let s = Sandbox::new();
    // Neither of these is it.
    fs::create_dir(s.at("demo")).unwrap();
    fs::create_dir_all(s.at("home/data/taiyi-search/models/demo")).unwrap();
    let wanted = graded().into_iter().find(|row| row.prompt == "两只老虎").unwrap();
    let others = graded().into_iter().find(|row| row.prompt == "雪地里的企鹅").unwrap();
    let copy = |from: &str, to: &str| {
        let to = s.photo(to);
        fs::copy(data().join("photos").join(from), to).unwrap();
    };
    let extension = |path: &str| path.rsplit('.').next().unwrap().to_owned();
    let (tigers, penguin) = (&wanted.fitting[0], &others.fitting[0]);
    let tigers_name = format!("甲.{}", extension(tigers));
    copy(tigers, &tigers_name);
    copy(penguin, &format!("乙.{}", extension(penguin)));

    run_without_model(&s, &["index", "photos", "--model", "demo"]).succeeded();
    assert_eq!(s.status()["model"]["name"], "demo");
    // The index remembers it; naming it is the same.
    for model in [&[][..], &["--model", "demo"]] {
        let output = run_without_model(&s, &[&["query", "--format", "json", "两只老虎"], model].concat());
        assert_eq!(s.hits_of(&output.succeeded().json())[0].0, tigers_name);
    }
    run_without_model(&s, &["index"]).succeeded();
    let photo = s.photo(&tigers_name);
    let embedded = run_without_model(&s, &["embed", "--text", "老虎", "--image", photo.to_str().unwrap()]);
    let lines = embedded.succeeded().json_lines();
    let (text, image) = (vector(&lines[0]["embedding"]), vector(&lines[1]["embedding"]));
    assert_eq!(text.len(), image.len());
    assert!(dot(&text, &image) > 0.1);
    s.run(&["query", "两只老虎"]).refused(&["built with demo", "--model"]);
}

/// `eval retrieval` over `photos` with the tiny model and this table.
fn eval(s: &Sandbox, table: &[u8], more: &[&str]) -> Output {
    s.write("captions.tsv", table);
    s.run(&[&["eval", "retrieval", "--images", "photos", "--captions", "captions.tsv"], more].concat())
}

#[test]
fn measures_agree_with_the_ranks_of_queries() {
    let s = Sandbox::with_indexed(6);
    let prompts = ["两只老虎", "海边的日落", "一个苹果", "雪地", "森林里的猫", "夜空", "三辆汽车"];
    let mut table = String::new();
    let mut ranks = Vec::new();
    for (index, prompt) in prompts.iter().enumerate() {
        let picture = format!("{}.png", index % 6 + 1);
        let hits = s.hits(&[prompt]);
        ranks.push(hits.iter().position(|(name, _)| *name == picture).unwrap() + 1);
        table.push_str(&format!("{picture}\t{prompt}\n"));
    }
    let measured = eval(&s, table.as_bytes(), &["-k", "3,1,3", "--format", "json"]).succeeded().json();
    let share = |k: usize| ranks.iter().filter(|rank| **rank <= k).count() as f64 / 7.0;
    let close = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-9;
    let found = &measured["text_to_image"];
    assert_eq!((&measured["pictures"], &found["queries"]), (&6.into(), &7.into()));
    assert!(close(&found["recall"]["1"], share(1)) && close(&found["recall"]["3"], share(3)), "{found}");
    assert_eq!(found["recall"].as_object().unwrap().len(), 2);
    assert!(close(&found["mrr"], ranks.iter().map(|rank| 1.0 / *rank as f64).sum::<f64>() / 7.0));
    ranks.sort_unstable();
    assert!(close(&found["median_rank"], ranks[3] as f64));
    assert_eq!(measured["image_to_text"]["queries"], 6);

    // A picture more, without a caption: nothing to ask it for, but it stands in the way of others.
    s.paint("七.png", 7);
    let measured = eval(&s, table.as_bytes(), &["--format", "json"]).succeeded().json();
    assert_eq!((&measured["pictures"], &measured["pictures_without_caption"]), (&7.into(), &1.into()));
    assert_eq!(measured["image_to_text"], Value::Null);
    let text = eval(&s, table.as_bytes(), &[]);
    assert!(text.succeeded().text().contains("1 picture has no caption"), "{}", text.text());
}

#[test]
fn equal_scores_count_against_and_of_several_captions_the_best_counts() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    s.paint("2.png", 2);
    // Each picture's caption scores the same as the other's.
    let measured = eval(&s, "1.png\t猫\n2.png\t猫\n".as_bytes(), &["--format", "json"]).succeeded().json();
    let back = &measured["image_to_text"];
    assert_eq!((&back["recall"]["1"], &back["recall"]["5"]), (&0.0.into(), &1.0.into()));
    assert_eq!((&back["mrr"], &back["median_rank"]), (&0.5.into(), &2.0.into()));
    // The text is right for one of the two pictures: ranks 1 and 2.
    let there = &measured["text_to_image"];
    assert_eq!((&there["recall"]["1"], &there["mrr"]), (&0.5.into(), &0.75.into()));
    assert_eq!(there["median_rank"], 1.5);

    // Files with the same content are one picture, and none of its captions is a wrong one.
    s.paint("2.png", 1);
    let both = eval(&s, "1.png\t猫\n2.png\t狗\n2.png\t猫\n".as_bytes(), &["--format", "json"]);
    let measured = both.succeeded().json();
    assert_eq!((&measured["pictures"], &measured["captions"]), (&1.into(), &3.into()));
    assert_eq!(
        (&measured["text_to_image"]["mrr"], &measured["image_to_text"]["mrr"]),
        (&1.0.into(), &1.0.into())
    );
}

#[test]
fn a_picture_that_cannot_be_read_is_left_out_with_its_captions() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    for name in ["坏.jpg", "甲/坏.jpg"] {
        s.write(Path::new("photos").join(name), b"\xff\xd8\xff\xe0 no more");
    }
    let table = "1.png\t猫\n坏.jpg\t狗\n坏.jpg\t小狗\n";
    let output = eval(&s, table.as_bytes(), &["--format", "json"]);
    let measured = output.succeeded().json();
    assert_eq!((&measured["pictures"], &measured["captions"]), (&1.into(), &1.into()));
    assert_eq!((&measured["failed"], &measured["captions_left_out"]), (&2.into(), &2.into()));
    assert_eq!(measured["text_to_image"]["mrr"], 1.0);
    assert!(output.stderr.contains("2 captions were left out"), "{}", output.stderr);
    assert!(output.stderr.contains("line 2 of captions.tsv"), "{}", output.stderr);
    let text = eval(&s, table.as_bytes(), &[]);
    assert!(text.succeeded().text().contains("2 captions took no part"), "{}", text.text());
    eval(&s, "坏.jpg\t狗\n".as_bytes(), &["-q"]).exited(2);
    // It is remembered without being read again.
    let again = eval(&s, table.as_bytes(), &["--format", "json"]);
    let mut expected = measured.clone();
    expected["pictures_embedded"] = 0.into();
    expected["captions_embedded"] = 0.into();
    assert_eq!(again.succeeded().json(), expected);
}

#[test]
fn the_config_says_which_pictures_take_part() {
    let s = Sandbox::new();
    for (name, seed) in [("1.png", 1), (".2.png", 2), ("3.webp.png", 3)] {
        s.paint(name, seed);
    }
    let pictures = || {
        let output = eval(&s, "1.png\t猫\n".as_bytes(), &["--format", "json"]);
        output.succeeded().json()["pictures"].as_u64().unwrap()
    };
    assert_eq!(pictures(), 2);
    s.write("home/config/taiyi-search/config.toml", b"hidden = true\nexclude = ['3.*']\n");
    assert_eq!(pictures(), 2);
    s.write("home/config/taiyi-search/config.toml", b"hidden = true\n");
    assert_eq!(pictures(), 3);
}

#[test]
fn slips_in_the_table_are_told_with_their_line() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    s.write("photos/坏.jpg", b"\xff\xd8\xff\xe0 no more");
    let refused = |table: &[u8], parts: &[&str]| {
        eval(&s, table, &[]).refused(&[&["captions.tsv"], parts].concat());
    };
    refused("1.png\t猫\n无.png\t狗\n".as_bytes(), &["line 2", "no picture 无.png in photos"]);
    refused(b"1.png cat\n", &["line 1", "0 tabs"]);
    refused(b"1.png\tcat\n1.png\t\xb0\xa1\n", &["line 2", "UTF-8"]);
    refused(b"", &["no captions"]);
    refused(b"../captions.tsv\tcat\n", &["line 1", ".."]);
    // What is there and would be passed over is told at once.
    s.paint(".隐.png", 2);
    refused("1.png\t猫\n.隐.png\t狗\n".as_bytes(), &["line 2", ".隐.png is passed over", "hidden"]);
    refused(b"\xff\xfe1\0", &["UTF-16"]);
    let repeated = eval(&s, "1.png\t猫\n1.png\t猫\n".as_bytes(), &["--format", "json"]);
    assert_eq!(repeated.succeeded().json()["captions"], 1);
    assert!(
        repeated.stderr.contains("1 repeated row") && repeated.stderr.contains("line 2"),
        "{}",
        repeated.stderr
    );
    s.run(&["eval", "retrieval", "--images", "无", "--captions", "captions.tsv"]).refused(&["--images 无"]);
    s.run(&["eval", "retrieval", "--images", "photos", "--captions", "无.tsv"]).refused(&["无.tsv"]);
}
