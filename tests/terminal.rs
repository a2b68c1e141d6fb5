//! The terminal interface as a person has it: the real program in a real terminal.

mod ends;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder as _, ImageReader};

use crate::harness::{Sandbox, contents, finish, listing};
use crate::tmux::{self, Picture, Rgb, Screen, Start, Terminal};

const PLACEHOLDER: &str = "what to look for, e.g. 两只老虎";
/// The one picture of the demo with exactly two tigers.
const TIGERS: &str = "动物/海边相册/图片（001）.jpg";
/// Pictures of the demo.
const ALL: &str = "300/300";
/// The half of a wide screen that the selected picture has.
const PREVIEW_COLUMN: usize = 48;
/// Mean difference of two pictures' colours, up to which they are the same after scaling and JPEG.
const SAME: f64 = 8.0;

/// The cache folder in which the demo has its pictures and its index: made once, not for every test.
fn demo_cache() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("terminal");
        let s = Sandbox::new();
        let mut command = s.command();
        command.env("XDG_CACHE_HOME", &cache).env_remove("TAIYI_MODEL").args(["demo", "-q", "两只老虎"]);
        finish(command, b"").succeeded();
        cache
    })
}

fn demo_index() -> PathBuf {
    demo_cache().join("taiyi-search/demo/index")
}

fn demo_photos() -> PathBuf {
    demo_cache().join("taiyi-search/demo/photos")
}

/// Files of the demo that answer a prompt, best first.
fn demo_hits(s: &Sandbox, prompt: &str) -> Vec<(PathBuf, f64)> {
    let mut command = s.command();
    let args = ["query", "--format", "json", "-k", "300", prompt];
    command.env("TAIYI_INDEX", demo_index()).env_remove("TAIYI_MODEL").args(args);
    let answer = finish(command, b"").succeeded().json();
    s.hits_of(&answer).into_iter().map(|(path, score)| (path.into(), score)).collect()
}

/// Some pictures of the demo in a sandbox of their own, with an index: 0.jpg has two tigers.
fn with_few() -> Sandbox {
    let s = Sandbox::new();
    fs::copy(demo_photos().join(TIGERS), s.photo("0.jpg")).unwrap();
    for (number, name) in ["动物/IMG_0020.webp", "乐器/IMG_0091.webp"].iter().enumerate() {
        fs::copy(demo_photos().join(name), s.photo(format!("{}.webp", number + 1))).unwrap();
    }
    index(&s);
    s
}

fn index(s: &Sandbox) {
    let mut command = s.command();
    command.args(["index", "-q", "--model", "demo", "photos"]);
    finish(command, b"").succeeded();
}

/// The interface over the demo's index, once it shows the pictures.
fn open_demo(s: &Sandbox) -> Terminal<'_> {
    let terminal = Start::line("taiyi tui").env("TAIYI_INDEX", &demo_index()).run(s);
    terminal.wait_for_text(&[PLACEHOLDER, ALL]);
    terminal
}

/// The interface over the sandbox's own index.
fn open_few(s: &Sandbox) -> Terminal<'_> {
    let terminal = Start::line("taiyi tui").run(s);
    terminal.wait_for_text(&[PLACEHOLDER, "3/3"]);
    terminal
}

/// Types a prompt and waits for its answer: for scores, while nothing is searched for any more.
#[track_caller]
fn ask(terminal: &Terminal<'_>, prompt: &str) -> String {
    terminal.send_text(prompt);
    let is_score = |word: &str| word.len() >= 5 && word.parse::<f64>().is_ok();
    terminal.wait_for_settled(&format!("the answer to {prompt}"), |screen| {
        let first = screen.lines().nth(2).unwrap_or_default();
        screen.lines().next().is_some_and(|line| line.contains(prompt) && !line.contains('●'))
            && first.split_whitespace().any(is_score)
    })
}

/// The selected picture, large.
fn preview(screen: &Screen) -> Option<Picture> {
    screen.pictures().into_iter().find(|picture| picture.column >= PREVIEW_COLUMN && picture.rows >= 10)
}

