//! Towers in 8-bit numbers: near those in f32, and a file of quantised weights that may be in any state.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use taiyi_core::{Embedding, ImageEncoder, Precision, PreparedImage, TextEncoder};
use taiyi_model::{ModelFolder, ModelPlace};

use crate::support::{Reference, copy_of, data, open, threads};

const PROMPTS: [&str; 3] = ["两只老虎", "一张海边日落的照片", "a cat 和 dog"];

fn int8(model: &Path, cache: Option<&Path>) -> ModelFolder {
    ModelFolder::open(model).unwrap().at(Precision::Int8, cache)
}

fn texts(folder: &ModelFolder, count: usize) -> Vec<Embedding> {
    folder.text_tower(&threads(count)).unwrap().encode_texts(&PROMPTS).unwrap()
}

fn cosines(a: &[Embedding], b: &[Embedding]) -> Vec<f32> {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.score(b).get()).collect()
}

fn files(cache: &Path) -> Vec<PathBuf> {
    fs::read_dir(cache.join("int8")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Random weights of little width are far worse to quantise than a real tower's: errors of few products do not
/// even out.
#[test]
fn embeddings_are_near_those_in_f32_for_every_kind_of_checkpoint() {
    for name in ["tiny", "tiny-bin", "tiny-pooler", "tiny-cn-clip"] {
        let cache = tempfile::tempdir().unwrap();
        let (exact, coarse) = (open(name), int8(&data(name), Some(cache.path())));
        let nearness = cosines(&texts(&exact, 1), &texts(&coarse, 1));
        assert!(nearness.iter().all(|cosine| (0.99..1.0).contains(cosine)), "{name}: {nearness:?}");

        let tower = exact.image_tower(&threads(1)).unwrap();
        let pictures: Vec<PreparedImage> =
            Reference::read().images().iter().map(|image| tower.prepare(image).unwrap()).collect();
        let coarse = coarse.image_tower(&threads(2)).unwrap();
        let nearness =
            cosines(&tower.encode_images(&pictures).unwrap(), &coarse.encode_images(&pictures).unwrap());
        assert!(nearness.iter().all(|cosine| (0.99..1.0).contains(cosine)), "{name}: {nearness:?}");
    }
}

#[test]
fn neither_company_nor_threads_change_an_embedding() {
    let folder = int8(&data("tiny"), None);
    let together = texts(&folder, 3);
    let tower = folder.text_tower(&threads(1)).unwrap();
    for (prompt, together) in PROMPTS.iter().zip(&together) {
        let alone = tower.encode_texts(&[prompt]).unwrap();
        assert_eq!(alone[0].as_slice(), together.as_slice(), "{prompt}");
    }
}

#[test]
fn the_identity_tells_the_precision() {
    let (exact, coarse) = (open("tiny"), int8(&data("tiny"), None));
    let (exact, coarse) = (exact.id("tiny", None).unwrap(), coarse.id("tiny", None).unwrap());
    assert!(!exact.is_same_model(&coarse) && exact.has_same_weights(&coarse));
    assert_eq!(coarse.weights, format!("{}+int8.1", exact.weights));
    assert_eq!(int8(&data("tiny-bin"), None).id("tiny", None).unwrap(), coarse, "whatever its files");
}

#[test]
fn weights_are_quantised_once_and_kept_beside_no_model() {
    let (model, cache) = (copy_of("tiny"), tempfile::tempdir().unwrap());
    let before = fs::read_dir(model.path().join("text")).unwrap().count();
    let folder = int8(model.path(), Some(cache.path()));
    let first = texts(&folder, 1);
    let [file] = &files(cache.path())[..] else { panic!("one tower, one file") };
    let bytes = fs::read(file).unwrap();
    let weights = fs::metadata(model.path().join("text/model.safetensors")).unwrap().len();
    // Much of so small a model is what stays in f32.
    assert!(3 * (bytes.len() as u64) < 2 * weights, "{} of {weights}", bytes.len());
    let written = fs::metadata(file).unwrap().modified().unwrap();
    assert_eq!(texts(&folder, 1), first);
    assert_eq!(fs::metadata(file).unwrap().modified().unwrap(), written, "made once");
    assert_eq!(fs::read_dir(model.path().join("text")).unwrap().count(), before);
    folder.image_tower(&threads(1)).unwrap();
    assert_eq!(files(cache.path()).len(), 2);
}

#[test]
fn a_file_that_is_no_good_is_made_again() {
    let cache = tempfile::tempdir().unwrap();
    let folder = int8(&data("tiny"), Some(cache.path()));
    let expected = texts(&folder, 1);
    let file = files(cache.path()).pop().unwrap();
    let whole = fs::read(&file).unwrap();
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        bytes
    };
    let version = whole.windows(6).position(|window| window == b"int8 1").unwrap() + 5;
    for (what, bytes) in [
        ("a weight", changed(whole.len() - 100)),
        ("the header", changed(20)),
        ("its length", changed(6)),
        ("the version", changed(version)),
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("cut in the header", whole[..40].to_vec()),
        ("empty", Vec::new()),
        ("something else", b"something else".repeat(9)),
    ] {
        fs::write(&file, bytes).unwrap();
        assert_eq!(texts(&folder, 1), expected, "{what}");
        assert!(fs::read(&file).unwrap() == whole, "{what}: not made again");
    }
}

#[test]
fn a_cache_that_cannot_be_written_costs_only_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a file");
    fs::write(&file, "").unwrap();
    let expected = texts(&int8(&data("tiny"), None), 1);
    assert_eq!(texts(&int8(&data("tiny"), Some(&file)), 1), expected);
}

#[test]
fn many_may_make_it_at_once() {
    let cache = tempfile::tempdir().unwrap();
    let expected = texts(&int8(&data("tiny"), None), 1);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(texts(&int8(&data("tiny"), Some(cache.path())), 1), expected));
        }
    });
    assert_eq!(files(cache.path()).len(), 1, "no draft stays");
}

#[test]
fn the_built_in_model_has_it_too() {
    let cache = tempfile::tempdir().unwrap();
    let exact = ModelFolder::open_place(&ModelPlace::BuiltIn).unwrap();
    let expected = texts(&exact, 1);
    let coarse = exact.at(Precision::Int8, Some(cache.path()));
    let nearness = cosines(&expected, &texts(&coarse, 1));
    assert!(nearness.iter().all(|cosine| *cosine > 0.995), "{nearness:?}");
    assert!(!cache.path().join("int8").exists(), "it is small, and always here");
}
