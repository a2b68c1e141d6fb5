//! A model folder, opened and checked.
//!
//! The towers lie in `text/` and `image/`, each with a `config.json` and weights as a repository of their own
//! publishes them, or together in the folder itself, as one repository publishes both.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use taiyi_core::{ModelId, Precision};

use crate::config::{self, PreprocessConfig, TextConfig, TextFeature, VisionConfig};
use crate::files::{BUILT_IN, Files};
use crate::identity::{self, Identity};
use crate::quantised::QuantisedFile;
use crate::source::Source;
use crate::towers::{bert, vit};
use crate::weights::{TensorSpec, WeightFile};
use crate::{Device, ImageTower, ModelError, ModelPlace, TextTower, demo, family, tokenizer};

/// Weights that take a moment to quantise.
const MANY_WEIGHTS: usize = 1 << 25;

/// How a tower runs.
#[derive(Clone, Copy, Debug)]
pub struct TowerOptions {
    /// Threads that one call may use.
    pub threads: NonZeroUsize,
    /// Where the image tower computes. The text tower always computes on the CPU: a prompt is answered there before a
    /// graphics card has been opened.
    pub device: Device,
}

/// What a model is, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelDescription {
    /// Components of an embedding.
    pub dimension: usize,
    /// Whether one checkpoint holds both towers.
    pub is_one_checkpoint: bool,
    /// Which output of the text tower is the embedding.
    pub text_feature: &'static str,
    /// The text tower.
    pub text: TowerDescription,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Tokens that a text may have.
    pub positions: usize,
    /// The image tower.
    pub image: TowerDescription,
    /// Pixels of a picture's side.
    pub side: u32,
    /// Pixels of a patch's side.
    pub patch: u32,
}

/// What a tower is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TowerDescription {
    /// Transformer layers.
    pub layers: usize,
    /// Components of a hidden state.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// The feed-forward layers' non-linearity.
    pub activation: &'static str,
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
    precision: Precision,
    /// Where quantised weights are kept.
    cache_dir: Option<PathBuf>,
    tell: fn(&str),
}

