//! A hub on loopback for tests: the API's list of files, redirects to a second port as to a CDN, ranges, and every fault
//! that a network has. HTTP/1.1 by hand, one connection a request; both ports speak plain and by TLS, whichever comes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// What git's hub keeps outside of git is announced by its SHA-256 and lies elsewhere.
const LARGE: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// A repository's files at its only commit.
struct Repository {
    commit: String,
    /// Their bytes and the hashes announced.
    files: BTreeMap<String, (Arc<Vec<u8>>, String)>,
}

/// What goes wrong, by choice of the test.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// The next bodies of files end after so many bytes each.
    pub(crate) cuts: VecDeque<usize>,
    /// The next requests for a file of this name get such statuses, with a header line.
    pub(crate) statuses: HashMap<String, VecDeque<(u16, &'static str)>>,
    /// These files are sent with their first byte changed.
    pub(crate) changed: Vec<String>,
    /// Files that were announced and are not sent.
    pub(crate) absent: Vec<String>,
    pub(crate) has_no_api: bool,
    pub(crate) knows_no_ranges: bool,
    /// Only with this token.
    pub(crate) token: Option<String>,
    pub(crate) is_gated: bool,
    /// Everything is answered with a page, and 200.
    pub(crate) is_login_page: bool,
    /// Files are redirected there instead of to the second port.
    pub(crate) redirect: Option<String>,
    /// Whatever comes one way is redirected to the other, `https` or `http`, at the same port.
    pub(crate) only_by: Option<&'static str>,
    /// Redirects from an old name to the new one, relative as a hub gives them.
    pub(crate) renamed: HashMap<String, String>,
    /// Other lengths are said than sent.
    pub(crate) length_off_by: i64,
    /// A header line for files' bodies.
    pub(crate) extra_header: String,
    /// Before every 16 KiB.
    pub(crate) pause: Duration,
    /// Sent as the list of files.
    pub(crate) listing: Option<String>,
    /// The commit announced with files, if it is another one than that of the list.
    pub(crate) commit: Option<String>,
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) token: Option<String>,
    /// Whether it came to the second port.
    pub(crate) is_cdn: bool,
    pub(crate) is_tls: bool,
}

#[derive(Default)]
struct State {
    repositories: BTreeMap<String, Repository>,
    faults: Faults,
    asked: Vec<Asked>,
}

/// The hub; its threads end with the test.
pub(crate) struct StandIn {
    state: Arc<Mutex<State>>,
    pub(crate) port: u16,
    cdn_port: u16,
}

impl StandIn {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let hub = TcpListener::bind("127.0.0.1:0").unwrap();
        let cdn = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, cdn_port) = (hub.local_addr().unwrap().port(), cdn.local_addr().unwrap().port());
        for (listener, is_cdn) in [(hub, false), (cdn, true)] {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = Arc::clone(&state);
                    // A client that hangs up is no concern.
                    thread::spawn(move || answer(stream, &state, is_cdn, cdn_port));
                }
            });
        }
        Self { state, port, cdn_port }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn https_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub(crate) fn cdn_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.cdn_port)
    }

    pub(crate) fn add(&self, repository: &str, file: &str, bytes: Vec<u8>) {
        let hash = blob_name(file, &bytes);
        let mut state = self.state.lock().unwrap();
        let commit = sha1_of(repository.as_bytes());
        let entry = state
            .repositories
            .entry(repository.to_owned())
            .or_insert_with(|| Repository { commit, files: BTreeMap::new() });
        entry.files.insert(file.to_owned(), (Arc::new(bytes), hash));
    }

    /// Serves a folder's files as a repository.
    pub(crate) fn add_folder(&self, repository: &str, dir: &Path) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            self.add(repository, path.file_name().unwrap().to_str().unwrap(), fs::read(&path).unwrap());
        }
    }

    pub(crate) fn commit(&self, repository: &str) -> String {
        self.state.lock().unwrap().repositories[repository].commit.clone()
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state.lock().unwrap().faults);
    }

    /// What was asked since the last time.
    pub(crate) fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha1_of(bytes: &[u8]) -> String {
    hex(&Sha1::digest(bytes))
}

