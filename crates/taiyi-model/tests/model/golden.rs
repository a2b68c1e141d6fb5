//! Token ids, pixels and embeddings against transformers and Pillow.

use taiyi_core::{Embedding, ImageEncoder, PreparedImage, TextEncoder};
use taiyi_model::ModelFolder;

use crate::support::{
    Reference, TOLERANCE, close, copy_of, data, difference, open, picture, replace, threads,
};

const LONG: &str = "两只老虎";

#[test]
fn token_ids_are_those_of_transformers() {
    let reference = Reference::read();
    let prompts = std::fs::read_to_string(data("prompts.txt")).unwrap();
    assert!(prompts.lines().eq(reference.prompts.iter().map(String::as_str)));
    let tower = open("tiny").text_tower(&threads(1)).unwrap();
    for (prompt, ids) in reference.prompts.iter().zip(&reference.token_ids) {
        let tokens = tower.tokenize(prompt).unwrap();
        assert_eq!((&tokens.ids, tokens.truncated), (ids, false), "{prompt:?}");
    }
}

#[test]
fn long_texts_lose_their_end_but_not_the_separator() {
    let tower = open("tiny").text_tower(&threads(1)).unwrap();
    let (cls, sep) = (101, 102);
    assert_eq!(tower.tokenize("").unwrap().ids, [cls, sep]);
    let fitting = tower.tokenize(&"好".repeat(510)).unwrap();
    assert_eq!((fitting.ids.len(), fitting.truncated), (512, false));
    let longer = tower.tokenize(&"好".repeat(511)).unwrap();
    assert_eq!((longer.ids, longer.truncated), (fitting.ids, true));
    let far = tower.tokenize(&LONG.repeat(200)).unwrap();
    assert_eq!((far.ids.len(), far.ids[511], far.truncated), (tower.max_tokens(), sep, true));
    assert_eq!(tower.too_long(&"好".repeat(510)), Ok(None));
    assert_eq!(tower.too_long(&"好".repeat(511)), Ok(Some(512)));
    let unknown = tower.tokenize(&"a".repeat(101)).unwrap();
    assert_eq!(unknown.ids, [cls, 100, sep], "words of more than 100 letters are [UNK]");
}

#[test]
fn a_tokenizer_json_does_as_well() {
    let reference = Reference::read();
    let model = copy_of("tiny");
    let text = model.path().join("text");
    let entries = std::fs::read_to_string(text.join("vocab.txt")).unwrap();
    let vocabulary: serde_json::Map<_, _> =
        entries.lines().zip(0..).map(|(entry, id)| (entry.to_owned(), serde_json::Value::from(id))).collect();
    let special = |content: &str, id: u32| {
        serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    let json = serde_json::json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [special("[PAD]", 0), special("[UNK]", 100), special("[CLS]", 101),
            special("[SEP]", 102), special("[MASK]", 103)],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]},
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary},
    });
    std::fs::write(text.join("tokenizer.json"), json.to_string()).unwrap();
    std::fs::remove_file(text.join("vocab.txt")).unwrap();
    let tower = ModelFolder::open(model.path()).unwrap().text_tower(&threads(1)).unwrap();
    for (prompt, ids) in reference.prompts.iter().zip(&reference.token_ids) {
        assert_eq!(&tower.tokenize(prompt).unwrap().ids, ids, "{prompt:?}");
    }
}

#[test]
fn texts_are_embedded_as_by_transformers() {
    let reference = Reference::read();
    let long = LONG.repeat(200);
    let texts: Vec<&str> = reference.prompts.iter().map(String::as_str).chain([long.as_str()]).collect();
    for (name, count) in [("tiny", 1), ("tiny-bin", 2)] {
        let model = open(name);
        let tower = model.text_tower(&threads(count)).unwrap();
        assert_eq!((tower.dimension(), model.dimension()), (64, 64));
        close(&tower.encode_texts(&texts).unwrap(), &reference.text_embeddings);
    }
}

