//! The terminal while the interface is up: entered once, and left as it was whatever happens.

use std::fmt::Write as _;
use std::io::{self, Stdout, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossterm::Command as _;
use crossterm::clipboard::CopyToClipboard;
use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Rect, Size};
use ratatui::{Frame, Terminal};

/// The whole terminal, until this is dropped.
///
/// Standard input and output are the terminal meanwhile, even if they are pipes: what is written to
/// [`std::io::stdout`] after [`Screen::leave`] goes where it went before. Panics of other threads are only
/// logged, for they are somebody else's to deal with, and nobody could read them here.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Output>>,
    before: Arc<Before>,
    hook: Option<HookBefore>,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// If there is no terminal, or if it refuses.
    pub(crate) fn enter() -> io::Result<Self> {
        let before = Arc::new(Before {
            is_up: AtomicBool::new(true),
            streams: streams::Streams::replace_by_terminal()?,
        });
        // From here on dropping `screen` undoes what was done until then.
        let output = Output { stdout: io::stdout(), frame: Vec::new(), before: Arc::clone(&before) };
        let terminal = match Terminal::new(CrosstermBackend::new(output)) {
            Ok(terminal) => terminal,
            Err(error) => {
                before.restore()?;
                return Err(error);
            }
        };
        let hook = Some(HookBefore::replace(&before));
        let mut screen = Self { terminal, before, hook };
        // NO_COLOR is the theme's affair: without colours, pictures made of characters would be bars.
        crossterm::style::force_color_output(true);
        enable_raw_mode()?;
        let output = screen.terminal.backend_mut();
        execute!(output, EnterAlternateScreen, EnableBracketedPaste, EnableMouseCapture)?;
        screen.clear()?;
        Ok(screen)
    }

    /// Draws a frame, which appears as a whole where the terminal can do that.
    ///
    /// # Errors
    /// If the terminal cannot be written to.
    pub(crate) fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        let drawn = self.terminal.draw(render).map(drop);
        let ended = execute!(self.terminal.backend_mut(), EndSynchronizedUpdate);
        drawn.and(ended)
    }

    /// Columns and rows, as they are now.
    ///
    /// # Errors
    /// If the terminal does not tell.
    pub(crate) fn size(&self) -> io::Result<Size> {
        self.terminal.size()
    }

    /// Empties the screen; the next frame is drawn from scratch.
    ///
    /// # Errors
    /// If the terminal cannot be written to.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        // Unlike its own way to clear, this one does not ask the terminal where the cursor is, which would
        // wait for an answer among the keys.
        let area = Rect::from(self.terminal.size()?);
        self.terminal.resize(area)?;
        Write::flush(self.terminal.backend_mut())
    }

    /// Puts text on the clipboard of the machine that the terminal runs on, also over ssh; whether it takes
    /// it, a terminal does not tell. `is_tmux`: also asks the terminal around tmux.
    ///
    /// # Errors
    /// If the terminal cannot be written to.
    pub(crate) fn copy(&mut self, text: &str, is_tmux: bool) -> io::Result<()> {
        let output = self.terminal.backend_mut();
        output.write_all(copying(text, is_tmux).as_bytes())?;
        Write::flush(output)
    }

    /// Gives the terminal back, as it was.
    ///
    /// # Errors
    /// If the terminal cannot be written to; what can be undone is undone nevertheless.
    pub(crate) fn leave(mut self) -> io::Result<()> {
        self.undo()
    }

    fn undo(&mut self) -> io::Result<()> {
        let restored = self.before.restore();
        // In a panic the hook cannot be changed; ours does nothing of its own any more.
        if let Some(hook) = self.hook.take().filter(|_| !thread::panicking()) {
            hook.put_back();
        }
        restored
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Err(error) = self.undo() {
            tracing::error!("cannot give the terminal back: {error}");
        }
    }
}

