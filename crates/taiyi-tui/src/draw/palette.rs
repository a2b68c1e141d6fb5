//! 24-bit colours as the nearest of the 256 that older terminals know: others they take for nonsense, or for
//! blinking.

use ratatui::buffer::Buffer;
use ratatui::style::Color;

/// Levels of the 6×6×6 cube that begins at index 16.
const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
const CUBE: u8 = 16;
/// The 24 greys that begin here are 8, 18, 28 … 238.
const GREYS: u8 = 232;

/// Replaces every 24-bit colour on the screen.
pub(super) fn reduce(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        cell.fg = reduced(cell.fg);
        cell.bg = reduced(cell.bg);
    }
}

fn reduced(color: Color) -> Color {
    match color {
        Color::Rgb(r, g, b) => Color::Indexed(nearest([r, g, b])),
        other => other,
    }
}

/// The index of the nearest colour; the first 16 are left out, for every theme paints them differently.
fn nearest(color: [u8; 3]) -> u8 {
    let places = color.map(|value| {
        let place = LEVELS.partition_point(|level| *level < value);
        // The lower of two that are as near.
        match (place.checked_sub(1).and_then(|below| LEVELS.get(below)), LEVELS.get(place)) {
            (Some(below), Some(above)) if value - below <= above - value => place - 1,
            (Some(_), None) => place - 1,
            _ => place,
        }
    });
    let in_cube = places.map(|place| LEVELS[place]);
    let mean = color.iter().map(|value| u32::from(*value)).sum::<u32>() / 3;
    let step = (mean.saturating_sub(3) / 10).min(23) as u8;
    let grey = [8 + 10 * step; 3];
    if distance(color, grey) < distance(color, in_cube) {
        return GREYS + step;
    }
    let [r, g, b] = places.map(|place| place as u8);
    CUBE + 36 * r + 6 * g + b
}

fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn color_of(index: u8) -> [u8; 3] {
        if index >= GREYS {
            return [8 + 10 * (index - GREYS); 3];
        }
        let place = index - CUBE;
        [place / 36, place / 6 % 6, place % 6].map(|level| LEVELS[usize::from(level)])
    }

    #[test]
    fn what_the_palette_has_stays_and_the_rest_of_a_cell_too() {
        for index in CUBE..=255 {
            assert_eq!(color_of(nearest(color_of(index))), color_of(index), "{index}");
        }
        let mut buffer = Buffer::with_lines(["▀虎"]);
        buffer[(0, 0)].set_fg(Color::Rgb(255, 0, 0)).set_bg(Color::Reset);
        buffer[(1, 0)].set_fg(Color::Cyan).set_bg(Color::Rgb(8, 8, 8));
        reduce(&mut buffer);
        assert_eq!((buffer[(0, 0)].fg, buffer[(0, 0)].bg), (Color::Indexed(196), Color::Reset));
        assert_eq!((buffer[(1, 0)].fg, buffer[(1, 0)].bg), (Color::Cyan, Color::Indexed(232)));
        assert_eq!(buffer[(1, 0)].symbol(), "虎");
    }

    proptest! {
        #[test]
        fn no_other_is_nearer(r: u8, g: u8, b: u8) {
            let color = [r, g, b];
            let least = (CUBE..=255).map(|index| distance(color, color_of(index))).min();
            prop_assert_eq!(Some(distance(color, color_of(nearest(color)))), least);
        }
    }
}
