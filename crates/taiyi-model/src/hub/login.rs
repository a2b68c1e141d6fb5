//! Who asks a hub: the token of a login, and the hosts that may see it.

use std::fmt;
use std::path::PathBuf;

use super::url::Url;
use super::{DEFAULT_ENDPOINT, HubError};

/// A token, or why there is none. No host but the hub's own ever gets one, wherever it redirects to.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Login {
    /// Nobody is logged in.
    #[default]
    Anonymous,
    /// No token may be sent, whichever there are: `HF_HUB_DISABLE_IMPLICIT_TOKEN`.
    Disabled,
    /// `HF_TOKEN`, which the user has set for the hub that is asked. It goes to that hub, mirror or not, by https, or
    /// to this very machine.
    Given(String),
    /// What a login at huggingface.co has left on disk. It goes to `https://huggingface.co` alone: nobody has said that
    /// a mirror shall have it.
    Found {
        /// The token.
        token: String,
        /// Where it was found.
        path: PathBuf,
    },
}

impl Login {
    /// Says so when there is a token for the hub at `endpoint` that no request could carry.
    pub(super) fn check(&self, endpoint: &Url) -> Result<(), HubError> {
        let (token, place) = match self {
            Self::Anonymous | Self::Disabled => return Ok(()),
            Self::Given(token) => (token, "HF_TOKEN".to_owned()),
            Self::Found { .. } if !is_hugging_face(endpoint) => return Ok(()),
            Self::Found { token, path } => (token, path.display().to_string()),
        };
        if token.trim().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(());
        }
        Err(HubError::Options(format!("{place} holds characters that no token has")))
    }

    /// The token that a request to `url` may carry, `endpoint` being the hub that is asked.
    pub(super) fn token_for(&self, url: &Url, endpoint: &Url) -> Option<&str> {
        let token = match self {
            Self::Given(token) if url.is_https() || url.is_loopback() => token.trim(),
            Self::Found { token, .. } if url.is_https() && is_hugging_face(url) => token.trim(),
            _ => return None,
        };
        Some(token).filter(|token| !token.is_empty() && url.is_of_hub(endpoint))
    }

    /// What may help where the hub at `endpoint` refused an answer at `url`.
    pub(super) fn remedy(&self, url: &Url, endpoint: &Url) -> String {
        let was_sent = self.token_for(url, endpoint).is_some();
        match self {
            Self::Given(_) if was_sent => {
                "the token in HF_TOKEN is not valid here, or has no access to it".into()
            }
            Self::Given(token) if !token.trim().is_empty() => {
                "HF_TOKEN was kept back, as it is not sent over plain http: use an https:// address".into()
            }
            Self::Found { path, .. } if was_sent => format!(
                "the token in {} is not valid any more, or has no access to it: log in again, or set HF_TOKEN",
                path.display()
            ),
            Self::Found { path, .. } => format!(
                "the token in {} was kept back, as it is for {DEFAULT_ENDPOINT} alone: set HF_TOKEN to one for this \
                 hub",
                path.display()
            ),
            Self::Disabled => {
                "HF_HUB_DISABLE_IMPLICIT_TOKEN keeps every token back: unset it, and set HF_TOKEN".into()
            }
            Self::Given(_) | Self::Anonymous => "set HF_TOKEN to a token with access to it".into(),
        }
    }
}

/// Whether it is where a login on disk comes from; plain http is asked as well, which may lead to https.
fn is_hugging_face(url: &Url) -> bool {
    Url::parse(DEFAULT_ENDPOINT).is_some_and(|home| url.is_same_origin(&home) || url.is_upgraded_by(&home))
}

