//! The models known by name, and where their files are expected.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{DEMO_MODEL, ModelError};

/// The model of a new index when none is named.
pub const DEFAULT_MODEL: &str = "taiyi-102m";

/// A published model of the family.
///
/// Taiyi-CLIP: Fengshenbang 1.0, arXiv:2209.02970, and the model cards of its repositories; its image towers
/// are those of CLIP (arXiv:2103.00020) and of LAION's OpenCLIP. Chinese-CLIP: arXiv:2211.01335.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownModel {
    /// The name used here.
    pub name: &'static str,
    /// Hub repository of the text tower.
    pub text_repository: &'static str,
    /// Hub repository of the image tower.
    pub image_repository: &'static str,
}

impl KnownModel {
    /// Whether one repository publishes both towers, so that they lie in one folder.
    #[must_use]
    pub fn is_one_repository(&self) -> bool {
        self.text_repository == self.image_repository
    }
}

const KNOWN_MODELS: &[KnownModel] = &[
    KnownModel {
        name: "taiyi-102m",
        text_repository: "IDEA-CCNL/Taiyi-CLIP-Roberta-102M-Chinese",
        image_repository: "openai/clip-vit-base-patch32",
    },
    KnownModel {
        name: "taiyi-326m",
        text_repository: "IDEA-CCNL/Taiyi-CLIP-Roberta-large-326M-Chinese",
        image_repository: "openai/clip-vit-large-patch14",
    },
    KnownModel {
        name: "taiyi-102m-vit-l",
        text_repository: "IDEA-CCNL/Taiyi-CLIP-RoBERTa-102M-ViT-L-Chinese",
        image_repository: "openai/clip-vit-large-patch14",
    },
    KnownModel {
        name: "taiyi-326m-vit-h",
        text_repository: "IDEA-CCNL/Taiyi-CLIP-RoBERTa-326M-ViT-H-Chinese",
        image_repository: "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    },
    one_repository("cn-clip-b16", "OFA-Sys/chinese-clip-vit-base-patch16"),
    one_repository("cn-clip-l14", "OFA-Sys/chinese-clip-vit-large-patch14"),
    one_repository("cn-clip-l14-336", "OFA-Sys/chinese-clip-vit-large-patch14-336px"),
    one_repository("cn-clip-h14", "OFA-Sys/chinese-clip-vit-huge-patch14"),
];

const fn one_repository(name: &'static str, repository: &'static str) -> KnownModel {
    KnownModel { name, text_repository: repository, image_repository: repository }
}

/// Where a model lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelPlace {
    /// In this folder.
    Folder(PathBuf),
    /// In the program: the demo model.
    BuiltIn,
}

impl fmt::Display for ModelPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(dir) => dir.display().fmt(f),
            Self::BuiltIn => f.write_str("the program itself"),
        }
    }
}

/// The published models, which a name alone can mean.
#[must_use]
pub fn known_models() -> &'static [KnownModel] {
    KNOWN_MODELS
}

