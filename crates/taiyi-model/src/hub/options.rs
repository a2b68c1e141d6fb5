//! What a hub is asked, and how it is reached.

use std::path::PathBuf;
use std::time::Duration;

use super::{Authorities, Login, Proxies};

/// The hub, unless a mirror is named.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Where models come from and where they are kept.
#[derive(Clone, Debug)]
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
