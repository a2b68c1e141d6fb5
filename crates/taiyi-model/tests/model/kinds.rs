//! The three kinds of checkpoint against transformers: besides the classifier's logits, which `golden` tests,
//! BertModel's pooler and Chinese-CLIP's projection; one repository and two; 336 pixels, patches of 14, both
//! GELUs; f16 and bf16, as safetensors and as a pickle.

use std::fs;

use safetensors::tensor::Dtype;
use taiyi_core::{ImageEncoder, PreparedImage, TextEncoder};
use taiyi_model::ModelFolder;

use crate::support::{
    Reference, TOLERANCE, close, copy_of, data, difference, error, open, replace, rewrite, threads,
};

const CHINESE_CLIP: &str = "tiny-cn-clip";
const POOLER: &str = "tiny-pooler";

fn texts_close(model: &ModelFolder, reference: &Reference) {
    let tower = model.text_tower(&threads(2)).unwrap();
    let texts: Vec<&str> = reference.prompts.iter().map(String::as_str).collect();
    close(&tower.encode_texts(&texts).unwrap(), &reference.text_embeddings);
}

fn pictures_close(model: &ModelFolder, reference: &Reference) {
    let tower = model.image_tower(&threads(2)).unwrap();
    let prepared: Vec<_> = reference.images().iter().map(|image| tower.prepare(image).unwrap()).collect();
    close(&tower.encode_images(&prepared).unwrap(), &reference.image_embeddings);
}

#[test]
fn texts_are_embedded_as_by_transformers() {
    for (name, dimension, longest) in [(CHINESE_CLIP, 24, 128), (POOLER, 48, 64)] {
        let (model, reference) = (open(name), Reference::of(name));
        assert_eq!(model.dimension(), dimension);
        let tower = model.text_tower(&threads(1)).unwrap();
        assert_eq!((tower.dimension(), tower.max_tokens()), (dimension, longest));
        for (prompt, ids) in reference.prompts.iter().zip(&reference.token_ids) {
            assert_eq!(&tower.tokenize(prompt).unwrap().ids, ids, "{prompt:?}");
        }
        texts_close(&model, &reference);
    }
}

#[test]
fn pictures_are_embedded_as_by_transformers() {
    for (name, side) in [(CHINESE_CLIP, 336), (POOLER, 224)] {
        let (model, reference) = (open(name), Reference::of(name));
        let tower = model.image_tower(&threads(1)).unwrap();
        assert_eq!(tower.input_side(), side);
        for ((picture, ..), image) in reference.pictures.iter().zip(reference.images()) {
            let PreparedImage(ours) = tower.prepare(&image).unwrap();
            let row = side as usize * 3;
            let rows: Vec<u8> =
                ours.pixels().chunks(row).step_by(reference.row_step).flatten().copied().collect();
            let theirs = &reference.prepared[picture];
            let differing = rows.iter().zip(theirs).filter(|(a, b)| a != b).count();
            assert_eq!((rows.len(), differing), (theirs.len(), 0), "{picture} of {name}");
        }
        pictures_close(&model, &reference);
    }
}

/// Were the committed weights tame, a wrong layer would pass unnoticed.
#[test]
fn a_wrong_configuration_would_show() {
    for (name, file, from, to) in [
        (CHINESE_CLIP, "config.json", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"gelu_new\""),
        (CHINESE_CLIP, "config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 2"),
        (POOLER, "text/config.json", "\"num_attention_heads\": 6", "\"num_attention_heads\": 3"),
    ] {
        let (model, reference) = (copy_of(name), Reference::of(name));
        replace(&model.path().join(file), from, to);
        let tower = ModelFolder::open(model.path()).unwrap().text_tower(&threads(1)).unwrap();
        let texts: Vec<&str> = reference.prompts.iter().map(String::as_str).collect();
        let ours = tower.encode_texts(&texts).unwrap();
        let off = ours.iter().zip(&reference.text_embeddings).map(|(a, b)| difference(a.as_slice(), b));
        let worst = off.fold(0.0, f32::max);
        assert!(worst > 3.0 * TOLERANCE, "{to}: only off by {worst}");
    }
    for (name, file, from, to) in [
        (CHINESE_CLIP, "config.json", "quick_gelu", "gelu"),
        (CHINESE_CLIP, "config.json", "\"num_attention_heads\": 2", "\"num_attention_heads\": 4"),
        (POOLER, "image/config.json", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"quick_gelu\""),
    ] {
        let (model, reference) = (copy_of(name), Reference::of(name));
        replace(&model.path().join(file), from, to);
        let tower = ModelFolder::open(model.path()).unwrap().image_tower(&threads(1)).unwrap();
        let prepared: Vec<_> = reference.images().iter().map(|image| tower.prepare(image).unwrap()).collect();
        let ours = tower.encode_images(&prepared).unwrap();
        let off = ours.iter().zip(&reference.image_embeddings).map(|(a, b)| difference(a.as_slice(), b));
        let worst = off.fold(0.0, f32::max);
        assert!(worst > 3.0 * TOLERANCE, "{to}: only off by {worst}");
    }
}

