//! The text tower's configuration.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{Activation, Layers, MAX_SIZE, check_range, half, projection_of, read_object, text_of};
use crate::ModelError;
use crate::files::Files;

/// Which output of a BERT is the text's embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFeature {
    /// The logits of `BertForSequenceClassification`: pooler, then a dense layer with bias.
    Classifier,
    /// The pooler's output of `BertModel`: a dense layer and tanh over the first token.
    Pooler,
    /// The first token's last hidden state by `text_projection`, without a pooler: `get_text_features` of
    /// transformers' `ChineseCLIPModel` and of Fengshenbang-LM's `TaiyiCLIPModel`.
    Projection,
}

/// `config.json` of a text tower, or the text half of a whole model's: a BERT encoder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TextConfig {
    pub(crate) layers: Layers,
    pub(crate) vocabulary: usize,
    /// Tokens that one text may have.
    pub(crate) positions: usize,
    pub(crate) token_types: usize,
    /// As told by the configuration; where it is silent, the weights decide.
    pub(crate) feature: Option<TextFeature>,
    /// The embedding's size, where the configuration tells it; the projection's shape decides.
    pub(crate) projection: Option<usize>,
}

#[derive(Deserialize)]
struct BertJson {
    // No default: transformers' is that of English BERT, which no Chinese tower has.
    vocab_size: usize,
    #[serde(default = "bert::hidden_size")]
    hidden_size: usize,
    #[serde(default = "bert::num_hidden_layers")]
    num_hidden_layers: usize,
    #[serde(default = "bert::num_hidden_layers")]
    num_attention_heads: usize,
    #[serde(default = "bert::intermediate_size")]
    intermediate_size: usize,
    #[serde(default = "bert::max_position_embeddings")]
    max_position_embeddings: usize,
    #[serde(default = "bert::type_vocab_size")]
    type_vocab_size: usize,
    #[serde(default = "bert::hidden_act")]
    hidden_act: String,
    #[serde(default = "bert::layer_norm_eps")]
    layer_norm_eps: f64,
    position_embedding_type: Option<String>,
}

/// What transformers assumes for keys that `BertConfig` and `ChineseCLIPTextConfig` leave out.
mod bert {
    pub(super) fn hidden_size() -> usize {
        768
    }
    pub(super) fn num_hidden_layers() -> usize {
        12
    }
    pub(super) fn intermediate_size() -> usize {
        3072
    }
    pub(super) fn max_position_embeddings() -> usize {
        512
    }
    pub(super) fn type_vocab_size() -> usize {
        2
    }
    pub(super) fn hidden_act() -> String {
        "gelu".into()
    }
    pub(super) fn layer_norm_eps() -> f64 {
        1e-12
    }
}

impl TextConfig {
    /// Reads the configuration of a BERT, or of a whole model whose text half is one.
    pub(crate) fn read(files: Files, path: &Path) -> Result<Self, ModelError> {
        let whole = read_object(files, path)?;
        let nested = half(&whole, "text_config");
        // `text_config_dict` need not repeat what `text_config` says of its kind.
        let kinds = [nested, whole.get("text_config"), Some(&whole)];
        let kind = kinds.into_iter().flatten().find_map(|json| text_of(json, "model_type")).unwrap_or("bert");
        // A whole Chinese-CLIP may leave it to its own name; of a whole CLIP the text half is English.
        let is_known = match nested {
            Some(_) => matches!(kind, "bert" | "chinese_clip_text_model" | "chinese_clip"),
            None => kind == "bert",
        };
        if !is_known {
            let expected = if nested.is_some() { "chinese_clip_text_model or bert" } else { "bert" };
            return Err(ModelError::config(
                path,
                format!("model_type of the text tower is {kind:?}, expected {expected}"),
            ));
        }
        let json = BertJson::deserialize(nested.unwrap_or(&whole))
            .map_err(|error| ModelError::config(path, error.to_string()))?;
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
        let (feature, projection) = match nested {
            Some(_) => (Some(TextFeature::Projection), projection_of(&whole)),
            None => (feature_of(&whole), None),
        };
        Ok(Self {
            layers,
            vocabulary: json.vocab_size,
            positions: json.max_position_embeddings,
            token_types: json.type_vocab_size,
            feature,
            projection,
        })
    }
}

