//! The configuration files of a model folder, read into what decides an embedding.
//!
//! Keys and defaults are those of transformers' `BertConfig`, `CLIPConfig` and `ChineseCLIPConfig`.

mod preprocess;
mod text;
mod vision;

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use preprocess::{PreprocessConfig, Resize};
pub(crate) use text::{TextConfig, TextFeature};
pub(crate) use vision::VisionConfig;

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

/// Reads a JSON file that holds an object. Only then does a structure's every key have its name: of an array,
/// serde would fill them in order.
fn read_object(files: Files, path: &Path) -> Result<Value, ModelError> {
    match read_json(files, path)? {
        json @ Value::Object(_) => Ok(json),
        _ => Err(ModelError::config(path, "it is no JSON object")),
    }
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

/// One half of a whole model's configuration: `text_config` or `vision_config`.
///
/// `text_config_dict` and `vision_config_dict`, which older versions of transformers wrote as well, are
/// what counts where they are there; transformers reads them so, and completes them by its defaults.
fn half<'a>(whole: &'a Value, key: &str) -> Option<&'a Value> {
    let object = |key: &str| whole.get(key).filter(|value| value.is_object());
    object(&format!("{key}_dict")).or_else(|| object(key))
}

/// A key that holds text.
fn text_of<'a>(json: &'a Value, key: &str) -> Option<&'a str> {
    json.get(key).and_then(Value::as_str)
}

/// `projection_dim`, the embedding's size as a whole model's configuration tells it.
fn projection_of(json: &Value) -> Option<usize> {
    let size = json.get("projection_dim").and_then(Value::as_u64)?;
    // Larger than any tensor: a mismatch, whatever the tensor's shape.
    Some(usize::try_from(size).unwrap_or(usize::MAX))
}

/// Whether the configuration at `path` is a whole model's, of text and image tower.
pub(crate) fn is_whole_model(files: Files, path: &Path) -> Result<bool, ModelError> {
    let json = read_object(files, path)?;
    Ok(half(&json, "text_config").is_some() && half(&json, "vision_config").is_some())
}

#[cfg(test)]
fn written(json: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    std::fs::write(&path, json).unwrap();
    (dir, path)
}
