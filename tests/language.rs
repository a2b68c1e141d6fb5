//! The query language: sums of sentences and pictures.

use std::collections::BTreeMap;

use crate::harness::{Sandbox, assert_ranking, assert_same_hits};
use crate::pictures;

const PICTURES: u64 = 8;

/// A sandbox with its pictures' embeddings.
fn with_vectors() -> (Sandbox, BTreeMap<String, Vec<f64>>) {
    let s = Sandbox::with_indexed(PICTURES);
    let names: Vec<String> = (1..=PICTURES).map(|n| format!("{n}.png")).collect();
    let paths: Vec<String> = names.iter().map(|name| format!("photos/{name}")).collect();
    let vectors = s.embed("--image", &paths.iter().map(String::as_str).collect::<Vec<_>>());
    (s, names.into_iter().zip(vectors).collect())
}

fn sum(terms: &[(f64, &Vec<f64>)]) -> Vec<f64> {
    (0..64).map(|i| terms.iter().map(|(weight, vector)| weight * vector[i]).sum()).collect()
}

#[test]
fn sums_are_the_sums_of_embeddings() {
    let (s, pictures) = with_vectors();
    let texts = ["海边", "日落", "人"];
    let v: BTreeMap<&str, Vec<f64>> = texts.into_iter().zip(s.embed("--text", &texts)).collect();
    let (sea, dusk, people) = (&v["海边"], &v["日落"], &v["人"]);
    let cases: &[(&[&str], Vec<f64>)] = &[
        (&["海边", "--plus", "日落"], sum(&[(1.0, sea), (1.0, dusk)])),
        (&["海边", "--minus", "人"], sum(&[(1.0, sea), (-1.0, people)])),
        (&["海边", "--plus", "2:日落", "--minus", "0.5:人"], sum(&[(1.0, sea), (2.0, dusk), (-0.5, people)])),
        (&["海边 + 日落 - 人"], sum(&[(1.0, sea), (1.0, dusk), (-1.0, people)])),
        (&["2:海边 + 日落"], sum(&[(2.0, sea), (1.0, dusk)])),
        (&["海边＋日落－人"], sum(&[(1.0, sea), (1.0, dusk), (-1.0, people)])),
        (&["２：海边＋０．５：日落"], sum(&[(2.0, sea), (0.5, dusk)])),
        (&["--minus", "人"], sum(&[(-1.0, people)])),
        (&["--", "- 人 + 海边"], sum(&[(-1.0, people), (1.0, sea)])),
        (&["--plus", "海边", "--plus", "日落"], sum(&[(1.0, sea), (1.0, dusk)])),
    ];
    for (args, query) in cases {
        let hits = s.hits(args);
        assert_ranking(&hits, query, &pictures);
        assert!(hits.iter().all(|(_, score)| score.abs() <= 1.0), "{args:?}: {hits:?}");
    }
}

#[test]
fn sentences_with_signs_in_them_stay_sentences() {
    let (s, pictures) = with_vectors();
    for text in ["Wi-Fi路由器", "12:30的车站", "C++", "价格：199", "user@example.com"] {
        let query = s.embed("--text", &[text]).remove(0);
        assert_ranking(&s.hits(&[text]), &query, &pictures);
    }
    for text in ["猫 + 狗", "2:海边", "@没有.png", "after:2023", "猫 +"] {
        let query = s.embed("--text", &[text]).remove(0);
        assert_ranking(&s.hits(&["--literal", text]), &query, &pictures);
    }
}

#[test]
fn pictures_and_sentences_mix() {
    let (s, pictures) = with_vectors();
    let text = s.embed("--text", &["雪"]).remove(0);
    // Query pictures of the same pixels as indexed ones, but other files.
    for seed in [2, 5] {
        s.write(
            format!("own-{seed}.bmp"),
            &pictures::encode_rgb(pictures::scene(seed), image::ImageFormat::Bmp),
        );
    }
    let (two, five) = (&pictures["2.png"], &pictures["5.png"]);
    let cases: &[(&[&str], Vec<f64>)] = &[
        (&["--image", "own-2.bmp"], two.clone()),
        (&["--image", "own-2.bmp", "--image", "own-5.bmp"], sum(&[(1.0, two), (1.0, five)])),
        (&["雪", "--image", "own-2.bmp"], sum(&[(1.0, &text), (1.0, two)])),
        (&["@own-2.bmp"], two.clone()),
        (&["@./own-2.bmp + 3:雪"], sum(&[(1.0, two), (3.0, &text)])),
        (&["0.3:@own-2.bmp - @own-5.bmp"], sum(&[(0.3, two), (-1.0, five)])),
        (&["雪", "--plus", "@own-5.bmp"], sum(&[(1.0, &text), (1.0, five)])),
    ];
    for (args, query) in cases {
        assert_ranking(&s.hits(args), query, &pictures);
    }
}

#[test]
fn an_indexed_query_picture_is_left_out_of_its_results() {
    let (s, pictures) = with_vectors();
    let others = |left_out: &[&str]| {
        let mut others = pictures.clone();
        others.retain(|name, _| !left_out.contains(&name.as_str()));
        others
    };
    assert_ranking(&s.hits(&["--image", "photos/3.png"]), &pictures["3.png"], &others(&["3.png"]));
    assert_ranking(&s.hits(&["@photos/3.png"]), &pictures["3.png"], &others(&["3.png"]));
    let both = sum(&[(1.0, &pictures["3.png"]), (1.0, &pictures["4.png"])]);
    let args = ["--image", "photos/3.png", "--image", "photos/4.png"];
    assert_ranking(&s.hits(&args), &both, &others(&["3.png", "4.png"]));
    // By content: a copy elsewhere is the same picture.
    s.write("copy.png", &pictures::png(3));
    assert_ranking(&s.hits(&["--image", "copy.png"]), &pictures["3.png"], &others(&["3.png"]));
    // It does not take a place of the k, either.
    assert_eq!(s.hits(&["--image", "photos/3.png"]).len(), 7);
    let few = s.run(&["query", "--image", "photos/3.png", "-k", "3"]);
    assert_eq!(few.succeeded().text().lines().count(), 3);
}

#[test]
fn what_the_flags_add_goes_to_every_prompt() {
    let s = Sandbox::with_indexed(4);
    let output = s.run(&["query", "--format", "json", "海边", "雪", "--minus", "人"]);
    let lines = output.succeeded().json_lines();
    assert_same_hits(&s.hits_of(&lines[0]), &s.hits(&["海边 - 人"]));
    assert_same_hits(&s.hits_of(&lines[1]), &s.hits(&["雪 - 人"]));
    let piped = s
        .run_with_stdin(&["query", "--format", "json", "--file", "-", "--plus", "日落"], "海边\n".as_bytes());
    assert_same_hits(&s.hits_of(&piped.succeeded().json()), &s.hits(&["海边 + 日落"]));
}

#[test]
fn filters_in_a_prompt_do_not_change_its_scores() {
    let s = Sandbox::with_indexed(4);
    let all = s.hits(&["海边"]);
    let filtered = s.hits(&["海边 path:2.png"]);
    let expected: Vec<_> = all.into_iter().filter(|(name, _)| name == "2.png").collect();
    assert_same_hits(&filtered, &expected);
}
