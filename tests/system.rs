//! What the system refuses: permissions, full disks, closed pipes.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Output, Running, Sandbox, assert_counts, binary, copy_dir, finish, tiny_model};
use crate::pictures;

/// A user whom permissions bind. Where the tests run as root, that is another one, with copies of the
/// binary and of the model, since root's own may lie where nobody else can look.
pub(crate) struct User<'a> {
    sandbox: &'a Sandbox,
    /// The other user's number, and where the copies are.
    other: Option<(u32, PathBuf)>,
}

const NOBODY: u32 = 65534;

impl<'a> User<'a> {
    pub(crate) fn of(sandbox: &'a Sandbox) -> Self {
        if fs::metadata(sandbox.base()).unwrap().uid() != 0 {
            return Self { sandbox, other: None };
        }
        let copies = sandbox.at("copies");
        fs::create_dir(&copies).unwrap();
        let program = copies.join("taiyi-search");
        if fs::hard_link(binary(), &program).is_err() {
            fs::copy(binary(), &program).unwrap();
        }
        copy_dir(&tiny_model(), &copies.join("tiny"));
        for path in [sandbox.base().to_path_buf(), copies, sandbox.at("home"), sandbox.photo("")] {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        for path in [sandbox.base().to_path_buf(), sandbox.at("home")] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Self { sandbox, other: Some((NOBODY, program)) }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let mut command = match &self.other {
            None => self.sandbox.command(),
            Some((id, program)) => {
                let mut command = self.sandbox.command_of(program);
                command.env("TAIYI_MODEL", self.sandbox.at("copies/tiny")).uid(*id).gid(*id);
                command
            }
        };
        command.args(args);
        finish(command, b"")
    }
}

fn set_mode_below(dir: &Path, folders: u32, files: u32) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            set_mode_below(&entry.path(), folders, files);
        } else {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(files)).unwrap();
        }
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(folders)).unwrap();
}

#[test]
fn a_read_only_index_can_be_searched_and_says_why_it_cannot_be_renewed() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    let user = User::of(&s);
    user.run(&["index", "photos"]).succeeded();
    set_mode_below(&s.index_dir(), 0o555, 0o444);
    s.paint("2.png", 2);
    user.run(&["query", "两只老虎"]).succeeded().quietly();
    user.run(&["status"]).succeeded().quietly();
    user.run(&["index", "photos"]).refused(&["permission denied", "--index"]);
    user.run(&["remove", "photos"]).refused(&["permission denied", "--index"]);
    let verified = user.run(&["verify", "--format", "json"]);
    verified.succeeded();
    assert_eq!(verified.json()["ledger_checked"], false);
    set_mode_below(&s.index_dir(), 0o755, 0o644);
    let output = user.run(&["index", "photos", "--format", "json"]);
    assert_counts(&output.succeeded().json(), &[("added", 1), ("unchanged", 1)]);
}

#[test]
fn an_index_folder_that_cannot_be_made_is_told() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    let user = User::of(&s);
    fs::create_dir(s.at("locked")).unwrap();
    fs::set_permissions(s.at("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    user.run(&["index", "photos", "--index", "locked/index"]).refused(&["permission denied", "--index"]);
    s.write("file", b"");
    user.run(&["index", "photos", "--index", "file"]).refused(&["file"]);
    user.run(&["query", "老虎", "--index", "file"]).refused(&["file"]);
}

#[test]
fn a_home_folder_that_cannot_be_written_is_no_hindrance() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    let user = User::of(&s);
    fs::set_permissions(s.at("home"), fs::Permissions::from_mode(0o555)).unwrap();
    user.run(&["index", "photos"]).succeeded();
    user.run(&["query", "两只老虎"]).succeeded().quietly();
}

/// Commands whose output matters, on an index of one picture.
const TALKERS: &[&[&str]] = &[
    &["query", "两只老虎"],
    &["query", "两只老虎", "--format", "json"],
    &["query", "两只老虎", "--format", "table"],
    &["embed", "--text", "老虎"],
    &["embed", "--text", "老虎", "--format", "npy"],
    &["status"],
    &["status", "--format", "json"],
    &["verify"],
    &["index", "photos", "--format", "json"],
    &["index", "photos", "--dry-run", "--format", "json"],
    &["completions", "bash"],
];

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let s = Sandbox::with_indexed(1);
    for args in TALKERS {
        let mut command = s.command();
        command.args(*args).stdout(Stdio::piped());
        let mut running = Running::start_with_stdout(command);
        drop(running.child.stdout.take());
        running.wait().succeeded().quietly();
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    if !Path::new("/dev/full").exists() {
        println!("skipped: this system has no /dev/full");
        return;
    }
    let s = Sandbox::with_indexed(1);
    for args in TALKERS {
        let mut command = s.command();
        command.args(*args).stdout(fs::File::options().write(true).open("/dev/full").unwrap());
        let output = Running::start_with_stdout(command).wait();
        output.exited(2);
        assert_eq!(output.stderr.lines().count(), 1, "{args:?}: {}", output.stderr);
        assert!(output.stderr.starts_with("error: "), "{args:?}: {}", output.stderr);
    }
}

