//! What the terminal can show: real pixels where it says so, half-blocks everywhere else.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use image::imageops::{self, FilterType};
use image::{DynamicImage, Rgba, RgbaImage};
use ratatui::layout::Size;
use ratatui_image::FontSize;
use ratatui_image::picker::cap_parser::QueryStdioOptions;
use ratatui_image::picker::{Picker, ProtocolType};
use ratatui_image::protocol::Protocol;
use ratatui_image::protocol::halfblocks::{HalfBlock, Halfblocks};
use ratatui_image::protocol::iterm2::Iterm2;
use ratatui_image::protocol::kitty::Kitty;
use ratatui_image::protocol::sixel::Sixel;
use taiyi_core::RgbImage;

/// A cell of an unknown font: twice as high as wide, as most are.
const USUAL_CELL: FontSize = FontSize::new(10, 20);

/// No picture takes more columns or rows than this: the last place that Kitty's placeholders can name.
const MAX_CELLS: u16 = 297;

/// No picture takes more pixels a side than this, whatever a terminal says of its font.
const MAX_SIDE_PIXELS: u32 = 4096;

/// A picture smaller than its place grows up to so many times: an icon stays an icon.
const MAX_ENLARGEMENT: f64 = 4.0;

/// How long a terminal may take to answer. Every one answers the last of the questions, so this is
/// waited for only where none is listening; a later answer would be taken for typing.
const PATIENCE_HERE: Duration = Duration::from_millis(300);
const PATIENCE_AFAR: Duration = Duration::from_millis(1500);

/// How pictures are to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Images {
    /// As well as the terminal can.
    #[default]
    Auto,
    /// By the protocol of Kitty and Ghostty.
    Kitty,
    /// By the protocol of iTerm2 and WezTerm.
    Iterm2,
    /// By sixels.
    Sixel,
    /// Two pixels a cell, as coloured characters.
    Halfblocks,
    /// Not at all.
    Off,
}

impl Images {
    /// Every choice with its name in the config file.
    pub const NAMES: &'static [(Images, &'static str)] = &[
        (Images::Auto, "auto"),
        (Images::Kitty, "kitty"),
        (Images::Iterm2, "iterm2"),
        (Images::Sixel, "sixel"),
        (Images::Halfblocks, "halfblocks"),
        (Images::Off, "off"),
    ];

    /// The choice of this name in the config file.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(images, _)| *images)
    }
}

/// What stands between the interface and the eye.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Inside tmux.
    pub is_tmux: bool,
    /// On another machine than the terminal.
    pub is_remote: bool,
}

/// How pictures are put on this terminal.
#[derive(Clone)]
pub(crate) struct Graphics {
    protocol: ProtocolType,
    cell: FontSize,
    is_tmux: bool,
}

impl fmt::Debug for Graphics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graphics({:?}, {}×{} a cell)", self.protocol, self.cell.width, self.cell.height)
    }
}

/// A picture as the terminal takes it.
pub(crate) struct Rendered {
    pub(crate) protocol: Protocol,
    /// About what it takes in memory.
    pub(crate) bytes: usize,
}

impl Graphics {
    /// Half-blocks, which every terminal shows.
    #[must_use]
    pub(crate) fn halfblocks() -> Self {
        Self { protocol: ProtocolType::Halfblocks, cell: USUAL_CELL, is_tmux: false }
    }

    /// Asks the terminal, unless the answer is known. To be called once the terminal is in raw mode, with
    /// it as standard input and output, and before anything reads keys. `None`: no pictures are wanted.
    #[must_use]
    pub(crate) fn ask(images: Images, surroundings: Surroundings) -> Option<Self> {
        let wanted = match images {
            Images::Off => return None,
            Images::Halfblocks => return Some(Self::halfblocks()),
            // It reports the cells of another terminal, and passes pictures on only where it was told to.
            Images::Auto if surroundings.is_tmux => return Some(Self::halfblocks()),
            Images::Auto => None,
            Images::Kitty => Some(ProtocolType::Kitty),
            Images::Iterm2 => Some(ProtocolType::Iterm2),
            Images::Sixel => Some(ProtocolType::Sixel),
        };
        let timeout = if surroundings.is_remote { PATIENCE_AFAR } else { PATIENCE_HERE };
        // If the terminal does not answer in time, the thread that reads the answer stays behind, waiting
        // for input. It takes the next that comes, up to 50 bytes, and ends: a late answer, which is then
        // not taken for typing, or else the first key pressed, which is lost.
        let options = QueryStdioOptions { timeout, ..QueryStdioOptions::default() };
        match Picker::from_query_stdio_with_options(options) {
            Ok(picker) => {
                let protocol = wanted.unwrap_or_else(|| picker.protocol_type());
                let graphics =
                    Self { protocol, cell: usable(picker.font_size()), is_tmux: surroundings.is_tmux };
                tracing::debug!(?graphics, "what the terminal can show");
                Some(graphics)
            }
            Err(e) => {
                tracing::debug!("the terminal does not say what it can show: {e}");
                let protocol = wanted.unwrap_or(ProtocolType::Halfblocks);
                Some(Self { protocol, is_tmux: surroundings.is_tmux, ..Self::halfblocks() })
            }
        }
    }