/// The name that a blob has in the cache.
pub(crate) fn blob_name(file: &str, bytes: &[u8]) -> String {
    if LARGE.contains(&file) {
        return hex(&Sha256::digest(bytes));
    }
    sha1_of(&[format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat())
}

struct Reply {
    status: u16,
    headers: Vec<String>,
    body: Arc<Vec<u8>>,
    /// Of the body, what is sent.
    span: std::ops::Range<usize>,
    is_file: bool,
}

impl Reply {
    fn new(status: u16, headers: &[String], body: &str) -> Self {
        let body = Arc::new(body.as_bytes().to_vec());
        Self { status, headers: headers.to_vec(), span: 0..body.len(), body, is_file: false }
    }
}

/// The PEM file of the authority that has signed the stand-in's certificate. `tls/make.sh` makes it.
pub(crate) fn authority() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tls/authority.pem")
}

/// A client's connection.
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    /// As the first byte says.
    fn new(stream: TcpStream) -> Option<Self> {
        static CONFIG: OnceLock<Arc<ServerConfig>> = OnceLock::new();
        const HANDSHAKE: u8 = 22;
        let mut first = [0];
        stream.peek(&mut first).ok()?;
        if first != [HANDSHAKE] {
            return Some(Self::Plain(stream));
        }
        let config = CONFIG.get_or_init(|| {
            let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).unwrap();
            let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).unwrap();
            let config =
                ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
            let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
            Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
        });
        let connection = ServerConnection::new(Arc::clone(config)).ok()?;
        Some(Self::Tls(Box::new(StreamOwned::new(connection, stream))))
    }

    fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Until the client has taken it all.
    fn end(mut self) -> Option<()> {
        if let Self::Tls(stream) = &mut self {
            stream.conn.send_close_notify();
            stream.flush().ok()?;
        }
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.sock,
        };
        stream.shutdown(Shutdown::Write).ok()?;
        let _ = (&stream).read(&mut [0]);
        Some(())
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

