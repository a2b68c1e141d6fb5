//! Which model this is: one hash over everything that decides an embedding.
//!
//! Hashed are values, not files: the same weights as safetensors or as a pickle are the same model. Every
//! part goes in with its length before it, so no two models run together into the same bytes.

use std::fs;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::ModelError;
use crate::config::{Layers, PreprocessConfig, Resize};
use crate::files::replace_file;
use crate::weights::{TensorSpec, WeightFile};

/// Changes whenever what is hashed, or how, changes.
const SCHEME: &str = "taiyi-model identity 1";

/// The hash under way.
pub(crate) struct Identity(blake3::Hasher);

impl Identity {
    pub(crate) fn new() -> Self {
        let mut identity = Self(blake3::Hasher::new());
        identity.text(SCHEME);
        identity
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    /// What the tensors' shapes do not tell of a stack of layers.
    pub(crate) fn layers(&mut self, layers: &Layers) {
        self.number(layers.count as u64);
        self.number(layers.heads as u64);
        self.text(layers.activation.name());
        self.number(layers.eps.to_bits());
    }

    pub(crate) fn preprocessing(&mut self, config: &PreprocessConfig) {
        match config.resize {
            Resize::ShortSide(side) => {
                self.text("short side");
                self.number(u64::from(side));
            }
            Resize::Exact(columns, rows) => {
                self.text("exact");
                self.number(u64::from(columns));
                self.number(u64::from(rows));
            }
        }
        self.number(u64::from(config.crop));
        for value in config.mean.iter().chain(&config.std) {
            self.number(u64::from(value.to_bits()));
        }
    }

    /// Names, shapes and f32 values, sorted by name.
    pub(crate) fn tensors(
        &mut self,
        weights: &WeightFile,
        mut specs: Vec<TensorSpec>,
    ) -> Result<(), ModelError> {
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        for spec in &specs {
            self.text(&spec.name);
            self.number(spec.shape.len() as u64);
            for side in &spec.shape {
                self.number(*side as u64);
            }
            // The shape tells how many values follow.
            weights.with_f32_bytes(&spec.name, &mut |bytes| {
                self.0.update(bytes);
            })?;
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

/// The identity remembered in `cache_dir` for `files` as they are now, or else computed and remembered.
pub(crate) fn remembered(
    cache_dir: Option<&Path>,
    files: &[&Path],
    compute: impl FnOnce() -> Result<String, ModelError>,
) -> Result<String, ModelError> {
    let entry = cache_dir.and_then(|dir| match state_of(files) {
        Ok(state) => Some(dir.join(format!("model-{state}.id"))),
        Err(error) => {
            tracing::debug!(%error, "the model's files cannot be told apart, its identity is not remembered");
            None
        }
    });
    if let Some(entry) = &entry
        && let Ok(known) = fs::read_to_string(entry)
        && is_identity(&known)
    {
        return Ok(known);
    }
    let identity = compute()?;
    if let Some(entry) = &entry
        && let Err(error) = write(entry, &identity)
    {
        tracing::debug!(%error, path = %entry.display(), "the model's identity cannot be remembered");
    }
    Ok(identity)
}

fn is_identity(text: &str) -> bool {
    text.len() == 2 * blake3::OUT_LEN && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A hash of where the files lie, how long they are and when they were written.
fn state_of(files: &[&Path]) -> io::Result<String> {
    let mut state = Identity::new();
    for path in files {
        if !path.exists() {
            state.text("absent");
            state.bytes(path.as_os_str().as_encoded_bytes());
            continue;
        }
        let metadata = fs::metadata(path)?;
        state.bytes(path.canonicalize()?.as_os_str().as_encoded_bytes());
        state.number(metadata.len());
        let written = metadata.modified()?.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        state.number(written.as_secs());
        state.number(u64::from(written.subsec_nanos()));
    }
    Ok(state.finish())
}

fn write(entry: &Path, identity: &str) -> io::Result<()> {
    if let Some(dir) = entry.parent() {
        fs::create_dir_all(dir)?;
    }
    replace_file(entry, identity.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_remembered_until_a_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let (file, cache) = (dir.path().join("weights"), dir.path().join("cache"));
        fs::write(&file, "one").unwrap();
        let files = [file.as_path(), Path::new("/nonexistent/optional.json")];
        let (first, second) = ("ab".repeat(32), "cd".repeat(32));
        let ask = |answer: &str| remembered(Some(&cache), &files, || Ok(answer.to_owned())).unwrap();
        assert_eq!(ask(&first), first);
        assert_eq!(ask(&second), first, "the file is as it was");
        fs::write(&file, "other").unwrap();
        assert_eq!(ask(&second), second);
        for entry in fs::read_dir(&cache).unwrap() {
            fs::write(entry.unwrap().path(), "cut").unwrap();
        }
        assert_eq!(ask(&first), first, "a damaged entry is no answer");
        assert_eq!(remembered(Some(&file), &files, || Ok(second.clone())).unwrap(), second, "not a folder");
        assert_eq!(remembered(None, &files, || Ok(first.clone())).unwrap(), first);
    }

    #[test]
    fn parts_do_not_run_together() {
        let hash = |parts: &[&str]| {
            let mut identity = Identity::new();
            for part in parts {
                identity.text(part);
            }
            identity.finish()
        };
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert!(is_identity(&hash(&[])));
    }
}
