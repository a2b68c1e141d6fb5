//! Model folders and the two towers in them: prompts and pictures in, embeddings out.
//!
//! The sole user of candle, tokenizers and safetensors; none of their types leaves this crate.

mod config;
mod demo;
mod dense;
mod embeddings;
mod error;
mod family;
mod files;
mod folder;
mod identity;
mod image;
mod machine;
mod preprocess;
mod quantised;
mod resample;
mod source;
mod team;
mod text;
mod tokenizer;
mod towers;
mod values;
mod weights;
mod workers;

pub use demo::DEMO_MODEL;
pub use error::ModelError;
pub use family::{DEFAULT_MODEL, KnownModel, ModelPlace, how_to_get, known_models, resolve};
pub use folder::{ModelFolder, TowerOptions};
pub use image::ImageTower;
pub use text::{TextTower, Tokens};
