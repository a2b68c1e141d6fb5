//! The selected picture, large, with what is known of it.

use jiff::tz::TimeZone;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use taiyi_core::{GpsPosition, Orientation, PhotoMetadata};
use taiyi_query::{Picture, RowTime};

use super::canvas::{Canvas, Pictures};
use crate::layout::Layout;
use crate::state::{Entry, State};
use crate::text;

/// Columns of the names of the details.
const LABEL_COLUMNS: usize = 9;
/// Below this width the names of the details go, and the values stay.
const LABELS_FROM_COLUMNS: usize = 30;
/// Columns between two facts.
const GAP: &str = "  ";

pub(super) fn draw(
    canvas: &mut Canvas<'_>,
    pictures: &mut Pictures<'_>,
    state: &State,
    layout: &Layout,
    zone: &TimeZone,
) {
    let Some(entry) = state.results.selection() else { return };
    pictures.draw(canvas, &entry.picture, layout.preview);
    if state.has_details {
        draw_details(canvas, state, entry, layout.caption, zone);
    } else {
        draw_caption(canvas, state, entry, layout.caption, zone);
    }
}

/// Name, a line of facts, folder.
fn draw_caption(canvas: &mut Canvas<'_>, state: &State, entry: &Entry, area: Rect, zone: &TimeZone) {
    let theme = canvas.theme;
    let columns = usize::from(area.width);
    let picture = &entry.picture;
    let day = picture.time.and_then(|time| text::day(time, zone));
    let score = entry.score.map(|score| format!("score {:.3}", score.get()));
    let facts = [pixels(&picture.metadata), day, score, Some(place(state))];
    let mut facts: Vec<String> = facts.into_iter().flatten().collect();
    // A fact is shown whole or not at all; the last ones can be seen elsewhere.
    while facts.len() > 1 && text::width(&facts.join(GAP)) > columns {
        facts.pop();
    }
    let name = text::file_name(&picture.path);
    let folder = text::folder(&picture.path);
    canvas.lines(
        area,
        [
            Span::styled(text::cut_middle(&name, columns), theme.accent),
            Span::raw(text::cut_end(&facts.join(GAP), columns).into_owned()),
            Span::styled(text::cut_start(&folder, columns), theme.faint),
        ],
    );
}

/// All that is known, a line each.
fn draw_details(canvas: &mut Canvas<'_>, state: &State, entry: &Entry, area: Rect, zone: &TimeZone) {
    let theme = canvas.theme;
    let columns = usize::from(area.width);
    let picture = &entry.picture;
    let label_columns = if columns >= LABELS_FROM_COLUMNS { LABEL_COLUMNS } else { 0 };
    let room = columns.saturating_sub(label_columns);

    let mut lines = vec![Line::styled(
        text::cut_middle(&text::file_name(&picture.path), columns).into_owned(),
        theme.accent,
    )];
    for (label, value) in facts(state, entry, zone) {
        let label = text::head(&text::pad_end(label, LABEL_COLUMNS), label_columns).to_owned();
        // Of a path the end says most, of anything else the start.
        let is_path = matches!(label.trim_end(), "folder" | "copy");
        let value = if is_path { text::cut_start(&value, room) } else { text::cut_end(&value, room) };
        lines.push(Line::from(vec![Span::styled(label, theme.faint), Span::raw(value.into_owned())]));
    }
    let rows = usize::from(area.height);
    if lines.len() > rows {
        // The row that says so takes the place of one more.
        let left_out = lines.len() - rows + 1;
        lines.truncate(rows.saturating_sub(1));
        lines.push(Line::styled(text::head(&format!("… {left_out} more"), columns).to_owned(), theme.faint));
    }
    canvas.lines(area, lines);
}

fn facts(state: &State, entry: &Entry, zone: &TimeZone) -> Vec<(&'static str, String)> {
    let Picture { path, copies, metadata, time, .. } = &entry.picture;
    let mut facts = vec![("folder", text::folder(path))];
    if let Some(pixels) = pixels(metadata) {
        let megapixels = f64::from(metadata.width) * f64::from(metadata.height) / 1e6;
        let format = metadata.format.map(|format| format!(", {format}")).unwrap_or_default();
        facts.push(("size", format!("{pixels}, {megapixels:.1} megapixels{format}")));
    }
    if let Some(time) = time
        && let Some(moment) = text::date_time(*time, zone)
    {
        facts.push(match time {
            RowTime::Taken(_) => ("taken", format!("{moment}{}", offset(metadata.taken_offset_min))),
            RowTime::Modified(_) => ("modified", moment),
        });
    }
    facts.extend(metadata.camera.iter().map(|camera| ("camera", text::show(camera))));
    facts.extend(metadata.gps.iter().map(|gps| ("where", position(gps))));
    if metadata.orientation != Orientation::Upright {
        facts.push(("turned", turned(metadata.orientation).to_owned()));
    }
    facts.extend(entry.score.map(|score| ("score", format!("{:.3}, {}", score.get(), place(state)))));
    facts.extend(copies.iter().map(|copy| ("copy", text::show_path(copy))));
    facts
}

/// `4000×3000`, where it is known.
fn pixels(metadata: &PhotoMetadata) -> Option<String> {
    metadata.size().map(|(width, height)| format!("{width}×{height}"))
}

/// `3 of 500+`.
fn place(state: &State) -> String {
    let more = if state.results.is_cut { "+" } else { "" };
    let place = text::thousands(state.results.selected().saturating_add(1));
    format!("{place} of {}{more}", text::thousands(state.results.entries().len()))
}

/// ` +08:00`, the camera's distance from UTC, where it is known.
fn offset(minutes: Option<i16>) -> String {
    let Some(minutes) = minutes else { return String::new() };
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.unsigned_abs();
    format!(" {sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// `39.90420° N, 116.40740° E, 44 m`.
fn position(gps: &GpsPosition) -> String {
    let side = |degrees: f64, positive, negative| if degrees < 0.0 { negative } else { positive };
    let north = side(gps.latitude, "N", "S");
    let east = side(gps.longitude, "E", "W");
    let altitude = gps.altitude.map(|metres| format!(", {metres:.0} m")).unwrap_or_default();
    format!("{:.5}° {north}, {:.5}° {east}{altitude}", gps.latitude.abs(), gps.longitude.abs())
}

/// How the stored pixels were turned to stand upright.
fn turned(orientation: Orientation) -> &'static str {
    match orientation {
        Orientation::Upright => "not at all",
        Orientation::FlipHorizontal => "mirrored left to right",
        Orientation::Rotate180 => "by 180°",
        Orientation::FlipVertical => "mirrored top to bottom",
        Orientation::Transpose => "mirrored along the main diagonal",
        Orientation::Rotate90 => "clockwise by 90°",
        Orientation::Transverse => "mirrored along the other diagonal",
        Orientation::Rotate270 => "clockwise by 270°",
    }
}
