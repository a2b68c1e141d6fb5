//! Folders that are incomplete, damaged or of another kind: an error that names the file, never a panic.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use proptest::prelude::*;
use safetensors::tensor::Dtype;
use taiyi_core::{ImageEncoder, TextEncoder};
use taiyi_model::ModelFolder;

use crate::support::{Reference, copy_of, difference, error, load, open, replace, rewrite, threads};

#[test]
fn missing_parts_are_named() {
    assert!(error(Path::new("/nonexistent/model")).contains("/nonexistent/model"));
    for (name, file, told) in [
        ("tiny", "text/config.json", "text/config.json"),
        ("tiny", "image/config.json", "image/config.json"),
        ("tiny", "text/vocab.txt", "put vocab.txt there"),
        ("tiny", "text/model.safetensors", "put model.safetensors or pytorch_model.bin there"),
        ("tiny-bin", "image/pytorch_model.bin", "put model.safetensors or pytorch_model.bin there"),
    ] {
        let model = copy_of(name);
        fs::remove_file(model.path().join(file)).unwrap();
        let error = error(model.path());
        assert!(error.contains(told), "{error}");
    }
    let model = copy_of("tiny");
    fs::remove_dir_all(model.path().join("image")).unwrap();
    assert!(error(model.path()).contains("image"));
}

