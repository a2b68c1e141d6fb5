//! Screens as they are drawn.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, CellWidth as _};
use ratatui::layout::{Position, Rect, Size};
use ratatui::style::{Color, Modifier};
use taiyi_core::{GpsPosition, Orientation};
use taiyi_query::RowTime;

use super::*;
use crate::action::{Action, Command, Effect};
use crate::layout::View;
use crate::state::Entry;
use crate::state::samples::{entries, entry};
use crate::worker::preview::GONE;
use crate::worker::{Answer, Trouble};

fn around() -> Surroundings {
    Surroundings {
        keymap: Keymap::default(),
        theme: Theme::default(),
        zone: TimeZone::fixed(jiff::tz::offset(8)),
        hint: None,
        has_few_colors: false,
    }
}

/// Pictures whose names are not easy to draw.
fn pictures() -> Arc<[Entry]> {
    let mut list = vec![
        entry("/照片/旅行/两只老虎.jpg", 0.912),
        entry("/照片/旅行/🐯 和 👨‍👩‍👧 在动物园.png", 0.734),
        entry("/home/li/e\u{301}te\u{301}/cafe\u{301}.jpg", 0.5),
        entry(
            "/srv/a-very-long-folder/and-another-one-in-it/a very long name that goes on and on, IMG_0001.jpeg",
            0.31,
        ),
        entry("/tmp/gpj.\u{202e}exe\u{1b}[2J.jpg", 0.12),
        entry("/照片/家里/很长很长的名字，里面有全角标点（还有括号）和数字１２３.webp", -0.05),
        entry("/照片/旅行/❤\u{fe0f} ﾊﾞﾝﾀﾞ.gif", -0.125),
    ];
    list[0].picture.copies = vec![PathBuf::from("/backup/老虎.jpg"), PathBuf::from("/backup/2/老虎.jpg")];
    list[1].picture.time = Some(RowTime::Modified(1_682_899_200));
    list[1].picture.metadata.taken_s = None;
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(b"/old/\xd5\xd5\xc6\xac 01.bmp"));
        list.push(entry("/", -0.2));
        list.last_mut().unwrap().picture.path = path;
    }
    list.into()
}

/// A state on a screen of this size, `prompt` typed, and these pictures found.
fn found(width: u16, height: u16, prompt: &str, entries: Arc<[Entry]>) -> State {
    let now = Instant::now();
    let history = ["海边 + 日落 - 人", "两只老虎", "@./cat.jpg path:旅行/"].map(str::to_owned).to_vec();
    let mut state = State::new(Size::new(width, height), history, now);
    if !prompt.is_empty() {
        state.apply(Action::Insert(prompt.to_owned()), now);
    }
    let effects = state.apply(Action::Tick, now + Duration::from_secs(1));
    let asked = effects.into_iter().find_map(|effect| match effect {
        Effect::Search(request) => Some(request.generation),
        _ => None,
    });
    // A prompt with a mistake asks for nothing.
    if let Some(generation) = asked {
        let answer = Answer { generation, found: Ok(entries), is_cut: false, total: 100_000 };
        state.apply(Action::Answered(Box::new(answer)), now);
    }
    state
}

fn press(state: &mut State, commands: &[Command]) {
    for command in commands {
        state.apply(Action::Command(*command), Instant::now());
    }
}

fn terminal(
    state: &State,
    size: Size,
    gallery: &mut Gallery,
    around: &Surroundings,
) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(size.width, size.height)).unwrap();
    terminal.draw(|frame| draw(frame, state, gallery, around)).unwrap();
    terminal
}

/// The screen with an edge at its right, which is straight only if every character is as wide as it
/// claims; then the caret.
fn picture_of(terminal: &Terminal<TestBackend>) -> String {
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for row in rows(buffer) {
        let _ = writeln!(text, "{row}│");
    }
    let caret = terminal.backend().cursor_position();
    if terminal.backend().cursor_visible() {
        let _ = writeln!(text, "caret at {}, {}", caret.x, caret.y);
    }
    text
}

/// What a terminal shows of each row: a wide character hides the cell behind it.
fn rows(buffer: &Buffer) -> Vec<String> {
    let area = buffer.area;
    let row = |y| {
        let mut text = String::new();
        let mut x = area.left();
        while x < area.right() {
            let symbol = buffer[(x, y)].symbol();
            text.push_str(symbol);
            x += symbol.cell_width().max(1);
        }
        text
    };
    (area.top()..area.bottom()).map(row).collect()
}

