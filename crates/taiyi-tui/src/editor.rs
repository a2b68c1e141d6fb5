//! The prompt line: text and a caret, in characters as people count them.

use unicode_segmentation::UnicodeSegmentation as _;

use crate::action::Command;

/// The line gets no longer than this, whatever is pasted.
const MAX_BYTES: usize = 4096;

/// A line of text with a caret between grapheme clusters.
///
/// Words are those of Unicode, with two additions, as in vim and Emacs: Chinese characters and kana that follow
/// each other are one word, for it takes a dictionary to part them, and so are signs that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Editor {
    text: String,
    /// Byte offset, always at a grapheme boundary.
    caret: usize,
}

/// What neighbours have to have in common to be one word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blank,
    Ideographs,
    /// Between two of these there is a boundary already, if they are not one word.
    Word,
    Signs,
}

impl Kind {
    fn of(segment: &str) -> Self {
        match segment.chars().next() {
            Some(first) if first.is_whitespace() => Self::Blank,
            Some(
                '\u{3005}'..='\u{3007}'
                | '\u{3040}'..='\u{30ff}'
                | '\u{31f0}'..='\u{31ff}'
                | '\u{3400}'..='\u{4dbf}'
                | '\u{4e00}'..='\u{9fff}'
                | '\u{f900}'..='\u{faff}'
                | '\u{ff66}'..='\u{ff9d}'
                | '\u{20000}'..='\u{3ffff}',
            ) => Self::Ideographs,
            Some(first) if first.is_alphanumeric() || first == '_' => Self::Word,
            _ => Self::Signs,
        }
    }

    fn is_one_word_with(self, other: Self) -> bool {
        self == other && self != Self::Word
    }
}

impl Editor {
    /// This text, the caret behind it.
    #[must_use]
    pub(crate) fn with_text(text: &str) -> Self {
        let mut editor = Self::default();
        editor.insert(text);
        editor
    }

    /// The text.
    #[must_use]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is no text.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Byte offset of the caret in the text.
    #[must_use]
    pub(crate) fn caret(&self) -> usize {
        self.caret
    }

    /// Inserts typed or pasted text at the caret: line breaks and tabs become blanks, other control
    /// characters and those that turn the direction of writing are dropped. What is too long is cut.
    pub(crate) fn insert(&mut self, text: &str) {
        let room = MAX_BYTES.saturating_sub(self.text.len());
        let inserted = one_line(text, room);
        // Of a paste that arrives key by key, what is too much should cost nothing.
        if inserted.is_empty() {
            return;
        }
        self.text.insert_str(self.caret, &inserted);
        // What was inserted may have joined what stands behind it.
        self.caret = self.boundary_from(self.caret + inserted.len());
    }

    /// Carries out a command that edits or moves the caret; all others do nothing.
    pub(crate) fn apply(&mut self, command: Command) {
        match command {
            Command::Left | Command::CaretLeft => self.caret = self.before_caret(),
            Command::Right | Command::CaretRight => self.caret = self.behind_caret(),
            Command::CaretWordLeft => self.caret = self.word_start(),
            Command::CaretWordRight => self.caret = self.word_end(),
            Command::CaretStart => self.caret = 0,
            Command::CaretEnd => self.caret = self.text.len(),
            Command::Backspace => self.delete(self.before_caret(), self.caret),
            Command::Delete => self.delete(self.caret, self.behind_caret()),
            Command::DeleteWord => self.delete(self.word_start(), self.caret),
            Command::DeleteToStart => self.delete(0, self.caret),
            Command::DeleteToEnd => self.delete(self.caret, self.text.len()),
            _ => {}
        }
    }

    fn delete(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        // What stood on both sides may be one cluster now.
        self.caret = self.boundary_from(from);
    }

    /// The boundaries of clusters, the end not among them.
    fn boundaries(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.text.grapheme_indices(true).map(|(at, _)| at)
    }

    fn boundary_from(&self, at: usize) -> usize {
        self.boundaries().find(|boundary| *boundary >= at).unwrap_or(self.text.len())
    }

    fn before_caret(&self) -> usize {
        self.boundaries().rfind(|boundary| *boundary < self.caret).unwrap_or(0)
    }

    fn behind_caret(&self) -> usize {
        self.boundary_from(self.caret.saturating_add(1))
    }

    /// Where the word before the caret begins, blanks between them skipped.
    fn word_start(&self) -> usize {
        let mut word = None;
        let mut start = self.caret;
        for (at, segment) in self.text.split_word_bound_indices().rev().filter(|(at, _)| *at < self.caret) {
            let kind = Kind::of(segment);
            match word {
                None if kind == Kind::Blank => {}
                None => word = Some(kind),
                Some(begun) if kind.is_one_word_with(begun) => {}
                Some(_) => break,
            }
            start = at;
        }
        // Word boundaries are cluster boundaries nearly always.
        self.boundaries().rfind(|boundary| *boundary <= start).unwrap_or(0)
    }

