//! Addresses: of the hub's files, and where redirects lead.

use std::net::IpAddr;

use ureq::http::Uri;

use super::HubError;

/// An absolute `http` or `https` address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    is_https: bool,
    /// Host, and port where one is named; never a user or password.
    authority: String,
    /// A name or an address, this without the brackets of version 6.
    host: String,
    port: u16,
    /// From the first `/` on, with the query.
    path: String,
}

impl Url {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let is_https = match uri.scheme_str()?.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        // What is no port would be passed over, and may be part of a password.
        let port = match authority.as_str().get(authority.host().len()..)? {
            "" | ":" if is_https => 443,
            "" | ":" => 80,
            rest => rest.strip_prefix(':')?.parse().ok()?,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Some(Self {
            is_https,
            authority: authority.as_str().to_ascii_lowercase(),
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase(),
            port,
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        })
    }

    /// As much of an address, right or wrong, as may be shown: before an `@` there may be a password.
    pub(super) fn shown(text: &str) -> &str {
        match text.rsplit_once('@') {
            Some((_, host)) if Self::parse(text).is_none() => host,
            _ => text,
        }
    }

    /// The hub's address, to which paths are appended.
    pub(super) fn endpoint(text: &str) -> Result<Self, HubError> {
        Self::parse(text.trim().trim_end_matches('/')).filter(|url| !url.path.contains('?')).ok_or_else(|| {
            let shown = Self::shown(text);
            HubError::Options(if shown.len() < text.len() {
                format!(
                    "the hub's address at {shown:?} has something before an @, and no user or password is taken there: \
                     leave that out, and set HF_TOKEN where the hub wants a login (--mirror, HF_ENDPOINT)"
                )
            } else {
                format!(
                    "{text:?} is no address of a hub: expected one like https://huggingface.co (--mirror, HF_ENDPOINT)"
                )
            })
        })
    }

    /// This address with `path`, which begins with `/`, behind it.
    pub(super) fn below(&self, path: &str) -> Self {
        Self { path: format!("{}{path}", self.path.trim_end_matches('/')), ..self.clone() }
    }

    /// Where a `Location` of an answer from here leads. Nothing for other schemes and for what is no address;
    /// nothing as well from `https` down to `http`.
    pub(super) fn redirected(&self, location: &str) -> Option<Self> {
        let location = location.trim().split('#').next().unwrap_or_default();
        let scheme = if self.is_https { "https" } else { "http" };
        let target = if location.contains("://") && !location.starts_with('/') {
            Self::parse(location)?
        } else if location.starts_with("//") {
            Self::parse(&format!("{scheme}:{location}"))?
        } else if location.starts_with('/') {
            Self::parse(&format!("{scheme}://{}{location}", self.authority))?
        } else if location.is_empty() || location.split(['/', '?']).next().is_some_and(|s| s.contains(':')) {
            return None;
        } else {
            let path = self.path.split('?').next().unwrap_or_default();
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            Self::parse(&format!("{scheme}://{}{folder}/{location}", self.authority))?
        };
        (target.is_https || !self.is_https).then_some(target)
    }

    /// Whether both are one host on one port, reached in one way.
    pub(super) fn is_same_origin(&self, other: &Self) -> bool {
        (self.is_https, &self.host, self.port) == (other.is_https, &other.host, other.port)
    }

    /// Whether `to` is the same host by https where this is plain http: on the same port, or on the usual one of each.
    pub(super) fn is_upgraded_by(&self, to: &Self) -> bool {
        let is_same_place = self.port == to.port || (self.port, to.port) == (80, 443);
        !self.is_https && to.is_https && self.host == to.host && is_same_place
    }

    /// Whether it is the hub at `endpoint` that answers here.
    pub(super) fn is_of_hub(&self, endpoint: &Self) -> bool {
        self.is_same_origin(endpoint) || endpoint.is_upgraded_by(self)
    }

    /// Whether it is this very machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    pub(super) fn is_https(&self) -> bool {
        self.is_https
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn origin(&self) -> String {
        format!("{}://{}", if self.is_https { "https" } else { "http" }, self.authority)
    }

    pub(super) fn text(&self) -> String {
        format!("{}{}", self.origin(), self.path)
    }

