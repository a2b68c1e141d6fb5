//! Transitions by action, without a terminal.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ratatui::layout::Size;

use super::samples::entries;
use super::*;

/// A state with a clock of its own.
struct Session {
    state: State,
    now: Instant,
}

impl Session {
    fn new() -> Self {
        let now = Instant::now();
        let history = vec!["海边的日落".to_owned(), "雪地里的企鹅".to_owned()];
        Self { state: State::new(Size::new(80, 24), history, now), now }
    }

    /// With the newest pictures of an index of `total` on the screen.
    fn browsing(n: usize) -> Self {
        let mut session = Self::new();
        let asked = session.tick();
        assert_eq!(asked.len(), 1);
        session.answer(n);
        session
    }

    fn apply(&mut self, action: Action) -> Vec<Effect> {
        self.state.apply(action, self.now)
    }

    fn key(&mut self, command: Command) -> Vec<Effect> {
        self.apply(Action::Command(command))
    }

    fn type_text(&mut self, text: &str) -> Vec<Effect> {
        self.apply(Action::Insert(text.to_owned()))
    }

    fn tick(&mut self) -> Vec<Effect> {
        self.apply(Action::Tick)
    }

    fn wait(&mut self, ms: u64) -> Vec<Effect> {
        self.now += Duration::from_millis(ms);
        self.tick()
    }

    /// Answers the newest request.
    fn answer(&mut self, n: usize) {
        self.answer_to(self.state.generation, n);
    }

    fn answer_to(&mut self, generation: u64, n: usize) {
        let answer = Answer { generation, found: Ok(entries(n)), is_cut: false, total: 300 };
        self.apply(Action::Answered(Box::new(answer)));
    }
}

/// The terms of the request among the effects, as weight and debug form of the source.
fn asked(effects: &[Effect]) -> Option<&Question> {
    effects.iter().find_map(|effect| match effect {
        Effect::Search(request) => Some(&request.question),
        _ => None,
    })
}

fn path(place: usize) -> PathBuf {
    entries(place + 1)[place].picture.path.clone()
}

#[test]
fn an_empty_prompt_browses_and_typing_searches_after_a_pause() {
    let mut s = Session::new();
    assert_eq!(asked(&s.tick()), Some(&Question::default()));
    s.answer(3);
    assert!(s.type_text("两只").is_empty());
    assert!(s.wait(100).is_empty());
    assert!(s.type_text("老虎").is_empty(), "a key starts the pause anew");
    assert!(s.wait(100).is_empty());
    let effects = s.wait(60);
    assert_eq!(asked(&effects).unwrap().terms, [taiyi_query::Term::text("两只老虎")]);
    assert!(s.state.is_busy() && s.wait(150).is_empty(), "asked once");
    assert_eq!(s.state.results.entries().len(), 3, "what was there stays until the answer comes");
    s.answer(5);
    assert_eq!((s.state.results.entries().len(), s.state.total), (5, Some(300)));
    assert!(!s.state.is_busy());
}

#[test]
fn moving_the_caret_asks_nothing() {
    let mut s = Session::browsing(3);
    s.type_text("老虎");
    s.wait(200);
    s.answer(1);
    s.key(Command::Left);
    s.key(Command::CaretStart);
    assert!(asked(&s.wait(1000)).is_none());
}

#[test]
fn stale_answers_are_dropped() {
    let mut s = Session::browsing(3);
    s.type_text("猫");
    s.wait(200);
    let old = s.state.generation;
    s.type_text("和狗");
    s.wait(200);
    s.answer_to(old, 9);
    assert_eq!(s.state.results.entries().len(), 3);
    assert!(s.state.is_busy(), "the newer answer is still awaited");
    s.answer(4);
    assert_eq!(s.state.results.entries().len(), 4);
}

#[test]
fn enter_searches_at_once_and_then_opens() {
    let mut s = Session::browsing(3);
    s.type_text("两只老虎");
    let effects = s.key(Command::Open);
    assert!(asked(&effects).is_some());
    assert!(effects.contains(&Effect::Remember("两只老虎".to_owned())));
    assert!(s.key(Command::Open).is_empty(), "nothing of the old results is opened");
    s.answer(2);
    s.key(Command::Down);
    assert_eq!(s.key(Command::Open), [Effect::Open(path(1))]);
}

