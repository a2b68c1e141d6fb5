//! Model folders and the two towers in them: prompts and pictures in, embeddings out.
//!
//! The sole user of candle, tokenizers and safetensors; none of their types leaves this crate.

mod error;
mod family;
mod folder;
mod image;
mod text;

pub use error::ModelError;
pub use family::{DEFAULT_MODEL, KnownModel, known_models, resolve};
pub use folder::{ModelFolder, TowerOptions};
pub use image::ImageTower;
pub use text::{TextTower, Tokens};
