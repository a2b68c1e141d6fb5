//! Requests to a hub: redirects, tokens, proxies, and which failures are worth another try.
//!
//! Redirects are followed here and not by the HTTP library, since the hub's own headers are on its first answer and
//! the token must not follow to another host.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, Response};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};

use super::authorities::advice;
use super::url::Url;
use super::{FetchEvent, FetchProgress, HubError, HubOptions, Login};

const MAX_REDIRECTS: usize = 10;
const MAX_HEADER_BYTES: usize = 64 << 10;
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// Tries without any progress between them.
const MAX_TRIES: u32 = 5;
/// Tries while the hub has not answered at all: then it is likely the network, and nobody wants to wait.
const MAX_FIRST_TRIES: u32 = 2;
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// A server that wants us to wait for longer has to be asked again by hand.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Speaks to one hub.
pub(super) struct Client<'a> {
    options: &'a HubOptions,
    endpoint: Url,
    progress: &'a dyn FetchProgress,
    cancel: &'a AtomicBool,
    /// By proxy, and whether it is for https.
    agents: RefCell<HashMap<(Option<String>, bool), Agent>>,
    has_answered: Cell<bool>,
}

/// What is asked for, for messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) repository: &'a str,
    /// A file of the repository.
    pub(super) file: Option<&'a str>,
}

impl Subject<'_> {
    pub(super) fn name(&self) -> String {
        match self.file {
            Some(file) => format!("{}/{file}", self.repository),
            None => self.repository.to_owned(),
        }
    }
}

/// A failed try.
pub(super) enum Trouble {
    /// It may go better next time, after `wait` if the server asks for it.
    Passing { error: HubError, wait: Option<Duration>, has_progressed: bool },
    /// Trying again is no use.
    Final(HubError),
}

impl From<HubError> for Trouble {
    fn from(error: HubError) -> Self {
        Self::Final(error)
    }
}

impl Trouble {
    pub(super) fn passing(error: HubError) -> Self {
        Self::Passing { error, wait: None, has_progressed: false }
    }
}

/// The last answer of a chain of redirects.
pub(super) struct Answer {
    response: Response<Body>,
    /// Headers of the redirects before it.
    earlier: Vec<HeaderMap>,
    pub(super) url: Url,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// A header of this very answer.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(self.response.headers(), name)
    }

    /// A header of this answer or else of the latest redirect that has it.
    pub(super) fn header_of_any(&self, name: &str) -> Option<&str> {
        self.header(name).or_else(|| self.earlier.iter().rev().find_map(|headers| header(headers, name)))
    }

    pub(super) fn into_body(self) -> Body {
        self.response.into_body()
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// How far redirects are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    /// As long as they stay with the hub: what it says of a file is on its own answer.
    WithinHub,
    /// To wherever the file lies.
    Anywhere,
}

impl<'a> Client<'a> {
    pub(super) fn new(
        options: &'a HubOptions,
        progress: &'a dyn FetchProgress,
        cancel: &'a AtomicBool,
    ) -> Result<Self, HubError> {
        let endpoint = Url::endpoint(&options.endpoint)?;
        options.login.check(&endpoint)?;
        Ok(Self {
            options,
            endpoint,
            progress,
            cancel,
            agents: RefCell::default(),
            has_answered: Cell::new(false),
        })
    }