/// A full disk needs a disk of one's own: one in memory, seen by no other process and gone with this
/// one. Not every system lets a test have that.
fn can_mount(s: &Sandbox) -> bool {
    let script = "mount -t tmpfs -o size=64k none \"$0\"";
    fs::create_dir_all(s.at("probe")).unwrap();
    let probe = Command::new("unshare").args(["-rm", "sh", "-c", script]).arg(s.at("probe")).output();
    probe.is_ok_and(|output| output.status.success())
}

#[test]
fn a_full_disk_loses_nothing() {
    let s = Sandbox::new();
    if !can_mount(&s) {
        println!("skipped: no disk can be mounted here");
        return;
    }
    for seed in 1..=40 {
        s.write(format!("all/{seed}.png"), &pictures::png(seed));
    }
    for seed in 1..=2 {
        s.paint(format!("{seed}.png"), seed);
    }
    fs::create_dir(s.index_dir()).unwrap();
    let script = r#"
        mount -t tmpfs -o size=16m none index || exit 9
        step() { name=$1; shift; "$TAIYI" "$@" >"$name.out" 2>"$name.err"; echo $? >"$name.code"; }
        step first index photos
        cp all/*.png photos/
        cat /dev/zero >index/ballast 2>/dev/null
        step full index photos
        step searched query 两只老虎 -k 100
        step status status
        rm index/ballast
        step freed index photos --format json
        step after query 两只老虎 -k 100
        step verified verify
    "#;
    let mut command = s.command_of(Path::new("unshare"));
    command.args(["-rm", "sh", "-c", script]).env("TAIYI", binary());
    finish(command, b"").succeeded();
    let told = |name: &str| {
        let read = |end: &str| fs::read_to_string(s.at(format!("{name}.{end}"))).unwrap();
        (read("code").trim().to_owned(), read("out"), read("err"))
    };
    assert_eq!(told("first").0, "0", "{:?}", told("first"));
    let (code, out, err) = told("full");
    assert_eq!((code.as_str(), out.as_str()), ("2", ""), "{err}");
    let last = err.lines().last().unwrap();
    assert!(last.starts_with("error: ") && last.contains("no space left"), "{err}");
    assert!(!err.contains("panicked"), "{err}");
    assert_eq!(told("searched").1.lines().count(), 2, "{:?}", told("searched"));
    assert_eq!(told("status").0, "0", "{:?}", told("status"));
    let (code, out, err) = told("freed");
    assert_eq!(code, "0", "{out} {err}");
    assert_eq!(told("after").1.lines().count(), 40, "{:?}", told("after"));
    assert_eq!(told("verified").0, "0", "{:?}", told("verified"));
}

/// Runs a command on a terminal, by `script`; what it wrote there. `None` where there is no `script`.
fn on_terminal(s: &Sandbox, args: &[&str]) -> Option<Output> {
    let works = Command::new("script").args(["-qec", "exit 7", "/dev/null"]).stdin(Stdio::null()).output();
    if works.ok()?.status.code() != Some(7) {
        return None;
    }
    let quoted: Vec<String> = args.iter().map(|arg| format!("'{arg}'")).collect();
    let mut command = s.command_of(Path::new("script"));
    command.env("TERM", "xterm-256color").env_remove("CI");
    command.arg("-qec").arg(format!("'{}' {}", binary().display(), quoted.join(" "))).arg("/dev/null");
    Some(finish(command, b""))
}

#[test]
fn a_terminal_gets_a_table_with_colours_and_a_bar() {
    let s = Sandbox::new();
    for seed in 1..=5 {
        s.paint(format!("{seed}.png"), seed);
    }
    let Some(indexed) = on_terminal(&s, &["index", "photos"]) else {
        println!("skipped: `script`, which makes a terminal, is not here");
        return;
    };
    let shown = indexed.succeeded().stdout_lossy();
    assert!(shown.contains("5 added") && shown.contains('\u{1b}'), "{shown:?}");
    let shown = on_terminal(&s, &["query", "两只老虎"]).unwrap().succeeded().stdout_lossy();
    assert!(shown.contains("score") && shown.contains("\u{1b}[2m") && shown.contains("1.png"), "{shown:?}");
    let plain =
        on_terminal(&s, &["query", "两只老虎", "--color", "never"]).unwrap().succeeded().stdout_lossy();
    assert!(plain.contains("score") && !plain.contains('\u{1b}'), "{plain:?}");
    let error = on_terminal(&s, &["query", ""]).unwrap();
    assert!(error.exited(2).stdout_lossy().contains("\u{1b}[1;31merror\u{1b}[0m"), "{error:?}");
    // Without a prompt there is nothing to wait for.
    let asked = on_terminal(&s, &["status"]).unwrap();
    assert!(asked.succeeded().stdout_lossy().contains("5 in 5 files"), "{asked:?}");
}
