//! A model folder, opened and checked.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use taiyi_core::ModelId;

use crate::config::{PreprocessConfig, TextConfig, VisionConfig};
use crate::files::{BUILT_IN, Files};
use crate::identity::{self, Identity};
use crate::towers::{bert, vit};
use crate::weights::WeightFile;
use crate::{ImageTower, ModelError, ModelPlace, TextTower, demo, tokenizer};

/// How a tower runs.
#[derive(Clone, Copy, Debug)]
pub struct TowerOptions {
    /// Threads that one call may use.
    pub threads: NonZeroUsize,
}

/// A model folder whose files, configurations and tensor shapes are in order. The weights are not yet
/// in memory.
#[derive(Debug)]
pub struct ModelFolder {
    files: Files,
    place: ModelPlace,
    dimension: usize,
    text: TextParts,
    image: ImageParts,
}

/// `text/`
#[derive(Debug)]
struct TextParts {
    config_path: PathBuf,
    config: TextConfig,
    vocabulary: PathBuf,
    weights: WeightFile,
}

/// `image/`
#[derive(Debug)]
struct ImageParts {
    config_path: PathBuf,
    config: VisionConfig,
    preprocess_path: PathBuf,
    preprocess: PreprocessConfig,
    weights: WeightFile,
}

impl ModelFolder {
    /// Opens the model at `place`: a folder as [`open`](Self::open) takes it, or the built-in one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_place(place: &ModelPlace) -> Result<Self, ModelError> {
        match place {
            ModelPlace::Folder(dir) => Self::open(dir),
            ModelPlace::BuiltIn => Self::open_files(demo::FILES, Path::new(BUILT_IN), ModelPlace::BuiltIn),
        }
    }

    /// Opens `dir`, which holds `text/` and `image/`, and checks it without loading weights.
    ///
    /// # Errors
    /// When a file is missing, damaged or of another kind of model, or when both towers do not share a space.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        for folder in [dir.to_owned(), dir.join("text"), dir.join("image")] {
            if !folder.is_dir() {
                return Err(ModelError::NotFound(format!(
                    "there is no folder {}: a model folder has text/ and image/, each with config.json and \
                     model.safetensors or pytorch_model.bin, and text/ with vocab.txt",
                    folder.display()
                )));
            }
        }
        Self::open_files(Files::Disk, dir, ModelPlace::Folder(dir.to_owned()))
    }

    fn open_files(files: Files, dir: &Path, place: ModelPlace) -> Result<Self, ModelError> {
        let (text, text_dimension) = open_text(files, &dir.join("text"))?;
        let (image, dimension) = open_image(files, &dir.join("image"))?;
        if text_dimension != dimension {
            return Err(ModelError::config(
                dir,
                format!(
                    "its text tower makes {text_dimension} components and its image tower {dimension}: they do \
                     not belong together; put both towers of one model into the folder"
                ),
            ));
        }
        Ok(Self { files, place, dimension, text, image })
    }

    /// Where it lies.
    #[must_use]
    pub fn place(&self) -> &ModelPlace {
        &self.place
    }

    /// Components of an embedding.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The model's identity: a hash over everything that decides an embedding, whatever the weights'
    /// file format. It is remembered in `cache_dir` by the files' paths, sizes and times, so that the
    /// next call need not read the weights; failing to remember is no failure.
    ///
    /// # Errors
    /// When the weights cannot be read.
    pub fn id(&self, name: &str, cache_dir: Option<&Path>) -> Result<ModelId, ModelError> {
        // The built-in model has no times to remember it by; it is small and in memory.
        let cache_dir = cache_dir.filter(|_| matches!(self.place, ModelPlace::Folder(_)));
        let weights = identity::remembered(cache_dir, &self.identity_files(), || self.identity())?;
        Ok(ModelId { name: name.to_owned(), weights, dimension: self.dimension })
    }

    /// Loads the text tower.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn text_tower(&self, options: &TowerOptions) -> Result<TextTower, ModelError> {
        let TextParts { config, vocabulary, weights, .. } = &self.text;
        TextTower::load(config, self.files, vocabulary, weights, self.dimension, options)
    }

    /// Loads the image tower.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn image_tower(&self, options: &TowerOptions) -> Result<ImageTower, ModelError> {
        let ImageParts { config, preprocess, weights, .. } = &self.image;
        ImageTower::load(config, preprocess, weights, self.dimension, options)
    }

    /// Every file that the identity depends on.
    fn identity_files(&self) -> [&Path; 6] {
        [
            &self.text.config_path,
            &self.text.vocabulary,
            self.text.weights.path(),
            &self.image.config_path,
            &self.image.preprocess_path,
            self.image.weights.path(),
        ]
    }

    fn identity(&self) -> Result<String, ModelError> {
        let mut identity = Identity::new();
        identity.text("text: bert, pooler, classifier");
        identity.layers(&self.text.config.layers);
        identity.number(self.text.config.positions as u64);
        tokenizer::describe(self.files, &self.text.vocabulary, &mut |bytes| identity.bytes(bytes))?;
        identity.tensors(&self.text.weights, bert::tensors(&self.text.config, self.dimension))?;
        identity.text("image: clip vision, projection");
        identity.layers(&self.image.config.layers);
        identity.number(u64::from(self.image.config.side));
        identity.number(u64::from(self.image.config.patch));
        identity.preprocessing(&self.image.preprocess);
        identity.tensors(&self.image.weights, vit::tensors(&self.image.config, self.dimension))?;
        Ok(identity.finish())
    }
}

fn open_text(files: Files, dir: &Path) -> Result<(TextParts, usize), ModelError> {
    let config_path = dir.join("config.json");
    let config = TextConfig::read(files, &config_path)?;
    let vocabulary = tokenizer::file_in(files, dir)?;
    let weights = WeightFile::open_in(files, dir)?;
    let dimension = first_side(&weights, bert::CLASSIFIER)?;
    weights.check(&bert::tensors(&config, dimension))?;
    Ok((TextParts { config_path, config, vocabulary, weights }, dimension))
}

fn open_image(files: Files, dir: &Path) -> Result<(ImageParts, usize), ModelError> {
    let config_path = dir.join("config.json");
    let config = VisionConfig::read(files, &config_path)?;
    let preprocess_path = dir.join("preprocessor_config.json");
    let preprocess = PreprocessConfig::read(files, &preprocess_path, config.side)?;
    let weights = WeightFile::open_in(files, dir)?;
    let dimension = first_side(&weights, vit::PROJECTION)?;
    if let Some(told) = config.projection
        && told != dimension
    {
        return Err(ModelError::mismatch(
            weights.path(),
            format!("{} makes {dimension} components, projection_dim is {told}", vit::PROJECTION),
        ));
    }
    weights.check(&vit::tensors(&config, dimension))?;
    Ok((ImageParts { config_path, config, preprocess_path, preprocess, weights }, dimension))
}

/// The embedding's size, by the tensor that makes it.
fn first_side(weights: &WeightFile, name: &str) -> Result<usize, ModelError> {
    match weights.shape(name).as_deref() {
        Some([side, _]) if *side > 0 => Ok(*side),
        Some(shape) => Err(ModelError::mismatch(
            weights.path(),
            format!("tensor {name} has shape {shape:?}, expected [dimension, hidden_size]"),
        )),
        None => Err(ModelError::mismatch(weights.path(), format!("tensor {name} is missing"))),
    }
}
