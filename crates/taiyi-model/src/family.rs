//! The models known by name, and where their files lie.

mod shape;

use std::fmt;
use std::path::{Path, PathBuf};

use shape::{BASE_TEXT, LARGE_TEXT, OPEN_VIT_H, Tower, VIT_B, VIT_H, VIT_L};

pub(crate) use shape::{CLASSIFIER, POOLER, PROJECTION, Shape};

use crate::hub::{Part, RepositoryCache};
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
    /// Components of an embedding.
    pub dimension: usize,
    /// What a fetch brings, about: four bytes a parameter of the towers' files.
    pub download_bytes: u64,
    /// What else its configuration says.
    pub(crate) shape: Shape,
}

impl KnownModel {
    /// Whether one repository publishes both towers, so that they lie in one folder.
    #[must_use]
    pub fn is_one_repository(&self) -> bool {
        self.text_repository == self.image_repository
    }

    /// The repositories, and what each is needed for.
    pub(crate) fn parts(&self) -> Vec<(&'static str, Part)> {
        if self.is_one_repository() {
            return vec![(self.text_repository, Part::Both)];
        }
        vec![(self.text_repository, Part::Text), (self.image_repository, Part::Image)]
    }

    /// Where it lies in a hub's cache, if all files of all its parts are there.
    #[must_use]
    pub fn place_in_cache(&self, cache_dir: &Path) -> Option<ModelPlace> {
        let snapshot = |repository, part| RepositoryCache::new(cache_dir, repository).complete_snapshot(part);
        if self.is_one_repository() {
            return snapshot(self.text_repository, Part::Both).map(ModelPlace::Folder);
        }
        Some(ModelPlace::Towers {
            text: snapshot(self.text_repository, Part::Text)?,
            image: snapshot(self.image_repository, Part::Image)?,
        })
    }
}

/// The folders where models are looked for by name.
#[derive(Clone, Debug)]
pub struct ModelHomes {
    /// A folder of models, each in a folder of its name.
    pub models_dir: PathBuf,
    /// A hub's cache of `models--…` folders.
    pub hub_cache_dir: PathBuf,
}

const KNOWN_MODELS: &[KnownModel] = &[
    KnownModel {
        name: "taiyi-102m",
        text_repository: "IDEA-CCNL/Taiyi-CLIP-Roberta-102M-Chinese",
        image_repository: "openai/clip-vit-base-patch32",
        dimension: 512,
        download_bytes: 1_015_000_000,
        shape: shape(512, CLASSIFIER, BASE_TEXT, VIT_B, 32, 224),
    },
    KnownModel {
        name: "taiyi-326m",
        text_repository: "IDEA-CCNL/Taiyi-CLIP-Roberta-large-326M-Chinese",
        image_repository: "openai/clip-vit-large-patch14",
        dimension: 768,
        download_bytes: 3_010_000_000,
        shape: shape(768, CLASSIFIER, LARGE_TEXT, VIT_L, 14, 224),
    },
    KnownModel {
        name: "taiyi-102m-vit-l",
        text_repository: "IDEA-CCNL/Taiyi-CLIP-RoBERTa-102M-ViT-L-Chinese",
        image_repository: "openai/clip-vit-large-patch14",
        dimension: 768,
        download_bytes: 2_120_000_000,
        shape: shape(768, POOLER, BASE_TEXT, VIT_L, 14, 224),
    },
    KnownModel {
        name: "taiyi-326m-vit-h",
        text_repository: "IDEA-CCNL/Taiyi-CLIP-RoBERTa-326M-ViT-H-Chinese",
        image_repository: "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        dimension: 1024,
        download_bytes: 5_250_000_000,
        shape: shape(1024, POOLER, LARGE_TEXT, OPEN_VIT_H, 14, 224),
    },
    one_repository(
        "cn-clip-b16",
        "OFA-Sys/chinese-clip-vit-base-patch16",
        753_000_000,
        shape(512, PROJECTION, BASE_TEXT, VIT_B, 16, 224),
    ),
    one_repository(
        "cn-clip-l14",
        "OFA-Sys/chinese-clip-vit-large-patch14",
        1_625_000_000,
        shape(768, PROJECTION, BASE_TEXT, VIT_L, 14, 224),
    ),
    one_repository(
        "cn-clip-l14-336",
        "OFA-Sys/chinese-clip-vit-large-patch14-336px",
        1_627_000_000,
        shape(768, PROJECTION, BASE_TEXT, VIT_L, 14, 336),
    ),
    one_repository(
        "cn-clip-h14",
        "OFA-Sys/chinese-clip-vit-huge-patch14",
        3_834_000_000,
        shape(1024, PROJECTION, LARGE_TEXT, VIT_H, 14, 224),
    ),
];

