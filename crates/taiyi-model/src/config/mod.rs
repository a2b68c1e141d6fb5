//! The configuration files of a model folder, read into what decides an embedding.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ModelError;
use crate::files::Files;

/// More than any published tower has; a bound on what a damaged config can make us allocate.
const MAX_SIZE: usize = 1 << 24;
const MAX_LAYERS: usize = 1000;
const MAX_IMAGE_SIDE: u32 = 4096;

/// Reads `dir/config.json` or another JSON file.
pub(crate) fn read_json<T: DeserializeOwned>(files: Files, path: &Path) -> Result<T, ModelError> {
    let bytes = files.read(path).map_err(|error| ModelError::io(path, error))?;
    serde_json::from_slice(&bytes).map_err(|error| ModelError::config(path, error.to_string()))
}

/// The non-linearity of a tower's feed-forward layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `x·Φ(x)`, with the error function.
    Gelu,
    /// GELU by tanh.
    GeluTanh,
    /// `x·σ(1.702x)`.
    QuickGelu,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// By the names that transformers gives in `hidden_act`.
    fn from_name(name: &str, path: &Path) -> Result<Self, ModelError> {
        match name {
            "gelu" | "gelu_python" => Ok(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Self::GeluTanh),
            "quick_gelu" => Ok(Self::QuickGelu),
            "relu" => Ok(Self::Relu),
            other => Err(ModelError::config(
                path,
                format!("hidden_act is {other:?}, expected gelu, gelu_new, quick_gelu or relu"),
            )),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_new",
            Self::QuickGelu => "quick_gelu",
            Self::Relu => "relu",
        }
    }
}

/// What both towers are made of: a stack of transformer layers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layers {
    pub(crate) count: usize,
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) intermediate: usize,
    pub(crate) activation: Activation,
    /// Of every LayerNorm.
    pub(crate) eps: f64,
}

impl Layers {
    fn check(&self, path: &Path) -> Result<(), ModelError> {
        check_range(path, "num_hidden_layers", self.count, MAX_LAYERS)?;
        check_range(path, "hidden_size", self.width, MAX_SIZE)?;
        check_range(path, "intermediate_size", self.intermediate, MAX_SIZE)?;
        check_range(path, "num_attention_heads", self.heads, MAX_SIZE)?;
        if !self.width.is_multiple_of(self.heads) {
            return Err(ModelError::config(
                path,
                format!("hidden_size {} is no multiple of num_attention_heads {}", self.width, self.heads),
            ));
        }
        if !(self.eps.is_finite() && self.eps > 0.0) {
            return Err(ModelError::config(
                path,
                format!("layer_norm_eps is {}, expected a small positive number", self.eps),
            ));
        }
        Ok(())
    }
}

fn check_range(path: &Path, key: &str, value: usize, max: usize) -> Result<(), ModelError> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    Err(ModelError::config(path, format!("{key} is {value}, expected 1 to {max}")))
}

/// `text/config.json`: a BERT encoder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TextConfig {
    pub(crate) layers: Layers,
    pub(crate) vocabulary: usize,
    /// Tokens that one text may have.
    pub(crate) positions: usize,
    pub(crate) token_types: usize,
}

#[derive(Deserialize)]
struct BertJson {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "two")]
    type_vocab_size: usize,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "bert_eps")]
    layer_norm_eps: f64,
    position_embedding_type: Option<String>,
    model_type: Option<String>,
}

fn two() -> usize {
    2
}

fn gelu() -> String {
    "gelu".into()
}

fn bert_eps() -> f64 {
    1e-12
}

impl TextConfig {
    pub(crate) fn read(files: Files, path: &Path) -> Result<Self, ModelError> {
        let json: BertJson = read_json(files, path)?;
        if let Some(kind) = json.model_type.as_deref()
            && kind != "bert"
        {
            return Err(ModelError::config(path, format!("model_type is {kind:?}, expected \"bert\"")));
        }
        if let Some(kind) = json.position_embedding_type.as_deref()
            && kind != "absolute"
        {
            return Err(ModelError::config(
                path,
                format!("position_embedding_type is {kind:?}, expected \"absolute\""),
            ));
        }
        let layers = Layers {
            count: json.num_hidden_layers,
            width: json.hidden_size,
            heads: json.num_attention_heads,
            intermediate: json.intermediate_size,
            activation: Activation::from_name(&json.hidden_act, path)?,
            eps: json.layer_norm_eps,
        };
        layers.check(path)?;
        if layers.activation == Activation::QuickGelu {
            return Err(ModelError::config(path, "hidden_act is \"quick_gelu\", which no BERT tower uses"));
        }
        check_range(path, "vocab_size", json.vocab_size, MAX_SIZE)?;
        check_range(path, "type_vocab_size", json.type_vocab_size, MAX_SIZE)?;
        check_range(path, "max_position_embeddings", json.max_position_embeddings, MAX_SIZE)?;
        if json.max_position_embeddings < 2 {
            return Err(ModelError::config(
                path,
                "max_position_embeddings is 1, expected room for [CLS] and [SEP]",
            ));
        }
        Ok(Self {
            layers,
            vocabulary: json.vocab_size,
            positions: json.max_position_embeddings,
            token_types: json.type_vocab_size,
        })
    }
}