/// The row of the selected one in the list.
fn selected_row(screen: &str) -> Option<usize> {
    screen.lines().position(|line| line.starts_with('▸'))
}

/// How far a picture on the screen is from a file, in levels of colour: 0 to 255.
fn difference(shown: &Picture, file: &Path) -> f64 {
    let mut decoder = ImageReader::open(file).unwrap().with_guessed_format().unwrap().into_decoder().unwrap();
    let orientation = decoder.orientation().unwrap();
    let mut image = DynamicImage::from_decoder(decoder).unwrap();
    image.apply_orientation(orientation);
    let (width, height) = (shown.columns as u32, 2 * shown.rows as u32);
    let expected = image.resize_exact(width, height, FilterType::Triangle).into_rgb8();
    let pairs = shown.pixels.iter().flatten().zip(expected.as_raw());
    let sum: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
    sum / (3.0 * shown.pixels.len() as f64)
}

/// The orange of a tiger's fur.
fn is_orange(&[r, g, b]: &Rgb) -> bool {
    r > 200 && (120..215).contains(&g) && b < 110
}

#[test]
fn typing_finds_two_tigers_and_shows_them() {
    if !tmux::is_there() {
        return;
    }
    let s = Sandbox::new();
    demo_cache();
    let before = contents(&demo_photos());
    let hits = demo_hits(&s, "两只老虎");
    assert!(hits[0].0.ends_with(TIGERS), "{hits:?}");

    let terminal = open_demo(&s);
    terminal.wait_for_cursor((2, 0));
    assert_eq!(terminal.modes(), (true, true, false), "alternate screen, mouse, hidden cursor");
    terminal.wait_for_styled("a picture before anything is typed", preview);

    let screen = ask(&terminal, "两只老虎");
    // Four wide characters behind the sign: there an input method opens its window.
    terminal.wait_for_cursor((2 + 8, 0));
    assert!(screen.lines().next().unwrap().trim_end().ends_with(ALL), "{screen}");
    assert_eq!(selected_row(&screen), Some(2), "{screen}");
    let rows: Vec<&str> = screen.lines().skip(2).take(33).collect();
    assert!(rows.len() == 33 && rows.iter().all(|row| !row.trim().is_empty()), "{screen}");
    for (place, (row, (path, score))) in rows.iter().zip(&hits).enumerate() {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(row.contains(name) || row.contains('…'), "{name} is not in {row}");
        let mut words = row.trim_start_matches('▸').split_whitespace();
        assert_eq!(words.next(), Some((place + 1).to_string().as_str()), "{row}");
        let shown: f64 = words.next().unwrap().parse().unwrap();
        assert!((shown - score).abs() <= 0.001, "{score} is not in {row}");
    }
    assert!(rows[0].contains("图片（001）.jpg"), "{screen}");

    // The picture on the screen is that of the tigers, and of no other file.
    let tigers = hits[0].0.as_path();
    let shown = terminal.wait_for_styled("the tigers", |screen| {
        preview(screen).filter(|picture| difference(picture, tigers) < SAME)
    });
    let orange = shown.pixels.iter().filter(|pixel| is_orange(pixel)).count();
    assert!(orange >= 100, "{orange} orange pixels");
    for (other, _) in &hits[1..20] {
        let difference = difference(&shown, other);
        assert!(difference > 2.0 * SAME, "{} is as good: {difference}", other.display());
    }

    terminal.send_keys(&["Escape"]);
    terminal.wait_for_text(&[PLACEHOLDER]);
    terminal.send_keys(&["Escape"]);
    let screen = terminal.left_with(0);
    assert!(!screen.contains(".jpg"), "nothing was marked:\n{screen}");
    assert_eq!(contents(&demo_photos()), before);
}