#[test]
fn mistakes_are_shown_in_place() {
    let mut s = Session::browsing(3);
    s.type_text("猫 +");
    assert!(s.wait(200).is_empty());
    assert!(s.state.mistake.as_deref().is_some_and(|m| m.contains('+')), "{:?}", s.state.mistake);
    assert_eq!(s.state.results.entries().len(), 3);
    assert!(s.key(Command::Open).is_empty(), "nothing is opened by mistake");
    s.type_text(" 雪");
    assert_eq!(s.state.mistake, None, "it goes with the next key");
    assert_eq!(asked(&s.wait(200)).unwrap().terms.len(), 2);
    // A mistake that only the worker can see.
    let answer =
        Answer { generation: s.state.generation, found: Err("no cat.jpg".into()), is_cut: false, total: 300 };
    s.apply(Action::Answered(Box::new(answer)));
    assert_eq!(s.state.mistake.as_deref(), Some("no cat.jpg"));
}

#[test]
fn filters_alone_browse() {
    let mut s = Session::browsing(3);
    s.type_text("path:旅行/ after:2023-05");
    let effects = s.wait(200);
    let question = asked(&effects).unwrap();
    assert!(question.terms.is_empty() && !question.filter.is_empty());
}

#[test]
fn marks_outlive_searches_and_are_copied_in_order() {
    let mut s = Session::browsing(5);
    s.key(Command::Down);
    s.key(Command::Mark);
    assert_eq!(s.state.results.selected(), 2, "marking goes on to the next");
    s.key(Command::First);
    s.key(Command::Mark);
    assert_eq!(s.state.marks(), [path(1), path(0)]);
    s.type_text("猫");
    s.wait(200);
    s.answer(2);
    assert!(s.state.is_marked(&s.state.results.entries()[0]));
    let both = format!("{}\n{}", path(1).display(), path(0).display());
    assert!(s.key(Command::Copy).contains(&Effect::Copy(both)));
    s.key(Command::Mark);
    assert_eq!(s.state.marks(), [path(1)], "marked twice is not marked");
    s.key(Command::Last);
    s.key(Command::Mark);
    assert!(s.state.marks().is_empty());
    assert!(s.key(Command::Copy).iter().any(|e| *e == Effect::Copy(path(1).display().to_string())));
}

#[test]
fn similar_pictures_are_a_term_that_can_be_added_to_and_taken_away() {
    let mut s = Session::browsing(5);
    s.type_text("猫");
    s.wait(200);
    s.answer(5);
    s.key(Command::Down);
    let content = s.state.results.selection().unwrap().picture.content;
    let effects = s.key(Command::Similar);
    let question = asked(&effects).unwrap();
    assert_eq!((question.similar, question.terms.len()), (Some(content), 0));
    assert_eq!(s.state.similar.as_ref().unwrap().name, "001.jpg");
    assert!(s.state.prompt.is_empty());
    s.type_text("雪");
    assert_eq!(asked(&s.wait(200)).map(|q| (q.similar, q.terms.len())), Some((Some(content), 1)));
    s.key(Command::Backspace);
    s.key(Command::Backspace);
    assert_eq!(s.state.similar, None);
    assert_eq!(asked(&s.wait(200)), Some(&Question::default()));
}

#[test]
fn escape_clears_then_leaves() {
    let mut s = Session::browsing(3);
    s.type_text("猫");
    s.wait(200);
    s.answer(1);
    s.key(Command::Help);
    assert!(s.key(Command::Cancel).is_empty() && s.state.overlay.is_none());
    assert_eq!(asked(&s.key(Command::Cancel)), Some(&Question::default()));
    assert!(s.state.prompt.is_empty());
    assert_eq!(s.key(Command::Cancel), [Effect::Quit]);
}