fn screen_with(state: &State, around: &Surroundings) -> String {
    let size = Size::new(state.layout().prompt.width, screen_rows(state));
    picture_of(&terminal(state, size, &mut gallery(), around))
}

fn screen(state: &State) -> String {
    screen_with(state, &around())
}

fn screen_rows(state: &State) -> u16 {
    let layout = state.layout();
    [layout.prompt, layout.notice, layout.results, layout.preview, layout.caption, layout.footer]
        .iter()
        .map(|area| area.bottom())
        .max()
        .unwrap()
}

/// The first picture is there, the third is broken, all others are waited for.
fn gallery() -> Gallery {
    let pictures = pictures();
    Gallery::fixed([
        (pictures[0].picture.path.clone(), Ok([200, 120, 40])),
        (pictures[2].picture.path.clone(), Err("the file is gone: index again".to_owned())),
    ])
}

#[test]
fn an_imported_picture_is_not_gone() {
    let mut list = pictures().to_vec();
    let path = list[0].picture.path.clone();
    let shown = |list: &[Entry], reason: &str| {
        let state = found(120, 36, "", list.into());
        let mut gallery = Gallery::fixed([(path.clone(), Err(reason.to_owned()))]);
        picture_of(&terminal(&state, Size::new(120, 36), &mut gallery, &around()))
    };
    assert!(shown(&list, GONE).contains(GONE));
    list[0].picture.metadata.format = None;
    let never_here = shown(&list, GONE);
    assert!(never_here.contains("imported: the picture is not on this machine"), "{never_here}");
    // What else is wrong with it is said as of any other.
    assert!(shown(&list, "no permission to read it").contains("no permission to read it"));
}

const SIZES: [(u16, u16); 4] = [(120, 36), (80, 24), (50, 20), (40, 10)];

#[test]
fn lists() {
    for (width, height) in SIZES {
        let mut state = found(width, height, "两只老虎", pictures());
        insta::assert_snapshot!(format!("list_{width}x{height}"), screen(&state));
        press(&mut state, &[Command::Down, Command::Down, Command::ToggleDetails]);
        insta::assert_snapshot!(format!("details_{width}x{height}"), screen(&state));
    }
}

#[test]
fn grids() {
    for (width, height) in SIZES {
        let mut state = found(width, height, "两只老虎", pictures());
        press(&mut state, &[Command::ToggleGrid, Command::Mark]);
        insta::assert_snapshot!(format!("grid_{width}x{height}"), screen(&state));
    }
}

#[test]
fn everything_known_of_a_picture() {
    let mut list = pictures().to_vec();
    let picture = &mut list[0].picture;
    picture.metadata.camera = Some("Canon EOS R5".to_owned());
    picture.metadata.taken_offset_min = Some(480);
    picture.metadata.orientation = Orientation::Rotate90;
    picture.metadata.gps = Some(GpsPosition { latitude: -33.8568, longitude: 151.2153, altitude: Some(4.4) });
    picture.copies = (0..4).map(|i| PathBuf::from(format!("/backup/{i}/两只老虎.jpg"))).collect();
    let mut state = found(100, 32, "", list.into());
    press(&mut state, &[Command::ToggleDetails]);
    insta::assert_snapshot!(screen(&state));
}

#[test]
fn extremes() {
    for (width, height) in [(1, 1), (1, 12), (2, 4), (3, 30), (12, 6), (200, 2)] {
        let mut state = found(width, height, "两只老虎", pictures());
        insta::assert_snapshot!(format!("extreme_{width}x{height}"), screen(&state));
        press(&mut state, &[Command::Help]);
        insta::assert_snapshot!(format!("extreme_help_{width}x{height}"), screen(&state));
    }
}

#[test]
fn browsing() {
    let unscored: Vec<Entry> = pictures().iter().map(|e| Entry { score: None, ..e.clone() }).collect();
    let mut state = found(80, 24, "", unscored.into());
    state.results.is_cut = true;
    insta::assert_snapshot!(screen(&state));
}

#[test]
fn before_the_first_answer() {
    let now = Instant::now();
    let mut state = State::new(Size::new(60, 8), Vec::new(), now);
    state.apply(Action::Tick, now);
    insta::assert_snapshot!(screen(&state));
}

#[test]
fn nothing_found() {
    insta::assert_snapshot!(screen(&found(60, 12, "海边 after:2030", entries(0))));
}

