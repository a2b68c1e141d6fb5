//! A real terminal: a session of tmux of a test's own, with the program in it.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthStr as _;

use crate::harness::{Sandbox, binary};

/// So long something on the screen may take: debug builds on busy machines are slow.
const TIME_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(30);
/// Keys that come within 150 ms of each other are one search.
const SETTLED: Duration = Duration::from_millis(300);

/// Set, a missing tmux is a failure.
const REQUIRED: &str = "TAIYI_REQUIRE_TMUX";

/// Nothing of a person's own settings; keys without delay; what ends stays to be looked at.
const CONFIG: &str = "set -g default-terminal xterm-256color
set -g default-shell /bin/sh
set -s escape-time 0
set -s set-clipboard on
set -g status off
set -g remain-on-exit on
";

/// Red, green, blue.
pub(crate) type Rgb = [u8; 3];

/// Whether tests in a terminal can be run; says so if not.
pub(crate) fn is_there() -> bool {
    if Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success()) {
        return true;
    }
    assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, but there is no tmux");
    #[allow(clippy::print_stderr)]
    {
        eprintln!("skipped: there is no tmux");
    }
    false
}

/// A terminal in which a line of shell runs, with the program as `$TAIYI`.
pub(crate) struct Terminal<'s> {
    sandbox: &'s Sandbox,
    socket: PathBuf,
    pid: PathBuf,
}

/// What to start.
pub(crate) struct Start<'a> {
    /// A line of shell; `taiyi` starts the program.
    pub(crate) line: &'a str,
    pub(crate) columns: u16,
    pub(crate) rows: u16,
    pub(crate) envs: Vec<(&'a str, &'a OsStr)>,
}

impl<'a> Start<'a> {
    pub(crate) fn line(line: &'a str) -> Self {
        Self { line, columns: 120, rows: 36, envs: Vec::new() }
    }

    pub(crate) fn env(mut self, name: &'a str, value: &'a (impl AsRef<OsStr> + ?Sized)) -> Self {
        self.envs.push((name, value.as_ref()));
        self
    }

    /// Starts it in a sandbox.
    pub(crate) fn run(self, sandbox: &Sandbox) -> Terminal<'_> {
        let config = sandbox.write("tmux.conf", CONFIG.as_bytes());
        let pid = sandbox.at("pid");
        // Whatever opens pictures and folders on this machine must not do so in a test.
        for opener in ["xdg-open", "open", "gio"] {
            let script = format!("#!/bin/sh\necho \"$@\" >>'{}'\n", sandbox.at("opened.txt").display());
            make_program(sandbox, opener, &script);
        }
        // The program's number, to send signals to.
        let start = format!("#!/bin/sh\necho $$ >'{}'\nexec \"$PROGRAM\" \"$@\"\n", pid.display());
        make_program(sandbox, "taiyi", &start);
        let path = std::env::join_paths(
            std::iter::once(sandbox.at("bin"))
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
        )
        .unwrap();
        let script = format!("echo the shell\n{}\necho \"[left with $?]\"\nstty -a\nexec cat\n", self.line);
        let script = sandbox.write("run.sh", script.as_bytes());

        // A server that was told to end may still be about it when the next one starts.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let terminal = Terminal { sandbox, socket: sandbox.at(format!("tmux-{number}.sock")), pid };
        let mut command = sandbox.command_of("tmux".as_ref());
        command.arg("-u").arg("-S").arg(&terminal.socket).arg("-f").arg(config);
        command.args(["new-session", "-d"]);
        command.args(["-x", &self.columns.to_string(), "-y", &self.rows.to_string()]);
        command.arg("sh").arg(script);
        command
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", path)
            .env("PROGRAM", binary())
            .env("TERM", "xterm-256color");
        // The model is that of the index.
        command.env_remove("TAIYI_MODEL").env_remove("TMUX").env_remove("SSH_CONNECTION");
        command.envs(self.envs.iter().copied());
        let output = command.output().unwrap();
        assert!(output.status.success(), "tmux: {}", String::from_utf8_lossy(&output.stderr));
        terminal
    }
}