#[test]
fn leaving_remembers_the_prompt() {
    let mut s = Session::browsing(3);
    s.type_text(" 猫 ");
    assert_eq!(s.key(Command::Quit), [Effect::Remember("猫".to_owned()), Effect::Quit]);
}

#[test]
fn history_is_narrowed_down_and_taken() {
    let mut s = Session::browsing(3);
    s.key(Command::History);
    let Some(Overlay::History(list)) = &s.state.overlay else { panic!("{:?}", s.state.overlay) };
    assert_eq!(list.matches, ["雪地里的企鹅", "海边的日落"]);
    s.key(Command::History);
    s.type_text("海");
    s.type_text("边");
    let Some(Overlay::History(list)) = &s.state.overlay else { panic!("{:?}", s.state.overlay) };
    assert_eq!((list.matches.len(), list.selected), (1, 0));
    let effects = s.key(Command::Open);
    assert_eq!(asked(&effects).unwrap().terms, [taiyi_query::Term::text("海边的日落")]);
    assert_eq!(s.state.prompt.text(), "海边的日落");
    s.key(Command::History);
    s.type_text("没有这样的");
    assert!(s.key(Command::Open).is_empty());
    assert_eq!(s.state.prompt.text(), "海边的日落", "nothing was chosen");
}

#[test]
fn a_new_index_is_searched_again_and_the_selection_stays() {
    let mut s = Session::browsing(5);
    s.key(Command::Down);
    s.key(Command::Down);
    let content = s.state.results.selection().unwrap().picture.content;
    assert_eq!(s.wait(2500), [Effect::CheckIndex]);
    assert!(asked(&s.apply(Action::IndexChanged)).is_some());
    let mut newer = entries(5).to_vec();
    newer.rotate_right(2);
    let answer =
        Answer { generation: s.state.generation, found: Ok(newer.into()), is_cut: false, total: 301 };
    s.apply(Action::Answered(Box::new(answer)));
    assert_eq!(s.state.results.selected(), 4);
    assert_eq!(s.state.results.selection().unwrap().picture.content, content);
}

#[test]
fn trouble_goes_away_by_itself() {
    let mut s = Session::new();
    s.tick();
    s.apply(Action::Trouble(Trouble::NoIndex("/没有".into())));
    assert!(!s.state.is_busy());
    assert_eq!(s.wait(2500), [Effect::CheckIndex], "somebody may be indexing right now");
    assert!(asked(&s.apply(Action::IndexChanged)).is_some());
    s.answer(2);
    assert_eq!(s.state.trouble, None);
}

#[test]
fn what_trouble_hides_is_not_acted_on() {
    let mut s = Session::browsing(3);
    s.apply(Action::Trouble(Trouble::Model("not here".into())));
    for command in [Command::Open, Command::Mark, Command::Copy, Command::Similar, Command::Reveal] {
        assert!(s.key(command).is_empty(), "{command:?}");
    }
    let layout = s.state.layout();
    for _ in 0..2 {
        assert!(s.apply(Action::Click { column: 1, row: layout.results.y + 1 }).is_empty());
    }
    assert!(s.state.marks().is_empty() && s.state.results.selected() == 0);
    s.apply(Action::IndexChanged);
    s.answer(3);
    assert_eq!(s.key(Command::Open), [Effect::Open(path(0))]);
}

#[test]
fn what_was_asked_before_a_mistake_does_not_speak_for_it() {
    let refuse = |s: &mut Session, generation| {
        let answer = Answer { generation, found: Err("no c".into()), is_cut: false, total: 300 };
        s.apply(Action::Answered(Box::new(answer)));
    };
    let mut s = Session::browsing(3);
    s.type_text("@./c");
    s.wait(200);
    let old = s.state.generation;
    s.type_text("at.jpg");
    refuse(&mut s, old);
    assert_eq!(s.state.mistake, None, "it was about less than what stands there now");
    s.type_text(" +");
    s.wait(200);
    assert!(!s.state.is_busy() && s.state.mistake.as_deref().is_some_and(|m| m.contains('+')));
    refuse(&mut s, old);
    s.answer_to(old, 9);
    assert!(s.state.mistake.as_deref().is_some_and(|m| m.contains('+')));
    assert_eq!(s.state.results.entries().len(), 3);
}