    pub(super) fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    pub(super) fn progress(&self) -> &'a dyn FetchProgress {
        self.progress
    }

    pub(super) fn cancel(&self) -> &'a AtomicBool {
        self.cancel
    }

    pub(super) fn check_cancelled(&self) -> Result<(), HubError> {
        if self.cancel.load(Ordering::Relaxed) { Err(HubError::Cancelled) } else { Ok(()) }
    }

    /// Tries until it works, until trying is no use, or until it has failed too often in a row.
    pub(super) fn persist<T>(&self, mut attempt: impl FnMut() -> Result<T, Trouble>) -> Result<T, HubError> {
        let mut failures = 0;
        loop {
            self.check_cancelled()?;
            let (error, wait, has_progressed) = match attempt() {
                Ok(value) => return Ok(value),
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Passing { error, wait, has_progressed }) => (error, wait, has_progressed),
            };
            failures = if has_progressed { 1 } else { failures + 1 };
            let most = if self.has_answered.get() { MAX_TRIES } else { MAX_FIRST_TRIES };
            let wait = wait.unwrap_or(FIRST_WAIT * 2u32.pow((failures - 1).min(4)));
            if failures >= most || wait > LONGEST_WAIT {
                return Err(error);
            }
            self.progress.event(FetchEvent::Retrying { problem: &error.to_string(), wait });
            self.wait(wait)?;
        }
    }

    fn wait(&self, time: Duration) -> Result<(), HubError> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.check_cancelled()?;
            thread::sleep(Duration::from_millis(50).min(time));
        }
        Ok(())
    }

    /// Asks for headers alone.
    pub(super) fn head(&self, url: &Url, subject: Subject<'_>) -> Result<Answer, Trouble> {
        self.follow("HEAD", url, None, Follow::WithinHub, subject)
    }

    /// Asks for the body, from byte `from` on if that is not 0.
    pub(super) fn get(&self, url: &Url, from: u64, subject: Subject<'_>) -> Result<Answer, Trouble> {
        self.follow("GET", url, Some(from), Follow::Anywhere, subject)
    }

    fn follow(
        &self,
        method: &str,
        url: &Url,
        from: Option<u64>,
        follow: Follow,
        subject: Subject<'_>,
    ) -> Result<Answer, Trouble> {
        let mut url = url.clone();
        let mut earlier = Vec::new();
        for _ in 0..=MAX_REDIRECTS {
            self.check_cancelled()?;
            let response = self.ask(method, &url, from)?;
            self.has_answered.set(true);
            let answer = Answer { response, earlier, url };
            if !matches!(answer.status(), 301 | 302 | 303 | 307 | 308) {
                return self.check(answer, subject);
            }
            let location = answer.header("location").unwrap_or_default();
            let Some(next) = answer.url.redirected(location) else {
                let origin = answer.url.origin();
                let problem = if answer.url.is_https() && location.starts_with("http://") {
                    format!("{origin} redirects from https to plain http, which is not followed")
                } else {
                    format!("{origin} redirects to nowhere that can be followed")
                };
                return Err(HubError::server(subject.name(), problem).into());
            };
            if follow == Follow::WithinHub && !next.is_of_hub(&answer.url) {
                return Ok(answer);
            }
            let Answer { response, earlier: before, .. } = answer;
            earlier = before;
            earlier.push(response.into_parts().0.headers);
            url = next;
        }
        Err(HubError::server(subject.name(), format!("more than {MAX_REDIRECTS} redirects")).into())
    }

    fn ask(&self, method: &str, url: &Url, from: Option<u64>) -> Result<Response<Body>, Trouble> {
        let agent = self.agent(url)?;
        let text = url.text();
        let mut request = if method == "HEAD" { agent.head(&text) } else { agent.get(&text) };
        // A compressed answer could neither be resumed nor counted.
        request = request.header("Accept-Encoding", "identity");
        if let Some(from) = from.filter(|from| *from > 0) {
            request = request.header("Range", format!("bytes={from}-"));
        }
        if let Some(token) = self.options.login.token_for(url, &self.endpoint) {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        tracing::debug!(method, url = url.text_without_query(), from, "asking");
        request.call().map_err(|error| self.trouble_of(&error, url))
    }

    fn agent(&self, url: &Url) -> Result<Agent, HubError> {
        let proxy = self.options.proxies.of(url).map(str::to_owned);
        let way = (proxy, url.is_https());
        if let Some(agent) = self.agents.borrow().get(&way) {
            return Ok(agent.clone());
        }
        let through = match &way.0 {
            // The address may hold a password, so it is not shown.
            Some(proxy) => Some(Proxy::new(proxy).map_err(|_| {
                HubError::Options(format!(
                    "the proxy for {} is no address like http://host:port (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY)",
                    url.origin()
                ))
            })?),
            None => None,
        };
        // Reading them takes a moment, so plain http does without.
        let roots = if url.is_https() { self.options.authorities.roots()? } else { RootCerts::WebPki };
        let config = Agent::config_builder()
            .proxy(through)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(MAX_HEADER_BYTES)
            .user_agent(concat!("taiyi-search/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(CONNECT_PATIENCE))
            .timeout_connect(Some(CONNECT_PATIENCE))
            .timeout_recv_response(Some(self.options.silence))
            .timeout_per_read(Some(self.options.silence))
            .build();
        let agent = config.new_agent();
        self.agents.borrow_mut().insert(way, agent.clone());
        Ok(agent)
    }

    pub(super) fn unreachable(&self, url: &Url, problem: impl Into<String>) -> HubError {
        let (endpoint, problem) = (url.origin(), problem.into());
        match self.options.proxies.shown(url) {
            Some((proxy, variables)) => HubError::ThroughProxy { endpoint, proxy, variables, problem },
            None => HubError::Unreachable { endpoint, problem },
        }
    }

    fn trouble_of(&self, error: &ureq::Error, url: &Url) -> Trouble {
        let unreachable = |problem: String| Trouble::passing(self.unreachable(url, problem));
        let text = error.to_string();
        if let Some((_, problem)) = text.split_once("invalid peer certificate: ") {
            let (endpoint, problem) = (url.origin(), problem.to_owned());
            let advice = advice(&problem);
            return HubError::Untrusted { endpoint, problem, advice }.into();
        }
        match error {
            ureq::Error::HostNotFound => unreachable("its address cannot be found".into()),
            ureq::Error::Timeout(_) => unreachable("no answer in time".into()),
            ureq::Error::ConnectionFailed => unreachable("no connection".into()),
            ureq::Error::ConnectProxyFailed(_) => unreachable(format!("the proxy refuses ({error})")),
            ureq::Error::Io(error) => unreachable(error.to_string()),
            ureq::Error::Protocol(_) => unreachable(format!("it does not speak HTTP ({error})")),
            other => self.unreachable(url, other.to_string()).into(),
        }
    }

    /// Sorts an answer that is no redirect.
    fn check(&self, answer: Answer, subject: Subject<'_>) -> Result<Answer, Trouble> {
        let status = answer.status();
        let of_hub = answer.url.is_of_hub(&self.endpoint);
        let code = answer.header("x-error-code").unwrap_or_default();
        let what = subject.name();
        let endpoint = self.endpoint.origin();
        match status {
            200 | 206 | 416 => Ok(answer),
            // The address of a file at another host is good for a while only.
            401 | 403 if !of_hub => Err(Trouble::passing(HubError::server(
                what,
                format!("{} refuses ({status})", answer.url.origin()),
            ))),
            401 | 403 => {
                let login = &self.options.login;
                let remedy = match code {
                    "GatedRepo" => format!(
                        "ask for access on {endpoint}/{}, and set HF_TOKEN to a token of that account",
                        subject.repository
                    ),
                    "RepoNotFound" if *login == Login::Anonymous => {
                        "there is no such public repository; for a private one set HF_TOKEN".to_owned()
                    }
                    _ => login.remedy(&answer.url, &self.endpoint),
                };
                Err(HubError::Refused { what, status, remedy }.into())
            }
            404 | 410 => {
                let remedy = match code {
                    "RepoNotFound" | "RevisionNotFound" => {
                        ": there is no such repository; if this is a mirror, try another one"
                    }
                    _ => "",
                };
                Err(HubError::NotFound { what, endpoint, remedy }.into())
            }
            408 | 425 | 429 | 500..=599 => {
                let wait = answer.header("retry-after").and_then(|text| text.trim().parse().ok());
                let origin = answer.url.origin();
                let problem = match (status, wait) {
                    (429, Some(seconds)) => {
                        format!(
                            "{origin} wants no more requests for {seconds} s (429): try again then, HF_TOKEN may raise the limit"
                        )
                    }
                    (429, None) => format!("{origin} wants no more requests for now (429)"),
                    _ => format!(
                        "{origin} is in trouble ({status}): try again later or another mirror with --mirror"
                    ),
                };
                Err(Trouble::Passing {
                    error: HubError::server(what, problem),
                    wait: wait.map(Duration::from_secs),
                    has_progressed: false,
                })
            }
            _ => Err(HubError::server(what, format!("{} answers with status {status}", answer.url.origin()))
                .into()),
        }
    }
}
