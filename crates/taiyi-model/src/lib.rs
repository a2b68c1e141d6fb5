//! Model folders and the two towers in them: prompts and pictures in, embeddings out.
//!
//! The sole user of candle, tokenizers and safetensors; none of their types leaves this crate.

mod config;
mod embeddings;
mod error;
mod family;
mod folder;
mod identity;
mod image;
mod mmap;
mod preprocess;
mod resample;
mod text;
mod tokenizer;
mod towers;
mod weights;
mod workers;

pub use error::ModelError;
pub use family::{DEFAULT_MODEL, KnownModel, known_models, resolve};
pub use folder::{ModelFolder, TowerOptions};
pub use image::ImageTower;
pub use text::{TextTower, Tokens};