#[test]
fn messages_pass() {
    let mut s = Session::browsing(1);
    s.apply(Action::Failed("no viewer".into()));
    assert!(s.state.message().is_some_and(|m| m.is_failure));
    assert!(s.state.deadline() <= s.now + MESSAGE_TIME);
    s.wait(6000);
    assert_eq!(s.state.message(), None);
}

#[test]
fn clicks_select_and_double_clicks_open() {
    let mut s = Session::browsing(5);
    let layout = s.state.layout();
    let (column, row) = (layout.results.x + 2, layout.results.y + 3);
    assert!(s.apply(Action::Click { column, row }).is_empty());
    assert_eq!(s.state.results.selected(), 3);
    s.now += Duration::from_millis(100);
    assert_eq!(s.apply(Action::Click { column, row }), [Effect::Open(path(3))]);
    s.now += Duration::from_millis(1000);
    assert!(s.apply(Action::Click { column, row }).is_empty(), "too late for a double click");
    assert!(s.apply(Action::Click { column, row: row + 10 }).is_empty());
    assert_eq!(s.state.results.selected(), 3, "there is nothing below the last");
    s.apply(Action::Wheel(-2));
    assert_eq!(s.state.results.selected(), 1);
}

#[test]
fn nothing_to_act_on_is_nothing_to_do() {
    let mut s = Session::browsing(0);
    for command in [Command::Open, Command::Mark, Command::Copy, Command::Similar, Command::Reveal] {
        assert!(s.key(command).is_empty(), "{command:?}");
    }
    for command in [Command::Down, Command::PageDown, Command::Last, Command::ToggleGrid, Command::Right] {
        s.key(command);
        assert_eq!(s.state.results.selected(), 0);
    }
}

/// 2,000 random actions: whatever happens, the state holds together.
#[test]
fn a_random_session_never_breaks() {
    for seed in 0..8 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut s = Session::new();
        let texts = [
            "两只老虎",
            "2:海边 + 日落 - 人",
            "＋",
            "👨‍👩‍👧",
            "e\u{301}",
            "path:",
            "@./没有.jpg",
            "\u{202e}x\n\t",
        ];
        for step in 0..2000 {
            let action = match rng.random_range(0..12) {
                0 => Action::Insert(texts[rng.random_range(0..texts.len())].to_owned()),
                1 => Action::Click { column: rng.random_range(0..400), row: rng.random_range(0..200) },
                2 => Action::Wheel(rng.random_range(-5..6)),
                3 => Action::Resize { columns: rng.random_range(0..300), rows: rng.random_range(0..100) },
                4 => Action::Answered(Box::new(Answer {
                    generation: s.state.generation.saturating_sub(rng.random_range(0..2)),
                    found: if rng.random() { Ok(entries(rng.random_range(0..70))) } else { Err("no".into()) },
                    is_cut: rng.random(),
                    total: rng.random_range(0..1000),
                })),
                5 => Action::IndexChanged,
                6 => Action::Trouble(Trouble::Index("broken".into())),
                7 | 8 => {
                    s.now += Duration::from_millis(rng.random_range(0..400));
                    Action::Tick
                }
                _ => Action::Command(Command::NAMES[rng.random_range(0..Command::NAMES.len())].0),
            };
            let shown = format!("seed {seed}, step {step}: {action:?}");
            let effects = s.apply(action);
            let state = &s.state;
            let (layout, results) = (state.layout(), &state.results);
            assert!(results.selected() < results.entries().len().max(1), "{shown}");
            let first = results.first_seen(&layout);
            let seen = first..first + layout.rows * layout.columns;
            assert!(seen.contains(&results.selected()), "{shown}: {seen:?} {}", results.selected());
            assert!(state.prompt.text().is_char_boundary(state.prompt.caret()), "{shown}");
            for effect in effects {
                if let Effect::Search(request) = effect {
                    assert_eq!(request.generation, state.generation, "{shown}");
                    assert!(state.is_busy(), "{shown}");
                }
            }
        }
    }
}