fn make_program(sandbox: &Sandbox, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = sandbox.write(format!("bin/{name}"), script.as_bytes());
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

impl Terminal<'_> {
    /// Runs a command of tmux; what it prints.
    fn tmux(&self, args: &[&str]) -> String {
        let mut command = self.sandbox.command_of("tmux".as_ref());
        let command = command.env("LC_ALL", "C.UTF-8").arg("-u").arg("-S").arg(&self.socket).args(args);
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {args:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Types text, of any script.
    pub(crate) fn send_text(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Presses keys by tmux's names: `Enter`, `C-g`, `F1`.
    pub(crate) fn send_keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Sends a sequence as a terminal does for the mouse: `code` as in SGR mode, cells counted from 0.
    pub(crate) fn send_mouse(&self, code: u16, column: usize, row: usize) {
        for end in ['M', 'm'] {
            self.send_text(&format!("\x1b[<{code};{};{}{end}", column + 1, row + 1));
        }
    }

    /// Pastes as a terminal does, bracketed where the program has asked for that.
    pub(crate) fn paste(&self, text: &str) {
        self.tmux(&["set-buffer", "-b", "pasted", text]);
        self.tmux(&["paste-buffer", "-p", "-b", "pasted"]);
    }

    /// What was copied by the program last.
    pub(crate) fn clipboard(&self) -> Option<String> {
        let buffers = self.tmux(&["list-buffers", "-F", "#{buffer_name}"]);
        let copied = buffers.lines().find(|name| *name != "pasted")?;
        Some(self.tmux(&["show-buffer", "-b", copied]))
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// Waits until the cursor stands in this column and row. While a frame is written it is all over the
    /// screen, and tmux may be asked in between.
    #[track_caller]
    pub(crate) fn wait_for_cursor(&self, place: (usize, usize)) {
        self.wait_until(&format!("the cursor at {place:?}"), || self.cursor() == place);
    }

    fn cursor(&self) -> (usize, usize) {
        let told = self.tmux(&["display-message", "-p", "#{cursor_x} #{cursor_y}"]);
        let (x, y) = told.trim().split_once(' ').unwrap();
        (x.parse().unwrap(), y.parse().unwrap())
    }

    /// Whether the alternate screen is shown, the mouse asked for, the cursor hidden.
    pub(crate) fn modes(&self) -> (bool, bool, bool) {
        let told = self.tmux(&["display-message", "-p", "#{alternate_on}#{mouse_any_flag}#{cursor_flag}"]);
        let [alternate, mouse, cursor] = told.trim().as_bytes() else { panic!("{told}") };
        (*alternate == b'1', *mouse == b'1', *cursor == b'0')
    }

    /// The text on the screen.
    pub(crate) fn capture(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The screen, cell by cell.
    pub(crate) fn capture_styled(&self) -> Screen {
        Screen::parse(&self.tmux(&["capture-pane", "-e", "-N", "-p"]))
    }

    /// Waits until the text on the screen is as wanted; the text.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, mut is_there: impl FnMut(&str) -> bool) -> String {
        let since = Instant::now();
        loop {
            let screen = self.capture();
            if is_there(&screen) {
                return screen;
            }
            self.check_time(what, since);
        }
    }

    /// Waits until the text on the screen is as wanted, and stays so for longer than keys are waited for.
    #[track_caller]
    pub(crate) fn wait_for_settled(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let (mut last, mut since) = (String::new(), Instant::now());
        self.wait_for(what, |screen| {
            if screen != last {
                (last, since) = (screen.to_owned(), Instant::now());
            }
            is_there(screen) && since.elapsed() > SETTLED
        })
    }

    /// Waits until each of these is on the screen.
    #[track_caller]
    pub(crate) fn wait_for_text(&self, parts: &[&str]) -> String {
        self.wait_for(&format!("{parts:?}"), |screen| parts.iter().all(|part| screen.contains(part)))
    }

    /// Waits until the cells of the screen are as wanted; what `find` makes of them.
    #[track_caller]
    pub(crate) fn wait_for_styled<T>(&self, what: &str, mut find: impl FnMut(&Screen) -> Option<T>) -> T {
        let since = Instant::now();
        loop {
            if let Some(found) = find(&self.capture_styled()) {
                return found;
            }
            self.check_time(what, since);
        }
    }

    /// Waits until something that cannot be seen is as wanted.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let since = Instant::now();
        while !is_so() {
            self.check_time(what, since);
        }
    }

    #[track_caller]
    fn check_time(&self, what: &str, since: Instant) {
        assert!(since.elapsed() < TIME_LIMIT, "waited in vain for {what}; the screen:\n{}", self.capture());
        thread::sleep(POLL);
    }

    /// Waits for the end of the line of shell; its exit status, and the screen of the shell.
    #[track_caller]
    pub(crate) fn wait_for_end(&self) -> (i32, String) {
        // `stty` writes more than a line, of which this is nearly the last.
        let screen = self.wait_for("the end of the program", |screen| {
            screen.contains("[left with ") && screen.contains("echoctl")
        });
        let (_, behind) = screen.split_once("[left with ").unwrap();
        let (status, _) = behind.split_once(']').unwrap();
        (status.parse().unwrap(), screen)
    }

    /// Waits for the end, and asserts that the terminal is as it was before.
    #[track_caller]
    pub(crate) fn left_with(&self, status: i32) -> String {
        let (found, screen) = self.wait_for_end();
        assert_eq!(found, status, "{screen}");
        assert!(screen.starts_with("the shell\n"), "the shell's screen is not back:\n{screen}");
        assert_eq!(self.modes(), (false, false, false), "alternate screen, mouse, hidden cursor");
        for setting in ["icanon", "echo", "isig", "icrnl", "opost"] {
            let is_on = screen.split_whitespace().any(|word| word.trim_end_matches(';') == setting);
            assert!(is_on, "{setting} is off:\n{screen}");
        }
        self.send_text("echo works");
        self.wait_for_text(&["echo works"])
    }

    /// The number of the program that was started last.
    pub(crate) fn pid(&self) -> u32 {
        let mut pid = None;
        self.wait_until("the program's number", || {
            pid = fs::read_to_string(&self.pid).ok().and_then(|text| text.trim().parse().ok());
            pid.is_some()
        });
        pid.unwrap()
    }

    /// Ends the terminal, as closing its window does.
    pub(crate) fn close(&self) {
        self.tmux(&["kill-server"]);
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        // One that has ended already is no concern.
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}

/// A cell of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Empty for the second half of a wide character.
    pub(crate) text: String,
    pub(crate) foreground: Option<Rgb>,
    pub(crate) background: Option<Rgb>,
}

/// The cells of a screen.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl Screen {
    /// Reads what `capture-pane -e` prints. Of colours only those of 24 bits are kept.
    pub(crate) fn parse(captured: &str) -> Self {
        let (mut foreground, mut background) = (None, None);
        let mut rows = Vec::new();
        for line in captured.lines() {
            let mut row: Vec<Cell> = Vec::new();
            let mut rest = line;
            while let Some(first) = rest.chars().next() {
                if let Some(style) = rest.strip_prefix("\x1b[") {
                    let (numbers, behind) = style.split_once('m').unwrap();
                    apply_style(numbers, &mut foreground, &mut background);
                    rest = behind;
                    continue;
                }
                let (text, behind) = rest.split_at(first.len_utf8());
                rest = behind;
                let width = text.width();
                if width == 0 {
                    // A combining character, or a control one, which colours nothing.
                    if let Some(last) = row.last_mut() {
                        last.text.push_str(text);
                    }
                    continue;
                }
                row.push(Cell { text: text.to_owned(), foreground, background });
                row.extend((1..width).map(|_| Cell { text: String::new(), foreground, background }));
            }
            rows.push(row);
        }
        Self { rows }
    }

    /// Pictures: rectangles of half-blocks, by rows and then from the left. Each is given by its place and
    /// its pixels, two to a cell.
    pub(crate) fn pictures(&self) -> Vec<Picture> {
        let is_block = |x: usize, y: usize| self.pixels_at(x, y).is_some();
        let mut pictures: Vec<Picture> = Vec::new();
        for y in 0..self.rows.len() {
            let mut x = 0;
            while x < self.rows[y].len() {
                let known = pictures.iter().find(|p| {
                    (p.column..p.column + p.columns).contains(&x) && (p.row..p.row + p.rows).contains(&y)
                });
                if let Some(known) = known {
                    x = known.column + known.columns;
                } else if is_block(x, y) {
                    let columns = (x..self.rows[y].len()).take_while(|&x| is_block(x, y)).count();
                    let rows = (y..self.rows.len())
                        .take_while(|&y| (x..x + columns).all(|x| is_block(x, y)))
                        .count();
                    pictures.push(self.picture(x, y, columns, rows));
                    x += columns;
                } else {
                    x += 1;
                }
            }
        }
        pictures
    }

    fn picture(&self, column: usize, row: usize, columns: usize, rows: usize) -> Picture {
        let cells = |y: usize| (column..column + columns).filter_map(move |x| self.pixels_at(x, y));
        let pixels = (row..row + rows).flat_map(|y| {
            let (upper, lower): (Vec<Rgb>, Vec<Rgb>) = cells(y).unzip();
            upper.into_iter().chain(lower)
        });
        Picture { column, row, columns, rows, pixels: pixels.collect() }
    }

    /// The upper and the lower pixel of a half-block.
    fn pixels_at(&self, x: usize, y: usize) -> Option<(Rgb, Rgb)> {
        let Cell { text, foreground, background } = self.rows.get(y)?.get(x)?;
        match text.as_str() {
            "▀" => Some(((*foreground)?, (*background)?)),
            "▄" => Some(((*background)?, (*foreground)?)),
            // Both pixels have the same colour.
            " " => Some(((*background)?, (*background)?)),
            _ => None,
        }
    }
}

/// A rectangle of half-blocks.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) column: usize,
    pub(crate) row: usize,
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    /// Line by line, `columns` wide and twice `rows` high.
    pub(crate) pixels: Vec<Rgb>,
}

fn apply_style(numbers: &str, foreground: &mut Option<Rgb>, background: &mut Option<Rgb>) {
    let numbers: Vec<u16> =
        numbers.split([';', ':']).map(|number| number.parse().unwrap_or_default()).collect();
    let mut rest = &numbers[..];
    while let Some((&number, behind)) = rest.split_first() {
        rest = behind;
        match (number, rest) {
            (38 | 48, [2, r, g, b, behind @ ..]) => {
                let colour = Some([r, g, b].map(|&value| u8::try_from(value).unwrap()));
                *if number == 38 { &mut *foreground } else { &mut *background } = colour;
                rest = behind;
            }
            (38 | 48, [5, _, behind @ ..]) => {
                *if number == 38 { &mut *foreground } else { &mut *background } = None;
                rest = behind;
            }
            (0, _) => (*foreground, *background) = (None, None),
            (30..=37 | 39 | 90..=97, _) => *foreground = None,
            (40..=47 | 49 | 100..=107, _) => *background = None,
            _ => {}
        }
    }
}