/// What the class that a BERT was saved as makes of a text. Other classes (`BertForMaskedLM`, left over from
/// what a tower was trained from) say nothing about it.
fn feature_of(json: &Value) -> Option<TextFeature> {
    let classes = json.get("architectures").and_then(Value::as_array)?;
    classes.iter().filter_map(Value::as_str).find_map(|class| match class {
        "BertForSequenceClassification" => Some(TextFeature::Classifier),
        "BertModel" => Some(TextFeature::Pooler),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    const BERT: &str = r#"{"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "max_position_embeddings": 4, "hidden_act": "gelu"}"#;

    fn read(json: &str) -> Result<TextConfig, String> {
        let (_dir, path) = written(json);
        TextConfig::read(Files::Disk, &path).map_err(|error| error.to_string())
    }

    #[test]
    fn damaged_sizes_are_refused() {
        assert_eq!(read(BERT).unwrap().layers.eps, 1e-12);
        for (from, to, told) in [
            ("\"num_attention_heads\": 2", "\"num_attention_heads\": 3", "no multiple"),
            ("\"num_attention_heads\": 2", "\"num_attention_heads\": 0", "num_attention_heads is 0"),
            ("\"num_hidden_layers\": 1", "\"num_hidden_layers\": 99999999999", "num_hidden_layers"),
            ("\"num_hidden_layers\": 1", "\"num_hidden_layers\": -1", "config.json"),
            ("\"gelu\"", "\"swish\"", "hidden_act is \"swish\", expected"),
            ("\"vocab_size\": 9,", "", "vocab_size"),
        ] {
            let error = read(&BERT.replace(from, to)).unwrap_err();
            assert!(error.contains(told), "{to}: {error}");
        }
    }

    #[test]
    fn the_class_tells_what_the_embedding_is() {
        let saved_as = |class: &str| {
            read(&BERT.replace("{", &format!("{{\"architectures\": [{class:?}], "))).unwrap().feature
        };
        assert_eq!(saved_as("BertForSequenceClassification"), Some(TextFeature::Classifier));
        assert_eq!(saved_as("BertModel"), Some(TextFeature::Pooler));
        assert_eq!(saved_as("BertForMaskedLM"), None);
        assert_eq!(read(BERT).unwrap().feature, None);
    }

    #[test]
    fn halves_of_whole_models() {
        let chinese = |half: &str| {
            format!(r#"{{"model_type": "chinese_clip", "projection_dim": 5, "text_config": {half}}}"#)
        };
        let config = read(&chinese(BERT)).unwrap();
        assert_eq!((config.feature, config.projection), (Some(TextFeature::Projection), Some(5)));
        // As newer versions save it: only what is not the default.
        let published =
            read(&chinese(r#"{"model_type": "chinese_clip_text_model", "vocab_size": 21128}"#)).unwrap();
        assert_eq!((published.layers.count, published.layers.width, published.layers.heads), (12, 768, 12));
        assert_eq!(
            (published.layers.intermediate, published.positions, published.token_types),
            (3072, 512, 2)
        );

        // TaiyiCLIPConfig calls itself "clip"; its text half is what tells it from an English one.
        let clip = |kind: &str| {
            let half = BERT.replace("{", &format!("{{\"model_type\": {kind:?}, "));
            read(&format!(r#"{{"model_type": "clip", "text_config": {half}, "vision_config": {{}}}}"#))
        };
        assert_eq!(clip("bert").unwrap().feature, Some(TextFeature::Projection));
        let english = clip("clip_text_model").unwrap_err();
        assert!(
            english.contains("\"clip_text_model\", expected chinese_clip_text_model or bert"),
            "{english}"
        );

        let older = format!(
            r#"{{"text_config": {{"model_type": "bert", "vocab_size": 7}}, "text_config_dict": {BERT}}}"#
        );
        assert_eq!(read(&older).unwrap().vocabulary, 9, "the older key counts, as in transformers");
        assert_eq!(read(&older.replace(BERT, "null")).unwrap().vocabulary, 7);
    }
}
