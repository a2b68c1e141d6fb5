//! What tells the published models from one another, as far as a folder's configuration says it.

use crate::{ModelDescription, TowerDescription};

/// What a text's embedding is made of, in the words of [`ModelDescription::text_feature`].
pub(crate) const CLASSIFIER: &str = "classifier logits";
/// As [`CLASSIFIER`].
pub(crate) const POOLER: &str = "pooler output";
/// As [`CLASSIFIER`].
pub(crate) const PROJECTION: &str = "first token by text_projection";

/// The sizes and kinds that a model of one name has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) dimension: usize,
    pub(crate) text_feature: &'static str,
    pub(crate) text: Tower,
    pub(crate) image: Tower,
    pub(crate) patch: u32,
    pub(crate) side: u32,
}

/// A tower of a [`Shape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tower {
    pub(crate) layers: usize,
    pub(crate) width: usize,
    pub(crate) activation: &'static str,
}

impl Tower {
    fn of(tower: &TowerDescription) -> Self {
        Self { layers: tower.layers, width: tower.width, activation: tower.activation }
    }
}

impl Shape {
    pub(crate) fn of(model: &ModelDescription) -> Self {
        Self {
            dimension: model.dimension,
            text_feature: model.text_feature,
            text: Tower::of(&model.text),
            image: Tower::of(&model.image),
            patch: model.patch,
            side: model.side,
        }
    }

    /// What `actual` has otherwise, each as "it has …, expected …", parted by semicolons; nothing where both are one.
    pub(crate) fn differences(&self, actual: &Self) -> Option<String> {
        let mut told = Vec::new();
        let mut compare = |what: &str, expected: String, actual: String| {
            if expected != actual {
                told.push(format!("{what} {actual}, expected {expected}"));
            }
        };
        compare("dimensions:", self.dimension.to_string(), actual.dimension.to_string());
        compare("text embedding:", self.text_feature.into(), actual.text_feature.into());
        for (name, expected, actual) in
            [("text tower:", &self.text, &actual.text), ("image tower:", &self.image, &actual.image)]
        {
            let show = |tower: &Tower| {
                format!("{} layers of {} with {}", tower.layers, tower.width, tower.activation)
            };
            compare(name, show(expected), show(actual));
        }
        compare("patches of", self.patch.to_string(), actual.patch.to_string());
        compare("pictures of", format!("{} px", self.side), format!("{} px", actual.side));
        (!told.is_empty()).then(|| told.join("; "))
    }
}

/// BERT's base and large size.
pub(super) const BASE_TEXT: Tower = Tower { layers: 12, width: 768, activation: "gelu" };
pub(super) const LARGE_TEXT: Tower = Tower { layers: 24, width: 1024, activation: "gelu" };
/// CLIP's vision transformers.
pub(super) const VIT_B: Tower = Tower { layers: 12, width: 768, activation: "quick_gelu" };
pub(super) const VIT_L: Tower = Tower { layers: 24, width: 1024, activation: "quick_gelu" };
/// OpenCLIP's, with the exact GELU, and Chinese-CLIP's, with the quick one.
pub(super) const OPEN_VIT_H: Tower = Tower { layers: 32, width: 1280, activation: "gelu" };
pub(super) const VIT_H: Tower = Tower { activation: "quick_gelu", ..OPEN_VIT_H };

#[cfg(test)]
mod tests {
    use crate::{known_model, known_models};

    #[test]
    fn no_two_published_models_have_one_shape() {
        for model in known_models() {
            assert_eq!(model.shape.differences(&model.shape), None);
            for other in known_models().iter().filter(|other| other.name != model.name) {
                assert!(model.shape.differences(&other.shape).is_some(), "{} and {}", model.name, other.name);
            }
        }
    }

    #[test]
    fn differences_name_what_is_and_what_should_be() {
        let shape_of = |name: &str| known_model(name).unwrap().shape;
        let told = shape_of("taiyi-102m").differences(&shape_of("cn-clip-b16")).unwrap();
        assert_eq!(
            told,
            "text embedding: first token by text_projection, expected classifier logits; patches of 16, expected 32"
        );
        let told = shape_of("taiyi-326m-vit-h").differences(&shape_of("cn-clip-h14")).unwrap();
        assert!(told.contains(
            "image tower: 32 layers of 1280 with quick_gelu, expected 32 layers of 1280 with gelu"
        ));
        let told = shape_of("cn-clip-l14").differences(&shape_of("cn-clip-l14-336")).unwrap();
        assert_eq!(told, "pictures of 336 px, expected 224 px");
    }
}
