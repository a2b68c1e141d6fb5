//! What comes out: every form of every answer, and exit statuses.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use image::ImageFormat;

use crate::harness::{Running, Sandbox, assert_ranking, assert_same_hits, dot};
use crate::pictures;

#[test]
fn text_ranks_pictures_by_the_cosine_of_their_embeddings() {
    let s = Sandbox::with_indexed(8);
    let names: Vec<String> = (1..=8).map(|n| format!("{n}.png")).collect();
    let paths: Vec<String> = names.iter().map(|name| format!("photos/{name}")).collect();
    let vectors = s.embed("--image", &paths.iter().map(String::as_str).collect::<Vec<_>>());
    let pictures: BTreeMap<String, Vec<f64>> = names.into_iter().zip(vectors).collect();
    for prompt in ["两只老虎", "海边的日落", "a photo of a cat", "12:30的车站", "，。！"] {
        let query = s.embed("--text", &[prompt]).remove(0);
        assert_ranking(&s.hits(&[prompt]), &query, &pictures);
    }
}

#[test]
fn paths_are_the_form_for_pipes() {
    let s = Sandbox::with_indexed(3);
    let hits = s.hits(&["两只老虎"]);
    let expected: Vec<String> = hits.iter().map(|(name, _)| s.photo(name).display().to_string()).collect();
    let paths = s.run(&["query", "两只老虎"]);
    paths.succeeded().quietly();
    assert_eq!(paths.text(), format!("{}\n", expected.join("\n")));
    assert_eq!(s.run(&["query", "两只老虎", "--format", "paths"]).stdout, paths.stdout);
    let nul = s.run(&["query", "两只老虎", "-0"]);
    assert_eq!(nul.succeeded().text(), format!("{}\0", expected.join("\0")));
    assert_eq!(s.run(&["query", "两只老虎", "--null", "--format", "paths"]).stdout, nul.stdout);
    s.run(&["query", "两只老虎", "-0", "--format", "json"]).refused(&["-0", "paths"]);
}

#[test]
fn tsv_has_rank_score_path_and_prompt() {
    let s = Sandbox::with_indexed(2);
    let hits = s.hits(&["两只\\老虎"]);
    let output = s.run(&["query", "两只\\老虎", "--format", "tsv"]);
    let lines: Vec<Vec<&str>> =
        output.succeeded().quietly().text().lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines.len(), 2);
    for (index, (line, (name, score))) in lines.iter().zip(hits).enumerate() {
        let path = s.photo(name).display().to_string();
        assert_eq!(*line, [&(index + 1).to_string(), &format!("{score:.6}"), path.as_str(), "两只\\\\老虎"]);
    }
}

#[test]
fn json_is_a_line_a_prompt_with_the_fields_promised() {
    let s = Sandbox::with_indexed(3);
    let output = s.run(&["query", "--format", "json", "-k", "2", "两只老虎", "海边", "两只老虎"]);
    let lines = output.succeeded().quietly().json_lines();
    assert_eq!(
        lines.iter().map(|line| line["prompt"].as_str().unwrap()).collect::<Vec<_>>(),
        ["两只老虎", "海边", "两只老虎"]
    );
    assert_eq!(lines[0]["hits"], lines[2]["hits"]);
    for line in &lines {
        let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let mut expected = ["prompt", "model", "hits", "took_ms"];
        expected.sort_unstable();
        let mut found = keys(line);
        found.sort_unstable();
        assert_eq!(found, expected);
        assert_eq!(line["model"], "tiny");
        let mut took = keys(&line["took_ms"]);
        took.sort_unstable();
        assert_eq!(took, ["encode", "load", "search"]);
        for time in line["took_ms"].as_object().unwrap().values() {
            assert!((0.0..120_000.0).contains(&time.as_f64().unwrap()), "{line}");
        }
        let hits = line["hits"].as_array().unwrap();
        assert_eq!(hits.len(), 2);
        for hit in hits {
            for key in ["rank", "score", "path", "copies", "width", "height", "taken"] {
                assert!(hit.get(key).is_some(), "{key} in {hit}");
            }
        }
    }
    // Asked together or alone, the answer is the same.
    assert_same_hits(&s.hits_of(&lines[1]), &s.hits(&["海边"])[..2]);
}