    /// Whether the terminal draws pictures itself, rather than characters that look like them.
    pub(crate) fn has_pixels(&self) -> bool {
        self.protocol != ProtocolType::Halfblocks
    }

    /// The longer side, in pixels, of a picture that fills so many cells.
    pub(crate) fn side_pixels(&self, cells: Size) -> u32 {
        let (width, height) = self.pixels(cells);
        match self.protocol {
            ProtocolType::Halfblocks => {
                u32::from(cells.width.min(MAX_CELLS)).max(2 * u32::from(cells.height.min(MAX_CELLS)))
            }
            _ => width.max(height),
        }
    }

    /// Scales a picture into so many cells, its aspect kept, and makes of it what is written to the
    /// terminal. `None` if that fails, or if there is no cell.
    pub(crate) fn render(&self, image: &RgbImage, cells: Size) -> Option<Rendered> {
        let cells = Size::new(cells.width.min(MAX_CELLS), cells.height.min(MAX_CELLS));
        if cells.width == 0 || cells.height == 0 {
            return None;
        }
        let (width, height) = self.fit(image, cells);
        let columns = width / f64::from(self.cell.width);
        let rows = height / f64::from(self.cell.height);
        if self.protocol == ProtocolType::Halfblocks {
            // Stretched to whole cells: less than half a cell off.
            let size =
                Size::new(whole(columns.round(), 1, cells.width), whole(rows.round(), 1, cells.height));
            // What makes the half-blocks shrinks slowly: it gets twice the pixels that it needs.
            let side = 2 * u32::from(size.width).max(2 * u32::from(size.height));
            let small = taiyi_image::thumbnail(image, side).ok()?;
            let protocol = Protocol::Halfblocks(Halfblocks::new(dynamic(&small)?, size).ok()?);
            let bytes = usize::from(size.width) * usize::from(size.height) * size_of::<HalfBlock>()
                + size_of::<Protocol>();
            return Some(Rendered { protocol, bytes });
        }
        let size = Size::new(whole(columns.ceil(), 1, cells.width), whole(rows.ceil(), 1, cells.height));
        let (canvas_width, canvas_height) = self.pixels(size);
        let width = (width.round() as u32).clamp(1, canvas_width);
        let height = (height.round() as u32).clamp(1, canvas_height);
        let scaled = scale(image, width, height)?;
        // Transparent up to the edge of the last cell, which the terminal would stretch the picture to.
        let mut canvas = RgbaImage::from_pixel(canvas_width, canvas_height, Rgba([0; 4]));
        imageops::overlay(&mut canvas, &scaled.to_rgba8(), 0, 0);
        let canvas = DynamicImage::from(canvas);
        let (protocol, bytes) = match self.protocol {
            ProtocolType::Sixel => {
                let sixel = Sixel::new(canvas, size, self.is_tmux).ok()?;
                let bytes = sixel.data.capacity();
                (Protocol::Sixel(sixel), bytes)
            }
            ProtocolType::Iterm2 => {
                let inline = Iterm2::new(canvas, size, self.is_tmux).ok()?;
                let bytes = inline.data.capacity();
                (Protocol::ITerm2(inline), bytes)
            }
            _ => {
                // Four bytes a pixel, in base 64.
                let bytes = canvas_width as usize * canvas_height as usize * 4 / 3 * 4;
                (Protocol::Kitty(Kitty::new(canvas, size, new_id(), self.is_tmux, false).ok()?), bytes)
            }
        };
        Some(Rendered { protocol, bytes: bytes + size_of::<Protocol>() })
    }

