//! How pictures become what the image tower takes.

use std::path::Path;

use serde::Deserialize;

use super::{MAX_IMAGE_SIDE, VisionConfig, read_json};
use crate::ModelError;
use crate::files::Files;

/// How a picture is scaled before the crop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resize {
    /// The short side to this length, the long side in proportion.
    ShortSide(u32),
    /// To these columns and rows, whatever the proportions.
    Exact(u32, u32),
}

/// `preprocessor_config.json`, or CLIP's own values where a CLIP lacks it.
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
    /// Reads `path`, for the tower of `vision`. Only a CLIP may lack the file.
    ///
    /// Without it nobody knows how a Chinese-CLIP sees pictures: the published ones were trained on, and say so in this
    /// file, pictures squeezed to the square, where transformers' own default for their kind crops as CLIP does.
    pub(crate) fn read(files: Files, path: &Path, vision: &VisionConfig) -> Result<Self, ModelError> {
        let side = vision.side;
        if !files.exists(path) {
            if vision.is_chinese_clip {
                return Err(ModelError::config(
                    path,
                    "it is missing, and only it says whether this Chinese-CLIP squeezes or crops pictures: put the \
                     file of the same repository beside config.json",
                ));
            }
            return Ok(Self { resize: Resize::ShortSide(side), crop: side, mean: CLIP_MEAN, std: CLIP_STD });
        }
        let json: PreprocessJson = read_json(files, path)?;
        let fail = |problem: String| Err(ModelError::config(path, problem));
        for (key, step) in [
            ("do_resize", json.do_resize),
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
        if json.do_center_crop == Some(false) && resize != Resize::Exact(side, side) {
            // Chinese-CLIP's own way: nothing to crop, as proportions are not kept.
            return fail(format!(
                "do_center_crop is false, expected true unless size is the tower's {side}×{side}"
            ));
        }
        let (columns, rows) = match json.crop_size {
            _ if json.do_center_crop == Some(false) => (side, side),
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
    use super::super::written;
    use super::*;

    /// A tower of CLIP's or Chinese-CLIP's, of which only the size matters here.
    fn vision(kind: &str, side: u32) -> VisionConfig {
        let json = format!(r#"{{"model_type": {kind:?}, "image_size": {side}, "patch_size": 14}}"#);
        let (_dir, path) = written(&json);
        VisionConfig::read(Files::Disk, &path).unwrap()
    }

    fn preprocess(json: &str) -> Result<PreprocessConfig, String> {
        let (_dir, path) = written(json);
        PreprocessConfig::read(Files::Disk, &path, &vision("clip", 224)).map_err(|error| error.to_string())
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
        let squeezed = r#"{"size": {"height": 224, "width": 224}, "do_center_crop": false, "crop_size": {"height": 18, "width": 18}}"#;
        assert_eq!(preprocess(squeezed).unwrap().resize, Resize::Exact(224, 224));
    }

    #[test]
    fn only_a_clip_may_lack_the_file() {
        let missing = |kind: &str| {
            let path = Path::new("/nonexistent/preprocessor_config.json");
            PreprocessConfig::read(Files::Disk, path, &vision(kind, 336)).map_err(|error| error.to_string())
        };
        for kind in ["clip", "clip_vision_model"] {
            assert_eq!(missing(kind).unwrap().resize, Resize::ShortSide(336));
        }
        for kind in ["chinese_clip", "chinese_clip_vision_model"] {
            let error = missing(kind).unwrap_err();
            assert!(
                error.contains("preprocessor_config.json: it is missing") && error.contains("beside"),
                "{error}"
            );
        }
    }

    #[test]
    fn other_preprocessing_is_refused() {
        for (json, told) in [
            (r#"{"resample": 2}"#, "resample is 2, expected 3"),
            (r#"{"do_center_crop": false}"#, "do_center_crop"),
            (
                r#"{"do_center_crop": false, "size": {"height": 224, "width": 230}}"#,
                "do_center_crop is false",
            ),
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
}
