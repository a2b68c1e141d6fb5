//! The screen to draw on: nothing that is drawn leaves it, whatever its size.

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Clear, Widget as _};
use ratatui_image::Image;
use taiyi_query::Picture;

use crate::gallery::{Gallery, Look};
use crate::text;
use crate::theme::Theme;
use crate::worker::preview::GONE;

/// The screen, and how its parts look.
pub(super) struct Canvas<'a> {
    buffer: &'a mut Buffer,
    /// The colours.
    pub(super) theme: &'a Theme,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(buffer: &'a mut Buffer, theme: &'a Theme) -> Self {
        Self { buffer, theme }
    }

    /// The whole screen.
    pub(super) fn area(&self) -> Rect {
        self.buffer.area
    }

    /// One line of text in the first row of an area.
    pub(super) fn line<'t>(&mut self, area: Rect, line: impl Into<Line<'t>>) {
        let area = area.intersection(self.buffer.area);
        if area.height > 0 {
            self.buffer.set_line(area.x, area.y, &line.into(), area.width);
        }
    }

    /// Lines from the first row of an area on; those that do not fit are left out.
    pub(super) fn lines<'t, L: Into<Line<'t>>>(&mut self, area: Rect, lines: impl IntoIterator<Item = L>) {
        for (row, line) in area.rows().zip(lines) {
            self.line(row, line);
        }
    }

    /// Lines in the middle of an area.
    pub(super) fn centred_lines(&mut self, area: Rect, lines: &[String], style: Style) {
        let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        for (row, line) in centred(area, Size::new(area.width, rows)).rows().zip(lines) {
            let columns = u16::try_from(text::width(line)).unwrap_or(u16::MAX);
            let place = centred(row, Size::new(columns, 1));
            self.line(place, Line::styled(line.as_str(), style));
        }
    }

    /// Changes how an area looks.
    pub(super) fn style(&mut self, area: Rect, style: Style) {
        self.buffer.set_style(area, style);
    }

    /// Erases an area.
    pub(super) fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.buffer.area);
        Clear.render(area, self.buffer);
        self.buffer.set_style(area, self.theme.text);
    }

    /// Anything that ratatui can draw.
    pub(super) fn widget(&mut self, area: Rect, widget: impl ratatui::widgets::Widget) {
        widget.render(area.intersection(self.buffer.area), self.buffer);
    }
}

/// Why there is no picture of an imported one whose file is not there.
const NEVER_HERE: &str = "imported: the picture is not on this machine";

/// The pictures, and the parts of the screen where none may be drawn.
pub(super) struct Pictures<'a> {
    gallery: &'a mut Gallery,
    covered: Vec<Rect>,
}

impl<'a> Pictures<'a> {
    pub(super) fn new(gallery: &'a mut Gallery, covered: Vec<Rect>) -> Self {
        Self { gallery, covered }
    }

    /// A picture in the middle of an area, or what there is to say in its place.
    pub(super) fn draw(&mut self, canvas: &mut Canvas<'_>, picture: &Picture, area: Rect) {
        // Before the interface has heard of a new size, the area may lie off the screen.
        let is_on_screen = area.intersection(canvas.area()) == area;
        if area.is_empty() || !is_on_screen || self.covered.iter().any(|covered| covered.intersects(area)) {
            return;
        }
        match self.gallery.look(&picture.path, picture.content, area.as_size()) {
            Look::Ready(picture) => {
                let place = centred(area, picture.size());
                canvas.widget(place, Image::new(picture));
            }
            Look::Waiting => canvas.centred_lines(area, &["…".to_owned()], canvas.theme.faint),
            Look::Failed(why) => {
                // Nobody ever said that it is here.
                let why = if why == GONE && picture.is_imported() { NEVER_HERE } else { why };
                let why = text::wrap(&text::show_lines(why), usize::from(area.width));
                canvas.centred_lines(area, &why, canvas.theme.failure);
            }
        }
    }
}

/// A place of this size, or less, in the middle of an area.
pub(super) fn centred(area: Rect, size: Size) -> Rect {
    let (width, height) = (size.width.min(area.width), size.height.min(area.height));
    Rect::new(area.x + (area.width - width) / 2, area.y + (area.height - height) / 2, width, height)
}

/// An area without its outermost columns and rows, so many on each side.
pub(super) fn within(area: Rect, columns: u16, rows: u16) -> Rect {
    let width = area.width.saturating_sub(columns.saturating_mul(2));
    let height = area.height.saturating_sub(rows.saturating_mul(2));
    centred(area, Size::new(width, height))
}