    /// Pixels of so many cells.
    fn pixels(&self, cells: Size) -> (u32, u32) {
        let side = |cells: u16, pixels: u16| (u32::from(cells) * u32::from(pixels)).clamp(1, MAX_SIDE_PIXELS);
        (side(cells.width, self.cell.width), side(cells.height, self.cell.height))
    }

    /// The size that a picture takes within so many cells, in the terminal's pixels.
    fn fit(&self, image: &RgbImage, cells: Size) -> (f64, f64) {
        let (width, height) = self.pixels(cells);
        // A pixel of the picture is at first a pixel of the terminal, or half a cell.
        let natural = match self.protocol {
            ProtocolType::Halfblocks => f64::from(self.cell.width),
            _ => 1.0,
        };
        let ratio = (f64::from(width) / f64::from(image.width()))
            .min(f64::from(height) / f64::from(image.height()))
            .min(natural * MAX_ENLARGEMENT);
        (f64::from(image.width()) * ratio, f64::from(image.height()) * ratio)
    }
}

/// A whole number of cells.
fn whole(cells: f64, least: u16, most: u16) -> u16 {
    // Saturates, and takes what is no number for 0.
    (cells as u16).clamp(least, most)
}

/// The cell of a terminal that says it has none is taken for a usual one.
fn usable(cell: FontSize) -> FontSize {
    if cell.width == 0 || cell.height == 0 { USUAL_CELL } else { cell }
}

/// A number for a picture that no other program in this terminal is likely to have given away.
fn new_id() -> u32 {
    // Truncated: any bits of a random hash will do.
    (RandomState::new().build_hasher().finish() as u32).max(1)
}

fn dynamic(image: &RgbImage) -> Option<DynamicImage> {
    image::RgbImage::from_raw(image.width(), image.height(), image.pixels().to_vec()).map(DynamicImage::from)
}

/// To exactly this size, about the aspect of the picture's own.
fn scale(image: &RgbImage, width: u32, height: u32) -> Option<DynamicImage> {
    // Enlarges as well, but is slow on large pictures, so these are made small first.
    let small = taiyi_image::thumbnail(image, width.max(height)).ok()?;
    let small = dynamic(&small)?;
    Some(if (small.width(), small.height()) == (width, height) {
        small
    } else {
        small.resize_exact(width, height, FilterType::CatmullRom)
    })
}

