//! The config file: `config.toml` in the platform's config folder, or where `TAIYI_CONFIG` says.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use taiyi_core::Precision;
use taiyi_tui::Images;

use crate::flags::When;

/// What may stand in the file; all of it can be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) index: Option<PathBuf>,
    pub(crate) model: Option<String>,
    #[serde(deserialize_with = "precision")]
    pub(crate) precision: Option<Precision>,
    pub(crate) threads: Option<usize>,
    pub(crate) color: Option<When>,
    pub(crate) exclude: Vec<String>,
    pub(crate) hidden: bool,
    pub(crate) follow_links: bool,
    pub(crate) max_megapixels: Option<u64>,
    pub(crate) full_decode: bool,
    pub(crate) tui: TuiConfig,
}

/// The table `[tui]`; `docs/TERMINAL.md` describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TuiConfig {
    /// How many pictures an answer has, at most.
    pub(crate) results: usize,
    /// How pictures are put on the terminal.
    #[serde(deserialize_with = "images")]
    pub(crate) images: Images,
    /// Whether the terminal knows 256 colours and no more; by default as its name tells.
    pub(crate) few_colors: Option<bool>,
    /// Program and arguments that open a picture; empty for the system's choice.
    pub(crate) viewer: Vec<String>,
    /// Key → command.
    pub(crate) keys: BTreeMap<String, String>,
    /// Part → colours.
    pub(crate) theme: BTreeMap<String, String>,
}

impl Default for TuiConfig {
    fn default() -> Self {
        Self {
            results: 500,
            images: Images::default(),
            few_colors: None,
            viewer: Vec::new(),
            keys: BTreeMap::new(),
            theme: BTreeMap::new(),
        }
    }
}

fn precision<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Precision>, D::Error> {
    let name = String::deserialize(deserializer)?;
    match Precision::from_name(&name) {
        Some(precision) => Ok(Some(precision)),
        None => {
            let known = Precision::ALL.map(Precision::name).join(", ");
            Err(D::Error::custom(format!("precision = {name:?} is not known: choose one of {known}")))
        }
    }
}

fn images<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Images, D::Error> {
    let name = String::deserialize(deserializer)?;
    Images::from_name(&name).ok_or_else(|| {
        let known: Vec<_> = Images::NAMES.iter().map(|(_, name)| *name).collect();
        D::Error::custom(format!("images = {name:?} is not known: choose one of {}", known.join(", ")))
    })
}

impl Config {
    /// Reads the file; one that is not there is empty, unless it was named explicitly.
    pub(crate) fn read(path: &Path, must_exist: bool) -> anyhow::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound && !must_exist => return Ok(Self::default()),
            Err(e) => {
                return Err(e).with_context(|| format!("cannot read the config file {}", path.display()));
            }
        };
        toml::from_str(&text).with_context(|| format!("cannot read the config file {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_in_the_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        assert!(Config::read(&path, false).unwrap().model.is_none());
        assert!(Config::read(&path, true).is_err());
        std::fs::write(&path, "model = \"demo\"\nthreads = 3\ncolor = \"never\"\nexclude = [\"*.gif\"]\n")
            .unwrap();
        let config = Config::read(&path, true).unwrap();
        assert_eq!((config.model.as_deref(), config.threads), (Some("demo"), Some(3)));
        std::fs::write(&path, "modle = \"demo\"\n").unwrap();
        let error = format!("{:#}", Config::read(&path, true).unwrap_err());
        assert!(error.contains("modle") && error.contains("config.toml"), "{error}");
        std::fs::write(&path, "precision = \"int8\"\n").unwrap();
        assert_eq!(Config::read(&path, true).unwrap().precision, Some(Precision::Int8));
        std::fs::write(&path, "precision = \"int4\"\n").unwrap();
        let error = format!("{:#}", Config::read(&path, true).unwrap_err());
        assert!(error.contains("choose one of f32, int8"), "{error}");
    }
}