#[test]
fn prompts_come_from_a_file_or_from_standard_input() {
    let s = Sandbox::with_indexed(3);
    let prompts = "\u{feff}两只老虎\r\n\n  \t \n  海边 \n最后一行没有换行".as_bytes();
    s.write("prompts.txt", prompts);
    let expected = ["两只老虎", "海边", "最后一行没有换行"];
    let check = |output: &crate::harness::Output| {
        let lines = output.succeeded().quietly().json_lines();
        let told: Vec<_> = lines.iter().map(|line| line["prompt"].as_str().unwrap().to_owned()).collect();
        assert_eq!(told, expected);
        for line in lines {
            let alone = s.hits(&[line["prompt"].as_str().unwrap()]);
            assert_same_hits(&s.hits_of(&line), &alone);
        }
    };
    check(&s.run(&["query", "--format", "json", "--file", "prompts.txt"]));
    check(&s.run_with_stdin(&["query", "--format", "json", "--file", "-"], prompts));
    check(&s.run_with_stdin(&["query", "--format", "json"], prompts));
    s.run(&["query", "--file", "prompts.txt", "老虎"]).refused(&["--file"]);
    s.run(&["query", "--file", "没有.txt"]).refused(&["没有.txt"]);
    s.run_with_stdin(&["query"], b"\n\n").refused(&["no prompt"]);
}

#[test]
fn a_prompt_that_fails_leaves_the_others_their_own_vectors() {
    let s = Sandbox::with_indexed(6);
    let alone = s.run(&["query", "--format", "json", "海边"]).succeeded().json_lines();
    let all = s.run(&["query", "--format", "json", "@没有.jpg + 猫 - 狗", "海边"]);
    let lines = all.exited(2).json_lines();
    assert!(lines[0]["error"].as_str().unwrap().contains("没有.jpg"), "{}", lines[0]);
    assert_same_hits(&s.hits_of(&lines[1]), &s.hits_of(&alone[0]));
}

#[test]
fn a_hundred_prompts_from_a_pipe_are_answered_in_order() {
    let s = Sandbox::with_indexed(2);
    let prompts: Vec<String> = (0..100).map(|n| format!("{n}只老虎")).collect();
    let output = s.run_with_stdin(&["query", "--format", "json", "-k", "1"], prompts.join("\n").as_bytes());
    let told: Vec<String> = output
        .succeeded()
        .json_lines()
        .iter()
        .map(|line| line["prompt"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, prompts);
}

#[test]
fn a_program_that_waits_for_each_answer_gets_it() {
    let s = Sandbox::with_indexed(2);
    let mut command = s.command();
    command.args(["query", "--format", "json"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut run = Running::start_with_stdout(command);
    let (mut prompts, answers) = (run.child.stdin.take().unwrap(), run.child.stdout.take().unwrap());
    let (send, answers_told) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(answers).lines() {
            let _ = send.send(line.unwrap());
        }
    });
    for prompt in ["两只老虎", "海边", "日落"] {
        writeln!(prompts, "{prompt}").unwrap();
        let line = answers_told.recv_timeout(Duration::from_secs(60)).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["prompt"], prompt);
    }
    drop(prompts);
    run.wait().succeeded().quietly();
}

#[test]
fn pictures_of_equal_score_are_ordered_by_path() {
    let s = Sandbox::new();
    for name in ["d.png", "b.bmp", "a.qoi", "c.tiff"] {
        let format = ImageFormat::from_path(name).unwrap();
        s.write(format!("photos/{name}"), &pictures::encode_rgb(pictures::scene(1), format));
    }
    s.paint("other.png", 2);
    s.index(&["photos", "--batch-images", "1"]);
    let hits = s.hits(&["老虎"]);
    let equal: Vec<_> =
        hits.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "other.png").collect();
    assert_eq!(equal, ["a.qoi", "b.bmp", "c.tiff", "d.png"]);
    let first = s.hits(&["--image", "photos/d.png", "-k", "2"]);
    assert_eq!(first.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a.qoi", "b.bmp"]);
}

#[test]
fn input_that_is_not_utf_8_is_told_with_its_line() {
    let s = Sandbox::with_indexed(1);
    let output = s.run_with_stdin(&["query"], b"cat\n\xc0\xcf\xbb\xa2\ndog\n");
    output.exited(2);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains("line 2") && output.stderr.contains("iconv"), "{}", output.stderr);
}

#[test]
fn a_bad_prompt_among_good_ones_costs_only_its_own_answer() {
    let s = Sandbox::with_indexed(1);
    let output = s.run(&["query", "--format", "json", "老虎", "猫 +", "海边"]);
    output.exited(2);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    let lines = output.json_lines();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["hits"].as_array().unwrap().len(), 1);
    assert!(lines[1]["error"].as_str().unwrap().contains("nothing follows"), "{}", lines[1]);
    assert_eq!(lines[1]["hits"], serde_json::json!([]));
    assert_eq!(lines[2]["hits"].as_array().unwrap().len(), 1);
}