/// `image/config.json`: CLIP's vision transformer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VisionConfig {
    pub(crate) layers: Layers,
    /// Columns and rows of the input.
    pub(crate) side: u32,
    /// Columns and rows of one patch.
    pub(crate) patch: u32,
    /// The embedding's size, where the configuration tells it; the projection's shape decides.
    pub(crate) projection: Option<usize>,
}

#[derive(Deserialize)]
struct VisionJson {
    #[serde(default = "vision::hidden_size")]
    hidden_size: usize,
    #[serde(default = "vision::num_hidden_layers")]
    num_hidden_layers: usize,
    #[serde(default = "vision::num_hidden_layers")]
    num_attention_heads: usize,
    #[serde(default = "vision::intermediate_size")]
    intermediate_size: usize,
    #[serde(default = "vision::hidden_act")]
    hidden_act: String,
    #[serde(default = "vision::layer_norm_eps")]
    layer_norm_eps: f64,
    #[serde(default = "vision::image_size")]
    image_size: u32,
    #[serde(default = "vision::patch_size")]
    patch_size: u32,
    #[serde(default = "vision::num_channels")]
    num_channels: u32,
    projection_dim: Option<usize>,
}

/// What transformers assumes for keys that a CLIP vision configuration leaves out.
mod vision {
    pub(super) fn hidden_size() -> usize {
        768
    }
    pub(super) fn num_hidden_layers() -> usize {
        12
    }
    pub(super) fn intermediate_size() -> usize {
        3072
    }
    pub(super) fn hidden_act() -> String {
        "quick_gelu".into()
    }
    pub(super) fn layer_norm_eps() -> f64 {
        1e-5
    }
    pub(super) fn image_size() -> u32 {
        224
    }
    pub(super) fn patch_size() -> u32 {
        32
    }
    pub(super) fn num_channels() -> u32 {
        3
    }
}

impl VisionConfig {
    /// Reads a whole CLIP configuration, or that of its vision half alone.
    pub(crate) fn read(files: Files, path: &Path) -> Result<Self, ModelError> {
        let whole: Value = read_json(files, path)?;
        let kind = whole.get("model_type").and_then(Value::as_str).unwrap_or("clip");
        if !matches!(kind, "clip" | "clip_vision_model") {
            return Err(ModelError::config(
                path,
                format!("model_type is {kind:?}, expected \"clip\" or \"clip_vision_model\""),
            ));
        }
        let half = whole.get("vision_config").unwrap_or(&whole);
        let json =
            VisionJson::deserialize(half).map_err(|error| ModelError::config(path, error.to_string()))?;
        let projection = whole.get("projection_dim").and_then(Value::as_u64);
        let layers = Layers {
            count: json.num_hidden_layers,
            width: json.hidden_size,
            heads: json.num_attention_heads,
            intermediate: json.intermediate_size,
            activation: Activation::from_name(&json.hidden_act, path)?,
            eps: json.layer_norm_eps,
        };
        layers.check(path)?;
        if json.num_channels != 3 {
            return Err(ModelError::config(
                path,
                format!("num_channels is {}, expected 3", json.num_channels),
            ));
        }
        if json.patch_size == 0
            || json.image_size == 0
            || json.image_size > MAX_IMAGE_SIDE
            || !json.image_size.is_multiple_of(json.patch_size)
        {
            return Err(ModelError::config(
                path,
                format!(
                    "image_size {} is no multiple of patch_size {}, or beyond {MAX_IMAGE_SIDE}",
                    json.image_size, json.patch_size
                ),
            ));
        }
        let projection =
            projection.map(|size| usize::try_from(size).unwrap_or(usize::MAX)).or(json.projection_dim);
        Ok(Self { layers, side: json.image_size, patch: json.patch_size, projection })
    }