#[test]
fn configurations_of_other_models_are_refused() {
    for (file, from, to, told) in [
        ("text/config.json", "\"gelu\"", "\"swish\"", "hidden_act is \"swish\""),
        ("text/config.json", "\"quick_gelu\"", "\"swish\"", ""),
        ("image/config.json", "\"hidden_act\": \"quick_gelu\"", "\"hidden_act\": \"swish\"", ""),
        (
            "text/config.json",
            "\"hidden_size\": 32",
            "\"hidden_size\": 64",
            "classifier.weight has shape [64, 32], expected [dimension, 64]",
        ),
        ("text/config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "layer.2"),
        ("text/config.json", "\"vocab_size\": 21128", "\"vocab_size\": 9", "expected [9, 32]"),
        ("text/config.json", "\"model_type\": \"bert\"", "\"model_type\": \"roberta\"", "roberta"),
        ("image/config.json", "\"projection_dim\": 64", "\"projection_dim\": 63", "projection_dim is 63"),
        ("image/preprocessor_config.json", "\"crop_size\": 224", "\"crop_size\": 336", "336×336"),
        ("text/vocab.txt", "[SEP]\n", "[sep]\n", "the vocabulary has no [SEP]"),
        ("text/vocab.txt", "[UNK]\n", "[UNK]\nextra\n", "largest token id is 21128"),
        // Such a token gets the next id.
        ("text/vocab.txt", "[PAD]\n", "[pad]\n", "largest token id is 21128"),
        ("text/vocab.txt", "[MASK]\n", "[mask]\n", "largest token id is 21128"),
    ] {
        let model = copy_of("tiny");
        let path = model.path().join(file);
        if !fs::read_to_string(&path).unwrap().contains(from) {
            continue;
        }
        replace(&path, from, to);
        // CLIP's English half has an activation too; it comes first in the file and does not matter.
        if told.is_empty() {
            continue;
        }
        let error = error(model.path());
        assert!(error.contains(told) && error.contains(file.split('/').next().unwrap()), "{error}");
    }
}

#[test]
fn towers_of_different_spaces_do_not_pair() {
    let model = copy_of("tiny");
    replace(&model.path().join("image/config.json"), "\"projection_dim\": 64", "\"projection_dim\": 32");
    // Every mention: the whole configuration's, and those of both halves.
    let config = fs::read_to_string(model.path().join("image/config.json")).unwrap();
    fs::write(
        model.path().join("image/config.json"),
        config.replace("\"projection_dim\": 64", "\"projection_dim\": 32"),
    )
    .unwrap();
    rewrite(&model.path().join("image/model.safetensors"), |name, dtype, mut shape, mut data| {
        if name == "visual_projection.weight" {
            shape[0] = 32;
            data.truncate(data.len() / 2);
        }
        Some((dtype, shape, data))
    });
    let error = error(model.path());
    assert!(error.contains("64 components") && error.contains("image tower 32"), "{error}");
}

#[test]
fn tensors_are_checked_by_name_shape_and_type() {
    let file = "image/model.safetensors";
    let target = "vision_model.encoder.layers.1.mlp.fc2.weight";
    let model = copy_of("tiny");
    rewrite(&model.path().join(file), |name, dtype, shape, data| {
        (name != target).then_some((dtype, shape, data))
    });
    let missing = error(model.path());
    assert!(
        missing.contains(target) && missing.contains("is missing") && missing.contains(file),
        "{missing}"
    );

    let model = copy_of("tiny");
    rewrite(&model.path().join(file), |name, dtype, mut shape, data| {
        if name == target {
            shape.reverse();
        }
        Some((dtype, shape, data))
    });
    let turned = error(model.path());
    assert!(turned.contains("has shape [128, 64], expected [64, 128]"), "{turned}");

    let model = copy_of("tiny");
    rewrite(&model.path().join(file), |name, dtype, shape, data| {
        Some((if name == target { Dtype::I32 } else { dtype }, shape, data))
    });
    let integers = error(model.path());
    assert!(integers.contains("of type I32, expected f32"), "{integers}");
}

#[test]
fn the_english_half_is_never_read() {
    let reference = Reference::read();
    let model = copy_of("tiny");
    let english = |name: &str| name.starts_with("text_") || name == "logit_scale";
    let mut found = 0;
    let path = model.path().join("image/model.safetensors");
    for name in safetensors::SafeTensors::deserialize(&fs::read(&path).unwrap()).unwrap().names() {
        found += usize::from(english(name));
    }
    assert!(found > 10, "the committed model has an English half");
    // Garbage of another shape and type, where it is not absent.
    rewrite(&path, |name, dtype, shape, data| {
        if name.contains("layers.0") && english(name) {
            return None;
        }
        if english(name) {
            return Some((Dtype::U8, vec![3], vec![255; 3]));
        }
        Some((dtype, shape, data))
    });
    let folder = ModelFolder::open(model.path()).unwrap();
    assert_eq!(folder.id("x", None).unwrap(), open("tiny").id("x", None).unwrap());
    let tower = folder.image_tower(&threads(1)).unwrap();
    let prepared = tower.prepare(&reference.images()[0]).unwrap();
    let ours = tower.encode_images(&[prepared]).unwrap();
    assert!(difference(ours[0].as_slice(), &reference.image_embeddings[0]) < 2e-5);
}

#[test]
fn numbers_that_are_none_are_an_error() {
    let model = copy_of("tiny");
    for (file, target) in
        [("text", "bert.pooler.dense.bias"), ("image", "vision_model.post_layernorm.weight")]
    {
        rewrite(&model.path().join(file).join("model.safetensors"), |name, dtype, shape, mut data| {
            if name == target {
                data.fill(0xff);
            }
            Some((dtype, shape, data))
        });
    }
    let folder = ModelFolder::open(model.path()).unwrap();
    let error = folder.text_tower(&threads(1)).unwrap().encode_texts(&["猫"]).unwrap_err().to_string();
    assert!(error.contains("text") && error.contains("not a finite number"), "{error}");
    let tower = folder.image_tower(&threads(1)).unwrap();
    let prepared = tower.prepare(&crate::support::picture(9, 9)).unwrap();
    let error = tower.encode_images(&[prepared]).unwrap_err().to_string();
    assert!(error.contains("image") && error.contains("not a finite number"), "{error}");
}

#[test]
fn weight_files_cut_short_are_errors() {
    for (name, file) in [
        ("tiny", "text/model.safetensors"),
        ("tiny", "image/model.safetensors"),
        ("tiny-bin", "text/pytorch_model.bin"),
        ("tiny-bin", "image/pytorch_model.bin"),
    ] {
        let model = copy_of(name);
        let path = model.path().join(file);
        let whole = fs::read(&path).unwrap();
        let near_the_start = (0..200).step_by(9);
        let near_the_end = (1..3000).step_by(149).map(|back| whole.len() - back);
        let between = (1..12).map(|part| whole.len() * part / 12);
        for length in near_the_start.chain(between).chain(near_the_end) {
            fs::write(&path, &whole[..length]).unwrap();
            let error = error(model.path());
            assert!(error.contains(file), "{length} bytes: {error}");
        }
    }
}

/// A checkpoint's zip file with this table of tensors and nothing else.
fn write_pickle(path: &Path, table: &[u8]) {
    let mut archive = zip::ZipWriter::new(fs::File::create(path).unwrap());
    archive.start_file("archive/data.pkl", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(table).unwrap();
    archive.finish().unwrap();
}

#[test]
fn a_pickle_that_would_end_the_process_is_refused() {
    let model = copy_of("tiny-bin");
    let path = model.path().join("text/pytorch_model.bin");
    for (table, told) in [
        (
            [&b"\x80\x02)"[..], &b"\x85".repeat(1_000_000), b"."].concat(),
            "nests objects in more than 64 levels",
        ),
        (b")".repeat(8 << 20), "bytes of memory"),
        (b")".repeat((8 << 20) + 1), "8388609 bytes"),
    ] {
        write_pickle(&path, &table);
        let error = error(model.path());
        assert!(error.contains("text/pytorch_model.bin is damaged") && error.contains(told), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bytes_gone_wrong_never_panic(
        pick in 0usize..6,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        at_ends in any::<bool>(),
    ) {
        let (name, file) = [
            ("tiny", "text/model.safetensors"),
            ("tiny", "image/model.safetensors"),
            ("tiny-bin", "text/pytorch_model.bin"),
            ("tiny-bin", "image/pytorch_model.bin"),
            ("tiny-cn-clip", "model.safetensors"),
            ("tiny-pooler", "text/pytorch_model.bin"),
        ][pick];
        let model = copy_of(name);
        let path = model.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        for (index, value) in flips {
            // Tables lie in the first or last few kilobytes; there a byte decides the most.
            let at = if at_ends { index.index(6000) } else { index.index(bytes.len()) };
            let length = bytes.len();
            let at = if at_ends && at >= 3000 { length - 1 - (at - 3000) } else { at };
            bytes[at] = value;
        }
        fs::write(&path, bytes).unwrap();
        // Wrong values are another model, a wrong table is an error.
        let _ = load(model.path());
    }
}
