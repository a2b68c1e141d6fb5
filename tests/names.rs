//! File names that are hard to print, to align or to decode.

use unicode_width::UnicodeWidthStr as _;

use crate::harness::{Sandbox, assert_counts};

#[test]
fn chinese_names_and_emoji_come_out_as_they_are() {
    let s = Sandbox::new();
    let names = ["两只老虎.png", "鳥鳥/🐯 虎.png", "ひらがな.png", "带 空格 的.png", "-k.png", "2:海边.png"];
    for (seed, name) in (1..).zip(names) {
        s.paint(name, seed);
    }
    s.index(&["photos"]);
    let mut expected = names.map(str::to_owned);
    expected.sort();
    assert_eq!(s.names(), expected);
    let lines = s.run(&["query", "老虎"]);
    let mut lines: Vec<_> = lines.succeeded().text().lines().map(|line| s.short(line)).collect();
    lines.sort();
    assert_eq!(lines, expected);
}

#[test]
fn columns_of_a_table_are_aligned_by_display_width() {
    let s = Sandbox::new();
    for seed in 1..=12 {
        s.paint(format!("{}.png", "虎".repeat(seed as usize)), seed);
    }
    s.paint("副本/虎.png", 1);
    s.index(&["photos"]);
    let output = s.run(&["query", "老虎", "--format", "table", "-k", "12"]);
    let table = output.succeeded().quietly().text();
    assert!(!table.contains('\u{1b}'), "colours into a pipe");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 13, "{table}");
    let column = |line: &str, part: &str| line[..line.find(part).unwrap()].width();
    for title in ["#", "score", "date", "size", "path"] {
        assert!(lines[0].contains(title), "{table}");
    }
    let path_at = column(lines[0], "path");
    let size_ends = column(lines[0], "size") + "size".len();
    for line in &lines[1..] {
        assert_eq!(column(line, s.base().to_str().unwrap()), path_at, "{table}");
        let size = line.split_whitespace().find(|word| word.contains('×')).unwrap();
        let ends = column(line, size) + size.width();
        assert!(ends >= size_ends && ends + 2 == path_at, "{table}");
    }
    assert_eq!(lines.iter().filter(|line| line.ends_with("(+1 copy)")).count(), 1, "{table}");

    // `status` aligns counts and folders.
    let status = s.run(&["status"]);
    let status = status.succeeded().text();
    assert!(status.contains("13 files") && status.contains("12 in 13 files"), "{status}");
}

#[test]
fn several_prompts_head_their_tables() {
    let s = Sandbox::with_indexed(2);
    let output = s.run(&["query", "两只老虎", "海边", "--format", "table"]);
    let table = output.succeeded().text();
    let blocks: Vec<&str> = table.split("\n\n").collect();
    assert_eq!(blocks.len(), 2, "{table}");
    assert!(blocks[0].starts_with("两只老虎\n") && blocks[1].starts_with("海边\n"), "{table}");
    let coloured = s.run(&["query", "两只老虎", "--format", "table", "--color", "always"]);
    assert!(coloured.succeeded().text().contains('\u{1b}'));
}

#[cfg(unix)]
mod bytes {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::PathBuf;

    use super::*;
    use crate::harness::finish;

    /// GB18030 for 老虎, which is no UTF-8.
    const GB18030: &[u8] = b"\xc0\xcf\xbb\xa2.png";

