//! What a hub is asked, and how it is reached.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::url::Url;
use super::{Authorities, Login, Proxies};

/// The hub, unless a mirror is named.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Where models come from and where they are kept.
#[derive(Clone)]
pub struct HubOptions {
    /// The hub or a mirror, e.g. `https://hf-mirror.com`.
    pub endpoint: String,
    /// The folder of `models--…` folders, which is shared with Python.
    pub cache_dir: PathBuf,
    /// Whether nothing may be asked of the network.
    pub is_offline: bool,
    /// Who asks.
    pub login: Login,
    /// By which way hosts are reached.
    pub proxies: Proxies,
    /// Whose signature makes a host's certificate good.
    pub authorities: Authorities,
    /// How long a connection may stay silent.
    pub silence: Duration,
}

impl HubOptions {
    /// The hub's address as it may be shown: without the password that somebody may have put there.
    #[must_use]
    pub fn shown_endpoint(&self) -> &str {
        Url::shown(&self.endpoint)
    }
}

impl fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubOptions")
            .field("endpoint", &self.shown_endpoint())
            .field("cache_dir", &self.cache_dir)
            .field("is_offline", &self.is_offline)
            .field("login", &self.login)
            .field("proxies", &self.proxies)
            .field("authorities", &self.authorities)
            .field("silence", &self.silence)
            .finish()
    }
}
