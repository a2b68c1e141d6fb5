//! How the interface begins and ends: what it leaves on the terminal, and on standard output.

use std::fs;
use std::time::{Duration, Instant};

use super::{ALL, PLACEHOLDER, ask, demo_cache, open_demo, open_few, with_few};
use crate::harness::{Sandbox, signal};
use crate::pictures::Random;
use crate::tmux::{self, Start};

#[test]
fn marked_paths_go_to_standard_output() {
    if !tmux::is_there() {
        return;
    }
    let s = with_few();
    for (line, end) in [("taiyi tui | cat >marks.txt", "\n"), ("taiyi tui -0 | cat >marks.txt", "\0")] {
        let terminal = Start::line(line).run(&s);
        terminal.wait_for_text(&[PLACEHOLDER, "3/3"]);
        ask(&terminal, "两只老虎");
        // The tigers are marked last.
        terminal.send_keys(&["Down", "Tab", "Home", "Tab"]);
        let screen = terminal.wait_for_text(&["2 marked"]);
        let name = |row: usize| {
            let line = screen.lines().nth(row).unwrap();
            line.split_whitespace()
                .find(|word| word.contains('.') && !word.starts_with("0.") || *word == "0.jpg")
        };
        let expected = [name(3), name(2)].map(|name| s.photo(name.unwrap()).display().to_string() + end);
        // Two at once would be one key.
        terminal.send_keys(&["Escape"]);
        terminal.wait_for_text(&[PLACEHOLDER]);
        terminal.send_keys(&["Escape"]);
        terminal.left_with(0);
        assert_eq!(fs::read_to_string(s.at("marks.txt")).unwrap(), expected.concat());
        assert!(expected[1].contains("0.jpg"), "{expected:?}");
    }
    // Nothing marked, nothing told.
    let terminal = Start::line("taiyi tui | cat >marks.txt").run(&s);
    terminal.wait_for_text(&[PLACEHOLDER, "3/3"]);
    terminal.send_keys(&["Escape"]);
    terminal.left_with(0);
    assert_eq!(fs::read(s.at("marks.txt")).unwrap(), b"");
}

#[test]
fn signals_leave_the_terminal_as_it_was() {
    if !tmux::is_there() {
        return;
    }
    let s = with_few();
    for name in ["TERM", "HUP", "INT"] {
        let terminal = open_few(&s);
        terminal.send_keys(&["Tab"]);
        terminal.wait_for_text(&["1 marked"]);
        signal(name, terminal.pid());
        let screen = terminal.left_with(130);
        assert!(!screen.contains("photos/"), "marks are handed on by those who leave:\n{screen}");
    }
    // A window that is closed takes the program with it.
    let terminal = open_few(&s);
    let pid = terminal.pid();
    terminal.close();
    let is_running = || fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|bytes| !bytes.is_empty());
    let since = Instant::now();
    while cfg!(target_os = "linux") && is_running() {
        assert!(since.elapsed().as_secs() < 20, "{pid} goes on without a terminal");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn alone_on_a_terminal_the_program_is_the_interface() {
    if !tmux::is_there() {
        return;
    }
    let s = with_few();
    let terminal = Start::line("taiyi").run(&s);
    terminal.wait_for_text(&[PLACEHOLDER, "3/3"]);
    terminal.send_keys(&["Escape"]);
    terminal.left_with(0);
    drop(terminal);
    let terminal = Start::line("taiyi demo").env("XDG_CACHE_HOME", demo_cache()).run(&s);
    terminal.wait_for_text(&[PLACEHOLDER, ALL]);
    ask(&terminal, "两只老虎");
    terminal.send_keys(&["C-c"]);
    terminal.left_with(0);
}

#[test]
fn without_a_terminal_there_is_no_interface() {
    let s = Sandbox::with_indexed(1);
    let alone = s.run(&[]);
    alone.exited(2);
    let told = alone.stdout_lossy() + &alone.stderr;
    assert!(told.contains("Usage:") && told.contains("tui"), "{told}");
    s.run(&["tui"]).refused(&["terminal", "taiyi-search query"]);
    assert!(!s.at("home/cache/taiyi-search/tui.log").exists());
}

#[test]
fn random_keys_end_in_a_clean_leave() {
    if !tmux::is_there() {
        return;
    }
    const KEYS: [&str; 28] = [
        "Up", "Down", "Left", "Right", "PageUp", "PageDown", "Home", "End", "C-n", "C-p", "Tab", "C-y",
        "C-s", "C-o", "C-r", "C-g", "C-d", "F1", "BSpace", "DC", "C-w", "C-u", "C-a", "C-e", "C-l", "Enter",
        "M-b", "M-f",
    ];
    const TEXTS: [&str; 8] = ["两只老虎", "海", " + ", "－", "@./no", "path:", "after:2020", "e\u{301}👩‍👩‍👧"];
    const SIZES: [(u16, u16); 5] = [(120, 36), (50, 20), (40, 10), (9, 4), (80, 24)];
    let s = Sandbox::new();
    let terminal = open_demo(&s);
    let mut random = Random(20_260_101);
    for _ in 0..17 {
        let keys: Vec<&str> = (0..18).map(|_| KEYS[random.below(KEYS.len() as u32) as usize]).collect();
        terminal.send_keys(&keys);
        terminal.send_text(TEXTS[random.below(TEXTS.len() as u32) as usize]);
        let (columns, rows) = SIZES[random.below(SIZES.len() as u32) as usize];
        terminal.resize(columns, rows);
    }
    terminal.resize(120, 36);
    terminal.wait_for_settled("the end of it", |screen| screen.contains('❯') && screen.contains("Esc "));
    terminal.send_keys(&["C-c"]);
    terminal.left_with(0);
}
