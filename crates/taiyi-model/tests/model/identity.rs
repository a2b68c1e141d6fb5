//! The same model is the same whatever its files, and any other model is another.

use std::collections::BTreeSet;
use std::fs;

use taiyi_model::ModelFolder;

use crate::support::{copy_of, data, open, replace};

fn id_of(dir: &std::path::Path) -> String {
    ModelFolder::open(dir).unwrap().id("any", None).unwrap().weights
}

#[test]
fn formats_and_names_do_not_matter() {
    let (mapped, pickled) =
        (open("tiny").id("one", None).unwrap(), open("tiny-bin").id("other", None).unwrap());
    assert_eq!(mapped.weights, pickled.weights);
    assert!(mapped.is_same_model(&pickled));
    assert_eq!((mapped.name.as_str(), mapped.dimension, mapped.weights.len()), ("one", 64, 64));
}

/// Indexes remember it: were it to change, every one of them would be refused.
#[test]
fn it_stays_what_it_was() {
    let tiny = "192151654ac8c26846a9aacc2d8660fd22a049bb20ec1fc43a666c1c993ea220";
    for (name, known) in [
        ("tiny", tiny),
        ("tiny-bin", tiny),
        ("tiny-cn-clip", "b38d5030efdbac07a139e98e154392b289ca4aff8c04eafd58be689189098bb6"),
        ("tiny-pooler", "7d7e38afa25dcd0eb6dc9941eda3d376ef62ceb172fae5e22588c8b8503708f9"),
    ] {
        assert_eq!(id_of(&data(name)), known, "{name}");
    }
}

#[test]
fn every_change_that_matters_shows() {
    let same = open("tiny").id("tiny", None).unwrap().weights;
    let mut seen = BTreeSet::from([same.clone()]);
    for (file, from, to) in [
        ("text/config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 2"),
        ("text/config.json", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\""),
        ("text/config.json", "\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": 1e-5"),
        ("text/vocab.txt", "\n老\n", "\n新\u{200b}\n"),
        ("image/preprocessor_config.json", "\"size\": 224", "\"size\": 256"),
        ("image/preprocessor_config.json", "0.48145466", "0.5"),
    ] {
        let model = copy_of("tiny");
        replace(&model.path().join(file), from, to);
        assert!(seen.insert(id_of(model.path())), "{file}: {to}");
    }
    for (file, back) in [("text", 4), ("image", 4)] {
        let model = copy_of("tiny");
        let path = model.path().join(file).join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - back;
        bytes[last] ^= 0x10;
        fs::write(&path, bytes).unwrap();
        assert!(seen.insert(id_of(model.path())), "{file}");
    }
    // What the towers do not read is no part of the model.
    let model = copy_of("tiny");
    replace(
        &model.path().join("text/config.json"),
        "\"hidden_dropout_prob\": 0.1",
        "\"hidden_dropout_prob\": 0.2",
    );
    fs::remove_file(model.path().join("image/preprocessor_config.json")).unwrap();
    assert_eq!(id_of(model.path()), same);
}

#[test]
fn a_known_folder_is_not_hashed_again() {
    let model = copy_of("tiny");
    let cache = tempfile::tempdir().unwrap();
    let folder = ModelFolder::open(model.path()).unwrap();
    let first = folder.id("tiny", Some(cache.path())).unwrap();
    let entries: Vec<_> = fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    let planted = "0".repeat(64);
    fs::write(entry, &planted).unwrap();
    assert_eq!(folder.id("tiny", Some(cache.path())).unwrap().weights, planted, "read back, not computed");
    assert_eq!(folder.id("tiny", None).unwrap(), first);
}