#[test]
fn notices() {
    let mut state = found(64, 10, "海边", pictures());
    state.apply(Action::Insert(" +".to_owned()), Instant::now());
    state.mistake = Some("nothing follows \"+\" in the prompt \"海边 +\": name something".to_owned());
    insta::assert_snapshot!("mistake", screen(&state));
    state.mistake = Some(
        "cannot read the picture /照片/旅行/很长很长的名字.jpg: permission denied (os error 13); \
         make it readable, or take another picture"
            .to_owned(),
    );
    insta::assert_snapshot!("mistake_long", screen(&state));
    state.mistake = None;
    state.apply(Action::Failed("no viewer: install xdg-utils".to_owned()), Instant::now());
    insta::assert_snapshot!("failure", screen(&state));
    state.apply(Action::Done("copied /照片/旅行/两只老虎.jpg".to_owned()), Instant::now());
    insta::assert_snapshot!("message", screen(&state));
    let mut state = found(64, 10, "老虎", pictures());
    let hint = Some("the demo model only knows scenes of emoji".to_owned());
    let hinted = Surroundings { hint, ..around() };
    insta::assert_snapshot!("hint", screen_with(&state, &hinted));
    press(&mut state, &[Command::Mark, Command::Down, Command::Mark]);
    insta::assert_snapshot!("marks", screen_with(&state, &hinted));
}

#[test]
fn prompts() {
    let mut text = String::new();
    let mut add = |state: &State| {
        let screen = screen(state);
        let lines: Vec<&str> = screen.lines().collect();
        let _ = writeln!(text, "{}\n{}", lines[0], lines.last().unwrap());
    };
    let long = "一只橘色的猫和两只老虎在海边的沙滩上看日落，e\u{301}te\u{301} 2：👨‍👩‍👧 － 人";
    for (width, typed) in
        [(60, ""), (60, "两只老虎"), (80, long), (50, long), (24, long), (9, long), (30, "a\u{202e}b")]
    {
        add(&found(width, 8, typed, pictures()));
    }
    let mut state = found(50, 8, long, pictures());
    state.apply(Action::Command(Command::CaretStart), Instant::now());
    add(&state);
    for _ in 0..6 {
        state.apply(Action::Command(Command::CaretRight), Instant::now());
    }
    add(&state);
    for width in [60, 30, 12, 5] {
        let mut state = found(width, 8, "", pictures());
        press(&mut state, &[Command::Similar]);
        add(&state);
        state.apply(Action::Insert("夜里".to_owned()), Instant::now());
        add(&state);
    }
    insta::assert_snapshot!(text);
}

#[test]
fn helps() {
    for (width, height) in SIZES {
        let mut state = found(width, height, "", pictures());
        press(&mut state, &[Command::Help]);
        insta::assert_snapshot!(format!("help_{width}x{height}"), screen(&state));
    }
    let mut state = found(80, 24, "", pictures());
    press(&mut state, &[Command::Help, Command::Last]);
    insta::assert_snapshot!("help_end", screen(&state));
}

#[test]
fn histories() {
    for (width, height) in SIZES {
        let mut state = found(width, height, "", pictures());
        press(&mut state, &[Command::History, Command::Down]);
        insta::assert_snapshot!(format!("history_{width}x{height}"), screen(&state));
    }
    let mut state = found(80, 24, "", pictures());
    press(&mut state, &[Command::History]);
    state.apply(Action::Insert("沙漠".to_owned()), Instant::now());
    insta::assert_snapshot!("history_nothing", screen(&state));
}

fn troubles() -> Vec<(&'static str, Trouble)> {
    let folder = PathBuf::from("/home/li/.local/share/taiyi-search/索引");
    vec![
        ("no_index", Trouble::NoIndex(folder.clone())),
        ("not_published", Trouble::NotPublished(folder.clone())),
        ("empty", Trouble::Empty(folder)),
        ("index", Trouble::Index("/srv/索引/manifest.json: checksum differs: index again with --rebuild".to_owned())),
        ("model", Trouble::Model("index was built with taiyi-102m, not demo: pass --model taiyi-102m, or index again with --rebuild".to_owned())),
    ]
}

#[test]
fn troubled() {
    for (name, trouble) in troubles() {
        for (width, height) in [(80, 20), (40, 10)] {
            let mut state = found(width, height, "", entries(0));
            state.trouble = Some(trouble.clone());
            insta::assert_snapshot!(format!("trouble_{name}_{width}x{height}"), screen(&state));
        }
    }
}

