//! The query language: what a person types, in a terminal or in a script.
//!
//! ```text
//! prompt  = [sign] term { operator term }        operators: " + " " - " with blanks around, or ＋ －
//! term    = [weight ":"] (text | "@" picture)    2:海边   0.5：日落   @./cat.jpg
//! filter  = "path:" glob | "after:" date | "before:" date      anywhere, set off by blanks
//! ```
//!
//! A weight is followed by something other than a digit, so 12:30的车站 is a text. A hyphen inside a
//! word (Wi-Fi) is never an operator.

use std::path::PathBuf;

use crate::date::plain_digit;
use crate::{Filter, FilterError};

/// A query as typed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// What to look for; the sum of these.
    pub terms: Vec<Term>,
    /// Which pictures may answer.
    pub filter: Filter,
}

/// One term of the sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// Finite and not zero; negative for what is not wanted.
    pub weight: f32,
    /// What to embed.
    pub source: Source,
}

/// What a term stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A sentence.
    Text(String),
    /// A picture file.
    Image(PathBuf),
}

/// Why a prompt cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PromptError {
    /// Nothing to look for.
    #[error("the prompt is empty: say what to look for, e.g. 两只老虎")]
    Empty,
    /// Only filters.
    #[error("the prompt {0:?} only narrows down: say what to look for as well, e.g. 海边 {0}")]
    OnlyFilters(String),
    /// An operator or a weight with nothing behind it.
    #[error("nothing follows {after:?} in the prompt {prompt:?}: name something behind it")]
    Dangling {
        /// The operator or weight.
        after: String,
        /// The prompt.
        prompt: String,
    },
    /// A weight that is zero or too large.
    #[error("{0:?} cannot be a weight: use a number above 0 and up to 1000")]
    Weight(String),
    /// A filter that cannot be read.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

impl Term {
    /// A sentence with weight 1.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { weight: 1.0, source: Source::Text(text.into()) }
    }

    /// Reads `[weight:]text`, as in `--plus 2:海边`.
    ///
    /// # Errors
    /// When there is no text, or the weight is out of range.
    pub fn parse(text: &str) -> Result<Self, PromptError> {
        let text = text.trim();
        let (weight, rest) = match split_weight(text) {
            Some((number, rest)) => (parse_weight(number)?, rest.trim_start()),
            None => (1.0, text),
        };
        if rest.is_empty() {
            return Err(if text.is_empty() {
                PromptError::Empty
            } else {
                PromptError::Dangling { after: text.to_owned(), prompt: text.to_owned() }
            });
        }
        let source = match rest.strip_prefix(['@', '＠']) {
            Some(path) if !path.is_empty() => Source::Image(PathBuf::from(path)),
            _ => Source::Text(rest.to_owned()),
        };
        Ok(Self { weight, source })
    }

    /// The same with the opposite sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { weight: -self.weight, ..self }
    }
}

impl Prompt {
    /// Takes `text` as one sentence, whatever is in it.
    ///
    /// # Errors
    /// When it is empty.
    pub fn literal(text: &str) -> Result<Self, PromptError> {
        match text.trim() {
            "" => Err(PromptError::Empty),
            trimmed => Ok(Self { terms: vec![Term::text(trimmed)], filter: Filter::default() }),
        }
    }

    /// Reads the query language described at the head of this module.
    ///
    /// # Errors
    /// When there is nothing to look for and no filter, or when a part cannot be read.
    pub fn parse(text: &str) -> Result<Self, PromptError> {
        let mut filter = Filter::default();
        let text = take_filters(text, &mut filter)?;
        let mut terms = Vec::new();
        let mut sign = Sign::Plus;
        let mut operator: Option<String> = None;
        for piece in split_operators(&text) {
            match piece {
                Piece::Operator(next, typed) => {
                    // "猫 + - 人" is a slip of the finger; a sign in front of all is not.
                    if let Some(after) = operator.take() {
                        return Err(PromptError::Dangling { after, prompt: text.trim().to_owned() });
                    }
                    sign = next;
                    operator = Some(typed.to_owned());
                }
                Piece::Text(term) => {
                    let term = Term::parse(term)?;
                    terms.push(if sign == Sign::Minus { term.negated() } else { term });
                    operator = None;
                }
            }
        }
        if let Some(after) = operator {
            return Err(PromptError::Dangling { after, prompt: text.trim().to_owned() });
        }
        if terms.is_empty() && filter.is_empty() {
            return Err(PromptError::Empty);
        }
        Ok(Self { terms, filter })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
}

enum Piece<'a> {
    Text(&'a str),
    Operator(Sign, &'a str),
}

/// Cuts at full-width signs wherever they stand, and at plain ones with blanks (or an end) around.
fn split_operators(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut previous: Option<char> = None;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        let next = text[end..].chars().next();
        let apart = previous.is_none_or(char::is_whitespace) && next.is_none_or(char::is_whitespace);
        let sign = match c {
            '＋' => Some(Sign::Plus),
            '－' => Some(Sign::Minus),
            '+' if apart => Some(Sign::Plus),
            '-' if apart => Some(Sign::Minus),
            _ => None,
        };
        if let Some(sign) = sign {
            push_text(&mut pieces, &text[start..at]);
            pieces.push(Piece::Operator(sign, &text[at..end]));
            start = end;
        }
        previous = Some(c);
    }
    push_text(&mut pieces, &text[start..]);
    pieces
}

fn push_text<'a>(pieces: &mut Vec<Piece<'a>>, text: &'a str) {
    let text = text.trim();
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
}

