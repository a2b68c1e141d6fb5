//! What the environment says of the hub, by the variables that Python's `huggingface_hub` knows.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use directories::BaseDirs;
use taiyi_model::hub::{Authorities, DEFAULT_ENDPOINT, HubOptions, Login, Proxies};

use crate::settings::{environment, unicode};

/// A connection that is silent for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Endpoint, cache, login, proxies and certificates of the environment.
pub(crate) fn of_environment() -> anyhow::Result<HubOptions> {
    let user = BaseDirs::new().map(|base| base.home_dir().to_owned());
    let folder = |name: &str| environment(name).map(|text| in_home(text, user.as_deref()));
    let home = match folder("HF_HOME") {
        Some(dir) => dir,
        None => {
            let user = user.as_deref().context("this account has no home folder: set HOME, or HF_HOME")?;
            // On every system, as Python has it.
            folder("XDG_CACHE_HOME").unwrap_or_else(|| user.join(".cache")).join("huggingface")
        }
    };
    let cache = folder("HF_HUB_CACHE").or_else(|| folder("HUGGINGFACE_HUB_CACHE"));
    let is_offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].iter().any(|name| is_on(name));
    Ok(HubOptions {
        endpoint: text(&["HF_ENDPOINT"])?.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()),
        cache_dir: cache.unwrap_or_else(|| home.join("hub")),
        is_offline,
        login: login(folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token")))?,
        proxies: proxies()?,
        authorities: authorities(),
        silence: SILENCE,
    })
}

/// The user's own token counts before that of a login, which `path` keeps; neither where both are turned off.
fn login(path: PathBuf) -> anyhow::Result<Login> {
    if is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
        return Ok(Login::Disabled);
    }
    if let Some(token) = text(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])? {
        return Ok(Login::Given(token));
    }
    let token = std::fs::read_to_string(&path).unwrap_or_default();
    Ok(if token.trim().is_empty() { Login::Anonymous } else { Login::Found { token, path } })
}

/// In small letters they count first, as for curl and Python.
fn proxies() -> anyhow::Result<Proxies> {
    let all = text(&["all_proxy", "ALL_PROXY"])?;
    let of = |names: &[&str]| Ok::<_, anyhow::Error>(text(names)?.or_else(|| all.clone()));
    Ok(Proxies {
        http: of(&["http_proxy", "HTTP_PROXY"])?,
        https: of(&["https_proxy", "HTTPS_PROXY"])?,
        except: text(&["no_proxy", "NO_PROXY"])?.unwrap_or_default(),
    })
}

fn authorities() -> Authorities {
    let file = environment("SSL_CERT_FILE").map(PathBuf::from);
    let dir = environment("SSL_CERT_DIR").map(PathBuf::from);
    if file.is_some() || dir.is_some() {
        return Authorities::Named { file, dir };
    }
    // Python's, which may be either.
    match environment("REQUESTS_CA_BUNDLE").map(PathBuf::from) {
        Some(dir) if dir.is_dir() => Authorities::Named { file: None, dir: Some(dir) },
        Some(file) => Authorities::Named { file: Some(file), dir: None },
        None => Authorities::OfSystem,
    }
}

/// A path in which `~` stands for the user's folder: no shell has read what an `.env` file or a service's settings say.
fn in_home(text: OsString, user: Option<&Path>) -> PathBuf {
    let path = PathBuf::from(text);
    match (path.strip_prefix("~"), user) {
        (Ok(below), Some(user)) => user.join(below),
        _ => path,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_users_folder() {
        let user = Path::new("/home/li");
        let path = |text: &str| in_home(text.into(), Some(user));
        assert_eq!(path("~/.cache/hf"), user.join(".cache").join("hf"));
        assert_eq!(path("~"), user);
        for other in ["/data/~/hf", "~wang/hf", "hf", "./~"] {
            assert_eq!(path(other), Path::new(other));
        }
        assert_eq!(in_home("~/hf".into(), None), Path::new("~/hf"));
    }
}