#[test]
fn one_folder_or_two_are_the_same_model() {
    let two = tempfile::tempdir().unwrap();
    for half in ["text", "image"] {
        fs::create_dir(two.path().join(half)).unwrap();
        for file in fs::read_dir(data(CHINESE_CLIP)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), two.path().join(half).join(file.file_name())).unwrap();
        }
    }
    let split = ModelFolder::open(two.path()).unwrap();
    assert_eq!(split.id("x", None).unwrap(), open(CHINESE_CLIP).id("x", None).unwrap());
    texts_close(&split, &Reference::of(CHINESE_CLIP));
}

/// `TaiyiCLIPConfig` calls itself "clip": its halves tell what it is.
#[test]
fn fengshens_layout_is_read_like_chinese_clips() {
    let model = copy_of(CHINESE_CLIP);
    let config = model.path().join("config.json");
    replace(&config, "\"chinese_clip\"", "\"clip\"");
    replace(&config, "chinese_clip_text_model", "bert");
    replace(&config, "chinese_clip_vision_model", "clip_vision_model");
    let folder = ModelFolder::open(model.path()).unwrap();
    texts_close(&folder, &Reference::of(CHINESE_CLIP));
    pictures_close(&folder, &Reference::of(CHINESE_CLIP));
    assert_eq!(folder.id("x", None).unwrap(), open(CHINESE_CLIP).id("x", None).unwrap());
}

/// A `BertModel` that was saved inside of another class, or by one whose name tells nothing.
#[test]
fn the_weights_decide_where_the_configuration_is_silent() {
    let (model, reference) = (copy_of(POOLER), Reference::of(POOLER));
    replace(&model.path().join("text/config.json"), "\"BertModel\"", "\"BertForMaskedLM\"");
    texts_close(&ModelFolder::open(model.path()).unwrap(), &reference);
    // The other way round: a classifier that nobody announces.
    let model = copy_of("tiny");
    replace(&model.path().join("text/config.json"), "BertForSequenceClassification", "BertForMaskedLM");
    let id = ModelFolder::open(model.path()).unwrap().id("x", None).unwrap();
    assert_eq!(id, open("tiny").id("x", None).unwrap());
    // And one that the configuration says is not what counts: the embedding is the pooler's, of 32 components.
    replace(&model.path().join("text/config.json"), "BertForMaskedLM", "BertModel");
    let told = error(model.path());
    assert!(told.contains("32 components (bert.pooler.dense.weight [32, 32] in "), "{told}");
}

