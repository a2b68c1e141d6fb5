//! Defaults ← config file ← environment ← flags, merged once and checked.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
use directories::ProjectDirs;
use taiyi_core::Precision;
use taiyi_model::hub::HubOptions;
use taiyi_model::{Device, ModelHomes, TowerOptions};

use crate::config::{Config, TuiConfig};
use crate::flags::{GlobalFlags, When};
use crate::hub_settings;

/// What every command may rely on.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Folder of the index.
    pub(crate) index_dir: PathBuf,
    /// Whether `--index` said so, which means this index for this command.
    pub(crate) is_index_named: bool,
    /// Folder for what should last.
    pub(crate) data_dir: PathBuf,
    /// Folders of the models that are known by name.
    pub(crate) homes: ModelHomes,
    /// Where models are fetched from.
    pub(crate) hub: HubOptions,
    /// Whether a question may be asked, if somebody is there.
    pub(crate) may_ask: bool,
    /// Folder for what can be computed again.
    pub(crate) cache_dir: PathBuf,
    /// The model asked for, if one was.
    pub(crate) model: Option<String>,
    /// The precision asked for, if one was.
    pub(crate) precision: Option<Precision>,
    pub(crate) threads: NonZeroUsize,
    /// Where pictures are embedded.
    pub(crate) device: Device,
    /// 0 errors, 1 warnings, 2 more, 3 details.
    pub(crate) verbosity: u8,
    pub(crate) exclude: Vec<String>,
    pub(crate) hidden: bool,
    pub(crate) follow_links: bool,
    pub(crate) max_megapixels: u64,
    /// Whether large JPEGs are decoded whole, rather than no larger than the model has use for.
    pub(crate) full_decode: bool,
    /// Whether colours were turned off.
    pub(crate) is_colourless: bool,
    pub(crate) tui: TuiConfig,
    /// Where the file of settings is, or would be; for messages.
    pub(crate) config_file: PathBuf,
}

impl Settings {
    pub(crate) fn new(flags: &GlobalFlags) -> anyhow::Result<Self> {
        let dirs = ProjectDirs::from("", "", "taiyi-search")
            .context("this account has no home folder: set HOME, or XDG_DATA_HOME and the like")?;
        let named = environment("TAIYI_CONFIG").map(PathBuf::from);
        let must_exist = named.is_some();
        let config_file = named.unwrap_or_else(|| dirs.config_dir().join("config.toml"));
        let config = Config::read(&config_file, must_exist)?;
        let choice = match flags.color.or(config.color).unwrap_or(When::Auto) {
            When::Auto => anstream::ColorChoice::Auto,
            When::Always => anstream::ColorChoice::Always,
            When::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        let hub = hub_settings::of_environment()?;
        Ok(Self {
            index_dir: flags
                .index
                .clone()
                .or_else(|| environment("TAIYI_INDEX").map(PathBuf::from))
                .or(config.index)
                .unwrap_or_else(|| dirs.data_dir().join("index")),
            is_index_named: flags.index.is_some(),
            data_dir: dirs.data_dir().to_path_buf(),
            homes: ModelHomes {
                models_dir: dirs.data_dir().join("models"),
                hub_cache_dir: hub.cache_dir.clone(),
            },
            hub,
            may_ask: !flags.quiet,
            cache_dir: dirs.cache_dir().to_path_buf(),
            model: match (&flags.model, environment("TAIYI_MODEL")) {
                (Some(model), _) => Some(model.clone()),
                (None, Some(model)) => Some(unicode("TAIYI_MODEL", model)?),
                (None, None) => config.model.filter(|model| !model.is_empty()),
            },
            precision: match (flags.precision, environment("TAIYI_PRECISION")) {
                (Some(precision), _) => Some(precision),
                (None, Some(name)) => {
                    let name = unicode("TAIYI_PRECISION", name)?;
                    let known = Precision::ALL.map(Precision::name).join(" or ");
                    Some(Precision::from_name(&name).with_context(|| {
                        format!("TAIYI_PRECISION={name:?} is not known: set it to {known}")
                    })?)
                }
                (None, None) => config.precision,
            },
            threads: threads(match (flags.threads, environment("TAIYI_THREADS")) {
                (Some(n), _) => Some(n),
                (None, Some(text)) => {
                    let text = unicode("TAIYI_THREADS", text)?;
                    Some(text.parse().with_context(|| format!("TAIYI_THREADS={text:?} is no number"))?)
                }
                (None, None) => config.threads,
            })?,
            device: device(flags),
            verbosity: if flags.quiet { 0 } else { flags.verbose.saturating_add(1) },
            exclude: config.exclude,
            hidden: config.hidden,
            follow_links: config.follow_links,
            max_megapixels: config.max_megapixels.unwrap_or(200),
            full_decode: match (flags.full_decode, environment("TAIYI_FULL_DECODE")) {
                (true, _) => true,
                (false, Some(text)) => switch("TAIYI_FULL_DECODE", text)?,
                (false, None) => config.full_decode,
            },
            is_colourless: choice == anstream::ColorChoice::Never,
            tui: config.tui,
            config_file,
        })
    }

    /// How the model's towers run.
    pub(crate) fn towers(&self) -> TowerOptions {
        TowerOptions { threads: self.threads, device: self.device }
    }

    /// Whether standard error may be drawn on.
    pub(crate) fn draws_progress(&self) -> bool {
        self.verbosity > 0 && std::io::stderr().is_terminal()
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.verbosity == 0
    }
}

/// A variable of the environment; an empty one is as good as none.
pub(crate) fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

pub(crate) fn unicode(name: &str, value: OsString) -> anyhow::Result<String> {
    value.into_string().map_err(|value| anyhow!("{name}={} is not Unicode", value.display()))
}

fn switch(name: &str, value: OsString) -> anyhow::Result<bool> {
    match unicode(name, value)?.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        other => bail!("{name}={other} is neither yes nor no: give 1 or 0"),
    }
}

#[cfg(feature = "cuda")]
fn device(flags: &GlobalFlags) -> Device {
    flags.device.unwrap_or_default()
}

#[cfg(not(feature = "cuda"))]
fn device(_: &GlobalFlags) -> Device {
    Device::Cpu
}

fn threads(asked: Option<usize>) -> anyhow::Result<NonZeroUsize> {
    match asked {
        Some(n) => match NonZeroUsize::new(n) {
            Some(n) if n.get() <= 1024 => Ok(n),
            _ => bail!("{n} threads make no sense: give a number from 1 to 1024, e.g. --threads 2"),
        },
        None => Ok(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_words_or_digits() {
        let switch = |value: &str| switch("TAIYI_X", value.into());
        assert!(switch("1").unwrap() && switch("Yes").unwrap());
        assert!(!switch("0").unwrap() && !switch("off").unwrap());
        assert!(switch("2").unwrap_err().to_string().contains("TAIYI_X=2 is neither"));
    }

    #[test]
    fn threads_are_checked() {
        assert_eq!(threads(Some(3)).unwrap().get(), 3);
        assert!(threads(None).unwrap().get() >= 1);
        assert!(threads(Some(0)).unwrap_err().to_string().contains("0 threads"));
        assert!(threads(Some(1 << 20)).is_err());
    }
}