#[test]
fn keys_move_mark_and_show_more() {
    if !tmux::is_there() {
        return;
    }
    let s = Sandbox::new();
    let terminal = open_demo(&s);
    ask(&terminal, "三辆汽车");
    let at = |row: usize| move |screen: &str| selected_row(screen) == Some(row);
    terminal.send_keys(&["Down", "Down", "C-n"]);
    terminal.wait_for("three down", at(5));
    terminal.send_keys(&["C-p", "Up"]);
    terminal.wait_for("two up", at(3));
    terminal.send_keys(&["End"]);
    terminal.wait_for("the last", |screen| {
        selected_row(screen).is_some_and(|row| screen.lines().nth(row).unwrap().contains(" 300 "))
    });
    terminal.send_keys(&["PageUp"]);
    terminal.wait_for("a screen up", |screen| {
        selected_row(screen).is_some_and(|row| !screen.lines().nth(row).unwrap().contains(" 300 "))
    });
    terminal.send_keys(&["Home"]);
    terminal.wait_for("the first", at(2));

    terminal.send_keys(&["Tab", "Tab"]);
    let screen = terminal.wait_for_text(&["2 marked"]);
    let marked: Vec<usize> =
        screen.lines().enumerate().filter(|(_, line)| line.contains('✓')).map(|(row, _)| row).collect();
    assert_eq!((marked, selected_row(&screen)), (vec![2, 3], Some(4)), "{screen}");
    // Marking again takes it back.
    terminal.send_keys(&["Up", "Tab"]);
    terminal.wait_for_text(&["1 marked"]);
    terminal.send_keys(&["C-y"]);
    let first = demo_hits(&s, "三辆汽车").swap_remove(0).0;
    terminal.wait_until("the path on the clipboard", || terminal.clipboard().is_some());
    assert_eq!(terminal.clipboard().unwrap(), first.to_str().unwrap());

    // The help lies on top of everything, pictures included.
    terminal.wait_for_styled("a picture", preview);
    terminal.send_keys(&["F1"]);
    terminal.wait_for_text(&["Help", "Ctrl-g", "list or grid", "more of this, less of that"]);
    assert!(terminal.capture_styled().pictures().is_empty());
    terminal.send_keys(&["F1"]);
    terminal.wait_for("the help gone", |screen| !screen.contains("more of this, less of that"));
    terminal.wait_for_styled("the picture again", preview);

    terminal.send_keys(&["C-d"]);
    terminal.wait_for_text(&["megapixels", "folder"]);
    terminal.send_keys(&["C-d"]);
    terminal.wait_for("no details", |screen| !screen.contains("megapixels"));

    terminal.send_keys(&["Enter"]);
    let opened = || fs::read_to_string(s.at("opened.txt")).unwrap_or_default();
    let second = demo_hits(&s, "三辆汽车").swap_remove(2).0;
    terminal.wait_until("the viewer", || opened().contains(second.to_str().unwrap()));
    terminal.send_keys(&["C-o"]);
    let folder = format!("{}\n", second.parent().unwrap().display());
    terminal.wait_until("the folder", || opened().contains(&folder));

    terminal.send_keys(&["C-s"]);
    let screen = terminal.wait_for_text(&["≈ ", "and what else"]);
    let name = second.file_name().unwrap().to_str().unwrap();
    assert!(screen.lines().next().unwrap().contains(name), "{screen}");
    terminal.send_keys(&["C-c"]);
    let screen = terminal.left_with(0);
    assert!(screen.contains(first.file_name().unwrap().to_str().unwrap()), "{screen}");
}

#[test]
fn the_grid_shows_the_pictures_in_their_order() {
    if !tmux::is_there() {
        return;
    }
    let s = Sandbox::new();
    let terminal = open_demo(&s);
    ask(&terminal, "雪地里的企鹅");
    let hits = demo_hits(&s, "雪地里的企鹅");
    terminal.send_keys(&["C-g"]);
    // Three by three, left of a preview that takes a third.
    let (columns, rows, preview_column) = (3, 3, 80);
    let tiles = terminal.wait_for_styled("nine pictures and a large one", |screen| {
        let (large, tiles): (Vec<_>, Vec<_>) =
            screen.pictures().into_iter().partition(|picture| picture.column >= preview_column);
        (large.len() == 1 && tiles.len() == columns * rows).then_some(tiles)
    });
    for tile in tiles {
        let place = (tile.row - 2) / (33 / rows) * columns + tile.column / (preview_column / columns);
        let file = &hits[place].0;
        let difference = difference(&tile, file);
        assert!(difference < SAME, "{place} is not {}: {difference}", file.display());
    }
    terminal.send_keys(&["Right", "Down"]);
    let fifth = hits[4].0.as_path();
    terminal.wait_for_styled("the fifth picture", |screen| {
        let large = screen.pictures().into_iter().find(|picture| picture.column >= preview_column)?;
        (difference(&large, fifth) < SAME).then_some(())
    });
    terminal.send_keys(&["C-g"]);
    terminal.wait_for("the list", |screen| selected_row(screen) == Some(6));
}

