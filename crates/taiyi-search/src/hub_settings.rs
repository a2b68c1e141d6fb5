//! What the environment says of the hub, by the variables that Python's `huggingface_hub` knows.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use directories::BaseDirs;
use taiyi_model::hub::{DEFAULT_ENDPOINT, HubOptions, Proxies};

use crate::settings::{environment, unicode};

/// A connection that is silent for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Endpoint, cache, token and proxies of the environment.
pub(crate) fn of_environment() -> anyhow::Result<HubOptions> {
    let home = match environment("HF_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => {
            let base = BaseDirs::new().context("this account has no home folder: set HOME, or HF_HOME")?;
            // On every system, as Python has it.
            let cache = environment("XDG_CACHE_HOME").map(PathBuf::from);
            cache.unwrap_or_else(|| base.home_dir().join(".cache")).join("huggingface")
        }
    };
    let cache = environment("HF_HUB_CACHE").or_else(|| environment("HUGGINGFACE_HUB_CACHE"));
    let is_offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].iter().any(|name| is_on(name));
    Ok(HubOptions {
        endpoint: text(&["HF_ENDPOINT"])?.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()),
        cache_dir: cache.map_or_else(|| home.join("hub"), PathBuf::from),
        is_offline,
        token: match text(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])? {
            Some(token) => Some(token),
            None => {
                let file = environment("HF_TOKEN_PATH").map_or_else(|| home.join("token"), PathBuf::from);
                std::fs::read_to_string(file).ok()
            }
        },
        proxies: proxies()?,
        silence: SILENCE,
    })
}

fn proxies() -> anyhow::Result<Proxies> {
    let all = text(&["ALL_PROXY", "all_proxy"])?;
    let of = |names: &[&str]| Ok::<_, anyhow::Error>(text(names)?.or_else(|| all.clone()));
    Ok(Proxies {
        http: of(&["HTTP_PROXY", "http_proxy"])?,
        https: of(&["HTTPS_PROXY", "https_proxy"])?,
        except: text(&["NO_PROXY", "no_proxy"])?.unwrap_or_default(),
    })
}

/// The first of the variables that is set.
fn text(names: &[&str]) -> anyhow::Result<Option<String>> {
    let set = names.iter().find_map(|name| Some((*name, environment(name)?)));
    set.map(|(name, value)| unicode(name, value)).transpose()
}

fn is_on(name: &str) -> bool {
    let value = environment(name).unwrap_or_default();
    ["1", "ON", "YES", "TRUE"].iter().any(|on| value.eq_ignore_ascii_case(on))
}