    /// Patches in a picture.
    pub(crate) fn patches(&self) -> usize {
        let per_side = (self.side / self.patch) as usize;
        per_side * per_side
    }

    /// Numbers in a patch: rows, columns and channels.
    pub(crate) fn patch_values(&self) -> usize {
        3 * (self.patch as usize) * (self.patch as usize)
    }
}

/// How a picture is scaled before the crop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resize {
    /// The short side to this length, the long side in proportion.
    ShortSide(u32),
    /// To these columns and rows, whatever the proportions.
    Exact(u32, u32),
}

/// `image/preprocessor_config.json`, or CLIP's own values without it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PreprocessConfig {
    pub(crate) resize: Resize,
    /// Columns and rows of the centre crop: the tower's input.
    pub(crate) crop: u32,
    /// Per channel, of values in [0, 1].
    pub(crate) mean: [f32; 3],
    /// Per channel, of values in [0, 1].
    pub(crate) std: [f32; 3],
}

/// Of the pictures that CLIP was trained on.
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

#[derive(Deserialize)]
struct PreprocessJson {
    size: Option<SizeJson>,
    crop_size: Option<SizeJson>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
    resample: Option<u32>,
    rescale_factor: Option<f64>,
    do_resize: Option<bool>,
    do_center_crop: Option<bool>,
    do_rescale: Option<bool>,
    do_normalize: Option<bool>,
}

/// A size as older and newer versions of transformers write it.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum SizeJson {
    Side(u32),
    ShortestEdge { shortest_edge: u32 },
    Sides { height: u32, width: u32 },
}

/// Pillow's number for bicubic interpolation.
const BICUBIC: u32 = 3;

