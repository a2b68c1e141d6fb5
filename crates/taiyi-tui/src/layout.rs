//! Where everything is on the screen. What does not fit is dropped in this order: the preview, the
//! footer, the notice.

use ratatui::layout::{Position, Rect, Size};

/// From this width on the preview stands beside the results.
const BESIDE_COLUMNS: u16 = 64;
/// From this height on the preview stands below the results, where there is no room beside them.
const BELOW_ROWS: u16 = 18;
/// The grid gives room to a preview only on screens as wide as this.
const GRID_BESIDE_COLUMNS: u16 = 110;
/// A tile of the grid is about as wide as this, its last row being the caption.
const TILE_COLUMNS: u16 = 22;
const TILE_ROWS: u16 = 10;
/// Rows below the preview: name, facts.
const CAPTION_ROWS: u16 = 3;
const DETAIL_ROWS: u16 = 11;

/// How the results are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum View {
    /// A line a picture.
    #[default]
    List,
    /// Thumbnails.
    Grid,
}

/// The parts of the screen. A part without room has a height of 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The prompt line.
    pub(crate) prompt: Rect,
    /// What is wrong, what was done; else a rule.
    pub(crate) notice: Rect,
    /// List or grid.
    pub(crate) results: Rect,
    /// The selected picture, large.
    pub(crate) preview: Rect,
    /// Its name and facts.
    pub(crate) caption: Rect,
    /// The keys that apply now.
    pub(crate) footer: Rect,
    /// Pictures in a row of results.
    pub(crate) columns: usize,
    /// Rows of results that can be seen; at least 1.
    pub(crate) rows: usize,
    /// Size of one picture among the results: a line, or a tile.
    pub(crate) tile: Size,
}

impl Layout {
    /// Divides a screen.
    #[must_use]
    pub(crate) fn new(screen: Size, view: View, has_details: bool) -> Self {
        let Size { width, height } = screen;
        let line = |y: u16, shown: bool| Rect::new(0, y.min(height), width, u16::from(shown && y < height));
        let has_notice = height >= 4;
        let has_footer = height >= 6;
        let top = 1 + u16::from(has_notice);
        let body_rows = height.saturating_sub(top + u16::from(has_footer));
        let body = Rect::new(0, top.min(height), width, body_rows);
        let is_beside = width >= if view == View::Grid { GRID_BESIDE_COLUMNS } else { BESIDE_COLUMNS };
        let (mut results, side) = if is_beside && body_rows >= 6 {
            // A column of air between the two.
            let list = if view == View::Grid { width - width / 3 } else { width * 2 / 5 };
            (Rect { width: list - 1, ..body }, Rect { x: list, width: width - list, ..body })
        } else if view == View::List && height >= BELOW_ROWS {
            let list = body_rows / 3;
            (Rect { height: list, ..body }, Rect { y: body.y + list, height: body_rows - list, ..body })
        } else if has_details && body_rows >= 2 {
            // No room for a picture, but the facts were asked for.
            let facts = DETAIL_ROWS.min(body_rows / 2);
            let list = body_rows - facts;
            (Rect { height: list, ..body }, Rect { y: body.y + list, height: facts, ..body })
        } else {
            (body, Rect { height: 0, ..body })
        };
        let wanted = if has_details { DETAIL_ROWS } else { CAPTION_ROWS };
        // The picture keeps at least half, unless there is no room for one at all.
        let caption_rows =
            if side.height < 6 { side.height } else { wanted.min(side.height / 2).max(CAPTION_ROWS) };
        let picture_rows = side.height - caption_rows;
        let preview = Rect { height: picture_rows, ..side };
        let caption = Rect { y: side.y + picture_rows, height: caption_rows, ..side };
        let (columns, tile) = match view {
            View::List => (1, Size::new(results.width, 1)),
            View::Grid => {
                let columns = (results.width / TILE_COLUMNS).max(1);
                let rows = (results.height / TILE_ROWS).max(1);
                // Nothing is left over at the right and at the bottom but less than a tile's share.
                let tile = Size::new(results.width / columns, (results.height / rows).max(1));
                results.width = tile.width * columns;
                (usize::from(columns), tile)
            }
        };
        let rows = usize::from(results.height / tile.height.max(1)).max(1);
        Self {
            prompt: line(0, true),
            notice: line(1, has_notice),
            results,
            preview,
            caption,
            footer: line(height.saturating_sub(1), has_footer),
            columns,
            rows,
            tile,
        }
    }

