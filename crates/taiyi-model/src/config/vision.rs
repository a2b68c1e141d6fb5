//! The image tower's configuration.

use std::path::Path;

use serde::Deserialize;

use super::{Activation, Layers, MAX_IMAGE_SIDE, half, projection_of, read_object, text_of};
use crate::ModelError;
use crate::files::Files;

/// `config.json` of an image tower, or the image half of a whole model's: CLIP's vision transformer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VisionConfig {
    pub(crate) layers: Layers,
    /// Columns and rows of the input.
    pub(crate) side: u32,
    /// Columns and rows of one patch.
    pub(crate) patch: u32,
    /// The embedding's size, where the configuration tells it; the projection's shape decides.
    pub(crate) projection: Option<usize>,
    /// Whether it is Chinese-CLIP's, which is the same tower, but was shown other pictures.
    pub(crate) is_chinese_clip: bool,
}

#[derive(Deserialize)]
struct VisionJson {
    #[serde(default = "clip::hidden_size")]
    hidden_size: usize,
    #[serde(default = "clip::num_hidden_layers")]
    num_hidden_layers: usize,
    #[serde(default = "clip::num_hidden_layers")]
    num_attention_heads: usize,
    #[serde(default = "clip::intermediate_size")]
    intermediate_size: usize,
    #[serde(default = "clip::hidden_act")]
    hidden_act: String,
    #[serde(default = "clip::layer_norm_eps")]
    layer_norm_eps: f64,
    #[serde(default = "clip::image_size")]
    image_size: u32,
    #[serde(default = "clip::patch_size")]
    patch_size: u32,
    #[serde(default = "clip::num_channels")]
    num_channels: u32,
}

/// What transformers assumes for keys that `CLIPVisionConfig` and `ChineseCLIPVisionConfig` leave out.
mod clip {
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
    /// Reads a whole model's configuration, CLIP's or Chinese-CLIP's, or that of its image half alone.
    pub(crate) fn read(files: Files, path: &Path) -> Result<Self, ModelError> {
        let whole = read_object(files, path)?;
        let kind = text_of(&whole, "model_type").unwrap_or("clip");
        if !matches!(kind, "clip" | "clip_vision_model" | "chinese_clip" | "chinese_clip_vision_model") {
            return Err(ModelError::config(
                path,
                format!(
                    "model_type of the image tower is {kind:?}, expected clip, chinese_clip or one's vision half"
                ),
            ));
        }
        let half = half(&whole, "vision_config").unwrap_or(&whole);
        let json =
            VisionJson::deserialize(half).map_err(|error| ModelError::config(path, error.to_string()))?;
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
        // A whole model's own key counts; its half may repeat another model's.
        let projection = projection_of(&whole).or_else(|| projection_of(half));
        let is_chinese_clip = matches!(kind, "chinese_clip" | "chinese_clip_vision_model");
        Ok(Self { layers, side: json.image_size, patch: json.patch_size, projection, is_chinese_clip })
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

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn whole_and_half_clip_configurations() {
        let half = r#"{"model_type": "clip_vision_model", "hidden_size": 64, "num_attention_heads": 4,
            "image_size": 64, "patch_size": 16, "projection_dim": 32}"#;
        let (_dir, path) = written(half);
        let config = VisionConfig::read(Files::Disk, &path).unwrap();
        assert_eq!((config.patches(), config.patch_values(), config.projection), (16, 768, Some(32)));
        assert_eq!(config.layers.activation, Activation::QuickGelu);
        let as_chinese = VisionConfig { is_chinese_clip: true, ..config.clone() };
        let chinese = half.replace("clip_vision_model", "chinese_clip_vision_model");
        let (_dir, path) = written(&chinese);
        assert_eq!(VisionConfig::read(Files::Disk, &path).unwrap(), as_chinese);
        let whole = r#"{"model_type": "clip", "projection_dim": 32, "text_config": {"hidden_size": "nonsense"},
            "vision_config": {"hidden_size": 64, "num_attention_heads": 4, "image_size": 64, "patch_size": 16}}"#;
        let (_dir, path) = written(whole);
        assert_eq!(VisionConfig::read(Files::Disk, &path).unwrap(), config);
        let (_dir, path) = written(&whole.replace("\"clip\"", "\"chinese_clip\""));
        assert_eq!(VisionConfig::read(Files::Disk, &path).unwrap(), as_chinese);
        let older = whole
            .replace("\"vision_config\"", "\"vision_config\": {\"patch_size\": 8}, \"vision_config_dict\"");
        let (_dir, path) = written(&older);
        assert_eq!(VisionConfig::read(Files::Disk, &path).unwrap(), config, "the older key counts");
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