#[test]
fn every_size_is_drawn() {
    if !tmux::is_there() {
        return;
    }
    let s = Sandbox::new();
    let terminal = open_demo(&s);
    ask(&terminal, "两只老虎");
    let tigers = demo_photos().join(TIGERS);
    let has_tigers = |screen: &Screen| {
        let pictures = screen.pictures();
        pictures.iter().any(|picture| picture.rows >= 4 && difference(picture, &tigers) < SAME).then_some(())
    };
    terminal.resize(50, 20);
    terminal.wait_for_styled("tigers on a narrow screen", |screen| {
        let is_narrow = screen.rows.len() == 20 && screen.rows.iter().all(|row| row.len() <= 50);
        has_tigers(screen).filter(|()| is_narrow)
    });
    terminal.wait_for_text(&["❯ 两只老虎", ALL, "图片（001）", "F1 help"]);
    terminal.resize(40, 10);
    terminal.wait_for("a small screen", |screen| {
        screen.lines().count() == 10
            && screen.lines().nth(9).is_some_and(|line| line.contains("help"))
            && selected_row(screen) == Some(2)
    });
    terminal.wait_for_cursor((10, 0));
    for (columns, rows) in [(1, 1), (2, 2), (1, 40), (200, 1), (7, 3)] {
        terminal.resize(columns, rows);
        // Something is to be drawn at that size, too.
        terminal.send_keys(&["Down", "F1", "F1", "C-g", "C-d", "Right", "C-g", "C-d", "Up"]);
    }
    terminal.resize(120, 36);
    terminal.send_keys(&["Home"]);
    terminal.wait_for_text(&["❯ 两只老虎", ALL, "图片（001）", "F1 help"]);
    terminal.wait_for_styled("the tigers again", |screen| {
        preview(screen).filter(|picture| difference(picture, &tigers) < SAME)
    });
    terminal.wait_for_cursor((10, 0));
    terminal.send_keys(&["C-c"]);
    terminal.left_with(0);
}

#[test]
fn prompts_are_remembered() {
    if !tmux::is_there() {
        return;
    }
    let s = with_few();
    let terminal = open_few(&s);
    for prompt in ["两只老虎", "三把吉他"] {
        ask(&terminal, prompt);
        terminal.send_keys(&["Tab", "Escape"]);
        terminal.wait_for_text(&[PLACEHOLDER]);
    }
    terminal.send_keys(&["C-c"]);
    terminal.left_with(0);
    drop(terminal);

    let terminal = open_few(&s);
    terminal.send_keys(&["C-r"]);
    let screen = terminal.wait_for_text(&["Former prompts", "两只老虎", "三把吉他"]);
    assert!(screen.find("三把吉他") < screen.find("  两只老虎"), "the newest is not the first:\n{screen}");
    terminal.send_text("老虎");
    terminal.wait_for("the filter", |screen| !screen.contains("三把吉他"));
    terminal.send_keys(&["Enter"]);
    terminal.wait_for_text(&["❯ 两只老虎", "0.jpg"]);
    terminal.wait_for("the tigers first", |screen| {
        screen.lines().nth(2).is_some_and(|line| line.contains("0.jpg") && line.contains("0."))
    });
}

