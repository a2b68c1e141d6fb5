//! A sandbox to run the binary in, and what it answers.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use crate::pictures;

/// No single command may take longer: a test that hangs shall fail, and say which command hung.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// The counts of a summary of `index`.
const COUNTS: [&str; 8] =
    ["added", "updated", "reused", "removed", "unchanged", "failed", "failed_before", "ignored"];

pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_taiyi-search"))
}

/// The tiny model that is committed with `taiyi-model`.
pub(crate) fn tiny_model() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../taiyi-model/tests/data/tiny");
    assert!(dir.is_dir(), "the tiny model is not in {}", dir.display());
    dir.canonicalize().unwrap()
}

/// Folders of one test's own: `photos`, `index`, `home`. Commands run inside, so that `photos` is a
/// path.
pub(crate) struct Sandbox {
    _dir: TempDir,
    base: PathBuf,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("taiyi-").tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        for folder in ["photos", "home"] {
            fs::create_dir(base.join(folder)).unwrap();
        }
        Self { _dir: dir, base }
    }

    /// A sandbox with pictures 1 to `n` as `photos/1.png` and so on, indexed.
    pub(crate) fn with_indexed(n: u64) -> Self {
        let sandbox = Self::new();
        for seed in 1..=n {
            sandbox.paint(format!("{seed}.png"), seed);
        }
        assert_counts(&sandbox.index(&["photos"]), &[("added", n)]);
        sandbox
    }

    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// Something in the sandbox.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.base.join(path)
    }

    pub(crate) fn photo(&self, path: impl AsRef<Path>) -> PathBuf {
        self.base.join("photos").join(path)
    }

    pub(crate) fn index_dir(&self) -> PathBuf {
        self.at("index")
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn write(&self, path: impl AsRef<Path>, bytes: &[u8]) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes the PNG of a picture below `photos`.
    pub(crate) fn paint(&self, path: impl AsRef<Path>, seed: u64) -> PathBuf {
        self.write(Path::new("photos").join(path), &pictures::png(seed))
    }

    /// The binary with the sandbox around it: its index and its model are the default ones.
    pub(crate) fn command(&self) -> Command {
        self.command_of(binary())
    }

    /// The same for a copy of the binary or for a program that starts it.
    pub(crate) fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.base);
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            let is_ours = [
                "TAIYI_",
                "XDG_",
                "CLICOLOR",
                "RUST_",
                "HF_",
                "HUGGING",
                "TRANSFORMERS_",
                "SSL_CERT_",
                "REQUESTS_CA_",
            ]
            .iter()
            .any(|p| name_text.starts_with(p))
                || name_text.to_ascii_lowercase().ends_with("_proxy");
            if is_ours || name_text == "NO_COLOR" {
                command.env_remove(&name);
            }
        }
        command
            .env("HOME", self.at("home"))
            .env("USERPROFILE", self.at("home"))
            .env("XDG_DATA_HOME", self.at("home/data"))
            .env("XDG_CONFIG_HOME", self.at("home/config"))
            .env("XDG_CACHE_HOME", self.at("home/cache"))
            // Eight hours ahead of Greenwich, without asking for a database of time zones.
            .env("TZ", "CST-8")
            .env("TAIYI_INDEX", self.index_dir())
            .env("TAIYI_MODEL", tiny_model())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let mut command = self.command();
        command.args(args);
        finish(command, b"")
    }

    pub(crate) fn run_os(&self, args: &[&OsStr]) -> Output {
        let mut command = self.command();
        command.args(args);
        finish(command, b"")
    }

    pub(crate) fn run_with_stdin(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut command = self.command();
        command.args(args).stdin(Stdio::piped());
        finish(command, stdin)
    }

    /// Runs `index` with these arguments; its summary.
    pub(crate) fn index(&self, args: &[&str]) -> Value {
        let output = self.run(&[&["index", "--format", "json"], args].concat());
        output.succeeded();
        output.json()
    }

    /// Runs `query --format json` for one prompt: paths below `photos` with their scores, best first.
    pub(crate) fn hits(&self, args: &[&str]) -> Vec<(String, f64)> {
        let all: &[&str] = if args.contains(&"-k") { &[] } else { &["-k", "1000"] };
        let output = self.run(&[&["query", "--format", "json"], all, args].concat());
        output.succeeded();
        self.hits_of(&output.json())
    }

    /// Paths and scores in one line of JSON.
    pub(crate) fn hits_of(&self, answer: &Value) -> Vec<(String, f64)> {
        let hits = answer["hits"].as_array().unwrap();
        for (index, hit) in hits.iter().enumerate() {
            assert_eq!(hit["rank"], index + 1);
        }
        hits.iter()
            .map(|hit| (self.short(hit["path"].as_str().unwrap()), hit["score"].as_f64().unwrap()))
            .collect()
    }

    /// Names below `photos` that a query for everything finds, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let output = self.run(&["query", "--format", "json", "-k", "1000", "两只老虎"]);
        if output.code == Some(1) {
            return Vec::new();
        }
        output.succeeded();
        let mut names: Vec<String> = self.hits_of(&output.json()).into_iter().map(|(path, _)| path).collect();
        names.sort();
        names
    }

    /// An absolute path without the photos' folder.
    pub(crate) fn short(&self, path: &str) -> String {
        let photos = self.photo("");
        path.strip_prefix(photos.to_str().unwrap()).unwrap_or(path).to_owned()
    }

    /// `embed` of texts or pictures, by one command: unit vectors.
    pub(crate) fn embed(&self, flag: &str, what: &[&str]) -> Vec<Vec<f64>> {
        let mut args = vec!["embed"];
        for what in what {
            args.extend([flag, what]);
        }
        let output = self.run(&args);
        output.succeeded();
        output.json_lines().iter().map(|line| vector(&line["embedding"])).collect()
    }

    pub(crate) fn status(&self) -> Value {
        let output = self.run(&["status", "--format", "json"]);
        output.succeeded();
        output.json()
    }

    /// Runs `verify`; its report, whatever it found.
    pub(crate) fn verify(&self) -> (Option<i32>, Value) {
        let output = self.run(&["verify", "--format", "json"]);
        (output.code, output.json())
    }

    pub(crate) fn assert_sound(&self) {
        let (code, report) = self.verify();
        assert_eq!((code, &report["problems"]), (Some(0), &Value::Array(Vec::new())), "{report:#}");
    }
}

