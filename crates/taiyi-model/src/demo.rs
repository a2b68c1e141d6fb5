//! The demo model, which is part of the program: trained on drawn scenes of emoji, and good for nothing
//! else. `tools/demo-model/` makes it.

use crate::files::Files;

/// The name that means the built-in model wherever a model is named.
pub const DEMO_MODEL: &str = "demo";

/// The files as they lie in the repository, two folders above this crate. Clones and `cargo install` from a
/// path or a git address have them; `cargo package` would need them inside the crate.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../index-data/model/", $name)))),*]
    };
}

pub(crate) const FILES: Files = Files::BuiltIn(files![
    "text/config.json",
    "text/model.safetensors",
    "text/vocab.txt",
    "image/config.json",
    "image/model.safetensors",
    "image/preprocessor_config.json",
]);