#[test]
fn the_prompt_line_takes_the_language_of_queries() {
    if !tmux::is_there() {
        return;
    }
    let s = with_few();
    let terminal = open_few(&s);
    let clear = || {
        terminal.send_keys(&["Escape"]);
        terminal.wait_for_text(&[PLACEHOLDER]);
    };
    // A mistake is shown in place, and gone once it is mended.
    terminal.send_text("猫 +");
    let screen = terminal.wait_for_text(&["❯ 猫 +", "! "]);
    assert!(screen.lines().nth(1).unwrap().starts_with("! "), "{screen}");
    terminal.wait_for_cursor((2 + 4, 0));
    terminal.send_text(" 雪");
    terminal.wait_for("no mistake", |screen| !screen.contains("! ") && screen.contains("3/3"));
    clear();

    // As an input method sends it.
    ask(&terminal, "猫＋雪－人");
    assert!(!terminal.capture().contains("! "));
    terminal.wait_for_cursor((2 + 10, 0));
    clear();
    ask(&terminal, "２：老虎");
    clear();

    // A picture as an example finds others.
    let screen = ask(&terminal, &format!("@{}", s.photo("0.jpg").display()));
    assert!(screen.lines().next().unwrap().ends_with("2/3"), "{screen}");
    assert!(screen.lines().skip(2).all(|line| !line.contains("0.jpg")), "{screen}");
    clear();

    // A condition alone browses; one that nothing meets says so.
    terminal.send_text("path:1.webp");
    terminal.wait_for_text(&["❯ path:1.webp", "1/3"]);
    clear();
    terminal.send_text("老虎 after:2999");
    terminal.wait_for_text(&["0/3", "no picture fits"]);
    clear();

    // Lines that are pasted are one prompt.
    terminal.paste("两只\n老虎");
    terminal.wait_for("the pasted text", |screen| {
        screen.starts_with("❯ 两只 老虎") && screen.lines().nth(2).is_some_and(|line| line.contains("0.jpg"))
    });
    assert!(terminal.modes().0, "a pasted line end is no Enter");
}

#[test]
fn the_mouse_selects_and_scrolls() {
    if !tmux::is_there() {
        return;
    }
    let s = Sandbox::new();
    let terminal = open_demo(&s);
    terminal.send_mouse(0, 5, 7);
    terminal.wait_for("the sixth", |screen| selected_row(screen) == Some(7));
    // The wheel turns down once.
    terminal.send_text("\x1b[<65;6;8M");
    terminal.wait_for("some further", |screen| selected_row(screen).is_some_and(|row| row > 7));
    terminal.send_text("\x1b[<64;6;8M");
    terminal.wait_for("the sixth again", |screen| selected_row(screen) == Some(7));
    terminal.send_keys(&["Escape"]);
    terminal.left_with(0);
}

#[test]
fn pictures_appear_once_they_are_indexed() {
    if !tmux::is_there() {
        return;
    }
    let s = Sandbox::new();
    let terminal = Start::line("taiyi tui").run(&s);
    terminal.wait_for_text(&["there is no index yet", "taiyi-search index ./photos", "taiyi-search demo"]);
    // Typing does no harm.
    terminal.send_text("老虎");
    terminal.wait_for_text(&["❯ 老虎", "there is no index yet"]);
    terminal.send_keys(&["Escape"]);
    s.paint("1.png", 1);
    s.paint("2.png", 2);
    index(&s);
    terminal.wait_for_text(&["2/2", "1.png", "2.png"]);
    terminal.wait_for_styled("a picture", preview);
    s.paint("三.png", 3);
    index(&s);
    terminal.wait_for_text(&["3/3", "三.png"]);
    fs::remove_file(s.photo("1.png")).unwrap();
    index(&s);
    terminal.wait_for("one picture less", |screen| screen.contains("2/2") && !screen.contains("1.png"));
    terminal.send_keys(&["C-c"]);
    terminal.left_with(0);
}