impl PreprocessConfig {
    /// Reads `path` if it is there, for a tower that takes `side` × `side` pixels.
    pub(crate) fn read(files: Files, path: &Path, side: u32) -> Result<Self, ModelError> {
        if !files.exists(path) {
            return Ok(Self { resize: Resize::ShortSide(side), crop: side, mean: CLIP_MEAN, std: CLIP_STD });
        }
        let json: PreprocessJson = read_json(files, path)?;
        let fail = |problem: String| Err(ModelError::config(path, problem));
        for (key, step) in [
            ("do_resize", json.do_resize),
            ("do_center_crop", json.do_center_crop),
            ("do_rescale", json.do_rescale),
            ("do_normalize", json.do_normalize),
        ] {
            if step == Some(false) {
                return fail(format!("{key} is false, expected true"));
            }
        }
        if let Some(resample) = json.resample
            && resample != BICUBIC
        {
            return fail(format!("resample is {resample}, expected {BICUBIC} (bicubic)"));
        }
        if let Some(factor) = json.rescale_factor
            && (factor - 1.0 / 255.0).abs() > 1e-9
        {
            return fail(format!("rescale_factor is {factor}, expected 1/255"));
        }
        let resize = match json.size {
            None => Resize::ShortSide(side),
            Some(SizeJson::Side(short) | SizeJson::ShortestEdge { shortest_edge: short }) => {
                Resize::ShortSide(short)
            }
            Some(SizeJson::Sides { height, width }) => Resize::Exact(width, height),
        };
        let (columns, rows) = match json.crop_size {
            None => (side, side),
            Some(SizeJson::Side(crop) | SizeJson::ShortestEdge { shortest_edge: crop }) => (crop, crop),
            Some(SizeJson::Sides { height, width }) => (width, height),
        };
        if (columns, rows) != (side, side) {
            return fail(format!(
                "crop_size is {columns}×{rows}, expected the tower's image_size {side}×{side}"
            ));
        }
        let (smallest, largest) = match resize {
            Resize::ShortSide(short) => (short, short),
            Resize::Exact(columns, rows) => (columns.min(rows), columns.max(rows)),
        };
        if smallest < side || largest > MAX_IMAGE_SIDE {
            return fail(format!("size is {smallest}, expected {side} to {MAX_IMAGE_SIDE}"));
        }
        let (mean, std) = (json.image_mean.unwrap_or(CLIP_MEAN), json.image_std.unwrap_or(CLIP_STD));
        if mean.iter().any(|value| !value.is_finite()) || std.iter().any(|value| !value.is_normal()) {
            return fail("image_mean and image_std have to be finite, and image_std not zero".into());
        }
        Ok(Self { resize, crop: side, mean, std })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn written(json: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        fs::write(&path, json).unwrap();
        (dir, path)
    }

    fn preprocess(json: &str) -> Result<PreprocessConfig, String> {
        let (_dir, path) = written(json);
        PreprocessConfig::read(Files::Disk, &path, 224).map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_of_every_age() {
        let plain = preprocess("{}").unwrap();
        assert_eq!((plain.resize, plain.crop), (Resize::ShortSide(224), 224));
        assert_eq!(preprocess(r#"{"size": 224, "crop_size": 224}"#).unwrap(), plain);
        let newer = r#"{"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}"#;
        assert_eq!(preprocess(newer).unwrap().resize, Resize::ShortSide(256));
        let exact = preprocess(r#"{"size": {"height": 224, "width": 230}}"#).unwrap();
        assert_eq!(exact.resize, Resize::Exact(230, 224));
        let missing =
            PreprocessConfig::read(Files::Disk, Path::new("/nonexistent/preprocessor_config.json"), 336)
                .unwrap();
        assert_eq!(missing.resize, Resize::ShortSide(336));
    }

    #[test]
    fn other_preprocessing_is_refused() {
        for (json, told) in [
            (r#"{"resample": 2}"#, "resample is 2, expected 3"),
            (r#"{"do_center_crop": false}"#, "do_center_crop"),
            (r#"{"crop_size": 200}"#, "200×200"),
            (r#"{"size": 100}"#, "size is 100"),
            (r#"{"size": 4000000000}"#, "size is 4000000000"),
            (r#"{"image_std": [1, 0, 1]}"#, "image_std"),
            (r#"{"image_mean": [1, 0]}"#, "config.json"),
            ("{", "config.json"),
        ] {
            let error = preprocess(json).unwrap_err();
            assert!(error.contains(told), "{json}: {error}");
        }
    }

    #[test]
    fn damaged_sizes_are_refused() {
        let good = r#"{"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "max_position_embeddings": 4, "hidden_act": "gelu"}"#;
        let (_dir, path) = written(good);
        assert_eq!(TextConfig::read(Files::Disk, &path).unwrap().layers.eps, 1e-12);
        for (from, to, told) in [
            ("\"num_attention_heads\": 2", "\"num_attention_heads\": 3", "no multiple"),
            ("\"num_attention_heads\": 2", "\"num_attention_heads\": 0", "num_attention_heads is 0"),
            ("\"num_hidden_layers\": 1", "\"num_hidden_layers\": 99999999999", "num_hidden_layers"),
            ("\"num_hidden_layers\": 1", "\"num_hidden_layers\": -1", "config.json"),
            ("\"gelu\"", "\"swish\"", "hidden_act is \"swish\", expected"),
            ("\"vocab_size\": 9,", "", "vocab_size"),
        ] {
            let (_dir, path) = written(&good.replace(from, to));
            let error = TextConfig::read(Files::Disk, &path).unwrap_err().to_string();
            assert!(error.contains(told), "{to}: {error}");
        }
    }

    #[test]
    fn whole_and_half_clip_configurations() {
        let half = r#"{"model_type": "clip_vision_model", "hidden_size": 64, "num_attention_heads": 4,
            "image_size": 64, "patch_size": 16, "projection_dim": 32}"#;
        let (_dir, path) = written(half);
        let config = VisionConfig::read(Files::Disk, &path).unwrap();
        assert_eq!((config.patches(), config.patch_values(), config.projection), (16, 768, Some(32)));
        assert_eq!(config.layers.activation, Activation::QuickGelu);
        let whole = r#"{"model_type": "clip", "projection_dim": 32, "text_config": {"hidden_size": "nonsense"},
            "vision_config": {"hidden_size": 64, "num_attention_heads": 4, "image_size": 64, "patch_size": 16}}"#;
        let (_dir, path) = written(whole);
        assert_eq!(VisionConfig::read(Files::Disk, &path).unwrap(), config);
        for broken in [
            half.replace("\"patch_size\": 16", "\"patch_size\": 0"),
            half.replace("\"patch_size\": 16", "\"patch_size\": 17"),
            half.replace("clip_vision_model", "siglip"),
            "[]".to_owned(),
        ] {
            let (_dir, path) = written(&broken);
            assert!(
                matches!(VisionConfig::read(Files::Disk, &path), Err(ModelError::Config { .. })),
                "{broken}"
            );
        }
    }
}
