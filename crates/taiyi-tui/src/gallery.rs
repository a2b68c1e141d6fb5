//! Pictures ready to be drawn: asks for those in sight, keeps what comes, within a bound of memory.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lru::LruCache;
use ratatui::layout::Size;
use ratatui_image::protocol::Protocol;
use taiyi_image::Limits;

use crate::graphics::Graphics;
use crate::worker::preview::{Made, Pool, Studio, Wish};
use crate::worker::thumbnails::Thumbnails;

/// Bound of what is kept in memory. Pictures in sight may exceed it, on a screen so large.
const MAX_BYTES: usize = 64 << 20;

/// Bound of the small copies on disk.
const MAX_DISK_BYTES: u64 = 256 << 20;

/// After this time a failure is tried again: a disk may have come back.
const FAILURE_REST: Duration = Duration::from_secs(5);

/// What an entry takes besides its picture and its path, about.
const ENTRY_BYTES: usize = 256;

/// What there is to draw in the place of a picture.
pub enum Look<'a> {
    /// The picture, at most as large as was asked for.
    Ready(&'a Protocol),
    /// It is being decoded.
    Waiting,
    /// Why it cannot be shown.
    Failed(&'a str),
}

/// How pictures are made.
#[derive(Clone, Debug)]
pub struct GalleryOptions {
    /// Where small copies are kept on disk; `None`: nowhere.
    pub thumbnails_dir: Option<PathBuf>,
    /// What is decoded at all.
    pub limits: Limits,
    /// Pictures made at a time.
    pub threads: usize,
}

/// The pictures.
pub struct Gallery {
    shelf: LruCache<Wish, Shelved>,
    /// What everything on the shelf takes.
    held_bytes: usize,
    max_bytes: usize,
    /// Number of the frame.
    frame: u64,
    /// What this frame would show and cannot.
    wishes: Vec<Wish>,
    failure_rest: Duration,
    pool: Option<Pool>,
    #[cfg(test)]
    fixed: std::collections::HashMap<PathBuf, Result<[u8; 3], String>>,
}

/// A picture in memory, or why there is none.
struct Shelved {
    content: Result<Protocol, Failure>,
    bytes: usize,
    /// The last frame that showed it.
    seen: u64,
}

struct Failure {
    reason: String,
    since: Instant,
}

impl Gallery {
    /// A gallery with workers, which call `notify` after each picture: [`pump`](Self::pump) takes it in.
    #[must_use]
    pub fn new(graphics: Graphics, options: GalleryOptions, notify: Box<dyn Fn() + Send + Sync>) -> Self {
        let thumbnails = options.thumbnails_dir.map(|dir| Arc::new(Thumbnails::new(dir)));
        if let Some(thumbnails) = thumbnails.clone() {
            let sweep = move || thumbnails.sweep(MAX_DISK_BYTES);
            if let Err(e) = std::thread::Builder::new().name("thumbnail-sweep".into()).spawn(sweep) {
                tracing::debug!("old thumbnails stay: {e}");
            }
        }
        let studio = Studio { graphics, thumbnails, limits: options.limits, large: Mutex::new(()) };
        let pool = Pool::start(options.threads, move |wish| studio.make(wish), notify);
        Self { pool: Some(pool), ..Self::still() }
    }

    /// A gallery that decodes nothing: every picture is waited for.
    #[must_use]
    pub fn still() -> Self {
        Self {
            shelf: LruCache::unbounded(),
            held_bytes: 0,
            max_bytes: MAX_BYTES,
            frame: 0,
            wishes: Vec::new(),
            failure_rest: FAILURE_REST,
            pool: None,
            #[cfg(test)]
            fixed: std::collections::HashMap::new(),
        }
    }

    /// A new frame is about to be drawn.
    pub fn begin_frame(&mut self) {
        self.frame += 1;
        self.wishes.clear();
    }

    /// What to draw for a picture in so many cells. Notes that it is in sight. Until it is there in this
    /// size, it is shown in a smaller one that is.
    pub fn look(&mut self, path: &Path, cells: Size) -> Look<'_> {
        if cells.width == 0 || cells.height == 0 {
            return Look::Waiting;
        }
        let mut wish = Wish { path: path.into(), cells };
        #[cfg(test)]
        self.hang_fixed(&wish);
        let is_due = match self.shelf.peek(&wish).map(|shelved| &shelved.content) {
            Some(Ok(_)) => false,
            Some(Err(failure)) => failure.since.elapsed() >= self.failure_rest,
            None => true,
        };
        if is_due && self.pool.is_some() && !self.wishes.contains(&wish) {
            self.wishes.push(wish.clone());
        }
        if !self.shelf.contains(&wish) {
            let Some(smaller) = self.smaller(&wish) else { return Look::Waiting };
            wish = smaller;
        }
        let frame = self.frame;
        let Some(shelved) = self.shelf.get_mut(&wish) else { return Look::Waiting };
        shelved.seen = frame;
        match &shelved.content {
            Ok(protocol) => Look::Ready(protocol),
            Err(failure) => Look::Failed(&failure.reason),
        }
    }

    /// The frame is drawn: what is in sight and not there yet is decoded next, nothing else.
    pub fn end_frame(&mut self) {
        self.shrink();
        if let Some(pool) = &self.pool {
            let mut wishes = std::mem::take(&mut self.wishes);
            // The largest place is that of the selected picture; all others in the order looked at.
            wishes.sort_by_key(|wish| Reverse(u32::from(wish.cells.width) * u32::from(wish.cells.height)));
            pool.wish(wishes);
        }
    }

    /// Takes in what has been decoded meanwhile. Whether there is anything new to draw.
    pub fn pump(&mut self) -> bool {
        let made = self.pool.as_ref().map(Pool::take).unwrap_or_default();
        made.into_iter().fold(false, |is_new, (wish, made)| self.shelve(wish, made) || is_new)
    }

    /// Forgets everything, so that all of it is made and drawn anew.
    pub fn forget(&mut self) {
        self.shelf.clear();
        self.held_bytes = 0;
    }

    /// Puts a picture on the shelf. Whether it is to be seen: a failure may be an old one.
    fn shelve(&mut self, wish: Wish, made: Made) -> bool {
        let (content, bytes) = match made {
            Ok(rendered) => (Ok(rendered.protocol), rendered.bytes),
            Err(reason) => {
                let bytes = reason.len();
                (Err(Failure { reason, since: Instant::now() }), bytes)
            }
        };
        let bytes = bytes + wish.path.as_os_str().len() + ENTRY_BYTES;
        let reason = content.as_ref().err().map(|failure| failure.reason.clone());
        let before = self.shelf.put(wish, Shelved { content, bytes, seen: self.frame });
        self.held_bytes = self.held_bytes + bytes - before.as_ref().map_or(0, |shelved| shelved.bytes);
        self.shrink();
        let reason_before = before.and_then(|shelved| shelved.content.err()).map(|failure| failure.reason);
        reason.is_none() || reason != reason_before
    }

    /// Keeps within the bound. What the last frame showed stays, or it would be made again for the next.
    fn shrink(&mut self) {
        while self.held_bytes > self.max_bytes
            && self.shelf.peek_lru().is_some_and(|(_, shelved)| shelved.seen + 1 < self.frame)
        {
            let Some((_, shelved)) = self.shelf.pop_lru() else { return };
            self.held_bytes -= shelved.bytes;
        }
    }

    /// The largest picture of the same file that fits in the place.
    fn smaller(&self, wish: &Wish) -> Option<Wish> {
        let fitting =
            self.shelf.iter().filter(|(other, _)| other.path == wish.path).filter_map(|(other, shelved)| {
                let size = shelved.content.as_ref().ok()?.size();
                let fits = size.width <= wish.cells.width && size.height <= wish.cells.height;
                fits.then_some((u32::from(size.width) * u32::from(size.height), other))
            });
        fitting.max_by_key(|(area, _)| *area).map(|(_, other)| other.clone())
    }
}

#[cfg(test)]
impl Gallery {
    /// A gallery of pictures in one colour, 4:3, every second line of pixels darker (so that text shows where
    /// they are), and of failures. All others are waited for.
    pub(crate) fn fixed(pictures: impl IntoIterator<Item = (PathBuf, Result<[u8; 3], String>)>) -> Self {
        Self { fixed: pictures.into_iter().collect(), ..Self::still() }
    }

    fn hang_fixed(&mut self, wish: &Wish) {
        let Some(picture) = self.fixed.get(&wish.path).filter(|_| !self.shelf.contains(wish)) else { return };
        let made = picture.clone().map(|color| {
            let columns = u32::from(wish.cells.width).min(u32::from(wish.cells.height) * 8 / 3);
            let lines = 2 * (columns * 3 / 8).max(1);
            let dark = color.map(|v| v / 2);
            let pixels = (0..lines)
                .flat_map(|y| std::iter::repeat_n(if y % 2 == 0 { color } else { dark }, columns as usize))
                .flatten()
                .collect();
            let image = taiyi_core::RgbImage::new(columns, lines, pixels).unwrap();
            Graphics::halfblocks().render(&image, wish.cells).unwrap()
        });
        self.shelve(wish.clone(), made);
    }
}