#[test]
fn nothing_found_is_status_1_and_no_error() {
    let s = Sandbox::with_indexed(2);
    for format in ["paths", "tsv"] {
        let output = s.run(&["query", "老虎", "--min-score", "1", "--format", format]);
        output.exited(1).quietly();
        assert_eq!(output.text(), "");
    }
    let table = s.run(&["query", "老虎", "--min-score", "1", "--format", "table"]);
    assert_eq!(table.exited(1).text(), "nothing found\n");
    let json = s.run(&["query", "老虎", "--min-score", "1", "--format", "json"]);
    assert_eq!(json.exited(1).json()["hits"], serde_json::json!([]));
    // One prompt that finds something is enough.
    s.run(&["query", "老虎 path:没有/", "老虎"]).succeeded();
}

#[test]
fn a_least_score_cuts_the_list() {
    let s = Sandbox::with_indexed(6);
    let all = s.hits(&["老虎"]);
    let least = (all[2].1 + all[3].1) / 2.0;
    assert!(all[2].1 > all[3].1, "the pictures are too much alike for this test: {all:?}");
    assert_same_hits(&s.hits(&["老虎", "--min-score", &least.to_string()]), &all[..3]);
    assert_same_hits(&s.hits(&["老虎", "--min-score", "-1"]), &all);
}

#[test]
fn k_limits_the_list_and_may_exceed_the_collection() {
    let s = Sandbox::with_indexed(12);
    let all = s.hits(&["老虎"]);
    assert_eq!(all.len(), 12);
    let lines = |args: &[&str]| s.run(args).succeeded().text().lines().count();
    assert_eq!(lines(&["query", "老虎"]), 10);
    assert_eq!(lines(&["query", "老虎", "-k", "1"]), 1);
    assert_eq!(lines(&["query", "老虎", "--top", "11"]), 11);
    assert_eq!(lines(&["query", "老虎", "-k", "18446744073709551615"]), 12);
    for k in [1, 5, 12] {
        let hits = s.run(&["query", "老虎", "--format", "json", "-k", &k.to_string()]).json();
        assert_same_hits(&s.hits_of(&hits), &all[..k]);
    }
}

#[test]
fn an_exact_search_agrees_with_the_usual_one() {
    let s = Sandbox::with_indexed(20);
    for prompt in ["两只老虎", "海边"] {
        assert_same_hits(&s.hits(&[prompt, "--exact"]), &s.hits(&[prompt]));
    }
}

#[test]
fn vectors_come_as_json_and_as_npy() {
    let s = Sandbox::with_indexed(2);
    let args = [
        "embed",
        "--text",
        "两只老虎",
        "--image",
        "photos/1.png",
        "--text",
        "海边",
        "--image",
        "photos/2.png",
    ];
    let lines = s.run(&args);
    let lines = lines.succeeded().quietly().json_lines();
    assert_eq!(lines[0]["text"], "两只老虎");
    assert_eq!(lines[0]["token_ids"].as_array().unwrap().len(), 6, "[CLS] 两 只 老 虎 [SEP]");
    assert_eq!((&lines[0]["token_ids"][0], &lines[0]["token_ids"][5]), (&101.into(), &102.into()));
    assert_eq!(lines[1]["text"], "海边");
    assert_eq!((&lines[2]["image"], &lines[3]["image"]), (&"photos/1.png".into(), &"photos/2.png".into()));
    assert!(lines[2].get("token_ids").is_none());

    let npy = s.run(&[&args[..], &["--format", "npy"]].concat());
    let (shape, rows) = parse_npy(&npy.succeeded().quietly().stdout);
    assert_eq!(shape, [4, 64]);
    for (line, row) in lines.iter().zip(rows.chunks(64)) {
        let vector = crate::harness::vector(&line["embedding"]);
        assert!((dot(&vector, &vector) - 1.0).abs() < 1e-5);
        assert_eq!(vector.len(), 64);
        for (json, npy) in vector.iter().zip(row) {
            assert!((json - f64::from(*npy)).abs() < 1e-7, "{json} and {npy}");
        }
    }
    // Company changes nothing.
    let alone = s.embed("--text", &["海边"]).remove(0);
    assert!((dot(&alone, &crate::harness::vector(&lines[1]["embedding"])) - 1.0).abs() < 1e-6);
}

/// Shape and values of a NumPy file of f32.
fn parse_npy(bytes: &[u8]) -> ([usize; 2], Vec<f32>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!((10 + length) % 64, 0);
    let header = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
    assert!(header.contains("'descr': '<f4'") && header.contains("'fortran_order': False"), "{header}");
    let shape = header.split("'shape': (").nth(1).unwrap().split(')').next().unwrap();
    let mut sides = shape.split(',').map(|side| side.trim().parse().unwrap());
    let shape = [sides.next().unwrap(), sides.next().unwrap()];
    let values = bytes[10 + length..].chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    let values: Vec<f32> = values.collect();
    assert_eq!(values.len(), shape[0] * shape[1]);
    (shape, values)
}