/// Of the token, only where it comes from is told.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Disabled => f.write_str("Disabled"),
            Self::Given(_) => f.write_str("Given"),
            Self::Found { path, .. } => f.debug_struct("Found").field("path", path).finish_non_exhaustive(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given() -> Login {
        Login::Given(" hf_given\n".into())
    }

    fn found() -> Login {
        Login::Found { token: "hf_found\n".into(), path: "/home/li/token".into() }
    }

    /// What of `login` a request to `url` carries when the hub is `endpoint`.
    fn sent(login: &Login, url: &str, endpoint: &str) -> Option<String> {
        let (url, endpoint) = (Url::parse(url).unwrap(), Url::endpoint(endpoint).unwrap());
        login.token_for(&url, &endpoint).map(str::to_owned)
    }

    #[test]
    fn a_token_found_on_disk_goes_home_and_nowhere_else() {
        let home = "https://huggingface.co";
        assert_eq!(sent(&found(), "https://huggingface.co/a/b", home).as_deref(), Some("hf_found"));
        assert_eq!(sent(&found(), "https://HuggingFace.co:443/a", home).as_deref(), Some("hf_found"));
        for (url, endpoint) in [
            ("https://hf-mirror.com/a", "https://hf-mirror.com"),
            ("http://huggingface.co/a", "http://huggingface.co"),
            ("https://huggingface.co:8443/a", "https://huggingface.co:8443"),
            ("https://huggingface.co.evil.com/a", "https://huggingface.co.evil.com"),
            ("http://127.0.0.1:9/a", "http://127.0.0.1:9"),
            // Where others redirect to it, and where it redirects to.
            ("https://huggingface.co/a", "https://hf-mirror.com"),
            ("https://cdn-lfs.huggingface.co/a", home),
            ("http://huggingface.co/a", home),
        ] {
            assert_eq!(sent(&found(), url, endpoint), None, "{url} of {endpoint}");
        }
        // Plain http gets nothing; the https that it leads to does.
        assert_eq!(
            sent(&found(), "https://huggingface.co/a", "http://huggingface.co").as_deref(),
            Some("hf_found")
        );
    }

    #[test]
    fn a_token_that_was_given_goes_to_the_hub_that_is_asked() {
        for (url, endpoint) in [
            ("https://hub.cn/a", "https://hub.cn"),
            ("https://hub.cn/a", "http://hub.cn"),
            ("http://127.0.0.1:9/a", "http://127.0.0.1:9"),
            ("http://[::1]:9/a", "http://[::1]:9"),
            ("http://localhost/a", "http://localhost"),
        ] {
            assert_eq!(sent(&given(), url, endpoint).as_deref(), Some("hf_given"), "{url}");
        }
        for (url, endpoint) in [
            ("http://hub.cn/a", "http://hub.cn"),
            ("http://192.168.1.2/a", "http://192.168.1.2"),
            ("http://localhost.evil.com/a", "http://localhost.evil.com"),
            ("https://cdn.hub.cn/a", "https://hub.cn"),
            ("https://hub.cn:8443/a", "http://hub.cn"),
            ("http://127.0.0.1:8/a", "http://127.0.0.1:9"),
        ] {
            assert_eq!(sent(&given(), url, endpoint), None, "{url} of {endpoint}");
        }
        for login in [Login::Anonymous, Login::Disabled, Login::Given(" ".into())] {
            assert_eq!(sent(&login, "https://hub.cn/a", "https://hub.cn"), None);
        }
    }

    #[test]
    fn a_refusal_says_what_became_of_the_token() {
        let told = |login: &Login, endpoint: &str| {
            let endpoint = Url::endpoint(endpoint).unwrap();
            login.remedy(&endpoint, &endpoint)
        };
        assert!(told(&found(), "https://hf-mirror.com").contains("/home/li/token was kept back"));
        assert!(told(&found(), "https://huggingface.co").contains("log in again"));
        assert!(told(&given(), "http://hub.cn").contains("plain http"));
        assert!(told(&given(), "https://hub.cn").contains("not valid here"));
        assert!(told(&Login::Disabled, "https://hub.cn").contains("HF_HUB_DISABLE_IMPLICIT_TOKEN"));
        assert!(told(&Login::Anonymous, "https://hub.cn").contains("set HF_TOKEN"));
        for login in [found(), given()] {
            assert!(!format!("{login:?} {}", told(&login, "https://hub.cn")).contains("hf_"));
        }
    }

    #[test]
    fn a_token_of_odd_characters_is_named_by_its_place() {
        let broken = |login: Login, endpoint: &str| {
            login.check(&Url::endpoint(endpoint).unwrap()).err().map(|error| error.to_string())
        };
        let found = || Login::Found { token: "a b".into(), path: "/home/li/token".into() };
        assert!(broken(Login::Given("a\nb".into()), "https://hub.cn").unwrap().contains("HF_TOKEN"));
        assert!(broken(found(), "https://huggingface.co").unwrap().contains("/home/li/token"));
        assert_eq!(broken(found(), "https://hub.cn"), None, "it is not sent there");
        assert_eq!(broken(given(), "https://hub.cn"), None);
    }
}
