//! Model folders and the two towers in them: prompts and pictures in, embeddings out.
//!
//! [`hub`] fetches published models, [`library`] looks after those on this machine.
//! The sole user of candle, tokenizers, safetensors and HTTP; none of their types leaves this crate.

mod config;
mod demo;
mod dense;
mod device;
mod embeddings;
mod error;
mod family;
mod files;
mod folder;
pub mod hub;
mod identity;
mod image;
pub mod library;
mod machine;
mod pickle;
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
pub use device::Device;
pub use error::ModelError;
pub use family::{
    DEFAULT_MODEL, KnownModel, ModelHomes, ModelPlace, folder_of_file, how_to_bring, how_to_get, known_model,
    known_models, resolve,
};
pub use folder::{ModelDescription, ModelFolder, TowerDescription, TowerOptions};
pub use image::ImageTower;
pub use text::{TextTower, Tokens};