#[test]
fn status_tells_what_is_in_the_index() {
    let s = Sandbox::with_indexed(3);
    s.paint("copy.png", 1);
    s.write("photos/坏.jpg", b"no picture");
    s.index(&["photos"]);
    let status = s.status();
    assert_eq!(status["index"], s.index_dir().to_str().unwrap());
    assert_eq!((&status["model"]["name"], &status["model"]["dimension"]), (&"tiny".into(), &64.into()));
    assert_eq!(status["model"]["weights"].as_str().unwrap().len(), 64);
    assert_eq!((&status["pictures"], &status["files"]), (&3.into(), &4.into()));
    assert_eq!((&status["generation"], &status["graph_rows"]), (&2.into(), &0.into()));
    let root = &status["roots"][0];
    assert_eq!(root["path"], s.photo("").to_str().unwrap().trim_end_matches('/'));
    assert_eq!((&root["files"], &root["available"]), (&4.into(), &true.into()));
    assert_eq!(status["failed"].as_array().unwrap().len(), 1);
    let disk: u64 =
        crate::harness::files_below(&s.index_dir()).iter().map(|f| f.metadata().unwrap().len()).sum();
    let told = status["disk_bytes"]["total"].as_u64().unwrap();
    assert!(told >= disk && told <= disk + 4096, "{told} told, {disk} there besides the lock");
    let text = s.run(&["status"]);
    let text = text.succeeded().quietly().text();
    for part in [
        "tiny",
        "3 in 4 files",
        "1 file",
        "every picture is compared",
        s.photo("").to_str().unwrap().trim_end_matches('/'),
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_summary_for_people_goes_to_standard_error() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    s.write("photos/坏.jpg", b"no picture");
    let output = s.run(&["index", "photos"]);
    assert_eq!(output.succeeded().text(), "");
    for part in ["1 added", "1 failed", "not-a-picture", "--retry-failed"] {
        assert!(output.stderr.contains(part), "{part} in {}", output.stderr);
    }
    s.paint("2.png", 2);
    let output = s.run(&["index", "photos", "--quiet"]);
    output.succeeded().quietly();
    assert_eq!(output.text(), "");
    assert_eq!(s.names().len(), 2);
    let verbose = s.run(&["index", "photos", "-vvv"]);
    assert_eq!(verbose.succeeded().text(), "");
}

#[test]
fn help_and_version_are_results() {
    let s = Sandbox::new();
    for args in [&["--help"][..], &["-h"], &["--version"], &["help"]] {
        let output = s.run(args);
        assert!(!output.succeeded().quietly().text().is_empty());
    }
    for command in ["index", "query", "classify", "embed", "status", "verify", "remove", "completions"] {
        let output = s.run(&[command, "--help"]);
        let help = output.succeeded().quietly().text();
        assert!(help.contains(&format!("taiyi-search {command}")), "{help}");
        assert!(s.run(&["--help"]).text().contains(command));
    }
    for args in [
        &[][..],
        &["没有这个命令"],
        &["query", "--没有"],
        &["index", "--batch-images", "0"],
        &["remove"],
        &["embed"],
    ] {
        let output = s.run(args);
        assert_eq!(output.exited(2).text(), "");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn completions_are_made_for_every_shell() {
    let s = Sandbox::new();
    for (shell, mark) in
        [("bash", "complete"), ("zsh", "#compdef taiyi-search"), ("fish", "complete -c taiyi-search")]
    {
        let output = s.run(&["completions", shell]);
        let script = output.succeeded().quietly().text();
        assert!(script.contains(mark) && script.contains("min-score"), "{shell}: {script}");
    }
    let script = s.write("completions.bash", &s.run(&["completions", "bash"]).stdout);
    if let Ok(bash) = std::process::Command::new("bash").arg("-n").arg(script).output() {
        assert!(bash.status.success(), "{}", String::from_utf8_lossy(&bash.stderr));
    }
}

#[test]
fn pictures_are_embedded_as_they_are_indexed() {
    let s = Sandbox::with_indexed(5);
    let query = s.embed("--image", &["photos/3.png"]).remove(0);
    let own = s.write("own.qoi", &pictures::encode_rgb(pictures::scene(3), ImageFormat::Qoi));
    let through_file = s.embed("--image", &[own.to_str().unwrap()]).remove(0);
    assert!((dot(&query, &through_file) - 1.0).abs() < 1e-6);
    let hits = s.hits(&["--image", own.to_str().unwrap()]);
    assert_eq!(hits[0].0, "3.png");
    assert!((hits[0].1 - 1.0).abs() < 1e-5, "{hits:?}");
}