    /// Which of the results seen is drawn at a cell, counted from the first one seen.
    #[must_use]
    pub(crate) fn place_at(&self, cell: Position) -> Option<usize> {
        if !self.results.contains(cell) || self.tile.width == 0 || self.tile.height == 0 {
            return None;
        }
        let column = usize::from((cell.x - self.results.x) / self.tile.width);
        let row = usize::from((cell.y - self.results.y) / self.tile.height);
        (column < self.columns && row < self.rows).then_some(row * self.columns + column)
    }

    /// Where a result is drawn, counted from the first one seen; `None` below the lower edge.
    #[must_use]
    pub(crate) fn area_of(&self, place: usize) -> Option<Rect> {
        let (row, column) = (place / self.columns, place % self.columns);
        let x = self.results.x + u16::try_from(column).ok()? * self.tile.width;
        let y = u16::try_from(row).ok()?.checked_mul(self.tile.height)?.checked_add(self.results.y)?;
        let area = Rect::new(x, y, self.tile.width, self.tile.height);
        (row < self.rows && area.bottom() <= self.results.bottom()).then_some(area)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(layout: &Layout) -> [Rect; 6] {
        [layout.prompt, layout.notice, layout.results, layout.preview, layout.caption, layout.footer]
    }

    #[test]
    fn parts_are_dropped_as_the_screen_narrows() {
        let at = |width, height| Layout::new(Size::new(width, height), View::List, false);
        let wide = at(120, 40);
        assert!(wide.preview.x > wide.results.right() && wide.preview.height > 20);
        let narrow = at(50, 30);
        assert!(narrow.preview.y >= narrow.results.bottom() && narrow.preview.height >= 10);
        let small = at(40, 10);
        assert_eq!((small.preview.height, small.footer.height, small.notice.height), (0, 1, 1));
        assert_eq!(small.results.height, 7);
        assert_eq!(at(40, 5).footer.height, 0);
        assert_eq!(at(40, 3).notice.height, 0);
        let grid = Layout::new(Size::new(80, 24), View::Grid, false);
        assert_eq!((grid.columns, grid.rows, grid.preview.height), (3, 2, 0));
    }

    proptest! {
        #[test]
        fn parts_are_on_the_screen_and_apart(width in 0u16..300, height in 0u16..120, grid: bool, details: bool) {
            let view = if grid { View::Grid } else { View::List };
            let layout = Layout::new(Size::new(width, height), view, details);
            let screen = Rect::new(0, 0, width, height);
            for (index, a) in parts(&layout).iter().enumerate() {
                prop_assert_eq!(a.intersection(screen).area(), a.area(), "{:?}", layout);
                for b in &parts(&layout)[index + 1..] {
                    prop_assert_eq!(a.intersection(*b).area(), 0, "{:?}", layout);
                }
            }
            prop_assert!(layout.columns >= 1 && layout.rows >= 1);
        }

        #[test]
        fn a_click_hits_what_is_drawn_there(width in 1u16..300, height in 3u16..120, grid: bool, place in 0usize..50) {
            let view = if grid { View::Grid } else { View::List };
            let layout = Layout::new(Size::new(width, height), view, false);
            if let Some(area) = layout.area_of(place) && area.area() > 0 {
                prop_assert_eq!(layout.place_at(area.as_position()), Some(place));
                prop_assert_eq!(layout.place_at(Position::new(area.right() - 1, area.bottom() - 1)), Some(place));
            }
        }
    }
}