const fn shape(
    dimension: usize,
    text_feature: &'static str,
    text: Tower,
    image: Tower,
    patch: u32,
    side: u32,
) -> Shape {
    Shape { dimension, text_feature, text, image, patch, side }
}

const fn one_repository(
    name: &'static str,
    repository: &'static str,
    download_bytes: u64,
    shape: Shape,
) -> KnownModel {
    KnownModel {
        name,
        text_repository: repository,
        image_repository: repository,
        dimension: shape.dimension,
        download_bytes,
        shape,
    }
}

/// Where a model lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelPlace {
    /// In this folder.
    Folder(PathBuf),
    /// Each tower in a folder of its own, as a hub's cache keeps two repositories.
    Towers {
        /// The text tower's folder.
        text: PathBuf,
        /// The image tower's folder.
        image: PathBuf,
    },
    /// In the program: the demo model.
    BuiltIn,
}

impl fmt::Display for ModelPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(dir) => dir.display().fmt(f),
            Self::Towers { text, image } => write!(f, "{} and {}", text.display(), image.display()),
            Self::BuiltIn => f.write_str("the program itself"),
        }
    }
}

/// The published models, which a name alone can mean.
#[must_use]
pub fn known_models() -> &'static [KnownModel] {
    KNOWN_MODELS
}

/// The published model of this name.
#[must_use]
pub fn known_model(name: &str) -> Option<&'static KnownModel> {
    KNOWN_MODELS.iter().find(|model| model.name == name)
}

