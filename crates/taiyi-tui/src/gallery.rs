//! Pictures ready to be drawn: asks for those in sight, keeps what comes, within a bound of memory.

use std::path::Path;

use ratatui::layout::Size;
use ratatui_image::protocol::Protocol;

/// What there is to draw in the place of a picture.
pub enum Look<'a> {
    /// The picture, at most as large as was asked for.
    Ready(&'a Protocol),
    /// It is being decoded.
    Waiting,
    /// Why it cannot be shown.
    Failed(&'a str),
}

/// The pictures.
pub struct Gallery {}

impl Gallery {
    /// A gallery that decodes nothing: every picture is waited for.
    #[must_use]
    pub fn still() -> Self {
        Self {}
    }

    /// A new frame is about to be drawn.
    pub fn begin_frame(&mut self) {}

    /// What to draw for a picture in so many cells. Notes that it is in sight.
    pub fn look(&mut self, path: &Path, cells: Size) -> Look<'_> {
        let _ = (path, cells);
        Look::Waiting
    }

    /// The frame is drawn: what is in sight and not there yet is decoded next, nothing else.
    pub fn end_frame(&mut self) {}

    /// Takes in what has been decoded meanwhile. Whether there is anything new to draw.
    pub fn pump(&mut self) -> bool {
        false
    }

    /// Forgets everything, so that all of it is made and drawn anew.
    pub fn forget(&mut self) {}
}