/// What asks a terminal to copy (OSC 52).
fn copying(text: &str, is_tmux: bool) -> String {
    let mut plain = String::new();
    if CopyToClipboard::to_clipboard_from(text).write_ansi(&mut plain).is_err() {
        return String::new();
    }
    let mut all = plain.clone();
    if is_tmux {
        // tmux hands on what is wrapped like this, if it is allowed to, and else ignores it.
        let wrapped = plain.replace('\u{1b}', "\u{1b}\u{1b}");
        let _ = write!(all, "\u{1b}Ptmux;{wrapped}\u{1b}\\");
    }
    all
}

/// Collects a frame and writes it in one piece. Once the terminal is given back, nothing gets out: standard
/// output may be a pipe again.
struct Output {
    stdout: Stdout,
    frame: Vec<u8>,
    before: Arc<Before>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut stdout = self.stdout.lock();
        let written = if self.before.is_up() { stdout.write_all(&self.frame) } else { Ok(()) };
        self.frame.clear();
        written?;
        stdout.flush()
    }
}

/// How to get back to what was before.
struct Before {
    is_up: AtomicBool,
    streams: streams::Streams,
}

impl Before {
    fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    /// Undoes everything, the first time that it is called.
    fn restore(&self) -> io::Result<()> {
        if !self.is_up.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        // Modes that were not entered yet are left without harm.
        let screen = execute!(
            io::stdout(),
            EndSynchronizedUpdate,
            DisableMouseCapture,
            DisableBracketedPaste,
            LeaveAlternateScreen,
            Show
        );
        let mode = disable_raw_mode();
        let streams = self.streams.put_back();
        screen.and(mode).and(streams)
    }
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// What was called on panics before.
struct HookBefore(Arc<Hook>);

impl HookBefore {
    /// Has the terminal restored before anything is said about a panic.
    fn replace(before: &Arc<Before>) -> Self {
        let hook = Arc::new(panic::take_hook());
        let drawing = thread::current().id();
        let (said, before) = (Arc::clone(&hook), Arc::clone(before));
        panic::set_hook(Box::new(move |info| {
            if !before.is_up() {
                said(info);
            } else if thread::current().id() == drawing {
                if let Err(error) = before.restore() {
                    tracing::error!("cannot give the terminal back: {error}");
                }
                said(info);
            } else {
                tracing::error!("thread {:?}: {info}", thread::current().name().unwrap_or_default());
            }
        }));
        Self(hook)
    }

    fn put_back(self) {
        drop(panic::take_hook());
        match Arc::try_unwrap(self.0) {
            Ok(hook) => panic::set_hook(hook),
            Err(shared) => panic::set_hook(Box::new(move |info| shared(info))),
        }
    }
}

fn no_terminal(why: &io::Error) -> io::Error {
    io::Error::other(format!("the terminal interface needs a terminal: use taiyi-search query ({why})"))
}

#[cfg(unix)]
mod streams {
    //! Standard input and output, which may be pipes, replaced by the terminal for a while.

    use std::fs::File;
    use std::io::{self, IsTerminal as _, Write as _};
    use std::os::fd::{AsFd as _, OwnedFd};

    use rustix::stdio::{dup2_stdin, dup2_stdout};

    pub(super) struct Streams {
        /// What they were, where they were no terminal.
        stdin: Option<OwnedFd>,
        stdout: Option<OwnedFd>,
    }

    impl Streams {
        pub(super) fn replace_by_terminal() -> io::Result<Self> {
            let mut streams = Self { stdin: None, stdout: None };
            let (stdin, mut stdout) = (io::stdin(), io::stdout());
            if stdin.is_terminal() && stdout.is_terminal() {
                return Ok(streams);
            }
            let opened = File::options().read(true).write(true).open("/dev/tty");
            let terminal = opened.map_err(|error| super::no_terminal(&error))?;
            if !stdin.is_terminal() {
                let before = stdin.as_fd().try_clone_to_owned()?;
                dup2_stdin(&terminal)?;
                streams.stdin = Some(before);
            }
            if !stdout.is_terminal() {
                // What is still to be written belongs to the pipe.
                stdout.flush()?;
                let before = stdout.as_fd().try_clone_to_owned()?;
                dup2_stdout(&terminal)?;
                streams.stdout = Some(before);
            }
            Ok(streams)
        }