#[test]
fn without_colours_the_selection_is_still_seen() {
    let plain = Surroundings { theme: Theme::plain(), ..around() };
    for view in [View::List, View::Grid] {
        let mut state = found(80, 24, "老虎", pictures());
        state.view = view;
        state.apply(Action::Command(Command::Down), Instant::now());
        // Pictures have colours whatever the theme.
        let terminal = terminal(&state, Size::new(80, 24), &mut Gallery::still(), &plain);
        let buffer = terminal.backend().buffer();
        assert!(buffer.content.iter().all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset)));
        let layout = state.layout();
        let selected = layout.area_of(state.results.selected()).unwrap();
        let caption = match view {
            View::List => selected,
            View::Grid => Rect { y: selected.bottom() - 2, height: 1, ..selected },
        };
        assert_eq!(buffer[caption.as_position()].symbol(), "▸");
        // What a wide character hides is never sent to the terminal.
        let hidden = |x, y| x > 0 && buffer[(x - 1, y)].symbol().cell_width() > 1;
        let reversed = |x, y| buffer[(x, y)].modifier.contains(Modifier::REVERSED) || hidden(x, y);
        let mut columns = caption.left()..caption.right() - 1;
        assert!(columns.all(|x| reversed(x, caption.y)), "{view:?}");
        assert!(!reversed(0, caption.y - 1), "the one above is not selected");
    }
}

#[test]
fn no_picture_is_drawn_below_what_lies_on_top() {
    let has_pixels = |state: &State| {
        let terminal = terminal(state, Size::new(80, 24), &mut gallery(), &around());
        rows(terminal.backend().buffer()).concat().contains('▀')
    };
    let mut state = found(80, 24, "", pictures());
    assert!(has_pixels(&state));
    press(&mut state, &[Command::Help]);
    assert!(!has_pixels(&state));
    press(&mut state, &[Command::Cancel, Command::ToggleGrid]);
    assert!(has_pixels(&state));
    state.mistake = Some("a mistake that takes more than a line ".repeat(4));
    assert!(!has_pixels(&state), "the first tile is below it");
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z老虎🐯，\u{301}\u{200d}\u{fe0f}\u{ff9e}]{0,60}",
        Just("\u{301}/\u{200d}".to_owned()),
        Just("🇨🇳👨‍👩‍👧/🇨🇳".to_owned()),
        Just(String::new()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_panics_and_nothing_is_cut_in_half(
        (width, height) in prop_oneof![(0u16..12, 0u16..12), (0u16..400, 0u16..120), (20u16..90, 4u16..40)],
        (drawn_width, drawn_height) in prop_oneof![Just((None, None)), (0u16..60, 0u16..60).prop_map(|(w, h)| (Some(w), Some(h)))],
        typed in names(),
        paths in proptest::collection::vec(names(), 0..9),
        commands in proptest::collection::vec(0..Command::NAMES.len(), 0..12),
        words in proptest::option::of(names()),
        trouble in proptest::option::weighted(0.2, 0usize..5),
        is_plain: bool,
    ) {
        let list: Arc<[Entry]> = paths.iter().map(|path| entry(path, 0.5)).collect();
        let pictures = paths.iter().enumerate().filter(|(i, _)| i % 3 > 0).map(|(i, path)| {
            (PathBuf::from(path), if i % 3 == 1 { Ok([1, 2, 3]) } else { Err(path.clone()) })
        });
        let mut gallery = Gallery::fixed(pictures);
        let mut state = found(width, height, &typed, list);
        for command in commands {
            state.apply(Action::Command(Command::NAMES[command].0), Instant::now());
        }
        state.apply(Action::Insert(typed), Instant::now());
        if let Some(words) = &words {
            state.apply(Action::Failed(words.clone()), Instant::now());
        }
        state.trouble = trouble.map(|which| troubles().remove(which).1);
        let theme = if is_plain { Theme::plain() } else { Theme::default() };
        let around = Surroundings { hint: words, theme, ..around() };
        // The terminal may have another size than the state has heard of.
        let size = Size::new(drawn_width.unwrap_or(width), drawn_height.unwrap_or(height));
        let terminal = terminal(&state, size, &mut gallery, &around);
        for row in rows(terminal.backend().buffer()) {
            let columns: usize = crate::text::width(&row);
            prop_assert!(columns <= usize::from(size.width), "{row:?} takes {columns} of {}", size.width);
            prop_assert!(!row.contains(char::is_control), "{row:?}");
        }
        let caret = terminal.backend().cursor_position();
        let area = Rect::from((Position::ORIGIN, size));
        if !area.is_empty() && terminal.backend().cursor_visible() {
            prop_assert!(area.contains(caret), "{caret}");
        }
    }
}
