//! What is shown when nothing can be searched: what is the matter, and what to type next.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::canvas::{Canvas, within};
use crate::text;
use crate::worker::Trouble;

/// Of what is to be typed.
const INDENT: usize = 4;

/// A part of the screen's text.
enum Part {
    /// What is the matter.
    Head(String),
    /// A sentence.
    Words(String),
    /// What to type.
    Type(&'static str),
}

pub(super) fn draw(canvas: &mut Canvas<'_>, trouble: &Trouble, area: Rect) {
    let theme = canvas.theme;
    // Air around it, where there is some to spare.
    let margin = if area.width >= 60 { 4 } else { u16::from(area.width >= 20) };
    let area = within(area, margin, u16::from(area.height >= 12));
    let columns = usize::from(area.width);
    let mut blocks: Vec<Vec<Line<'_>>> = parts(trouble)
        .into_iter()
        .map(|part| {
            let (words, indent, style, has_air) = match part {
                Part::Head(words) => (words, 0, theme.failure, true),
                Part::Words(words) => (words, 0, Style::default(), false),
                Part::Type(command) => (command.to_owned(), INDENT, theme.accent, true),
            };
            let indent = if columns >= 40 { indent } else { 0 };
            let wrapped = text::wrap(&words, columns.saturating_sub(indent)).into_iter();
            let lines = wrapped.map(|line| Line::styled(format!("{}{line}", " ".repeat(indent)), style));
            lines.chain(has_air.then(Line::default)).collect()
        })
        .collect();
    let rows = usize::from(area.height);
    // On a small screen words matter more than the air between them, and the first ones most.
    if blocks.iter().map(Vec::len).sum::<usize>() > rows {
        for block in &mut blocks {
            block.retain(|line| line.width() > 0);
        }
        while blocks.len() > 1 && blocks.iter().map(Vec::len).sum::<usize>() > rows {
            blocks.pop();
        }
    }
    canvas.lines(area, blocks.into_iter().flatten());
}

fn parts(trouble: &Trouble) -> Vec<Part> {
    let words = |text: &str| Part::Words(text.to_owned());
    match trouble {
        Trouble::NoIndex(folder) => vec![
            Part::Head("there is no index yet".to_owned()),
            words("make one of your pictures:"),
            Part::Type("taiyi-search index ./photos"),
            words("or see at once what it is like, with drawn pictures and a small model:"),
            Part::Type("taiyi-search demo"),
            words("pictures appear here as soon as there are some"),
            Part::Words(format!("looked for in {}", text::show_path(folder))),
        ],
        Trouble::NotPublished(folder) => vec![
            Part::Head("the index has no pictures to show yet".to_owned()),
            words(
                "its first run is at work, and they will appear here by themselves; or it was stopped, then go on with",
            ),
            Part::Type("taiyi-search index"),
            Part::Words(format!("the index is {}", text::show_path(folder))),
        ],
        Trouble::Empty(folder) => vec![
            Part::Head("there is no picture in the index".to_owned()),
            words("add a folder of pictures:"),
            Part::Type("taiyi-search index ./photos"),
            words("see what became of the folders that were indexed:"),
            Part::Type("taiyi-search status"),
            Part::Words(format!("the index is {}", text::show_path(folder))),
        ],
        Trouble::Index(why) => vec![
            Part::Head("the index cannot be read".to_owned()),
            Part::Words(format!("{}\n\nwhat is wrong with it in full:", text::show_lines(why))),
            Part::Type("taiyi-search verify"),
        ],
        Trouble::Model(why) => {
            vec![Part::Head("the model cannot be used".to_owned()), Part::Words(text::show_lines(why))]
        }
    }
}