    #[test]
    fn names_that_are_not_utf_8_come_out_byte_for_byte() {
        let s = Sandbox::new();
        let name = OsStr::from_bytes(GB18030);
        s.paint(name, 1);
        s.paint(PathBuf::from(OsStr::from_bytes(b"\xff\xfe")).join("x.png"), 2);
        assert_counts(&s.index(&["photos"]), &[("added", 2)]);
        assert_counts(&s.index(&["photos"]), &[("unchanged", 2)]);
        let found = s.run(&["query", "老虎", "-0"]);
        let mut paths: Vec<&[u8]> = found.succeeded().stdout.split(|b| *b == 0).collect();
        assert_eq!(paths.pop(), Some(b"".as_slice()), "every path ends in NUL");
        paths.sort_unstable();
        let expected = |name: &[u8]| [s.photo("").as_os_str().as_bytes(), name].concat();
        assert_eq!(paths, [expected(GB18030), expected(b"\xff\xfe/x.png")]);

        let lines = s.run(&["query", "老虎"]);
        let with_newlines: Vec<u8> = found.stdout.iter().map(|b| if *b == 0 { b'\n' } else { *b }).collect();
        assert_eq!(lines.succeeded().stdout, with_newlines);

        let answer = s.run(&["query", "老虎", "--format", "json"]).json();
        let bytes: Vec<Vec<u8>> = answer["hits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hit| serde_json::from_value(hit["path_bytes"].clone()).unwrap())
            .collect();
        assert!(bytes.contains(&expected(GB18030)), "{answer}");

        // Such a name is good enough for everything else.
        let path = s.photo(name);
        s.run_os(&[OsStr::new("query"), OsStr::new("--image"), path.as_os_str()]).succeeded();
        s.run_os(&[OsStr::new("embed"), OsStr::new("--image"), path.as_os_str()]).succeeded();
        s.run_os(&[OsStr::new("remove"), path.as_os_str()]).succeeded();
        assert_eq!(s.status()["files"], 1);
        s.run_os(&[OsStr::new("index"), path.as_os_str()]).succeeded();
        assert_eq!(s.status()["files"], 2);
        s.assert_sound();
    }

    #[test]
    fn the_index_itself_may_have_such_a_name() {
        let s = Sandbox::new();
        s.paint("1.png", 1);
        let run = |args: &[&str]| {
            let mut command = s.command();
            command.env("TAIYI_INDEX", s.at(OsStr::from_bytes(b"\xcb\xf7\xd2\xfd"))).args(args);
            finish(command, b"")
        };
        run(&["index", "photos"]).succeeded();
        run(&["query", "老虎"]).succeeded().quietly();
        run(&["verify"]).succeeded().quietly();
        run(&["status"]).succeeded().quietly();
        run(&["status", "--format", "json"]).succeeded().quietly();
    }

    #[test]
    fn copies_that_are_not_utf_8_can_be_told_apart() {
        let s = Sandbox::new();
        s.paint("a.png", 1);
        s.paint(OsStr::from_bytes(b"b\xff.png"), 1);
        s.paint(OsStr::from_bytes(b"b\xfe.png"), 1);
        s.index(&["photos"]);
        let answer = s.run(&["query", "老虎", "--format", "json"]).json();
        let hit = &answer["hits"][0];
        assert_eq!(hit["copies"].as_array().unwrap().len(), 2);
        let bytes: Vec<Vec<u8>> = serde_json::from_value(hit["copies_bytes"].clone())
            .unwrap_or_else(|e| panic!("no copies_bytes beside copies ({e}): {hit}"));
        let expected = |name: &[u8]| [s.photo("").as_os_str().as_bytes(), name].concat();
        assert_eq!(bytes, [expected(b"b\xfe.png"), expected(b"b\xff.png")]);
    }

    #[test]
    fn control_characters_in_names_cannot_reach_the_terminal() {
        let s = Sandbox::new();
        let names = ["换\n行.png", "制\t表.png", "清\u{1b}[2J屏.png", "反\u{202e}gnp.png"];
        for (seed, name) in (1..).zip(names) {
            s.paint(name, seed);
        }
        s.write("photos/坏\u{1b}[31m.jpg", b"no picture");
        let output = s.run(&["index", "photos"]);
        output.succeeded();
        assert!(!output.stderr.contains('\u{1b}'), "{:?}", output.stderr);

        let table = s.run(&["query", "老虎", "--format", "table"]);
        let table = table.succeeded().text();
        assert_eq!(table.lines().count(), 5, "{table}");
        for shown in ["换\\n行.png", "制\\t表.png", "清\\u{1b}[2J屏.png", "反\\u{202e}gnp.png"] {
            assert!(table.contains(shown), "{shown} in {table}");
        }
        let nul = s.run(&["query", "老虎", "-0"]);
        let mut paths: Vec<String> =
            nul.succeeded().text().split_terminator('\0').map(|path| s.short(path)).collect();
        paths.sort();
        let mut expected = names.map(str::to_owned);
        expected.sort();
        assert_eq!(paths, expected);
        let tsv = s.run(&["query", "老虎", "--format", "tsv"]);
        let tsv = tsv.succeeded().text();
        assert_eq!(tsv.lines().count(), 4, "{tsv}");
        assert!(tsv.contains("换\\n行.png\t") && tsv.contains("制\\t表.png\t"), "{tsv}");
        assert_eq!(s.names(), expected);

        let status = s.run(&["status", "--failed"]);
        let status = status.succeeded().text();
        assert!(status.contains("坏\\u{1b}[31m.jpg") && !status.contains('\u{1b}'), "{status}");
        let dry = s.run(&["index", "photos", "--dry-run", "--retry-failed"]);
        assert!(!dry.succeeded().text().contains('\u{1b}'), "{:?}", dry.text());
        let error = s.run(&["query", "--image", "没有\u{1b}[31m.png"]);
        assert!(!error.refused(&["没有"]).contains('\u{1b}'), "{:?}", error.stderr);
    }
}