#[test]
fn what_cannot_be_searched_is_told_on_the_screen() {
    if !tmux::is_there() {
        return;
    }
    let s = with_few();
    // The right index, asked with another model.
    let terminal = Start::line("taiyi tui --model nosuch").run(&s);
    terminal.wait_for_text(&[PLACEHOLDER]);
    terminal.send_text("老虎");
    terminal.wait_for_text(&["❯ 老虎", "nosuch"]);
    terminal.send_keys(&["C-c"]);
    terminal.left_with(0);
    drop(terminal);

    // Damaged.
    fs::write(s.index_dir().join("manifest.json"), "cut").unwrap();
    let terminal = Start::line("taiyi tui").run(&s);
    terminal.wait_for_text(&["the index cannot be read", "manifest.json", "taiyi-search verify"]);
    terminal.send_keys(&["C-c"]);
    terminal.left_with(0);
    drop(terminal);

    // Emptied.
    fs::remove_dir_all(s.index_dir()).unwrap();
    for name in ["0.jpg", "1.webp", "2.webp"] {
        fs::remove_file(s.photo(name)).unwrap();
    }
    index(&s);
    let terminal = Start::line("taiyi tui").run(&s);
    terminal.wait_for_text(&["there is no picture in the index", "taiyi-search index ./photos"]);
    terminal.send_keys(&["Escape"]);
    terminal.left_with(0);
}

#[test]
fn a_picture_that_is_gone_or_broken_says_why_in_its_place() {
    if !tmux::is_there() {
        return;
    }
    let s = with_few();
    fs::remove_file(s.photo("1.webp")).unwrap();
    fs::write(s.photo("2.webp"), b"RIFF no more of it").unwrap();
    let before = listing(&s.photo(""));
    let terminal = open_few(&s);
    ask(&terminal, "两只老虎");
    terminal.wait_for_styled("the tigers, which are there", preview);
    let select = |name: &str| {
        terminal.send_keys(&["Home"]);
        for _ in 0..3 {
            let screen = terminal.capture();
            let row = selected_row(&screen).unwrap();
            if screen.lines().nth(row).unwrap().contains(name) {
                return;
            }
            terminal.send_keys(&["Down"]);
            terminal.wait_for("the next", |screen| selected_row(screen) == Some(row + 1));
        }
        panic!("{name} is not in the list");
    };
    terminal.wait_for("the first", |screen| selected_row(screen) == Some(2));
    select("1.webp");
    terminal.wait_for_text(&["the file is gone"]);
    assert!(preview(&terminal.capture_styled()).is_none());
    terminal.send_keys(&["Home"]);
    terminal.wait_for("the first", |screen| selected_row(screen) == Some(2));
    select("2.webp");
    terminal.wait_for("a reason", |screen| !screen.contains("the file is gone") && !screen.contains('…'));
    let shown = terminal.capture_styled();
    assert!(preview(&shown).is_none());
    let beside: String = shown.rows[3..30]
        .iter()
        .flat_map(|row| row.iter().skip(PREVIEW_COLUMN))
        .map(|cell| cell.text.as_str())
        .collect();
    assert!(beside.chars().any(char::is_alphabetic), "no reason is shown:\n{}", terminal.capture());
    terminal.send_keys(&["C-c"]);
    terminal.left_with(0);
    assert_eq!(listing(&s.photo("")), before);
}

#[test]
fn no_colour_is_drawn_where_none_is_wanted() {
    if !tmux::is_there() {
        return;
    }
    let s = with_few();
    let terminal = Start::line("taiyi tui").env("NO_COLOR", "1").run(&s);
    terminal.wait_for_text(&[PLACEHOLDER, "3/3"]);
    // A screen that was captured in the middle of its drawing has a part of the picture.
    let mut before = None;
    let screen = terminal.wait_for_styled("the whole picture", |screen| {
        let place = preview(screen).map(|it| (it.column, it.row, it.columns, it.rows));
        let is_whole = place.is_some() && place == before;
        before = place;
        is_whole.then(|| screen.clone())
    });
    // Pictures have their colours all the same, and nothing else has.
    let picture = preview(&screen).unwrap();
    for (y, row) in screen.rows.iter().enumerate() {
        for (x, cell) in row.iter().enumerate() {
            let is_in_picture = (picture.column..picture.column + picture.columns).contains(&x)
                && (picture.row..picture.row + picture.rows).contains(&y);
            let is_coloured = cell.foreground.is_some() || cell.background.is_some();
            assert!(is_in_picture || !is_coloured, "{cell:?} at {x}, {y}");
        }
    }
}
