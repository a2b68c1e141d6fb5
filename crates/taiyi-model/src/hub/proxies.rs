//! By which way hosts are reached: proxies, and the hosts that are reached without one.

use std::fmt;
use std::net::IpAddr;

use super::url::Url;

/// Proxies as the environment names them, e.g. `http://10.0.0.1:7890` or `socks5h://localhost:1080`.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For `http://` addresses.
    pub http: Option<String>,
    /// For `https://` addresses.
    pub https: Option<String>,
    /// Hosts that are reached without, parted by commas: `host`, `.domain`, `*.domain`, addresses with or without `[…]`,
    /// networks like `10.0.0.0/8`, each but a network with a port or for all; `*` for every host.
    pub except: String,
}

impl Proxies {
    /// The proxy for an address.
    pub(super) fn of(&self, url: &Url) -> Option<&str> {
        let proxy = if url.is_https() { &self.https } else { &self.http };
        proxy.as_deref().filter(|_| !self.is_excepted(url))
    }

    /// The proxy for an address as it may be shown, host and port alone, and the variables that name it.
    pub(super) fn shown(&self, url: &Url) -> Option<(String, &'static str)> {
        let proxy = self.of(url)?;
        let place = proxy.split_once("://").map_or(proxy, |(_, place)| place);
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        let place = place.split('/').next().unwrap_or_default().to_owned();
        Some((place, if url.is_https() { "HTTPS_PROXY or ALL_PROXY" } else { "HTTP_PROXY or ALL_PROXY" }))
    }

    fn is_excepted(&self, url: &Url) -> bool {
        let entries = self.except.split(|c: char| c == ',' || c.is_whitespace());
        entries.filter(|entry| !entry.is_empty()).any(|entry| fits(&entry.to_ascii_lowercase(), url))
    }
}

/// Whether an entry of the list, in lower case, means the host of `url`.
fn fits(entry: &str, url: &Url) -> bool {
    if entry == "*" {
        return true;
    }
    let address = url.host().parse::<IpAddr>().ok();
    if let Some((network, bits)) = entry.split_once('/') {
        return address.is_some_and(|address| is_in(address, network, bits).unwrap_or(false));
    }
    let (name, port) = split_port(entry);
    if port.is_some_and(|port| port != url.port()) {
        return false;
    }
    match (address, name.parse::<IpAddr>()) {
        (Some(address), Ok(named)) => address == named,
        // A part of an address is no domain.
        (Some(_), Err(_)) | (None, Ok(_)) => false,
        (None, Err(_)) => {
            let domain = name.trim_start_matches('*').trim_start_matches('.');
            let host = url.host();
            !domain.is_empty()
                && (host == domain || host.strip_suffix(domain).is_some_and(|head| head.ends_with('.')))
        }
    }
}

/// Name or address of an entry, without the brackets, and the port behind it.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((address, rest)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.rsplit_once(':') {
        // An address of version 6 may stand without brackets.
        Some((name, port)) if !name.contains(':') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

/// Whether the first `bits` of both addresses are the same.
fn is_in(address: IpAddr, network: &str, bits: &str) -> Option<bool> {
    let network = network.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok()?;
    let bits: u32 = bits.parse().ok()?;
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let other = u32::from(address) ^ u32::from(network);
            Some(other.leading_zeros() >= bits && bits <= 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let other = u128::from(address) ^ u128::from(network);
            Some(other.leading_zeros() >= bits && bits <= 128)
        }
        _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `url` is reached without a proxy where `except` says which are.
    fn is_direct(except: &str, url: &str) -> bool {
        let proxies =
            Proxies { http: Some("http://a:1".into()), https: Some("b:2".into()), except: except.into() };
        proxies.of(&Url::parse(url).unwrap()).is_none()
    }

    #[test]
    fn each_scheme_has_its_own() {
        let proxies = Proxies { http: Some("http://a:1".into()), ..Proxies::default() };
        assert_eq!(proxies.of(&Url::parse("http://huggingface.co").unwrap()), Some("http://a:1"));
        assert_eq!(proxies.of(&Url::parse("https://huggingface.co").unwrap()), None);
        assert!(!format!("{proxies:?}").contains("a:1"));
    }

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        let shown = |proxy: &str, url: &str| {
            let proxies =
                Proxies { http: Some(proxy.into()), https: Some(proxy.into()), except: "hub.org".into() };
            proxies.shown(&Url::parse(url).unwrap())
        };
        let https = "https://huggingface.co";
        for proxy in ["10.0.0.1:7890", "http://10.0.0.1:7890/", "socks5h://li:p/w@rd@10.0.0.1:7890"] {
            assert_eq!(shown(proxy, https), Some(("10.0.0.1:7890".into(), "HTTPS_PROXY or ALL_PROXY")));
        }
        let (_, variables) = shown("a:1", "http://huggingface.co").unwrap();
        assert_eq!(variables, "HTTP_PROXY or ALL_PROXY");
        assert_eq!(shown("a:1", "https://hub.org"), None);
    }

    #[test]
    fn names_and_domains() {
        let except = "localhost, .internal,*.corp.cn Hub.org";
        for host in ["localhost", "LOCALHOST", "hub.internal", "internal", "a.b.corp.cn", "hub.org"] {
            assert!(is_direct(except, &format!("https://{host}/x")), "{host}");
        }
        for host in ["notlocalhost", "myinternal", "corp.com", "huggingface.co", "org"] {
            assert!(!is_direct(except, &format!("https://{host}/x")), "{host}");
        }
        assert!(is_direct("*", "https://huggingface.co") && is_direct("a, *", "http://[::1]/"));
        assert!(!is_direct("", "https://huggingface.co") && !is_direct(",. ,", "https://huggingface.co"));
    }

    #[test]
    fn addresses_ports_and_networks() {
        for (except, url) in [
            ("10.0.0.1", "http://10.0.0.1:8080"),
            ("[::1]", "http://[::1]:99"),
            ("::1", "http://[::1]"),
            ("[0:0::1]:99", "http://[::1]:99"),
            ("10.0.0.1:8080", "http://10.0.0.1:8080"),
            ("hub.cn:443", "https://hub.cn"),
            ("10.0.0.0/8", "https://10.255.1.2"),
            ("192.168.4.0/22", "http://192.168.7.255"),
            ("0.0.0.0/0", "http://8.8.8.8"),
            ("fd00::/8", "https://[fd12:3456::1]"),
        ] {
            assert!(is_direct(except, url), "{url} by {except}");
        }
        for (except, url) in [
            ("10.0.0.1", "http://10.0.0.11"),
            // An end of an address is no domain of it.
            ("0.0.1", "http://10.0.0.1"),
            ("[::1]", "http://[::2]"),
            ("[::1]:98", "http://[::1]:99"),
            ("10.0.0.1:8080", "http://10.0.0.1"),
            ("hub.cn:8443", "https://hub.cn"),
            ("10.0.0.0/8", "https://11.0.0.1"),
            ("192.168.4.0/22", "http://192.168.8.0"),
            ("10.0.0.0/99", "http://10.0.0.0"),
            ("10.0.0.0/x", "http://10.0.0.0"),
            ("0.0.0.0/0", "http://[::1]"),
            ("10.0.0.0/8", "http://ten.example"),
        ] {
            assert!(!is_direct(except, url), "{url} by {except}");
        }
    }
}