    /// For logs: a query may hold a signature, by which anybody gets the file.
    pub(super) fn text_without_query(&self) -> String {
        format!("{}{}", self.origin(), self.path.split('?').next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        let from = Url::parse("https://hub.cn/a/b/resolve/main/config.json?x=1").unwrap();
        let to = |location: &str| from.redirected(location).map(|url| url.text());
        assert_eq!(to("https://CDN.cn/x?y=1#z").as_deref(), Some("https://cdn.cn/x?y=1"));
        assert_eq!(to("/c/d").as_deref(), Some("https://hub.cn/c/d"));
        assert_eq!(to("//cdn.cn:8443/c").as_deref(), Some("https://cdn.cn:8443/c"));
        assert_eq!(to("other.json").as_deref(), Some("https://hub.cn/a/b/resolve/main/other.json"));
        for refused in [
            "http://hub.cn/",
            "file:///etc/passwd",
            "ftp://hub.cn/",
            "javascript:1",
            "",
            "https://u:p@cdn.cn/",
            "https://",
        ] {
            assert_eq!(to(refused), None, "{refused}");
        }
        let plain = Url::parse("http://hub.cn").unwrap();
        assert!(plain.redirected("https://hub.cn/").is_some());
        assert!(plain.redirected("http://127.0.0.1:1/").is_some());
    }

    #[test]
    fn a_hub_is_one_origin_and_the_https_that_its_http_leads_to() {
        let is_of_hub =
            |url: &str, hub: &str| Url::parse(url).unwrap().is_of_hub(&Url::endpoint(hub).unwrap());
        assert!(is_of_hub("https://HUB.cn:443/x", "https://hub.cn/"));
        for other in
            ["https://hub.cn:8443/", "https://hub.cn.evil.com/", "https://cdn.hub.cn/", "http://hub.cn/"]
        {
            assert!(!is_of_hub(other, "https://hub.cn/"), "{other}");
        }
        assert!(is_of_hub("https://hub.cn/", "http://hub.cn/"));
        assert!(is_of_hub("https://hub.cn:8080/", "http://hub.cn:8080/"));
        for other in ["https://hub.cn:8443/", "https://www.hub.cn/"] {
            assert!(!is_of_hub(other, "http://hub.cn/"), "{other}");
        }
    }

    #[test]
    fn this_machine_has_several_names() {
        for (url, expected) in [
            ("http://localhost:1/", true),
            ("http://127.3.2.1/", true),
            ("http://[::1]:80/", true),
            ("http://localhost.cn/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(Url::parse(url).unwrap().is_loopback(), expected, "{url}");
        }
        assert_eq!(Url::parse("http://[::1]:80/x").unwrap().text(), "http://[::1]:80/x");
    }

    #[test]
    fn an_endpoint_may_have_a_path() {
        let mirror = Url::endpoint("http://127.0.0.1:99/hf/").unwrap();
        assert_eq!(mirror.below("/api/models/a/b").text(), "http://127.0.0.1:99/hf/api/models/a/b");
        assert_eq!(Url::endpoint("https://hub.cn").unwrap().below("/x").text(), "https://hub.cn/x");
        for wrong in [
            "",
            "hub.cn",
            "file:///tmp",
            "https://hub.cn?a=b",
            "https://a b",
            "https://hub.cn:x",
            "https://hub.cn:99999",
        ] {
            assert!(Url::endpoint(wrong).unwrap_err().to_string().contains("--mirror"), "{wrong}");
        }
        assert!(Url::endpoint("https://hub.cn/@us").is_ok());
        assert_eq!(Url::shown("https://hub.cn/@us"), "https://hub.cn/@us");
    }

    #[test]
    fn no_password_and_no_signature_is_shown() {
        for text in [
            "https://li:s3cret@hub.cn",
            "li:s3cret@hub.cn",
            "https://li:s3c/ret@hub.cn",
            "https://s3cret@hub.cn/x?y",
        ] {
            let told = Url::endpoint(text).unwrap_err().to_string();
            assert!(told.contains("hub.cn") && told.contains("HF_TOKEN"), "{told}");
            assert!(!told.contains("s3c") && !told.contains("li:"), "{told}");
        }
        let signed = Url::parse("https://cdn.cn/file?X-Amz-Signature=abc&user=li").unwrap();
        assert_eq!(signed.text_without_query(), "https://cdn.cn/file");
    }
}
