//! Defaults ← config file ← environment ← flags, merged once and checked.

use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use directories::ProjectDirs;

use crate::config::Config;
use crate::flags::{GlobalFlags, When};

/// What every command may rely on.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Folder of the index.
    pub(crate) index_dir: PathBuf,
    /// Folder of the models that are known by name.
    pub(crate) models_dir: PathBuf,
    /// Folder for what can be computed again.
    pub(crate) cache_dir: PathBuf,
    /// The model asked for, if one was.
    pub(crate) model: Option<String>,
    pub(crate) threads: NonZeroUsize,
    /// 0 errors, 1 warnings, 2 more, 3 details.
    pub(crate) verbosity: u8,
    pub(crate) exclude: Vec<String>,
    pub(crate) hidden: bool,
    pub(crate) follow_links: bool,
    pub(crate) max_megapixels: u64,
}

impl Settings {
    pub(crate) fn new(flags: &GlobalFlags) -> anyhow::Result<Self> {
        let dirs = ProjectDirs::from("", "", "taiyi-search")
            .context("this account has no home folder: set HOME, or XDG_DATA_HOME and the like")?;
        let config = match std::env::var_os("TAIYI_CONFIG") {
            Some(path) => Config::read(&PathBuf::from(path), true)?,
            None => Config::read(&dirs.config_dir().join("config.toml"), false)?,
        };
        let choice = match flags.color.or(config.color).unwrap_or(When::Auto) {
            When::Auto => anstream::ColorChoice::Auto,
            When::Always => anstream::ColorChoice::Always,
            When::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        Ok(Self {
            index_dir: flags.index.clone().or(config.index).unwrap_or_else(|| dirs.data_dir().join("index")),
            models_dir: dirs.data_dir().join("models"),
            cache_dir: dirs.cache_dir().to_path_buf(),
            model: flags.model.clone().or(config.model).filter(|model| !model.is_empty()),
            threads: threads(flags.threads.or(config.threads))?,
            verbosity: if flags.quiet { 0 } else { flags.verbose.saturating_add(1) },
            exclude: config.exclude,
            hidden: config.hidden,
            follow_links: config.follow_links,
            max_megapixels: config.max_megapixels.unwrap_or(200),
        })
    }

    /// Whether standard error may be drawn on.
    pub(crate) fn draws_progress(&self) -> bool {
        self.verbosity > 0 && std::io::stderr().is_terminal()
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.verbosity == 0
    }
}

fn threads(asked: Option<usize>) -> anyhow::Result<NonZeroUsize> {
    match asked {
        Some(n) => match NonZeroUsize::new(n) {
            Some(n) if n.get() <= 1024 => Ok(n),
            _ => bail!("--threads {n} makes no sense: give a number from 1 to 1024"),
        },
        None => Ok(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_checked() {
        assert_eq!(threads(Some(3)).unwrap().get(), 3);
        assert!(threads(None).unwrap().get() >= 1);
        assert!(threads(Some(0)).unwrap_err().to_string().contains("--threads 0"));
        assert!(threads(Some(1 << 20)).is_err());
    }
}