/// Starts a command and waits for its end.
pub(crate) fn finish(command: Command, stdin: &[u8]) -> Output {
    let mut running = Running::start(command);
    if let Some(mut pipe) = running.child.stdin.take() {
        // A command that refuses its arguments need not read what it is sent.
        let _ = pipe.write_all(stdin);
    }
    running.wait()
}

/// A process that does not outlive the test that started it, which may have failed while it was held.
pub(crate) struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // One that has ended already is no concern.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Deref for Guarded {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Guarded {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

/// A command under way.
pub(crate) struct Running {
    pub(crate) child: Guarded,
    told: String,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: JoinHandle<Vec<u8>>,
    lines: mpsc::Receiver<String>,
    started: Instant,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        let mut running = Self::start_with_stdout(command);
        let mut stdout = running.child.stdout.take().unwrap();
        running.stdout = Some(thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).unwrap();
            bytes
        }));
        running
    }

    /// Leaves standard output as the caller has set it.
    pub(crate) fn start_with_stdout(mut command: Command) -> Self {
        let told = format!("{command:?}");
        let mut child = Guarded(command.stderr(Stdio::piped()).spawn().unwrap());
        let stderr = child.stderr.take().unwrap();
        let (send, lines) = mpsc::channel();
        let stderr = thread::spawn(move || {
            let (mut bytes, mut reader) = (Vec::new(), BufReader::new(stderr));
            loop {
                let start = bytes.len();
                if reader.read_until(b'\n', &mut bytes).unwrap() == 0 {
                    return bytes;
                }
                let _ = send.send(String::from_utf8_lossy(&bytes[start..]).into_owned());
            }
        });
        Self { child, told, stdout: None, stderr, lines, started: Instant::now() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on standard error that has `text` in it.
    pub(crate) fn wait_for(&mut self, text: &str) {
        loop {
            match self.lines.recv_timeout(TIME_LIMIT) {
                Ok(line) if line.contains(text) => return,
                Ok(_) => {}
                Err(e) => panic!("{}: no line with {text:?}: {e}", self.told),
            }
        }
    }

    pub(crate) fn wait(mut self) -> Output {
        let status = self.wait_for_end();
        let stdout = self.stdout.take().map(|thread| thread.join().unwrap()).unwrap_or_default();
        let stderr = String::from_utf8_lossy(&self.stderr.join().unwrap()).into_owned();
        assert!(!stderr.contains("panicked at"), "{}\n{stderr}", self.told);
        Output { told: self.told, code: status.code(), stdout, stderr, took: self.started.elapsed() }
    }

    fn wait_for_end(&mut self) -> ExitStatus {
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if self.started.elapsed() > TIME_LIMIT {
                let _ = self.child.kill();
                panic!("{} takes longer than {TIME_LIMIT:?}", self.told);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Output {
    told: String,
    /// `None`: ended by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Output {
    #[track_caller]
    pub(crate) fn exited(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{}\n{}\n{}", self.told, self.stdout_lossy(), self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn succeeded(&self) -> &Self {
        self.exited(0)
    }

    /// Nothing on standard error.
    #[track_caller]
    pub(crate) fn quietly(&self) -> &Self {
        assert_eq!(self.stderr, "", "{}", self.told);
        self
    }

    /// Asserts that the command failed with nothing but one line on standard error, which says each of
    /// `parts`; that line.
    #[track_caller]
    pub(crate) fn refused(&self, parts: &[&str]) -> &str {
        self.exited(2);
        assert_eq!(self.stdout_lossy(), "", "{}", self.told);
        let line = self.stderr.strip_suffix('\n').unwrap_or(&self.stderr);
        assert!(!line.contains('\n') && line.starts_with("error: "), "{}: not one line: {line}", self.told);
        for part in parts {
            assert!(line.contains(part), "{}: {part:?} is not in: {line}", self.told);
        }
        line
    }

    pub(crate) fn stdout_lossy(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Standard output as exactly one line of JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let lines = self.json_lines();
        assert_eq!(lines.len(), 1, "{}\n{}\n{}", self.told, self.stdout_lossy(), self.stderr);
        lines.into_iter().next().unwrap()
    }

    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        let parse = |line: &str| match serde_json::from_str(line) {
            Ok(value) => value,
            Err(e) => panic!("{}: {e}: {line}\n{}", self.told, self.stderr),
        };
        self.text().lines().map(parse).collect()
    }
}

/// Asserts every count of a summary; those not named are 0.
#[track_caller]
pub(crate) fn assert_counts(summary: &Value, expected: &[(&str, u64)]) {
    for name in expected.iter().map(|(name, _)| name) {
        assert!(COUNTS.contains(name), "{name} is no count");
    }
    for name in COUNTS {
        let expected = expected.iter().find(|(n, _)| *n == name).map_or(0, |(_, count)| *count);
        assert_eq!(count(summary, name), expected, "{name} in {summary:#}");
    }
}

/// One count of a summary; a list counts by its length.
pub(crate) fn count(summary: &Value, name: &str) -> u64 {
    match &summary[name] {
        Value::Array(list) => list.len() as u64,
        other => other.as_u64().unwrap(),
    }
}

pub(crate) fn vector(json: &Value) -> Vec<f64> {
    json.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Asserts that hits are what comparing `query` with every picture's vector gives.
#[track_caller]
pub(crate) fn assert_ranking(hits: &[(String, f64)], query: &[f64], pictures: &BTreeMap<String, Vec<f64>>) {
    let names: Vec<&String> = hits.iter().map(|(name, _)| name).collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(sorted, pictures.keys().collect::<Vec<_>>(), "not every picture once");
    let length = dot(query, query).sqrt();
    let mut previous = f64::INFINITY;
    for (name, score) in hits {
        let expected = dot(query, &pictures[name]) / length;
        assert!((score - expected).abs() < 1e-5, "{name}: {score} instead of {expected}");
        assert!(*score <= previous, "{name} is out of order");
        previous = *score;
    }
}

/// Asserts the same pictures in the same order with the same scores, up to rounding.
#[track_caller]
pub(crate) fn assert_same_hits(a: &[(String, f64)], b: &[(String, f64)]) {
    let names = |hits: &[(String, f64)]| hits.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(a), names(b));
    for ((name, a), (_, b)) in a.iter().zip(b) {
        assert!((a - b).abs() < 2e-6, "{name}: {a} and {b}");
    }
}

/// What lies below a folder: bytes of files, targets of links, and when each was changed.
pub(crate) fn listing(dir: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let modified = fs::metadata(&folder).unwrap().modified().unwrap();
        all.insert(folder.clone(), (modified, b"folder".to_vec()));
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            let modified = entry.metadata().unwrap().modified().unwrap();
            let path = entry.path();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes();
                all.insert(path, (modified, target));
            } else if kind.is_file() {
                let bytes = fs::read(&path).unwrap();
                all.insert(path, (modified, bytes));
            } else {
                all.insert(path, (modified, b"special".to_vec()));
            }
        }
    }
    all
}

/// The same without times, and without the note on who held the lock last.
pub(crate) fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let without_lock = |path: &PathBuf| path.file_name() != Some(OsStr::new("LOCK"));
    listing(dir).into_iter().filter(|(path, _)| without_lock(path)).map(|(path, (_, b))| (path, b)).collect()
}

/// Copies a folder with all below it.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::write(&target, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// Files below a folder, by a condition on their path.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    contents(dir).into_keys().filter(|path| path.is_file()).collect()
}

/// The `gen-*` folders of an index.
pub(crate) fn generations(index: &Path) -> Vec<PathBuf> {
    let is_generation = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("gen-");
    let mut found: Vec<PathBuf> =
        fs::read_dir(index).unwrap().map(|entry| entry.unwrap().path()).filter(is_generation).collect();
    found.sort();
    found
}

/// Sets a file's modification time, in seconds since 1970.
pub(crate) fn set_modified(path: &Path, unix_s: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(unix_s);
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// Sends a signal by name, e.g. `STOP`.
#[cfg(unix)]
pub(crate) fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}