#[derive(Debug)]
struct TextParts {
    config_path: PathBuf,
    config: TextConfig,
    layout: bert::Layout,
    vocabulary: PathBuf,
    weights: WeightFile,
}

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
            ModelPlace::Towers { text, image } => Self::open_towers(Files::Disk, text, image, place.clone()),
            ModelPlace::BuiltIn => {
                let (text, image) = tower_folders(demo::FILES, Path::new(BUILT_IN))?;
                Self::open_towers(demo::FILES, &text, &image, ModelPlace::BuiltIn)
            }
        }
    }

    /// Opens `dir`, which holds `text/` and `image/` or both towers itself, and checks it without loading
    /// weights.
    ///
    /// # Errors
    /// When a file is missing, damaged or of another kind of model, or when both towers do not share a space.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        let (text, image) = tower_folders(Files::Disk, dir)?;
        Self::open_towers(Files::Disk, &text, &image, ModelPlace::Folder(dir.to_owned()))
    }

    fn open_towers(
        files: Files,
        text_dir: &Path,
        image_dir: &Path,
        place: ModelPlace,
    ) -> Result<Self, ModelError> {
        let (text, from_text) = open_text(files, text_dir)?;
        let (image, from_image) = open_image(files, image_dir)?;
        if from_text.dimension != from_image.dimension {
            return Err(ModelError::config(
                match &place {
                    ModelPlace::Folder(dir) => dir,
                    ModelPlace::Towers { .. } | ModelPlace::BuiltIn => text_dir,
                },
                format!(
                    "its text tower makes {from_text} and its image tower {from_image}: they do not belong \
                     together; put both towers of one model into the folder"
                ),
            ));
        }
        let (dimension, precision) = (from_text.dimension, Precision::F32);
        Ok(Self { files, place, dimension, text, image, precision, cache_dir: None, tell: |_| {} })
    }

    /// The same model, computing in `precision`. In 8 bits, a tower's weights are quantised when it is first
    /// loaded and kept in `cache_dir`, a quarter of the model's own size; without one, or where it cannot be
    /// written, they are quantised each time.
    #[must_use]
    pub fn at(self, precision: Precision, cache_dir: Option<&Path>) -> Self {
        Self { precision, cache_dir: cache_dir.map(Path::to_owned), ..self }
    }

    /// Has `tell` called with a tower's name, `text` or `image`, before weights are quantised that are so many
    /// that somebody will wonder.
    #[must_use]
    pub fn telling(self, tell: fn(&str)) -> Self {
        Self { tell, ..self }
    }

    /// Where it lies.
    #[must_use]
    pub fn place(&self) -> &ModelPlace {
        &self.place
    }

    /// The files that it is made of, each once; built-in ones are none.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = Vec::new();
        for path in self.identity_files() {
            if matches!(self.files, Files::Disk) && path.is_file() && !files.iter().any(|known| known == path)
            {
                files.push(path.to_owned());
            }
        }
        files
    }

    /// The files of the text tower and of the image tower.
    pub(crate) fn tower_files(&self) -> [Vec<PathBuf>; 2] {
        let [config, vocabulary, weights, image @ ..] = self.identity_files();
        let here = |paths: &[&Path]| {
            paths.iter().filter(|path| path.is_file()).map(|path| path.to_path_buf()).collect()
        };
        [here(&[config, vocabulary, weights]), here(&image)]
    }

    /// What it is, for people.
    #[must_use]
    pub fn description(&self) -> ModelDescription {
        let (text, image) = (&self.text.config, &self.image.config);
        let tower = |layers: &crate::config::Layers| TowerDescription {
            layers: layers.count,
            width: layers.width,
            heads: layers.heads,
            activation: layers.activation.name(),
        };
        ModelDescription {
            dimension: self.dimension,
            is_one_checkpoint: self.text.config_path == self.image.config_path,
            text_feature: match self.text.layout.feature {
                TextFeature::Classifier => family::CLASSIFIER,
                TextFeature::Pooler => family::POOLER,
                TextFeature::Projection => family::PROJECTION,
            },
            text: tower(&text.layers),
            vocabulary: text.vocabulary,
            positions: text.positions,
            image: tower(&image.layers),
            side: image.side,
            patch: image.patch,
        }
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
        let weights = self.hash(cache_dir)?;
        Ok(ModelId { name: name.to_owned(), weights, dimension: self.dimension }.at(self.precision))
    }

    /// The identity of the weights as they were published.
    fn hash(&self, cache_dir: Option<&Path>) -> Result<String, ModelError> {
        // The built-in model has no times to remember it by; it is small and in memory.
        let cache_dir = cache_dir.filter(|_| self.place != ModelPlace::BuiltIn);
        identity::remembered(cache_dir, &self.identity_files(), || self.identity())
    }

    /// Loads the text tower.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn text_tower(&self, options: &TowerOptions) -> Result<TextTower, ModelError> {
        let TextParts { config, layout, vocabulary, weights, .. } = &self.text;
        let quantised = self.quantised(weights, &bert::tensors(config, *layout, self.dimension), "text")?;
        let source = quantised.as_ref().map_or(Source::Plain(weights), Source::Quantised);
        TextTower::load(config, *layout, self.files, vocabulary, source, self.dimension, options)
    }

    /// Loads the image tower.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn image_tower(&self, options: &TowerOptions) -> Result<ImageTower, ModelError> {
        let ImageParts { config, preprocess, weights, .. } = &self.image;
        let quantised = self.quantised(weights, &vit::tensors(config, self.dimension), "image")?;
        let source = quantised.as_ref().map_or(Source::Plain(weights), Source::Quantised);
        ImageTower::load(config, preprocess, source, self.dimension, options)
    }

    /// The quantised weights of a tower, if that is what it computes with.
    fn quantised(
        &self,
        weights: &WeightFile,
        specs: &[TensorSpec],
        tower: &str,
    ) -> Result<Option<QuantisedFile>, ModelError> {
        if self.precision == Precision::F32 {
            return Ok(None);
        }
        // The built-in model is small, and not there to be kept a second time.
        let cache_dir = self.cache_dir.as_deref().filter(|_| self.place != ModelPlace::BuiltIn);
        let id = self.id("", cache_dir)?;
        let tell = || {
            let size =
                |spec: &TensorSpec| spec.shape.iter().fold(1usize, |size, side| size.saturating_mul(*side));
            if specs.iter().map(size).fold(0, usize::saturating_add) > MANY_WEIGHTS {
                (self.tell)(tower);
            }
        };
        QuantisedFile::open(weights, specs, &id.weights, tower, cache_dir, tell).map(Some)
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
        identity.text(match self.text.layout.feature {
            TextFeature::Classifier => "text: bert, pooler, classifier",
            TextFeature::Pooler => "text: bert, pooler",
            TextFeature::Projection => "text: bert, projection",
        });
        identity.layers(&self.text.config.layers);
        identity.number(self.text.config.positions as u64);
        tokenizer::describe(self.files, &self.text.vocabulary, &mut |bytes| identity.bytes(bytes))?;
        identity.tensors(
            &self.text.weights,
            bert::tensors(&self.text.config, self.text.layout, self.dimension),
        )?;
        identity.text("image: clip vision, projection");
        identity.layers(&self.image.config.layers);
        identity.number(u64::from(self.image.config.side));
        identity.number(u64::from(self.image.config.patch));
        identity.preprocessing(&self.image.preprocess);
        identity.tensors(&self.image.weights, vit::tensors(&self.image.config, self.dimension))?;
        Ok(identity.finish())
    }
}