/// `2:海边` → (`2`, `海边`); not `12:30的车站`, and not `:海边`.
fn split_weight(text: &str) -> Option<(&str, &str)> {
    let colon = text.find([':', '：'])?;
    let (number, rest) = text.split_at(colon);
    let numeric = |c: char| plain_digit(c).is_ascii_digit() || matches!(c, '.' | '．');
    if number.is_empty()
        || !number.chars().all(numeric)
        || !number.chars().any(|c| plain_digit(c).is_ascii_digit())
    {
        return None;
    }
    let rest = rest.strip_prefix([':', '：'])?;
    let looks_like_time = rest.starts_with(|c| plain_digit(c).is_ascii_digit());
    (!looks_like_time).then_some((number, rest))
}

fn parse_weight(number: &str) -> Result<f32, PromptError> {
    let plain: String = number.chars().map(|c| if c == '．' { '.' } else { plain_digit(c) }).collect();
    match plain.parse::<f32>() {
        Ok(weight) if weight > 0.0 && weight <= 1000.0 => Ok(weight),
        _ => Err(PromptError::Weight(number.to_owned())),
    }
}

/// Takes `path:`, `after:` and `before:` words out of `text` and puts them into `filter`.
fn take_filters(text: &str, filter: &mut Filter) -> Result<String, PromptError> {
    let mut rest = String::with_capacity(text.len());
    let mut word_start = None;
    // One past the end, so that the last word ends like the others.
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (c.is_whitespace(), word_start) {
            (false, None) => word_start = Some(at),
            (true, Some(start)) => {
                let word = &text[start..at];
                if !filter.take_word(word)? {
                    rest.push_str(word);
                }
                word_start = None;
                if at < text.len() {
                    rest.push(c);
                }
            }
            (true, None) if at < text.len() => rest.push(c),
            _ => {}
        }
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn terms(text: &str) -> Vec<(f32, String)> {
        Prompt::parse(text)
            .unwrap()
            .terms
            .into_iter()
            .map(|term| match term.source {
                Source::Text(text) => (term.weight, text),
                Source::Image(path) => (term.weight, format!("@{}", path.display())),
            })
            .collect()
    }

    fn one(weight: f32, text: &str) -> (f32, String) {
        (weight, text.to_owned())
    }

    #[test]
    fn plain_sentences_stay_whole() {
        for text in [
            "两只老虎",
            "Wi-Fi路由器和MacBook Pro",
            "12:30的车站",
            "E=mc²与½杯牛奶",
            "北京·故宫——太和殿",
            "价格：￥199.00，打8.5折！",
            "a photo of a cat",
            "C++ 书",
            "拍摄于2023-05",
            "user@example.com",
            "：海边",
        ] {
            assert_eq!(terms(text), [one(1.0, text)], "{text}");
        }
        assert_eq!(terms("  海边的日落\n"), [one(1.0, "海边的日落")]);
    }

    #[test]
    fn sums_weights_and_pictures() {
        assert_eq!(terms("2:海边 + 日落 - 人"), [one(2.0, "海边"), one(1.0, "日落"), one(-1.0, "人")]);
        assert_eq!(terms("猫＋雪－人"), [one(1.0, "猫"), one(1.0, "雪"), one(-1.0, "人")]);
        assert_eq!(terms("０．５：海边 － ２：人"), [one(0.5, "海边"), one(-2.0, "人")]);
        assert_eq!(terms("@./cat.jpg + 雪"), [one(1.0, "@./cat.jpg"), one(1.0, "雪")]);
        assert_eq!(terms("- 截图"), [one(-1.0, "截图")]);
        assert_eq!(terms("0.3:@my cat.jpg"), [one(0.3, "@my cat.jpg")]);
    }

    #[test]
    fn filters_are_taken_out() {
        let prompt = Prompt::parse("海边 path:旅行/ after:2023-05 before：2024").unwrap();
        assert_eq!(prompt.terms, [Term::text("海边")]);
        assert!(!prompt.filter.is_empty());
        let only_filter = Prompt::parse("after:2023").unwrap();
        assert!(only_filter.terms.is_empty());
        assert!(matches!(Prompt::parse("海边 after:昨天"), Err(PromptError::Filter(_))));
    }

    #[test]
    fn slips_are_told_not_guessed() {
        assert_eq!(Prompt::parse(""), Err(PromptError::Empty));
        assert_eq!(Prompt::parse(" \t　"), Err(PromptError::Empty));
        assert_eq!(Prompt::literal(" "), Err(PromptError::Empty));
        for text in ["猫 +", "猫 + - 人", "猫＋", "2:", "+"] {
            assert!(matches!(Prompt::parse(text), Err(PromptError::Dangling { .. })), "{text}");
        }
        assert!(matches!(Prompt::parse("0:猫"), Err(PromptError::Weight(_))));
        assert!(matches!(Prompt::parse("1.2.3:猫"), Err(PromptError::Weight(_))));
        assert!(matches!(Prompt::parse("99999:猫"), Err(PromptError::Weight(_))));
        assert_eq!(Prompt::literal("猫 + 狗").unwrap().terms, [Term::text("猫 + 狗")]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            if let Ok(prompt) = Prompt::parse(&text) {
                prop_assert!(!prompt.terms.is_empty() || !prompt.filter.is_empty());
                for term in prompt.terms {
                    prop_assert!(term.weight.is_finite() && term.weight != 0.0);
                    if let Source::Text(text) = term.source {
                        prop_assert!(!text.trim().is_empty());
                    }
                }
            }
        }

        #[test]
        fn operators_only_move_signs(a in "[一-龥]{1,6}", b in "[一-龥]{1,6}", w in 1u32..100) {
            let got = terms(&format!("{w}:{a} - {b}"));
            prop_assert_eq!(got, vec![(w as f32, a), (-1.0, b)]);
        }
    }
}