    /// Where the word behind the caret ends, blanks between them skipped.
    fn word_end(&self) -> usize {
        let mut word = None;
        let mut end = self.caret;
        let segments =
            self.text.split_word_bound_indices().map(|(at, segment)| (at + segment.len(), segment));
        for (until, segment) in segments.filter(|(until, _)| *until > self.caret) {
            let kind = Kind::of(segment);
            match word {
                None if kind == Kind::Blank => {}
                None => word = Some(kind),
                Some(begun) if kind.is_one_word_with(begun) => {}
                Some(_) => break,
            }
            end = until;
        }
        self.boundary_from(end)
    }
}

/// Text for one line, at most `room` bytes, cut between clusters.
fn one_line(text: &str, room: usize) -> String {
    let mut line = String::new();
    let mut chars = text.chars().peekable();
    // One character more than there is room for shows where the last cluster ends.
    while line.len() <= room
        && let Some(char) = chars.next()
    {
        match char {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' | '\n' | '\t' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => line.push(' '),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            char if char.is_control() => {}
            char => line.push(char),
        }
    }
    if line.len() > room {
        let cut = line.grapheme_indices(true).map(|(at, _)| at).take_while(|at| *at <= room).last();
        line.truncate(cut.unwrap_or(0));
    }
    line
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    fn after(text: &str, commands: &[Command]) -> String {
        let mut editor = Editor::with_text(text);
        for command in commands {
            editor.apply(*command);
        }
        format!("{}|{}", &editor.text[..editor.caret], &editor.text[editor.caret..])
    }

    #[test]
    fn steps_are_characters_as_people_count_them() {
        for character in ["虎", "e\u{301}", "👨‍👩‍👧", "🇨🇳", "ก็", "✌🏽"] {
            let text = format!("a{character}");
            assert_eq!(after(&text, &[Command::Left]), format!("a|{character}"));
            assert_eq!(after(&text, &[Command::Backspace]), "a|");
            assert_eq!(
                after(&text, &[Command::CaretStart, Command::Right, Command::CaretRight]),
                format!("{text}|")
            );
            assert_eq!(after(&text, &[Command::CaretLeft, Command::Delete]), "a|");
        }
        assert_eq!(after("", &[Command::Left, Command::Backspace, Command::Delete, Command::Right]), "|");
        assert_eq!(after("老虎", &[Command::Left, Command::DeleteToStart]), "|虎");
        assert_eq!(after("老虎", &[Command::Left, Command::DeleteToEnd, Command::CaretEnd]), "老|");
        assert_eq!(after("老虎", &[Command::Up, Command::Open, Command::Mark]), "老虎|");
    }

    #[test]
    fn a_word_is_a_run_of_chinese_a_latin_word_or_a_run_of_signs() {
        let left = |text| after(text, &[Command::CaretWordLeft]);
        assert_eq!(left("两只老虎 在海边"), "两只老虎 |在海边");
        assert_eq!(left("两只老虎 "), "|两只老虎 ");
        assert_eq!(left("海边 + "), "海边 |+ ");
        assert_eq!(left("东京タワー"), "|东京タワー");
        assert_eq!(left("老虎tiger"), "老虎|tiger");
        assert_eq!(left("3.5公里"), "3.5|公里");
        assert_eq!(left("don't"), "|don't");
        assert_eq!(left("𠮷野家"), "|𠮷野家");
        let right = |text| after(text, &[Command::CaretStart, Command::CaretWordRight]);
        assert_eq!(right("两只老虎 在海边"), "两只老虎| 在海边");
        assert_eq!(right("  tiger 老虎"), "  tiger| 老虎");
        assert_eq!(right("path:旅行/"), "path|:旅行/");
        assert_eq!(after("海边 + 日落 - 人", &[Command::DeleteWord; 2]), "海边 + 日落 |");
        assert_eq!(after("海边 + 日落", &[Command::DeleteWord; 3]), "|");
        let within = [Command::Left, Command::DeleteWord];
        assert_eq!(after("两只老虎", &within), "|虎");
    }

    #[test]
    fn pasted_text_becomes_one_harmless_line() {
        assert_eq!(Editor::with_text("老虎\r\n海边\t日落\n\r").text(), "老虎 海边 日落  ");
        assert_eq!(Editor::with_text("a\u{1b}[31mb\u{202e}c\u{2066}\0\u{7f}").text(), "a[31mbc");
        assert_eq!(Editor::with_text("a\u{2028}b\u{85}c").text(), "a b c");
    }

    #[test]
    fn an_accent_joins_the_letter_typed_before_it() {
        let mut editor = Editor::with_text("e");
        editor.insert("\u{301}");
        assert_eq!(editor.caret(), 3);
        editor.apply(Command::Backspace);
        assert_eq!(editor, Editor::default());
        // A base typed before a lone accent takes it, and the caret goes behind both.
        let mut editor = Editor::with_text("\u{301}");
        editor.apply(Command::CaretStart);
        editor.insert("e");
        assert_eq!(editor.caret(), 3);
    }

    #[test]
    fn a_paste_of_megabytes_is_cut_and_takes_no_time() {
        let start = Instant::now();
        for character in ["虎", "👨‍👩‍👧", "\u{301}", "\0", "\n", "a\u{301}"] {
            let mut editor = Editor::with_text(&character.repeat(1 << 20));
            assert!(editor.text().len() <= MAX_BYTES);
            assert!(
                editor.text().is_empty() || editor.text().len() > MAX_BYTES - 32 || character == "\u{301}"
            );
            editor.insert(character);
            editor.apply(Command::DeleteWord);
        }
        assert_eq!(Editor::with_text(&"👨‍👩‍👧".repeat(999)).text(), "👨‍👩‍👧".repeat(MAX_BYTES / 18));
        assert!(start.elapsed().as_secs() < 5);
    }

    /// Whole characters that stay apart whatever stands beside them.
    fn characters() -> impl Strategy<Value = Vec<&'static str>> {
        let known = ["a", "é", "虎", "两", " ", "＋", "-", "：", "👨‍👩‍👧", "e\u{301}", "カ", "한", "3"];
        proptest::collection::vec(proptest::sample::select(known.to_vec()), 0..20)
    }

    fn commands() -> impl Strategy<Value = Vec<Command>> {
        let all: Vec<Command> = Command::NAMES.iter().map(|(command, ..)| *command).collect();
        proptest::collection::vec(proptest::sample::select(all), 0..12)
    }

    /// Text that is as awkward as text can be: flags, joiners, accents, prepended marks, controls.
    fn awkward() -> impl Strategy<Value = String> {
        "[a虎 \u{301}\u{200d}👨🇨🇳\u{600}\u{e33}\u{1100}\u{1161}\r\n\u{202e}＋]{0,8}".prop_union(".{0,8}")
    }

    proptest! {
        #[test]
        fn the_caret_is_always_between_characters(
            steps in proptest::collection::vec((awkward(), commands()), 1..8)
        ) {
            let mut editor = Editor::default();
            for (text, commands) in steps {
                editor.insert(&text);
                for command in commands {
                    let before = editor.clone();
                    editor.apply(command);
                    let is_boundary = editor.caret == editor.text.len() || editor.boundaries().any(|at| at == editor.caret);
                    prop_assert!(is_boundary, "{:?} {:?}", before, command);
                    prop_assert!(editor.text.len() <= before.text.len());
                    // Nothing gets stuck.
                    match command {
                        Command::CaretLeft | Command::CaretWordLeft => prop_assert!(editor.caret < before.caret || before.caret == 0),
                        Command::CaretRight | Command::CaretWordRight => {
                            prop_assert!(editor.caret > before.caret || before.caret == before.text.len());
                        }
                        Command::Backspace | Command::DeleteWord => {
                            prop_assert!(editor.text.len() < before.text.len() || before.caret == 0);
                        }
                        _ => {}
                    }
                }
                prop_assert!(!editor.text.chars().any(char::is_control));
            }
        }

        #[test]
        fn backspace_undoes_typing(start in characters(), moves in 0usize..20, typed in characters()) {
            let mut editor = Editor::with_text(&start.concat());
            for _ in 0..moves {
                editor.apply(Command::Left);
            }
            let before = editor.clone();
            for character in &typed {
                editor.insert(character);
            }
            for _ in &typed {
                editor.apply(Command::Backspace);
            }
            prop_assert_eq!(editor, before);
        }

        #[test]
        fn a_step_back_is_a_step_forward_undone(start in characters(), moves in 0usize..20) {
            let mut editor = Editor::with_text(&start.concat());
            for _ in 0..moves {
                editor.apply(Command::Left);
            }
            prop_assert_eq!(editor.boundaries().filter(|at| *at < editor.caret).count(), start.len().saturating_sub(moves));
            let before = editor.clone();
            if editor.caret < editor.text.len() {
                editor.apply(Command::Right);
                editor.apply(Command::Left);
                prop_assert_eq!(editor, before);
            }
        }

        #[test]
        fn what_is_typed_is_kept(text in characters()) {
            let editor = Editor::with_text(&text.concat());
            prop_assert_eq!(editor.text(), text.concat());
        }
    }
}
