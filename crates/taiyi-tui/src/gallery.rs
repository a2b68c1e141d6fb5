//! Pictures ready to be drawn: asks for those in sight, keeps what comes, within a bound of memory.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lru::LruCache;
use ratatui::layout::Size;
use ratatui_image::protocol::Protocol;
use taiyi_image::Limits;
use taiyi_query::ContentHash;

use crate::graphics::Graphics;
use crate::worker::preview::{Made, Pool, Studio, Wish};
use crate::worker::thumbnails::{MAX_DISK_BYTES, Thumbnails};

/// Bound of what is kept in memory. Pictures in sight may exceed it, on a screen so large.
const MAX_BYTES: usize = 64 << 20;

/// After this time a failure is tried again: a disk may have come back.
const FAILURE_REST: Duration = Duration::from_secs(5);

/// What an entry takes besides its picture and its path, about.
const ENTRY_BYTES: usize = 256;

/// What there is to draw in the place of a picture.
pub(crate) enum Look<'a> {
    /// The picture, at most as large as was asked for.
    Ready(&'a Protocol),
    /// It is being decoded.
    Waiting,
    /// Why it cannot be shown.
    Failed(&'a str),
}

/// How pictures are made.
#[derive(Clone, Debug)]
pub(crate) struct GalleryOptions {
    /// Where small copies are kept on disk; `None`: nowhere.
    pub(crate) thumbnails_dir: Option<PathBuf>,
    /// What is decoded at all.
    pub(crate) limits: Limits,
    /// Pictures made at a time.
    pub(crate) threads: usize,
}

/// The pictures.
pub(crate) struct Gallery {
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
    /// No pictures are wanted.
    is_off: bool,
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
    pub(crate) fn new(
        graphics: Graphics,
        options: GalleryOptions,
        notify: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
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
    pub(crate) fn still() -> Self {
        Self {
            shelf: LruCache::unbounded(),
            held_bytes: 0,
            max_bytes: MAX_BYTES,
            frame: 0,
            wishes: Vec::new(),
            failure_rest: FAILURE_REST,
            pool: None,
            is_off: false,
            #[cfg(test)]
            fixed: std::collections::HashMap::new(),
        }
    }

    /// A gallery for those who want no pictures.
    pub(crate) fn off() -> Self {
        Self { is_off: true, ..Self::still() }
    }

    /// A new frame is about to be drawn.
    pub(crate) fn begin_frame(&mut self) {
        self.frame += 1;
        self.wishes.clear();
    }

    /// What to draw for a picture in so many cells. Notes that it is in sight. Until it is there in this
    /// size, it is shown in a smaller one that is.
    pub(crate) fn look(&mut self, path: &Path, content: ContentHash, cells: Size) -> Look<'_> {
        if cells.width == 0 || cells.height == 0 {
            return Look::Waiting;
        }
        if self.is_off {
            return Look::Failed("pictures are turned off in the config file");
        }
        let mut wish = Wish { path: path.into(), content, cells };
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
    pub(crate) fn end_frame(&mut self) {
        self.shrink();
        if let Some(pool) = &self.pool {
            let mut wishes = std::mem::take(&mut self.wishes);
            // The largest place is that of the selected picture; all others in the order looked at.
            wishes.sort_by_key(|wish| Reverse(u32::from(wish.cells.width) * u32::from(wish.cells.height)));
            pool.wish(wishes);
        }
    }

    /// Takes in what has been decoded meanwhile. Whether there is anything new to draw.
    pub(crate) fn pump(&mut self) -> bool {
        let made = self.pool.as_ref().map(Pool::take).unwrap_or_default();
        made.into_iter().fold(false, |is_new, (wish, made)| self.shelve(wish, made) || is_new)
    }

    /// Forgets everything, so that all of it is made and drawn anew.
    pub(crate) fn forget(&mut self) {
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
        // Contents first: paths take long to compare, and most are of other pictures.
        let is_same =
            |(other, _): &(&Wish, &Shelved)| other.content == wish.content && other.path == wish.path;
        let fitting = self.shelf.iter().filter(is_same).filter_map(|(other, shelved)| {
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

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, unbounded};
    use proptest::prelude::*;
    use taiyi_core::RgbImage;

    use super::*;

    const CELLS: Size = Size { width: 20, height: 10 };
    const SOME: ContentHash = ContentHash([7; 32]);

    fn wish(name: &str, cells: Size) -> Wish {
        Wish { path: name.into(), content: SOME, cells }
    }

    fn made(cells: Size) -> Made {
        let image = RgbImage::new(40, 40, vec![70; 40 * 40 * 3]).unwrap();
        Ok(Graphics::halfblocks().render(&image, cells).unwrap())
    }

    fn working(dir: &Path) -> (Gallery, Receiver<()>) {
        let (tell, told) = unbounded();
        let thumbnails_dir = Some(dir.join("cache"));
        let options = GalleryOptions { thumbnails_dir, limits: Limits::default(), threads: 2 };
        let notify = Box::new(move || tell.send(()).unwrap_or_default());
        (Gallery::new(Graphics::halfblocks(), options, notify), told)
    }

    /// Draws a frame with these pictures: what is there of each.
    fn frame(gallery: &mut Gallery, looks: &[(&Path, Size)]) -> Vec<String> {
        gallery.begin_frame();
        let seen = looks.iter().map(|(path, cells)| match gallery.look(path, SOME, *cells) {
            Look::Ready(protocol) => format!("{}×{}", protocol.size().width, protocol.size().height),
            Look::Waiting => "waiting".into(),
            Look::Failed(reason) => reason.into(),
        });
        let seen = seen.collect();
        gallery.end_frame();
        seen
    }

    fn wait(gallery: &mut Gallery, told: &Receiver<()>) -> bool {
        told.recv_timeout(Duration::from_secs(60)).unwrap();
        gallery.pump()
    }

    #[test]
    fn a_picture_appears_and_a_missing_one_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let (mut gallery, told) = working(dir.path());
        let [here, gone] = ["here.jpg", "gone.jpg"].map(|name| dir.path().join(name));
        let image = RgbImage::new(64, 64, vec![70; 64 * 64 * 3]).unwrap();
        let bytes = taiyi_image::to_jpeg(&image, 85).unwrap();
        std::fs::write(&here, &bytes).unwrap();
        let looks = [(here.as_path(), CELLS), (gone.as_path(), CELLS)];
        assert!(!gallery.pump());
        assert_eq!(frame(&mut gallery, &looks), ["waiting", "waiting"]);
        assert!(wait(&mut gallery, &told) | wait(&mut gallery, &told));
        assert_eq!(frame(&mut gallery, &looks), ["20×10", "the file is gone"]);

        // The disk comes back. A failure is remembered for a while, and shown while it is tried again.
        std::fs::write(&gone, &bytes).unwrap();
        gallery.failure_rest = Duration::from_secs(3600);
        frame(&mut gallery, &looks);
        assert!(told.recv_timeout(Duration::from_millis(50)).is_err());
        gallery.failure_rest = Duration::ZERO;
        assert_eq!(frame(&mut gallery, &looks)[1], "the file is gone");
        assert!(wait(&mut gallery, &told));
        assert_eq!(frame(&mut gallery, &looks), ["20×10", "20×10"]);

        gallery.forget();
        assert_eq!(frame(&mut gallery, &looks), ["waiting", "waiting"]);
    }

    #[test]
    fn the_same_failure_again_is_nothing_new() {
        let mut gallery = Gallery::still();
        assert!(gallery.shelve(wish("a", CELLS), Err("the file is gone".into())));
        assert!(!gallery.shelve(wish("a", CELLS), Err("the file is gone".into())));
        assert!(gallery.shelve(wish("a", CELLS), Err("no permission to read it".into())));
        assert!(gallery.shelve(wish("a", CELLS), made(CELLS)));
    }

    #[test]
    fn the_largest_place_is_served_first_then_the_order_looked_at() {
        let (begin, begun) = unbounded();
        let make = move |wish: &Wish| -> Made {
            begin.send(wish.path.display().to_string()).unwrap();
            Err("none".into())
        };
        let pool = Pool::start(1, make, Box::new(|| ()));
        let mut gallery = Gallery { pool: Some(pool), ..Gallery::still() };
        let looks = [("a", CELLS), ("b", CELLS), ("a", CELLS), ("large", Size::new(60, 30)), ("c", CELLS)];
        let looks = looks.map(|(name, cells)| (Path::new(name), cells));
        frame(&mut gallery, &looks);
        let order: Vec<String> =
            (0..4).map(|_| begun.recv_timeout(Duration::from_secs(60)).unwrap()).collect();
        assert_eq!(order, ["large", "a", "b", "c"]);
    }

    #[test]
    fn a_smaller_picture_stands_in_until_the_right_one_is_there() {
        let mut gallery = Gallery::still();
        gallery.shelve(wish("a", Size::new(8, 4)), made(Size::new(8, 4)));
        gallery.shelve(wish("a", CELLS), made(CELLS));
        let a = Path::new("a");
        let looks = [(a, Size::new(40, 20)), (a, Size::new(10, 5)), (a, Size::new(3, 3)), (a, Size::ZERO)];
        assert_eq!(frame(&mut gallery, &looks), ["20×10", "8×4", "waiting", "waiting"]);
        assert_eq!(frame(&mut gallery, &[(Path::new("b"), CELLS)]), ["waiting"]);
    }

    #[test]
    fn another_picture_in_the_same_file_is_not_the_old_one() {
        let mut gallery = Gallery::still();
        gallery.shelve(wish("a", CELLS), made(CELLS));
        assert!(matches!(gallery.look(Path::new("a"), SOME, CELLS), Look::Ready(_)));
        let newer = ContentHash([8; 32]);
        assert!(matches!(gallery.look(Path::new("a"), newer, CELLS), Look::Waiting));
        assert!(matches!(gallery.look(Path::new("a"), newer, Size::new(40, 20)), Look::Waiting));
    }

    #[test]
    fn fixed_pictures_hang_at_once() {
        let pictures = [("a".into(), Ok([200, 100, 0])), ("b".into(), Err("the file is gone".into()))];
        let mut gallery = Gallery::fixed(pictures);
        let looks = ["a", "b", "c"].map(|name| (Path::new(name), CELLS));
        assert_eq!(frame(&mut gallery, &looks), ["20×7", "the file is gone", "waiting"]);
        for cells in [Size::new(1, 1), Size::new(1, 30), Size::new(200, 1)] {
            assert_ne!(frame(&mut gallery, &[(Path::new("a"), cells)]), ["waiting"]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn memory_is_bounded_but_for_what_is_in_sight(
            frames in proptest::collection::vec(proptest::collection::vec(0u8..40, 0..6), 1..40),
        ) {
            let entry = made(CELLS).map(|rendered| rendered.bytes).unwrap() + ENTRY_BYTES + 1;
            let mut gallery = Gallery { max_bytes: 8 * entry, ..Gallery::still() };
            for names in frames {
                let names: Vec<String> =
                    names.iter().map(|n| char::from(b'0' + n).to_string()).collect();
                let looks: Vec<_> = names.iter().map(|name| (Path::new(name), CELLS)).collect();
                frame(&mut gallery, &looks);
                for name in &names {
                    if !gallery.shelf.contains(&wish(name, CELLS)) {
                        gallery.shelve(wish(name, CELLS), made(CELLS));
                    }
                }
                prop_assert!(frame(&mut gallery, &looks).iter().all(|seen| seen == "20×10"));
                let held: usize = gallery.shelf.iter().map(|(_, shelved)| shelved.bytes).sum();
                prop_assert_eq!(held, gallery.held_bytes);
                // Two frames show at most five pictures each.
                prop_assert!(held <= 10 * entry);
            }
            frame(&mut gallery, &[]);
            frame(&mut gallery, &[]);
            prop_assert!(gallery.held_bytes <= gallery.max_bytes);
        }
    }
}