/// Finds the place that `name_or_dir` means, and the name to show for it.
///
/// [`DEMO_MODEL`] is built in, whatever folders there are. A name is `models_dir/NAME`, and a known one is otherwise
/// looked for in the hub's cache. Anything with a path separator, and any existing folder, is a folder of the user's
/// own, named after its last component.
///
/// # Errors
/// [`ModelError::NotHere`] when a known model is not on this machine, and [`ModelError::NotFound`] when there is no
/// such name or folder.
pub fn resolve(name_or_dir: &str, homes: &ModelHomes) -> Result<(String, ModelPlace), ModelError> {
    if name_or_dir == DEMO_MODEL {
        return Ok((DEMO_MODEL.to_owned(), ModelPlace::BuiltIn));
    }
    let looks_like_path = name_or_dir.contains(std::path::is_separator);
    let known = known_model(name_or_dir);
    if !looks_like_path && !name_or_dir.is_empty() && !name_or_dir.starts_with('.') {
        let dir = homes.models_dir.join(name_or_dir);
        if dir.is_dir() {
            return Ok((name_or_dir.to_owned(), ModelPlace::Folder(dir)));
        }
        if let Some(place) = known.and_then(|model| model.place_in_cache(&homes.hub_cache_dir)) {
            return Ok((name_or_dir.to_owned(), place));
        }
    }
    let dir = PathBuf::from(name_or_dir);
    if dir.is_dir() {
        return Ok((folder_name(&dir), ModelPlace::Folder(dir)));
    }
    if let Some(folder) = folder_of_file(&dir) {
        return Err(ModelError::NotFound(format!(
            "{} is a file, and a model is a folder of them: pass --model {}",
            dir.display(),
            folder.display()
        )));
    }
    if looks_like_path {
        return Err(ModelError::NotFound(format!("there is no model folder {}", dir.display())));
    }
    match known {
        Some(model) => Err(ModelError::NotHere { name: model.name, how_to_get: how_to_get(model) }),
        None => Err(ModelError::NotFound(format!(
            "no model is called {name_or_dir:?}: known names are {DEMO_MODEL}, {}, and what `taiyi-search model list` \
             shows; anything else has to be a folder",
            KNOWN_MODELS.iter().map(|model| model.name).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// The model folder that a file, the weights for instance, belongs to; nothing where there is no such file.
#[must_use]
pub fn folder_of_file(file: &Path) -> Option<PathBuf> {
    if !file.is_file() {
        return None;
    }
    let here = |dir: &Path| if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir.to_owned() };
    let dir = here(file.parent()?);
    // A tower of two: the model is the folder above it.
    let is_tower = dir.file_name().is_some_and(|name| name == "text" || name == "image");
    Some(if is_tower { here(dir.parent()?) } else { dir })
}

/// The last component of `dir`, also for `.` and `..`.
fn folder_name(dir: &Path) -> String {
    let named = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    named(dir)
        .or_else(|| dir.canonicalize().ok().and_then(|path| named(&path)))
        .unwrap_or_else(|| "model".to_owned())
}

/// What to type, so that the model's name is enough.
#[must_use]
pub fn how_to_get(model: &KnownModel) -> String {
    format!(
        "fetch it with `taiyi-search model fetch {0}` (about {1:.1} GB; where huggingface.co cannot be reached, \
         --mirror https://hf-mirror.com), or bring a folder of its files with `taiyi-search model import DIR --as {0}`",
        model.name,
        model.download_bytes as f64 / 1e9,
    )
}

/// The same where the network must not be used.
#[must_use]
pub fn how_to_bring(model: &KnownModel) -> String {
    format!(
        "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids the network: bring a folder of its files with `taiyi-search \
         model import DIR --as {0}`, which `taiyi-search model fetch {0} --to DIR` makes elsewhere, or unset that",
        model.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_folders_and_neither() {
        let home = tempfile::tempdir().unwrap();
        let homes = ModelHomes { models_dir: home.path().into(), hub_cache_dir: home.path().join("hub") };
        let own = home.path().join("我的模型");
        std::fs::create_dir(&own).unwrap();
        assert_eq!(
            resolve(own.to_str().unwrap(), &homes).unwrap(),
            ("我的模型".to_owned(), ModelPlace::Folder(own.clone())),
            "a folder"
        );
        assert_eq!(
            resolve("我的模型", &homes).unwrap().1,
            ModelPlace::Folder(own),
            "a name under the models' folder"
        );

        std::fs::create_dir(home.path().join(DEMO_MODEL)).unwrap();
        assert_eq!(resolve("demo", &homes).unwrap(), ("demo".to_owned(), ModelPlace::BuiltIn));

        let error = resolve(DEFAULT_MODEL, &homes).unwrap_err().to_string();
        for part in ["model fetch taiyi-102m", "1.0 GB", "hf-mirror.com", "import DIR --as taiyi-102m"] {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert!(resolve("..", &homes).unwrap().1 == ModelPlace::Folder("..".into()), "no model of ours");
        assert!(resolve("nonsense", &homes).unwrap_err().to_string().contains("taiyi-102m"));
        assert!(resolve("./nonsense", &homes).unwrap_err().to_string().contains("./nonsense"));
        assert!(matches!(resolve("", &homes), Err(ModelError::NotFound(_))));
    }

    #[test]
    fn a_file_leads_to_its_folder() {
        let home = tempfile::tempdir().unwrap();
        let homes = ModelHomes { models_dir: home.path().into(), hub_cache_dir: home.path().join("hub") };
        let model = home.path().join("model");
        std::fs::create_dir_all(model.join("text")).unwrap();
        for file in [model.join("pytorch_model.bin"), model.join("text").join("vocab.txt")] {
            std::fs::write(&file, "").unwrap();
            assert_eq!(folder_of_file(&file), Some(model.clone()));
            let error = resolve(file.to_str().unwrap(), &homes).unwrap_err().to_string();
            assert!(error.contains(&format!("pass --model {}", model.display())), "{error}");
        }
        assert_eq!(folder_of_file(&model), None);
        assert_eq!(folder_of_file(&model.join("absent")), None);
        // Where tests run there is one that lies in the folder itself.
        assert_eq!(folder_of_file(Path::new("Cargo.toml")), Some(".".into()));
    }

    #[test]
    fn names_are_folders_and_no_two_are_the_same() {
        let mut names: Vec<_> = known_models().iter().map(|model| model.name).collect();
        assert!(names.contains(&DEFAULT_MODEL) && !names.contains(&DEMO_MODEL));
        assert!(names.iter().all(|name| !name.contains(std::path::is_separator)));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), known_models().len());
        assert!(known_models().iter().all(|model| model.dimension == model.shape.dimension));
    }
}