        pub(super) fn put_back(&self) -> io::Result<()> {
            let flushed = io::stdout().flush();
            let stdout = self.stdout.as_ref().map_or(Ok(()), dup2_stdout);
            let stdin = self.stdin.as_ref().map_or(Ok(()), dup2_stdin);
            flushed.and(stdout.map_err(Into::into)).and(stdin.map_err(Into::into))
        }
    }
}

#[cfg(not(unix))]
mod streams {
    //! Standard input and output, which have to be the terminal here.

    use std::io::{self, IsTerminal as _};

    pub(super) struct Streams;

    impl Streams {
        pub(super) fn replace_by_terminal() -> io::Result<Self> {
            if io::stdin().is_terminal() && io::stdout().is_terminal() {
                return Ok(Self);
            }
            Err(super::no_terminal(&io::Error::other("input or output is redirected")))
        }

        pub(super) fn put_back(&self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_reach_the_terminal_around_tmux() {
        assert_eq!(copying("虎", false), "\u{1b}]52;c;6JmO\u{1b}\\");
        let wrapped = copying("虎", true);
        assert_eq!(
            wrapped,
            "\u{1b}]52;c;6JmO\u{1b}\\\u{1b}Ptmux;\u{1b}\u{1b}]52;c;6JmO\u{1b}\u{1b}\\\u{1b}\\"
        );
    }

    /// In a terminal made by `script`, with this test program once more inside.
    #[cfg(target_os = "linux")]
    mod in_a_terminal {
        use std::fs;
        use std::path::Path;
        use std::process::{Command, Stdio};

        use ratatui::style::Color;

        use super::*;

        /// Which of the stories below is played.
        const STORY: &str = "TAIYI_TUI_TEST_STORY";

        struct Played {
            /// What the terminal got, and what went through the pipes.
            terminal: String,
            stdout: String,
            stderr: String,
        }

        /// `None` where there is no `script`.
        fn play(story: &str) -> Option<Played> {
            let folder = tempfile::tempdir().unwrap();
            let file = |name: &str| folder.path().join(name);
            let inner = "terminal::tests::in_a_terminal::inside";
            let program = std::env::current_exe().unwrap();
            let line = format!(
                "stty rows 24 cols 80; printf input | '{}' --exact {inner} --ignored --nocapture >'{}' 2>'{}'; stty -a",
                program.display(),
                file("stdout").display(),
                file("stderr").display()
            );
            let played = Command::new("script")
                .args(["-qec", &line])
                .arg(file("terminal"))
                .env(STORY, story)
                .env("SHELL", "/bin/sh")
                .env("NO_COLOR", "1")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status();
            if played.is_err() {
                return None;
            }
            let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
            Some(Played {
                terminal: read(&file("terminal")),
                stdout: read(&file("stdout")),
                stderr: read(&file("stderr")),
            })
        }

        fn is_left_as_it_was(played: &Played) {
            for (enter, leave) in [
                ("\u{1b}[?1049h", "\u{1b}[?1049l"),
                ("\u{1b}[?2004h", "\u{1b}[?2004l"),
                ("\u{1b}[?1000h", "\u{1b}[?1000l"),
            ] {
                assert_eq!(played.terminal.matches(enter).count(), 1, "{}", played.terminal);
                assert_eq!(played.terminal.matches(leave).count(), 1, "{}", played.terminal);
                assert!(played.terminal.find(enter) < played.terminal.find(leave));
            }
            assert!(played.terminal.rfind("\u{1b}[?25l") < played.terminal.rfind("\u{1b}[?25h"));
            // Raw mode is over.
            let modes = played.terminal.rsplit("\u{1b}[").next().unwrap();
            for mode in ["icanon", "echo", "opost", "isig"] {
                assert!(modes.split_whitespace().any(|word| word == mode), "{mode} in {modes}");
            }
            assert!(!played.stdout.contains('\u{1b}') && !played.stderr.contains('\u{1b}'));
        }

        #[test]
        fn pipes_stay_pipes_and_the_picture_is_on_the_terminal() {
            let Some(played) = play("leave") else { return };
            is_left_as_it_was(&played);
            assert!(
                played.stdout.contains("before\n") && played.stdout.contains("after: input\n"),
                "{}",
                played.stdout
            );
            assert!(played.terminal.contains('虎') && !played.stdout.contains('虎'));
            assert!(
                played.terminal.contains("38;2;1;2;3"),
                "the colours of pictures do not depend on NO_COLOR"
            );
            let (begin, end) = ("\u{1b}[?2026h", "\u{1b}[?2026l");
            assert_eq!(played.terminal.matches(begin).count(), 2);
            assert!(played.terminal.matches(end).count() >= 2);
            assert!(played.terminal.contains("\u{1b}]52;c;"));
        }

        #[test]
        fn a_panic_is_told_on_a_terminal_that_is_as_before() {
            let Some(played) = play("panic") else { return };
            is_left_as_it_was(&played);
            assert!(played.stderr.contains("drawing went wrong"), "{}", played.stderr);
            assert!(!played.terminal.contains("drawing went wrong"));
        }

        #[test]
        fn panics_of_others_do_not_touch_the_screen() {
            let Some(played) = play("other") else { return };
            is_left_as_it_was(&played);
            assert!(!played.stderr.contains("a worker went wrong"), "{}", played.stderr);
            // Afterwards they are told as ever.
            assert!(played.stderr.contains("a late one"), "{}", played.stderr);
            assert!(played.terminal.contains('虎'));
        }

        #[test]
        fn without_a_terminal_there_is_a_hint() {
            let program = std::env::current_exe().unwrap();
            // A session of its own has no terminal.
            let played = Command::new("setsid")
                .args(["-w".as_ref(), program.as_os_str()])
                .args(["--exact", "terminal::tests::in_a_terminal::inside", "--ignored", "--nocapture"])
                .env(STORY, "none")
                .stdin(Stdio::null())
                .output();
            let Ok(played) = played else { return };
            let said = String::from_utf8_lossy(&played.stdout);
            assert!(said.contains("use taiyi-search query"), "{said}");
        }

        fn draw_a_tiger(screen: &mut Screen) {
            let tiger = ratatui::text::Span::raw("两只老虎").style(Color::Rgb(1, 2, 3));
            screen.draw(|frame| frame.render_widget(tiger, frame.area())).unwrap();
        }

        fn say(words: &str) {
            writeln!(io::stdout(), "{words}").unwrap();
        }

        #[test]
        #[ignore = "part of other tests"]
        fn inside() {
            match std::env::var(STORY).unwrap_or_default().as_str() {
                "leave" => {
                    say("before");
                    let mut screen = Screen::enter().unwrap();
                    assert!(Screen::size(&screen).is_ok());
                    draw_a_tiger(&mut screen);
                    screen.clear().unwrap();
                    draw_a_tiger(&mut screen);
                    screen.copy("/照片/虎.jpg", false).unwrap();
                    screen.leave().unwrap();
                    say(&format!("after: {}", io::read_to_string(io::stdin()).unwrap()));
                }
                "panic" => {
                    let mut screen = Screen::enter().unwrap();
                    draw_a_tiger(&mut screen);
                    screen.draw(|_| panic!("drawing went wrong")).unwrap();
                }
                "other" => {
                    let mut screen = Screen::enter().unwrap();
                    let worker = thread::spawn(|| panic!("a worker went wrong"));
                    assert!(worker.join().is_err());
                    draw_a_tiger(&mut screen);
                    drop(screen);
                    assert!(thread::spawn(|| panic!("a late one")).join().is_err());
                }
                "none" => {
                    let refused = Screen::enter().err().map(|error| error.to_string());
                    say(&refused.unwrap_or_default());
                }
                _ => {}
            }
        }
    }
}
