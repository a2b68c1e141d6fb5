//! Columns that line up, whatever the script.

use crate::output::text::{pad_left, pad_right, width};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Lines of aligned columns, two blanks apart; nothing is cut, and the last column is not padded.
pub(crate) fn align(columns: &[Align], rows: &[Vec<String>]) -> Vec<String> {
    let mut widths = vec![0; columns.len()];
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row
            .iter()
            .zip(columns)
            .zip(&widths)
            .map(|((cell, align), &columns)| match align {
                Align::Left => pad_right(cell, columns),
                Align::Right => pad_left(cell, columns),
            })
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_lines_up() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let lines = align(
            &[Align::Right, Align::Left, Align::Left],
            &[row(["1", "老虎", "a"]), row(["10", "cat", "b"]), row(["", "", ""])],
        );
        assert_eq!(lines, [" 1  老虎  a", "10  cat   b", ""]);
    }
}