/// Where the text and the image tower lie in a model folder.
fn tower_folders(files: Files, dir: &Path) -> Result<(PathBuf, PathBuf), ModelError> {
    let (text, image) = (dir.join("text"), dir.join("image"));
    if matches!(files, Files::BuiltIn(_)) {
        return Ok((text, image));
    }
    let missing = |what: String| {
        ModelError::NotFound(format!(
            "there is no {what}: a model folder has text/ and image/, each with config.json and \
             model.safetensors or pytorch_model.bin, and text/ with vocab.txt; or all of these itself, if one \
             repository publishes both towers"
        ))
    };
    if !dir.is_dir() {
        return Err(missing(format!("folder {}", dir.display())));
    }
    let config = dir.join("config.json");
    if files.exists(&config) && !text.is_dir() && !image.is_dir() {
        if config::is_whole_model(files, &config)? {
            return Ok((dir.to_owned(), dir.to_owned()));
        }
        return Err(ModelError::config(
            &config,
            "it has no text_config and vision_config, so it is that of one tower: put a text tower into text/ \
             and an image tower into image/",
        ));
    }
    if let Some(folder) = [&text, &image].into_iter().find(|folder| !folder.is_dir()) {
        return Err(missing(format!("folder {}", folder.display())));
    }
    Ok((text, image))
}

/// How long a tower's embeddings are, and what says so.
struct Space {
    dimension: usize,
    weights: PathBuf,
    tensor: String,
    shape: Vec<usize>,
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dimension, weights, tensor, shape } = self;
        write!(f, "{dimension} components ({tensor} {shape:?} in {})", weights.display())
    }
}

fn open_text(files: Files, dir: &Path) -> Result<(TextParts, Space), ModelError> {
    let config_path = dir.join("config.json");
    let config = TextConfig::read(files, &config_path)?;
    let vocabulary = tokenizer::file_in(files, dir)?;
    let weights = WeightFile::open_in(files, dir)?;
    let layout = bert::Layout::find(&config, &weights);
    let width = config.layers.width;
    let told = match layout.feature {
        // It has a side for every one of the tower's components.
        TextFeature::Pooler => Some(("hidden_size", width)),
        TextFeature::Classifier | TextFeature::Projection => {
            config.projection.map(|size| ("projection_dim", size))
        }
    };
    let space = space_of(&weights, &layout.last_tensor(), width, told)?;
    weights.check(&bert::tensors(&config, layout, space.dimension))?;
    Ok((TextParts { config_path, config, layout, vocabulary, weights }, space))
}

fn open_image(files: Files, dir: &Path) -> Result<(ImageParts, Space), ModelError> {
    let config_path = dir.join("config.json");
    let config = VisionConfig::read(files, &config_path)?;
    let preprocess_path = dir.join("preprocessor_config.json");
    let preprocess = PreprocessConfig::read(files, &preprocess_path, &config)?;
    let weights = WeightFile::open_in(files, dir)?;
    let told = config.projection.map(|size| ("projection_dim", size));
    let space = space_of(&weights, vit::PROJECTION, config.layers.width, told)?;
    weights.check(&vit::tensors(&config, space.dimension))?;
    Ok((ImageParts { config_path, config, preprocess_path, preprocess, weights }, space))
}

/// The embedding's size by the tensor `name`, `[dimension, width]`, that makes it. `told` is the key of the
/// configuration that says it as well, if any does.
fn space_of(
    weights: &WeightFile,
    name: &str,
    width: usize,
    told: Option<(&str, usize)>,
) -> Result<Space, ModelError> {
    let wrong = |what: String| {
        let expected = match told {
            Some((key, size)) => format!("[{size}, {width}] as {key} is {size}"),
            None => format!("[dimension, {width}]"),
        };
        ModelError::mismatch(weights.path(), format!("tensor {name} {what}, expected {expected}"))
    };
    let shape = weights.shape(name).ok_or_else(|| wrong("is missing".into()))?;
    match shape.as_slice() {
        [dimension, columns]
            if *dimension > 0 && *columns == width && told.is_none_or(|(_, size)| size == *dimension) =>
        {
            let (weights, tensor) = (weights.path().to_owned(), name.to_owned());
            Ok(Space { dimension: *dimension, weights, tensor, shape: shape.clone() })
        }
        _ => Err(wrong(format!("has shape {shape:?}"))),
    }
}
