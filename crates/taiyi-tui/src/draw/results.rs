//! What was found: a line a picture, or a grid of thumbnails.

use ratatui::layout::Rect;
use ratatui::text::Span;

use super::canvas::{Canvas, Pictures};
use crate::layout::{Layout, View};
use crate::state::{Entry, State};
use crate::text;

/// The selected picture is told apart without colours, too.
const SELECTED_SIGN: &str = "▸";
const MARK_SIGN: &str = "✓";
/// Columns between the columns of the list.
const GAP: usize = 2;
/// A list as narrow as this does without the place; without the score, where it is narrower still.
const PLACE_FROM_COLUMNS: usize = 40;
const SCORE_FROM_COLUMNS: usize = 22;
/// A folder cut to less says nothing.
const FOLDER_COLUMNS: usize = 12;
/// With a name cut to less, the folder goes first.
const NAME_COLUMNS: usize = 16;
/// From this width on a tile has room for a score.
const TILE_SCORE_FROM_COLUMNS: u16 = 18;
/// From this height on a tile leaves a row of air below its caption.
const TILE_AIR_FROM_ROWS: u16 = 7;

pub(super) fn draw(canvas: &mut Canvas<'_>, pictures: &mut Pictures<'_>, state: &State, layout: &Layout) {
    if state.results.entries().is_empty() {
        return draw_nothing(canvas, state, layout.results);
    }
    let first = state.results.first_seen(layout);
    let seen = layout.rows.saturating_mul(layout.columns);
    let entries = state.results.entries().iter().enumerate().skip(first).take(seen);
    let places = entries.filter_map(|(place, entry)| Some((place, entry, layout.area_of(place - first)?)));
    match state.view {
        View::List => draw_list(canvas, state, &places.collect::<Vec<_>>()),
        View::Grid => {
            for (place, entry, area) in places {
                draw_tile(canvas, pictures, state, entry, place == state.results.selected(), area);
            }
        }
    }
}

fn draw_nothing(canvas: &mut Canvas<'_>, state: &State, area: Rect) {
    // Before the first answer there is nothing to be said, and a mistake is said elsewhere.
    if state.total.is_none() || state.mistake.is_some() {
        return;
    }
    let words = "no picture fits: widen path:, after: or before:";
    let lines = text::wrap(words, usize::from(area.width));
    canvas.centred_lines(area, &lines, canvas.theme.faint);
}

/// What a line of the list says, as wide as it wants to be.
struct Row<'a> {
    entry: &'a Entry,
    place: String,
    score: String,
    name: String,
    copies: String,
}

impl<'a> Row<'a> {
    fn new(place: usize, entry: &'a Entry) -> Self {
        Self {
            entry,
            place: text::thousands(place.saturating_add(1)),
            score: score(entry),
            name: text::file_name(&entry.picture.path),
            copies: copies(entry),
        }
    }
}

/// Widths of the columns of the list; 0 for one that is left out.
struct Columns {
    place: usize,
    score: usize,
    name: usize,
    folder: usize,
}