/// Were the committed weights tame, a wrong layer would pass unnoticed.
#[test]
fn a_wrong_configuration_would_show() {
    let reference = Reference::read();
    let worst = |ours: &[Embedding], theirs: &[Vec<f32>]| {
        ours.iter().zip(theirs).map(|(a, b)| difference(a.as_slice(), b)).fold(0.0, f32::max)
    };
    for (from, to) in [
        ("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"gelu_new\""),
        ("\"num_attention_heads\": 4", "\"num_attention_heads\": 2"),
        ("\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": 1e-3"),
    ] {
        let model = copy_of("tiny");
        replace(&model.path().join("text/config.json"), from, to);
        let tower = ModelFolder::open(model.path()).unwrap().text_tower(&threads(1)).unwrap();
        let prompts: Vec<&str> = reference.prompts.iter().map(String::as_str).collect();
        let off = worst(&tower.encode_texts(&prompts).unwrap(), &reference.text_embeddings);
        assert!(off > 3.0 * TOLERANCE, "{to}: only off by {off}");
    }
    let model = copy_of("tiny");
    let config = model.path().join("image/config.json");
    // Both halves have one; the second is the pictures'.
    let text = std::fs::read_to_string(&config).unwrap().replace("quick_gelu", "gelu");
    std::fs::write(config, text).unwrap();
    let tower = ModelFolder::open(model.path()).unwrap().image_tower(&threads(1)).unwrap();
    let prepared: Vec<_> = reference.images().iter().map(|image| tower.prepare(image).unwrap()).collect();
    let off = worst(&tower.encode_images(&prepared).unwrap(), &reference.image_embeddings);
    assert!(off > 3.0 * TOLERANCE, "only off by {off}");
}

#[test]
fn company_does_not_change_a_text() {
    let long = LONG.repeat(200);
    let alone = open("tiny").text_tower(&threads(1)).unwrap().encode_texts(&["狗"]).unwrap().remove(0);
    let tower = open("tiny").text_tower(&threads(2)).unwrap();
    assert_eq!(tower.encode_texts(&["狗"]).unwrap(), std::slice::from_ref(&alone), "on two threads");
    for batch in [
        vec!["狗", "一只正在草地上奔跑的金毛犬"],
        vec![long.as_str(), "", "狗"],
        vec!["狗"; 70],
        std::iter::once("狗").chain(std::iter::repeat_n("海边的日落，远处有几艘帆船", 99)).collect(),
    ] {
        for (text, embedding) in batch.iter().zip(tower.encode_texts(&batch).unwrap()) {
            if *text == "狗" {
                assert_eq!(embedding, alone, "among {}", batch.len());
            }
        }
    }
    assert_eq!(tower.encode_texts(&[]).unwrap(), []);
}

#[test]
fn the_padding_of_the_model_card_is_attended_to_when_that_is_asked_for() {
    let reference = Reference::read();
    let prompts: Vec<&str> = reference.card.as_ref().unwrap().prompts.iter().map(String::as_str).collect();
    let expected = &reference.card_embeddings_as_padded;
    for threads in [1, 2].map(threads) {
        let tower = open("tiny").text_tower(&threads).unwrap();
        close(&tower.encode_with_reference_padding(&prompts).unwrap(), expected);
        // More texts than run together, the longest among the last: still one batch.
        let many = [vec![prompts[0]; 70], vec![prompts[3]]].concat();
        let company = tower.encode_with_reference_padding(&many).unwrap();
        assert!(difference(company[0].as_slice(), &expected[0]) < TOLERANCE);
        assert!(difference(company[70].as_slice(), &expected[3]) < TOLERANCE);

        let masked = tower.encode_texts(&prompts).unwrap();
        // The fourth is the longest, and is not padded.
        let off = |index: usize| difference(masked[index].as_slice(), &expected[index]);
        assert!(off(0) > 1000.0 * TOLERANCE && off(3) < TOLERANCE, "{} {}", off(0), off(3));
        assert_eq!(tower.encode_with_reference_padding(&[]).unwrap(), []);
    }
}

#[test]
fn pixels_are_those_of_pillow() {
    let reference = Reference::read();
    let tower = open("tiny").image_tower(&threads(1)).unwrap();
    let side = tower.input_side() as usize;
    for ((name, ..), image) in reference.pictures.iter().zip(reference.images()) {
        let PreparedImage(ours) = tower.prepare(&image).unwrap();
        assert_eq!((ours.width() as usize, ours.height() as usize), (side, side));
        let rows: Vec<u8> =
            ours.pixels().chunks(side * 3).step_by(reference.row_step).flatten().copied().collect();
        let differing = rows.iter().zip(&reference.prepared[name]).filter(|(a, b)| a != b).count();
        assert_eq!((rows.len(), differing), (reference.prepared[name].len(), 0), "{name}");
    }
}

#[test]
fn pictures_are_embedded_as_by_transformers() {
    let reference = Reference::read();
    for (name, count) in [("tiny", 1), ("tiny-bin", 2)] {
        let tower = open(name).image_tower(&threads(count)).unwrap();
        let prepared: Vec<_> = reference.images().iter().map(|image| tower.prepare(image).unwrap()).collect();
        close(&tower.encode_images(&prepared).unwrap(), &reference.image_embeddings);
    }
}

#[test]
fn company_does_not_change_a_picture() {
    let tower = open("tiny").image_tower(&threads(2)).unwrap();
    let images: Vec<_> = (1..70).map(|size| tower.prepare(&picture(size * 7, 300 - size)).unwrap()).collect();
    let together = tower.encode_images(&images).unwrap();
    for (index, image) in images.iter().enumerate().step_by(9) {
        let alone = tower.encode_images(std::slice::from_ref(image)).unwrap().remove(0);
        assert_eq!(alone, together[index], "picture {index}");
    }
    assert_eq!(tower.encode_images(&[]).unwrap(), []);
    let wrong = PreparedImage(picture(100, 224));
    assert!(tower.encode_images(&[wrong]).unwrap_err().to_string().contains("100×224, expected 224×224"));
}