#[test]
fn every_change_that_matters_shows_in_the_identity() {
    for (name, file, from, to) in [
        (CHINESE_CLIP, "config.json", "quick_gelu", "gelu"),
        (CHINESE_CLIP, "config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 2"),
        (CHINESE_CLIP, "vocab.txt", "\n只\n", "\n新\u{200b}\n"),
        (CHINESE_CLIP, "preprocessor_config.json", "0.48145466", "0.5"),
        (POOLER, "text/config.json", "\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": 1e-5"),
    ] {
        let model = copy_of(name);
        replace(&model.path().join(file), from, to);
        let changed = ModelFolder::open(model.path()).unwrap().id("x", None).unwrap();
        assert_ne!(changed.weights, open(name).id("x", None).unwrap().weights, "{file}: {to}");
    }
    // A file that changes is read again, also where one file is both towers'.
    let (model, cache) = (copy_of(CHINESE_CLIP), tempfile::tempdir().unwrap());
    let first = ModelFolder::open(model.path()).unwrap().id("x", Some(cache.path())).unwrap();
    rewrite(&model.path().join("model.safetensors"), |name, dtype, shape, mut data| {
        data[0] ^= u8::from(name == "text_projection.weight");
        Some((dtype, shape, data))
    });
    let second = ModelFolder::open(model.path()).unwrap().id("x", Some(cache.path())).unwrap();
    assert_ne!(first.weights, second.weights);
}

#[test]
fn what_does_not_fit_is_named() {
    // Another width of the projection: of the configuration's, and of the other tower's.
    let narrow = |model: &std::path::Path| {
        rewrite(&model.join("model.safetensors"), |name, dtype, mut shape, mut data| {
            if name == "text_projection.weight" {
                shape[0] = 12;
                data.truncate(data.len() / 2);
            }
            Some((dtype, shape, data))
        });
    };
    let model = copy_of(CHINESE_CLIP);
    narrow(model.path());
    let told = error(model.path());
    assert!(
        told.contains(
            "model.safetensors: tensor text_projection.weight has shape [12, 32], expected [24, 32]"
        ),
        "{told}"
    );
    let config = model.path().join("config.json");
    let silent = fs::read_to_string(&config).unwrap().replace("\"projection_dim\"", "\"unknown\"");
    fs::write(&config, silent).unwrap();
    let told = error(model.path());
    assert!(
        told.contains("12 components (text_projection.weight [12, 32] in ")
            && told.contains("24 components (visual_projection.weight [24, 32] in "),
        "{told}"
    );

    for (tensor, expected) in [
        ("text_projection.weight", "tensor text_projection.weight is missing, expected [24, 32]"),
        ("visual_projection.weight", "tensor visual_projection.weight is missing, expected [24, 32]"),
        (
            "text_model.encoder.layer.1.output.dense.weight",
            "tensor text_model.encoder.layer.1.output.dense.weight [32, 64] is missing",
        ),
    ] {
        let model = copy_of(CHINESE_CLIP);
        rewrite(&model.path().join("model.safetensors"), |name, dtype, shape, data| {
            (name != tensor).then_some((dtype, shape, data))
        });
        let told = error(model.path());
        assert!(told.contains(expected) && told.contains("model.safetensors"), "{told}");
    }

    // A text tower without a pooler, and one whose classifier is gone.
    let model = copy_of("tiny");
    replace(&model.path().join("text/config.json"), "BertForSequenceClassification", "BertModel");
    let without = |model: &std::path::Path, tensor: &str| {
        rewrite(&model.join("text/model.safetensors"), |name, dtype, shape, data| {
            (name != tensor).then_some((dtype, shape, data))
        });
        error(model)
    };
    let told = without(model.path(), "bert.pooler.dense.weight");
    assert!(told.contains("tensor bert.pooler.dense.weight is missing, expected [32, 32]"), "{told}");
    let told = without(copy_of("tiny").path(), "classifier.weight");
    assert!(told.contains("tensor classifier.weight is missing, expected [dimension, 32]"), "{told}");

    // Another patch and another picture than the weights are for.
    for (from, to, expected) in [
        ("\"patch_size\": 14", "\"patch_size\": 16", "has shape [32, 3, 14, 14], expected [32, 3, 16, 16]"),
        ("\"image_size\": 336", "\"image_size\": 224", "unless size is the tower's 224×224"),
    ] {
        let model = copy_of(CHINESE_CLIP);
        replace(&model.path().join("config.json"), from, to);
        let told = error(model.path());
        assert!(told.contains(expected), "{told}");
    }
    let model = copy_of(CHINESE_CLIP);
    replace(&model.path().join("config.json"), "\"image_size\": 336", "\"image_size\": 224");
    let preprocessing = model.path().join("preprocessor_config.json");
    replace(&preprocessing, "\"height\": 336", "\"height\": 224");
    replace(&preprocessing, "\"width\": 336", "\"width\": 224");
    let told = error(model.path());
    assert!(told.contains("position_embedding.weight has shape [577, 32], expected [257, 32]"), "{told}");

    // Integers are no weights.
    let model = copy_of(POOLER);
    rewrite(&model.path().join("image/model.safetensors"), |name, dtype, shape, data| {
        Some((if name == "visual_projection.weight" { Dtype::I16 } else { dtype }, shape, data))
    });
    assert!(error(model.path()).contains("tensor visual_projection.weight is of type I16"));
}

#[test]
fn folders_that_hold_neither_say_what_belongs_there() {
    // One tower's files where both towers' should be.
    let model = copy_of(POOLER);
    let text = model.path().join("text");
    let told = error(&text);
    assert!(told.contains("text_config and vision_config") && told.contains("text/config.json"), "{told}");
    let empty = tempfile::tempdir().unwrap();
    let told = error(empty.path());
    assert!(told.contains("text/ and image/") && told.contains("one repository publishes both"), "{told}");
    // An English CLIP is whole, but not Chinese.
    let english = copy_of(POOLER);
    let told = error(&english.path().join("image"));
    assert!(told.contains("\"clip_text_model\", expected chinese_clip_text_model or bert"), "{told}");
    for missing in ["vocab.txt", "preprocessor_config.json", "model.safetensors"] {
        let model = copy_of(CHINESE_CLIP);
        fs::remove_file(model.path().join(missing)).unwrap();
        let told = error(model.path());
        assert!(told.contains(missing) && told.contains(&*model.path().to_string_lossy()), "{told}");
    }
}

#[test]
fn weights_cut_short_are_errors() {
    for (name, file) in [
        (CHINESE_CLIP, "model.safetensors"),
        (POOLER, "text/pytorch_model.bin"),
        (POOLER, "image/model.safetensors"),
    ] {
        let model = copy_of(name);
        let path = model.path().join(file);
        let whole = fs::read(&path).unwrap();
        for length in (0..12).map(|part| whole.len() * part / 12) {
            fs::write(&path, &whole[..length]).unwrap();
            let told = error(model.path());
            assert!(told.contains(file), "{length} bytes: {told}");
        }
    }
}