impl Columns {
    /// Shares out what there is, between the rows that are seen.
    fn new(rows: &[Row<'_>], results: usize, available: usize) -> Self {
        let widest = |of: &dyn Fn(&Row<'_>) -> usize| rows.iter().map(of).max().unwrap_or(0);
        let place = if available >= PLACE_FROM_COLUMNS { text::thousands(results).len() } else { 0 };
        let score =
            if available >= SCORE_FROM_COLUMNS { widest(&|row: &Row<'_>| row.score.len()) } else { 0 };
        let taken: usize = [place, score].into_iter().filter(|columns| *columns > 0).map(|c| c + GAP).sum();
        let left = available.saturating_sub(taken);
        let wanted = widest(&|row: &Row<'_>| text::width(&row.name) + row.copies.len());
        // The name goes before the folder, but a very long one leaves it a third.
        let name = wanted.min(left.saturating_sub((left / 3).max(FOLDER_COLUMNS) + GAP));
        let folder = left.saturating_sub(name + GAP);
        if name < wanted.min(NAME_COLUMNS) || folder < FOLDER_COLUMNS {
            return Self { place, score, name: left, folder: 0 };
        }
        Self { place, score, name, folder }
    }
}

fn draw_list(canvas: &mut Canvas<'_>, state: &State, places: &[(usize, &Entry, Rect)]) {
    let theme = canvas.theme;
    let rows: Vec<Row<'_>> = places.iter().map(|(place, entry, _)| Row::new(*place, entry)).collect();
    let available = places.first().map_or(0, |(.., area)| usize::from(area.width));
    let has_signs = available >= 6;
    let columns = Columns::new(
        &rows,
        state.results.entries().len(),
        available.saturating_sub(if has_signs { 3 } else { 0 }),
    );
    for (row, (place, entry, area)) in rows.iter().zip(places) {
        let is_selected = *place == state.results.selected();
        let mut spans = Vec::new();
        if has_signs {
            spans.extend(signs(canvas, is_selected, state.is_marked(entry)));
            spans.push(Span::raw(" "));
        }
        if columns.place > 0 {
            spans.push(Span::styled(text::pad_start(&row.place, columns.place), theme.faint));
            spans.push(Span::raw(" ".repeat(GAP)));
        }
        if columns.score > 0 {
            spans.push(Span::styled(text::pad_start(&row.score, columns.score), theme.score));
            spans.push(Span::raw(" ".repeat(GAP)));
        }
        let name = text::cut_middle(&row.name, columns.name.saturating_sub(row.copies.len()));
        let used = text::width(&name) + row.copies.len();
        spans.push(Span::raw(name));
        spans.push(Span::styled(row.copies.as_str(), theme.faint));
        if columns.folder > 0 {
            spans.push(Span::raw(" ".repeat(columns.name.saturating_sub(used) + GAP)));
            let folder = text::folder(&row.entry.picture.path);
            spans.push(Span::styled(text::cut_start(&folder, columns.folder).into_owned(), theme.faint));
        }
        canvas.line(*area, spans);
        if is_selected {
            canvas.style(*area, theme.selected);
        }
    }
}

fn draw_tile(
    canvas: &mut Canvas<'_>,
    pictures: &mut Pictures<'_>,
    state: &State,
    entry: &Entry,
    is_selected: bool,
    area: Rect,
) {
    let theme = canvas.theme;
    let air = u16::from(area.height >= TILE_AIR_FROM_ROWS);
    let picture_rows = area.height.saturating_sub(1 + air);
    // A column of air on each side; on the left one the selected tile has its sign.
    let side = u16::from(area.width >= 4);
    let picture = Rect { x: area.x + side, width: area.width - 2 * side, height: picture_rows, ..area };
    pictures.draw(canvas, &entry.picture, picture);
    if is_selected && side > 0 {
        let bar = Rect { width: 1, height: picture_rows, ..area };
        canvas.lines(bar, std::iter::repeat_n(Span::styled("▌", theme.accent), usize::from(picture_rows)));
    }

    let caption =
        Rect { y: area.y + picture_rows, width: area.width - side, height: area.height.min(1), ..area };
    let mut spans = Vec::new();
    if area.width >= 6 {
        spans.extend(signs(canvas, is_selected, state.is_marked(entry)));
    }
    if area.width >= TILE_SCORE_FROM_COLUMNS && entry.score.is_some() {
        spans.push(Span::styled(score(entry), theme.score));
        spans.push(Span::raw(" "));
    }
    let used: usize = spans.iter().map(|span| text::width(&span.content)).sum();
    let name = text::file_name(&entry.picture.path);
    let room = usize::from(caption.width).saturating_sub(used);
    spans.push(Span::raw(text::cut_middle(&name, room)));
    canvas.line(caption, spans);
    if is_selected {
        canvas.style(caption, theme.selected);
    }
}

/// Two columns: whether the picture is selected, whether it is marked.
fn signs(canvas: &Canvas<'_>, is_selected: bool, is_marked: bool) -> [Span<'static>; 2] {
    [
        Span::styled(if is_selected { SELECTED_SIGN } else { " " }, canvas.theme.accent),
        Span::styled(if is_marked { MARK_SIGN } else { " " }, canvas.theme.mark),
    ]
}

/// `0.312`; nothing where pictures are browsed.
fn score(entry: &Entry) -> String {
    entry.score.map(|score| format!("{:.3}", score.get())).unwrap_or_default()
}

/// ` +2`; nothing for a picture with one file.
fn copies(entry: &Entry) -> String {
    match entry.picture.copies.len() {
        0 => String::new(),
        copies => format!(" +{copies}"),
    }
}