#[cfg(test)]
impl Graphics {
    /// As a terminal that shows pixels, of cells of this size.
    pub(crate) fn of(protocol: ProtocolType, cell: (u16, u16)) -> Self {
        Self { protocol, cell: usable(cell.into()), is_tmux: false }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;
    use ratatui::style::Color;
    use ratatui::widgets::Widget;

    use super::*;

    const PIXELS: [ProtocolType; 3] = [ProtocolType::Kitty, ProtocolType::Iterm2, ProtocolType::Sixel];

    fn picture(width: u32, height: u32) -> RgbImage {
        let pixels = (0..width * height).flat_map(|i| [(i % 251) as u8, (i % 13) as u8, 90]).collect();
        RgbImage::new(width, height, pixels).unwrap()
    }

    fn size(graphics: &Graphics, width: u32, height: u32, cells: (u16, u16)) -> (u16, u16) {
        let rendered = graphics.render(&picture(width, height), Size::new(cells.0, cells.1)).unwrap();
        let size = rendered.protocol.size();
        (size.width, size.height)
    }

    #[test]
    fn names_are_those_of_the_config_file() {
        for (images, name) in Images::NAMES {
            assert_eq!(Images::from_name(name), Some(*images));
        }
        assert_eq!(Images::from_name("Kitty"), None);
        assert_eq!(Images::default(), Images::Auto);
    }

    #[test]
    fn what_is_known_is_not_asked() {
        let in_tmux = Surroundings { is_tmux: true, is_remote: false };
        assert_eq!(Graphics::ask(Images::Auto, in_tmux).unwrap().protocol, ProtocolType::Halfblocks);
        let plain = Surroundings::default();
        assert_eq!(Graphics::ask(Images::Halfblocks, plain).unwrap().protocol, ProtocolType::Halfblocks);
        assert!(Graphics::ask(Images::Off, plain).is_none());
    }

    #[test]
    fn nothing_looks_squashed_in_half_blocks() {
        let graphics = Graphics::halfblocks();
        assert_eq!(size(&graphics, 500, 500, (40, 20)), (40, 20));
        assert_eq!(size(&graphics, 500, 500, (80, 20)), (40, 20));
        assert_eq!(size(&graphics, 500, 500, (40, 80)), (40, 20));
        assert_eq!(size(&graphics, 400, 300, (40, 20)), (40, 15));
        assert_eq!(size(&graphics, 300, 600, (40, 20)), (20, 20));
        assert_eq!(size(&graphics, 5000, 1, (40, 20)), (40, 1));
        assert_eq!(size(&graphics, 1, 500, (40, 20)), (1, 20));
    }

    #[test]
    fn a_slim_font_gets_more_columns() {
        let graphics = Graphics::of(ProtocolType::Halfblocks, (8, 20));
        assert_eq!(size(&graphics, 500, 500, (80, 20)), (50, 20));
    }

    #[test]
    fn an_icon_stays_an_icon() {
        assert_eq!(size(&Graphics::halfblocks(), 8, 8, (200, 100)), (32, 16));
        let graphics = Graphics::of(ProtocolType::Iterm2, (10, 20));
        assert_eq!(size(&graphics, 16, 16, (200, 100)), (7, 4));
        // But a picture that is small for a picture fills its place.
        assert_eq!(size(&graphics, 234, 351, (40, 30)), (40, 30));
    }

    #[test]
    fn half_blocks_show_upper_and_lower_pixels() {
        let image = RgbImage::new(1, 2, vec![200, 0, 0, 0, 0, 100]).unwrap();
        let rendered = Graphics::halfblocks().render(&image, Size::new(1, 1)).unwrap();
        let area = Rect::new(0, 0, 1, 1);
        let mut buffer = Buffer::empty(area);
        ratatui_image::Image::new(&rendered.protocol).render(area, &mut buffer);
        let cell = &buffer[(0, 0)];
        assert_eq!((cell.symbol(), cell.fg, cell.bg), ("▀", Color::Rgb(200, 0, 0), Color::Rgb(0, 0, 100)));
    }

    #[test]
    fn pixels_fill_the_cells_they_need() {
        for protocol in PIXELS {
            let graphics = Graphics::of(protocol, (10, 20));
            assert_eq!(size(&graphics, 800, 600, (20, 9)), (20, 8), "{protocol:?}");
            assert_eq!(size(&graphics, 600, 800, (20, 9)), (14, 9), "{protocol:?}");
            let rendered = graphics.render(&picture(800, 600), Size::new(20, 9)).unwrap();
            let data = match &rendered.protocol {
                Protocol::Sixel(sixel) => &sixel.data,
                Protocol::ITerm2(inline) => &inline.data,
                _ => continue,
            };
            assert!(rendered.bytes >= data.len());
        }
    }

    #[test]
    fn there_is_nothing_in_no_cells() {
        for cells in [Size::new(0, 5), Size::new(5, 0)] {
            assert!(Graphics::halfblocks().render(&picture(9, 9), cells).is_none());
        }
    }

    #[test]
    fn pictures_of_one_terminal_have_different_numbers() {
        let ids: std::collections::HashSet<u32> = (0..100).map(|_| new_id()).collect();
        assert!(ids.len() > 95);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_picture_fits_any_place(
            width in 1u32..300,
            height in 1u32..300,
            columns in 1u16..60,
            rows in 1u16..40,
            cell in (0u16..40, 0u16..60),
            protocol in 0usize..4,
        ) {
            let protocol = [ProtocolType::Halfblocks, PIXELS[0], PIXELS[1], PIXELS[2]][protocol];
            let graphics = Graphics::of(protocol, cell);
            // Large canvases take a test's patience and show nothing new.
            prop_assume!(graphics.side_pixels(Size::new(columns, rows)) < 600);
            let (w, h) = size(&graphics, width, height, (columns, rows));
            prop_assert!(w >= 1 && h >= 1 && w <= columns && h <= rows);
        }
    }

    #[test]
    fn a_terminal_may_claim_any_size() {
        let graphics = Graphics::of(ProtocolType::Halfblocks, (u16::MAX, 1));
        assert!(graphics.render(&picture(3, 3), Size::new(u16::MAX, u16::MAX)).is_some());
        assert!(graphics.side_pixels(Size::new(u16::MAX, u16::MAX)) <= MAX_SIDE_PIXELS);
    }
}