fn answer(stream: TcpStream, state: &Mutex<State>, is_cdn: bool, cdn_port: u16) -> Option<()> {
    let own_port = stream.local_addr().ok()?.port();
    let mut reader = BufReader::new(Wire::new(stream)?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut wire = reader.into_inner();
    let asked = Asked {
        method,
        path,
        range: headers.remove("range"),
        token: headers.remove("authorization"),
        is_cdn,
        is_tls: wire.is_tls(),
    };
    let (reply, faults, cut) = {
        let mut state = state.lock().unwrap();
        state.asked.push(asked.clone());
        let scheme = if asked.is_tls { "https" } else { "http" };
        let reply = match state.faults.only_by.filter(|only| *only != scheme) {
            Some(only) => {
                let location = format!("Location: {only}://127.0.0.1:{own_port}{}", asked.path);
                Reply::new(301, &[location], "")
            }
            None => reply_to(&mut state, &asked, cdn_port),
        };
        let is_body = asked.method == "GET" && reply.is_file;
        let cut = if is_body { state.faults.cuts.pop_front() } else { None };
        (reply, state.faults.clone(), cut)
    };
    let body = &reply.body[reply.span.clone()];
    let mut length = i64::try_from(body.len()).ok()?;
    if reply.is_file {
        length += faults.length_off_by;
    }
    let extra = if reply.is_file { faults.extra_header.as_str() } else { "" };
    let mut head =
        format!("HTTP/1.1 {} X\r\nContent-Length: {length}\r\nConnection: close\r\n{extra}", reply.status);
    for header in &reply.headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    wire.write_all(head.as_bytes()).ok()?;
    if asked.method != "HEAD" {
        let body = &body[..cut.unwrap_or(body.len()).min(body.len())];
        for chunk in body.chunks(16 << 10) {
            if reply.is_file {
                thread::sleep(faults.pause);
            }
            wire.write_all(chunk).ok()?;
        }
    }
    wire.end()
}

fn reply_to(state: &mut State, asked: &Asked, cdn_port: u16) -> Reply {
    let error = |status, code: &str| Reply::new(status, &[format!("X-Error-Code: {code}")], "no");
    if state.faults.is_login_page {
        return Reply::new(200, &["Content-Type: text/html".into()], "<html>please log in</html>");
    }
    let path = asked.path.split('?').next().unwrap_or_default();
    if let Some(repository) =
        path.strip_prefix("/api/models/").and_then(|rest| rest.strip_suffix("/revision/main"))
    {
        if state.faults.has_no_api {
            return Reply::new(404, &[], "no such page");
        }
        if let Some(refusal) = refusal(state, asked) {
            return refusal;
        }
        if let Some(listing) = &state.faults.listing {
            return Reply::new(200, &[], listing);
        }
        let Some(found) = state.repositories.get(repository) else { return error(404, "RepoNotFound") };
        let names: Vec<_> = found.files.keys().map(|name| format!("{{\"rfilename\":\"{name}\"}}")).collect();
        let json = format!("{{\"sha\":\"{}\",\"siblings\":[{}],\"x\":1}}", found.commit, names.join(","));
        return Reply::new(200, &[], &json);
    }
    let Some((repository, rest)) = path.trim_start_matches('/').split_once("/resolve/") else {
        return error(404, "EntryNotFound");
    };
    let Some((revision, name)) = rest.split_once('/') else { return error(404, "EntryNotFound") };
    if let Some(new) = state.faults.renamed.get(repository) {
        return Reply::new(307, &[format!("Location: /{new}/resolve/{rest}")], "");
    }
    if let Some((status, header)) = state.faults.statuses.get_mut(name).and_then(VecDeque::pop_front) {
        return Reply::new(status, &[header.to_owned()], "");
    }
    if !asked.is_cdn
        && let Some(refusal) = refusal(state, asked)
    {
        return refusal;
    }
    let Some(found) = state.repositories.get(repository) else { return error(404, "RepoNotFound") };
    if revision != "main" && revision != found.commit {
        return error(404, "RevisionNotFound");
    }
    let bytes = found.files.get(name).filter(|_| !state.faults.absent.iter().any(|absent| absent == name));
    let Some((bytes, etag)) = bytes else { return error(404, "EntryNotFound") };
    let commit = state.faults.commit.clone().unwrap_or_else(|| found.commit.clone());
    let mut headers = vec![format!("X-Repo-Commit: {commit}")];
    if LARGE.contains(&name) && !asked.is_cdn {
        let place = state.faults.redirect.clone();
        let place = place.unwrap_or_else(|| {
            let scheme = if asked.is_tls { "https" } else { "http" };
            format!("{scheme}://127.0.0.1:{cdn_port}{path}?signature=1")
        });
        headers.push(format!("X-Linked-Etag: \"{etag}\""));
        headers.push(format!("X-Linked-Size: {}", bytes.len()));
        headers.push("ETag: \"of-no-file\"".into());
        headers.push(format!("Location: {place}"));
        return Reply::new(302, &headers, "moved");
    }
    let mut body = Arc::clone(bytes);
    if state.faults.changed.iter().any(|changed| changed == name) {
        let mut changed = bytes.to_vec();
        changed[0] ^= 1;
        body = Arc::new(changed);
    }
    headers.push(format!("ETag: \"{etag}\""));
    let all = body.len();
    let from = asked
        .range
        .as_deref()
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let (status, span) = match from {
        Some(from) if !state.faults.knows_no_ranges && from >= all => (416, 0..0),
        Some(from) if !state.faults.knows_no_ranges => {
            headers.push(format!("Content-Range: bytes {from}-{}/{all}", all - 1));
            (206, from..all)
        }
        _ => (200, 0..all),
    };
    Reply { status, headers, body, span, is_file: true }
}

fn refusal(state: &State, asked: &Asked) -> Option<Reply> {
    let error = |status, code: &str| Some(Reply::new(status, &[format!("X-Error-Code: {code}")], "no"));
    let token = state.faults.token.as_ref()?;
    match &asked.token {
        Some(given) if *given == format!("Bearer {token}") => None,
        _ if state.faults.is_gated => error(403, "GatedRepo"),
        _ => error(401, "RepoNotFound"),
    }
}

/// A forward proxy that opens tunnels, and counts them.
pub(crate) struct ForwardProxy {
    pub(crate) port: u16,
    pub(crate) tunnels: Arc<Mutex<Vec<String>>>,
}

impl ForwardProxy {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let tunnels = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&tunnels);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || tunnel(stream, &seen));
            }
        });
        Self { port, tunnels }
    }
}

fn tunnel(mut client: TcpStream, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let target = line.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line).ok()?;
    }
    seen.lock().unwrap().push(target);
    // Names are made up in tests: all of them are this machine.
    let port: u16 = seen.lock().unwrap().last()?.rsplit_once(':')?.1.parse().ok()?;
    let mut server = TcpStream::connect(("127.0.0.1", port)).ok()?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let (mut from, mut to) = (server.try_clone().ok()?, client.try_clone().ok()?);
    let back = thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut reader, &mut server);
    let _ = server.shutdown(Shutdown::Write);
    back.join().ok()
}