/// Finds the place that `name_or_dir` means, and the name to show for it.
///
/// [`DEMO_MODEL`] is built in, whatever folders there are. A known name is `models_dir/NAME`. Anything with a path separator, and any existing folder, is a
/// folder of the user's own, named after its last component.
///
/// # Errors
/// [`ModelError::NotFound`] when there is no such folder; for a known name it lists the files to put there.
pub fn resolve(name_or_dir: &str, models_dir: &Path) -> Result<(String, ModelPlace), ModelError> {
    if name_or_dir == DEMO_MODEL {
        return Ok((DEMO_MODEL.to_owned(), ModelPlace::BuiltIn));
    }
    let looks_like_path = name_or_dir.contains(std::path::is_separator);
    if !looks_like_path && !name_or_dir.is_empty() {
        let dir = models_dir.join(name_or_dir);
        if dir.is_dir() {
            return Ok((name_or_dir.to_owned(), ModelPlace::Folder(dir)));
        }
    }
    let dir = PathBuf::from(name_or_dir);
    if dir.is_dir() {
        return Ok((folder_name(&dir), ModelPlace::Folder(dir)));
    }
    if looks_like_path {
        return Err(ModelError::NotFound(format!("there is no model folder {}", dir.display())));
    }
    match KNOWN_MODELS.iter().find(|model| model.name == name_or_dir) {
        Some(model) => Err(ModelError::NotFound(format!(
            "model {} is not here: {}",
            model.name,
            how_to_get(model, models_dir)
        ))),
        None => Err(ModelError::NotFound(format!(
            "no model is called {name_or_dir:?}: known names are {DEMO_MODEL}, {}, anything else has to be a folder",
            KNOWN_MODELS.iter().map(|model| model.name).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// The last component of `dir`, also for `.` and `..`.
fn folder_name(dir: &Path) -> String {
    let named = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    named(dir)
        .or_else(|| dir.canonicalize().ok().and_then(|path| named(&path)))
        .unwrap_or_else(|| "model".to_owned())
}

/// Which files to put where, so that the model's name is enough.
#[must_use]
pub fn how_to_get(model: &KnownModel, models_dir: &Path) -> String {
    let dir = models_dir.join(model.name);
    if model.is_one_repository() {
        return format!(
            "from https://huggingface.co/{} put config.json, vocab.txt, preprocessor_config.json and \
             pytorch_model.bin (or model.safetensors) into {}",
            model.text_repository,
            dir.display(),
        );
    }
    format!(
        "from https://huggingface.co/{} put config.json, vocab.txt and pytorch_model.bin \
         (or model.safetensors) into {}, and from https://huggingface.co/{} put config.json, \
         preprocessor_config.json and model.safetensors (or pytorch_model.bin) into {}",
        model.text_repository,
        dir.join("text").display(),
        model.image_repository,
        dir.join("image").display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_folders_and_neither() {
        let home = tempfile::tempdir().unwrap();
        let own = home.path().join("我的模型");
        std::fs::create_dir(&own).unwrap();
        assert_eq!(
            resolve(own.to_str().unwrap(), home.path()).unwrap(),
            ("我的模型".to_owned(), ModelPlace::Folder(own.clone())),
            "a folder"
        );
        assert_eq!(
            resolve("我的模型", home.path()).unwrap().1,
            ModelPlace::Folder(own),
            "a name under the models' folder"
        );

        std::fs::create_dir(home.path().join(DEMO_MODEL)).unwrap();
        assert_eq!(resolve("demo", home.path()).unwrap(), ("demo".to_owned(), ModelPlace::BuiltIn));

        let error = resolve(DEFAULT_MODEL, home.path()).unwrap_err().to_string();
        for part in
            ["vocab.txt", "pytorch_model.bin", "openai/clip-vit-base-patch32", "Taiyi-CLIP-Roberta-102M"]
        {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert!(error.contains(home.path().join("taiyi-102m").join("image").to_str().unwrap()), "{error}");

        let error = resolve("cn-clip-l14-336", home.path()).unwrap_err().to_string();
        let whole = home.path().join("cn-clip-l14-336");
        for part in ["OFA-Sys/chinese-clip-vit-large-patch14-336px ", "vocab.txt", "preprocessor_config.json"]
        {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert!(error.ends_with(&format!("into {}", whole.display())), "{error}");

        assert!(resolve("nonsense", home.path()).unwrap_err().to_string().contains("taiyi-102m"));
        assert!(resolve("./nonsense", home.path()).unwrap_err().to_string().contains("./nonsense"));
        assert!(matches!(resolve("", home.path()), Err(ModelError::NotFound(_))));
    }

    #[test]
    fn names_are_folders_and_no_two_are_the_same() {
        let mut names: Vec<_> = known_models().iter().map(|model| model.name).collect();
        assert!(names.contains(&DEFAULT_MODEL) && !names.contains(&DEMO_MODEL));
        assert!(names.iter().all(|name| !name.contains(std::path::is_separator)));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), known_models().len());
    }
}
