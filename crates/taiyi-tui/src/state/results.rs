//! The results with a selection that stays in sight.

use std::sync::Arc;

use taiyi_core::Score;
use taiyi_query::Picture;

use crate::layout::Layout;

/// A picture among the results.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// How well it fits; `None` where pictures are browsed.
    pub(crate) score: Option<Score>,
    /// The picture.
    pub(crate) picture: Picture,
}

/// How to move the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Motion {
    /// So many pictures on, or back.
    Pictures(isize),
    /// So many rows on, or back.
    Rows(isize),
    /// So many screens on, or back.
    Screens(isize),
    /// To the first.
    First,
    /// To the last.
    Last,
}

/// The results of one question.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    entries: Arc<[Entry]>,
    /// Whether more pictures would fit than are here.
    pub(crate) is_cut: bool,
    selected: usize,
    /// The row of results at the upper edge.
    top: usize,
}

impl Default for Results {
    fn default() -> Self {
        Self { entries: Arc::new([]), is_cut: false, selected: 0, top: 0 }
    }
}

impl Results {
    /// All of them, best first.
    #[must_use]
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The place of the selected one, from 0.
    #[must_use]
    pub(crate) fn selected(&self) -> usize {
        self.selected
    }

    /// The selected one.
    #[must_use]
    pub(crate) fn selection(&self) -> Option<&Entry> {
        self.entries.get(self.selected)
    }

    /// Place of the first one in sight.
    #[must_use]
    pub(crate) fn first_seen(&self, layout: &Layout) -> usize {
        self.top * layout.columns
    }

    /// Takes new results. `keeps_selection`: of the same question as before, so the selected picture stays
    /// selected if it is still there.
    pub(crate) fn replace(
        &mut self,
        entries: Arc<[Entry]>,
        is_cut: bool,
        keeps_selection: bool,
        layout: &Layout,
    ) {
        let before = self.selection().filter(|_| keeps_selection).map(|entry| entry.picture.content);
        let kept = before.and_then(|content| entries.iter().position(|e| e.picture.content == content));
        self.entries = entries;
        self.is_cut = is_cut;
        self.select(kept.unwrap_or(0), layout);
    }

    /// Selects by place; past the end is the last one.
    pub(crate) fn select(&mut self, place: usize, layout: &Layout) {
        self.selected = place.min(self.entries.len().saturating_sub(1));
        self.keep_in_sight(layout);
    }

    /// Moves the selection.
    pub(crate) fn step(&mut self, motion: Motion, layout: &Layout) {
        let columns = isize::try_from(layout.columns).unwrap_or(1);
        let screen = isize::try_from(layout.rows).unwrap_or(1).max(1).saturating_mul(columns);
        let by = match motion {
            Motion::Pictures(n) => n,
            Motion::Rows(n) => n.saturating_mul(columns),
            Motion::Screens(n) => n.saturating_mul(screen),
            Motion::First => return self.select(0, layout),
            Motion::Last => return self.select(usize::MAX, layout),
        };
        let target = self.selected.checked_add_signed(by);
        match (motion, target) {
            // There is no row above the first: the selection stays in its column.
            (Motion::Rows(_), None) => self.select(self.selected % layout.columns, layout),
            (Motion::Rows(_), Some(place)) if place >= self.entries.len() => {
                // Nor below the last, which may be short.
                let last_row = self.entries.len().saturating_sub(1) / layout.columns;
                if self.selected / layout.columns < last_row {
                    self.select(last_row * layout.columns + self.selected % layout.columns, layout);
                }
            }
            (_, target) => self.select(target.unwrap_or(0), layout),
        }
    }

    /// Scrolls as little as needed. To be called when the layout has changed, too.
    pub(crate) fn keep_in_sight(&mut self, layout: &Layout) {
        let row = self.selected / layout.columns;
        let rows = self.entries.len().div_ceil(layout.columns);
        self.top = self.top.clamp((row + 1).saturating_sub(layout.rows), row);
        self.top = self.top.min(rows.saturating_sub(layout.rows));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratatui::layout::Size;

    use super::*;
    use crate::layout::View;
    use crate::state::samples::entries;

    fn grid() -> Layout {
        Layout::new(Size::new(80, 24), View::Grid, false)
    }

    fn results(n: usize) -> Results {
        let mut results = Results::default();
        results.replace(entries(n), false, false, &grid());
        results
    }

    #[test]
    fn rows_keep_their_column_and_the_last_row_may_be_short() {
        let layout = grid();
        assert_eq!(layout.columns, 3);
        let mut results = results(8);
        let mut after = |motion| {
            results.step(motion, &layout);
            results.selected()
        };
        assert_eq!(after(Motion::Rows(-1)), 0);
        assert_eq!(after(Motion::Pictures(2)), 2);
        assert_eq!(after(Motion::Rows(1)), 5);
        assert_eq!(after(Motion::Rows(1)), 7, "the place below is empty");
        assert_eq!(after(Motion::Rows(1)), 7);
        assert_eq!(after(Motion::First), 0);
        assert_eq!(after(Motion::Screens(1)), 6);
        assert_eq!(after(Motion::Screens(1)), 7);
        assert_eq!(after(Motion::Screens(-9)), 0);
        assert_eq!(after(Motion::Last), 7);
    }

    #[test]
    fn the_same_question_keeps_the_selected_picture() {
        let layout = grid();
        let mut results = results(8);
        results.select(5, &layout);
        let content = results.selection().unwrap().picture.content;
        let mut newer = entries(8).to_vec();
        newer.rotate_right(1);
        results.replace(newer.clone().into(), false, true, &layout);
        assert_eq!((results.selected(), results.selection().unwrap().picture.content), (6, content));
        results.replace(newer.into(), false, false, &layout);
        assert_eq!(results.selected(), 0);
    }

    proptest! {
        #[test]
        fn the_selection_is_always_in_sight(
            n in 0usize..60,
            steps in proptest::collection::vec((0u8..5, -3isize..4, 1u16..200, 4u16..60, any::<bool>()), 0..40),
        ) {
            let mut results = results(n);
            for (kind, by, width, height, is_grid) in steps {
                let view = if is_grid { View::Grid } else { View::List };
                let layout = Layout::new(Size::new(width, height), view, false);
                results.keep_in_sight(&layout);
                results.step(match kind {
                    0 => Motion::Pictures(by),
                    1 => Motion::Rows(by),
                    2 => Motion::Screens(by),
                    3 => Motion::First,
                    _ => Motion::Last,
                }, &layout);
                prop_assert!(results.selected() < n.max(1));
                let first = results.first_seen(&layout);
                prop_assert!((first..first + layout.rows * layout.columns).contains(&results.selected()));
            }
        }
    }
}
