//! What a hub is asked, and how it is reached.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Sent to the endpoint, and to no other host.
    pub token: Option<String>,
    /// By which way hosts are reached.
    pub proxies: Proxies,
    /// How long a connection may stay silent.
    pub silence: Duration,
}

/// Proxies as the environment names them, e.g. `http://10.0.0.1:7890` or `socks5h://localhost:1080`.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For `http://` addresses.
    pub http: Option<String>,
    /// For `https://` addresses.
    pub https: Option<String>,
    /// Hosts that are reached without: `host`, `.domain`, `*`; parted by commas.
    pub except: String,
}

impl Proxies {
    /// The proxy for an address.
    pub(super) fn of(&self, is_https: bool, host: &str) -> Option<&str> {
        let proxy = if is_https { &self.https } else { &self.http };
        proxy.as_deref().filter(|_| !self.is_excepted(host))
    }

    fn is_excepted(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let fits = |entry: &str| {
            let entry = entry.trim().to_ascii_lowercase();
            // A port may stand behind it, and a dot or `*.` before a domain.
            let entry = match entry.rsplit_once(':') {
                Some((name, port)) if !name.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => name,
                _ => &entry,
            };
            if entry == "*" {
                return true;
            }
            let domain = entry.trim_start_matches('*').trim_start_matches('.');
            !domain.is_empty()
                && (host == domain || host.strip_suffix(domain).is_some_and(|head| head.ends_with('.')))
        };
        self.except.split(',').any(fits)
    }
}

/// A proxy's address may hold a password: only whether there is one is told.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("except", &self.except)
            .finish()
    }
}

/// Of the token, only whether there is one is told.
impl fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, cache_dir, is_offline, token, proxies, silence } = self;
        f.debug_struct("HubOptions")
            .field("endpoint", endpoint)
            .field("cache_dir", cache_dir)
            .field("is_offline", is_offline)
            .field("has_token", &token.is_some())
            .field("proxies", proxies)
            .field("silence", silence)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_and_their_exceptions() {
        let proxies = Proxies {
            http: Some("http://a:1".into()),
            https: None,
            except: "localhost, .internal,*.corp.cn,10.0.0.1:8080".into(),
        };
        assert_eq!(proxies.of(false, "huggingface.co"), Some("http://a:1"));
        assert_eq!(proxies.of(true, "huggingface.co"), None);
        for host in ["localhost", "LOCALHOST", "hub.internal", "internal", "a.b.corp.cn", "10.0.0.1"] {
            assert_eq!(proxies.of(false, host), None, "{host}");
        }
        for host in ["notlocalhost", "myinternal", "corp.com", "10.0.0.11"] {
            assert!(proxies.of(false, host).is_some(), "{host}");
        }
        let none = Proxies { except: "*".into(), ..proxies.clone() };
        assert_eq!(none.of(false, "huggingface.co"), None);
        assert!(!format!("{proxies:?}").contains("a:1"));
    }
}
