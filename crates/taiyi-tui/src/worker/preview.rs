//! The preview workers: make of a file what a terminal shows in so many cells, the wish at the front of
//! the newest list first.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::layout::Size;
use taiyi_core::RgbImage;
use taiyi_image::{Enough, ImageError, Limits};
use taiyi_query::ContentHash;

use crate::graphics::{Graphics, Rendered};
use crate::worker::thumbnails::{Key, MAX_DISK_BYTES, Thumbnails};

/// Longer sides of the copies kept on disk. What a grid or half-blocks need, and what a large preview in
/// real pixels needs; the larger one serves both where it is there.
const SIDES: [u32; 2] = [512, 1536];

/// Photos of more pixels than this are decoded one at a time: one of 200 megapixels takes 600 MB as RGB.
const LARGE_PIXELS: u64 = 32_000_000;

/// The same for files of more bytes than this.
const LARGE_BYTES: u64 = 64 << 20;

/// A worker that is at one file for so long may be there for ever, on a disk that does not answer.
const STUCK_AFTER: Duration = Duration::from_secs(20);

/// No more workers than this take the place of those that are stuck.
const MAX_SPARES: usize = 6;

/// Why there is no picture of a file that is not there.
pub(crate) const GONE: &str = "the file is gone";

/// A picture wished for, in a place of so many cells.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wish {
    pub(crate) path: PathBuf,
    /// What the index says is in the file: another one is another picture, though the path is the same.
    pub(crate) content: ContentHash,
    pub(crate) cells: Size,
}

/// What became of a wish: the picture, or why there is none.
pub(crate) type Made = Result<Rendered, String>;

/// What workers and gallery tell each other.
#[derive(Default)]
struct Board {
    /// To be made, the next one first.
    wishes: Vec<Wish>,
    /// Being made, since when.
    running: Vec<(Wish, Instant)>,
    workers: usize,
    /// Made and not yet taken. No more than were wished for at a time, and those running.
    made: Vec<(Wish, Made)>,
    is_closed: bool,
}

impl Board {
    fn stuck(&self, after: Duration) -> impl Iterator<Item = &Wish> {
        self.running.iter().filter(move |(_, since)| since.elapsed() >= after).map(|(wish, _)| wish)
    }
}

struct Shared {
    board: Mutex<Board>,
    changed: Condvar,
    stuck_after: Duration,
    make: Box<dyn Fn(&Wish) -> Made + Send + Sync>,
    notify: Box<dyn Fn() + Send + Sync>,
    /// Workers that are meant to be at work.
    threads: usize,
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        // Nothing panics while it holds the board, so it is whole.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next wish. `None`: there will be no more.
    fn next(&self) -> Option<Wish> {
        let mut board = self.board();
        loop {
            if board.is_closed {
                return None;
            }
            // A file that another worker reads right now will soon be had for less; and one beside a file that
            // does not come would not come either.
            let is_free = |wish: &Wish| {
                board.running.iter().all(|(running, _)| running.path != wish.path)
                    && board.stuck(self.stuck_after).all(|stuck| stuck.path.parent() != wish.path.parent())
            };
            let next = board.wishes.iter().position(is_free);
            if let Some(next) = next {
                let wish = board.wishes.remove(next);
                board.running.push((wish.clone(), Instant::now()));
                return Some(wish);
            }
            board = self.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether this worker is needed any longer.
    fn finish(&self, wish: Wish, made: Made) -> bool {
        let mut board = self.board();
        board.running.retain(|(running, _)| *running != wish);
        board.made.push((wish, made));
        self.changed.notify_all();
        // One that was stuck finds another in its place.
        let is_spare = board.workers - board.stuck(self.stuck_after).count() > self.threads;
        if is_spare {
            board.workers -= 1;
        }
        !is_spare
    }

    fn work(&self) {
        while let Some(wish) = self.next() {
            // The decoder contains its own panics; this is for what comes after it.
            let made = catch_unwind(AssertUnwindSafe(|| (self.make)(&wish)))
                .unwrap_or_else(|_| Err("preparing it for the terminal failed".into()));
            let goes_on = self.finish(wish, made);
            if self.board().is_closed {
                return;
            }
            (self.notify)();
            if !goes_on {
                return;
            }
        }
    }
}

/// The threads that make pictures. Dropping it lets them end after the picture they are at, without waiting
/// for that: it may be on a disk that does not answer.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// Starts so many threads that `make` what is wished for, and `notify` after each picture.
    pub(crate) fn start(
        threads: usize,
        make: impl Fn(&Wish) -> Made + Send + Sync + 'static,
        notify: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self::start_patient(threads, make, notify, STUCK_AFTER)
    }

    fn start_patient(
        threads: usize,
        make: impl Fn(&Wish) -> Made + Send + Sync + 'static,
        notify: Box<dyn Fn() + Send + Sync>,
        stuck_after: Duration,
    ) -> Self {
        let threads = threads.max(1);
        let (board, changed) = (Mutex::default(), Condvar::new());
        let pool = Self {
            shared: Arc::new(Shared { board, changed, stuck_after, make: Box::new(make), notify, threads }),
        };
        let mut board = pool.shared.board();
        for _ in 0..threads {
            pool.add_worker(&mut board);
        }
        drop(board);
        pool
    }

    fn add_worker(&self, board: &mut Board) {
        let shared = Arc::clone(&self.shared);
        // The program's panic hook keeps quiet about threads of this kind of name.
        let name = format!("decode-preview-{}", board.workers);
        match thread::Builder::new().name(name).spawn(move || shared.work()) {
            Ok(_) => board.workers += 1,
            Err(e) => tracing::warn!("a thread for previews could not start: {e}"),
        }
    }

    /// Replaces everything wished for before; what is being made is finished.
    pub(crate) fn wish(&self, mut wishes: Vec<Wish>) {
        let mut board = self.shared.board();
        wishes.retain(|wish| {
            !board.running.iter().any(|(running, _)| running == wish)
                && !board.made.iter().any(|(made, _)| made == wish)
        });
        let is_wanted = !wishes.is_empty();
        board.wishes = wishes;
        let stuck = board.stuck(self.shared.stuck_after).count();
        let is_short = board.workers - stuck < self.shared.threads;
        if is_wanted && is_short && board.workers < self.shared.threads + MAX_SPARES {
            self.add_worker(&mut board);
        }
        // Who was waiting may be free to begin what was beside a file that has come at last.
        self.shared.changed.notify_all();
    }

    /// Takes what has been made.
    pub(crate) fn take(&self) -> Vec<(Wish, Made)> {
        std::mem::take(&mut self.shared.board().made)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.board().is_closed = true;
        self.shared.changed.notify_all();
    }
}

/// How a file becomes a picture on the terminal.
pub(crate) struct Studio {
    pub(crate) graphics: Graphics,
    /// Small copies on disk.
    pub(crate) thumbnails: Option<Arc<Thumbnails>>,
    /// What is decoded at all.
    pub(crate) limits: Limits,
    /// Held while a giant is in memory, so that two never are at once.
    pub(crate) large: Mutex<()>,
}

impl Studio {
    /// Makes what is wished for, or says in a few words why not.
    pub(crate) fn make(&self, wish: &Wish) -> Made {
        let small = self.small(&wish.path, self.graphics.side_pixels(wish.cells)).map_err(|e| reason(&e))?;
        let rendered = self.graphics.render(&small, wish.cells);
        rendered.ok_or_else(|| "it cannot be put into the form that the terminal takes".into())
    }

    /// A small copy, for a place whose longer side is so many pixels: from the disk cache, or else from the
    /// file.
    fn small(&self, path: &Path, needed: u32) -> Result<RgbImage, ImageError> {
        let metadata = fs::metadata(path).map_err(|source| ImageError::Io { path: path.into(), source })?;
        let fitting = SIDES.iter().position(|side| *side >= needed).unwrap_or(SIDES.len() - 1);
        let key = |side: u32| Some((self.thumbnails.as_ref()?, Key::of(path, &metadata, side)?));
        for side in &SIDES[fitting..] {
            let found = key(*side).and_then(|(thumbnails, key)| thumbnails.load(&key, *side));
            if let Some(small) = found {
                return Ok(small);
            }
        }
        let side = SIDES[fitting];
        let (original, turn) = self.decode(path, metadata.len(), side)?;
        let small = taiyi_image::thumbnail(&original, side)?;
        let is_smaller = small.width() < original.width() || small.height() < original.height();
        drop((original, turn));
        // A picture that is small itself is read as quickly as its copy.
        if let Some((thumbnails, key)) = key(side).filter(|_| is_smaller)
            && thumbnails.store(&key, &small)
        {
            thumbnails.sweep(MAX_DISK_BYTES);
        }
        Ok(small)
    }

    /// Decodes a file for a copy of which the longer side is `side`, with its turn if it is large.
    fn decode(
        &self,
        path: &Path,
        bytes: u64,
        side: u32,
    ) -> Result<(RgbImage, Option<MutexGuard<'_, ()>>), ImageError> {
        let take_turn = || self.large.lock().unwrap_or_else(PoisonError::into_inner);
        let mut turn = (bytes > LARGE_BYTES).then(take_turn);
        let bytes = taiyi_image::read(path, &self.limits)?;
        // Twice the pixels: what is left of blocks and edges is gone in the copy.
        let enough = Enough::LongSide(side.saturating_mul(2));
        if let Some(reduced) = taiyi_image::decode_reduced(&bytes, &self.limits, enough) {
            return Ok((reduced.image, turn));
        }
        // Refused by its header, a large photo costs nothing the first time.
        let ordinary = Limits { max_pixels: self.limits.max_pixels.min(LARGE_PIXELS), ..self.limits };
        let mut decoded = taiyi_image::decode(&bytes, path, &ordinary);
        if matches!(decoded, Err(ImageError::TooManyPixels { .. })) {
            turn.get_or_insert_with(take_turn);
            decoded = taiyi_image::decode(&bytes, path, &self.limits);
        }
        Ok((decoded?.image, turn))
    }
}

/// Why there is no picture, for a place of a few words.
fn reason(error: &ImageError) -> String {
    match error {
        ImageError::Io { source, .. } => match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => GONE.into(),
            io::ErrorKind::PermissionDenied => "no permission to read it".into(),
            _ => error.reason(),
        },
        _ => error.reason(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use crossbeam_channel::{Receiver, unbounded};
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;
    use ratatui::style::Color;
    use ratatui::widgets::Widget;
    use ratatui_image::picker::ProtocolType;

    use super::*;

    const SOME: ContentHash = ContentHash([7; 32]);
    const SOON: Duration = Duration::from_secs(60);

    fn wish(name: &str) -> Wish {
        Wish { path: name.into(), content: SOME, cells: Size::new(20, 10) }
    }

    fn wishes<const N: usize>(names: [&str; N]) -> Vec<Wish> {
        names.map(wish).into()
    }

    /// One worker that says what it begins, and ends it when told to.
    fn gated(threads: usize) -> (Pool, Receiver<String>, crossbeam_channel::Sender<()>, Receiver<()>) {
        let ((begin, begun), (open, gate), (tell, told)) = (unbounded(), unbounded(), unbounded());
        let make = move |wish: &Wish| -> Made {
            begin.send(wish.path.display().to_string()).unwrap();
            gate.recv_timeout(SOON).unwrap();
            Err(format!("no {}", wish.path.display()))
        };
        (Pool::start(threads, make, Box::new(move || tell.send(()).unwrap())), begun, open, told)
    }

    #[test]
    fn a_folder_that_does_not_answer_holds_up_no_other() {
        let ((begin, begun), (open, gate)) = (unbounded(), unbounded::<()>());
        let make = move |wish: &Wish| -> Made {
            begin.send(wish.path.display().to_string()).unwrap();
            if wish.path.starts_with("hangs") {
                gate.recv_timeout(SOON).unwrap();
            }
            Err("none".into())
        };
        let pool = Pool::start_patient(1, make, Box::new(|| ()), Duration::from_millis(20));
        pool.wish(wishes(["hangs/1"]));
        assert_eq!(begun.recv_timeout(SOON).unwrap(), "hangs/1");
        std::thread::sleep(Duration::from_millis(30));
        pool.wish(wishes(["hangs/2", "elsewhere/3"]));
        assert_eq!(begun.recv_timeout(SOON).unwrap(), "elsewhere/3");
        assert!(begun.recv_timeout(Duration::from_millis(30)).is_err(), "one of them is enough");
        open.send(()).unwrap();
        open.send(()).unwrap();
        assert_eq!(begun.recv_timeout(SOON).unwrap(), "hangs/2");
        let until = Instant::now() + SOON;
        while pool.shared.board().workers > 1 {
            assert!(Instant::now() < until, "the spare one is still there");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn the_newest_wishes_come_first_and_the_others_are_dropped() {
        let (pool, begun, open, told) = gated(1);
        pool.wish(wishes(["a", "b", "c"]));
        assert_eq!(begun.recv_timeout(SOON).unwrap(), "a");
        // The view has moved on; what is being made is not begun again.
        pool.wish(wishes(["d", "a", "b"]));
        for expected in ["d", "b"] {
            open.send(()).unwrap();
            assert_eq!(begun.recv_timeout(SOON).unwrap(), expected);
        }
        open.send(()).unwrap();
        for _ in 0..3 {
            told.recv_timeout(SOON).unwrap();
        }
        let made: Vec<Wish> = pool.take().into_iter().map(|(wish, _)| wish).collect();
        assert_eq!(made, wishes(["a", "d", "b"]));
        assert!(pool.take().is_empty() && begun.is_empty(), "c was dropped");
    }

    #[test]
    fn what_is_made_and_not_yet_taken_is_not_made_again() {
        let (pool, begun, open, told) = gated(1);
        pool.wish(wishes(["a"]));
        open.send(()).unwrap();
        told.recv_timeout(SOON).unwrap();
        pool.wish(wishes(["a", "b"]));
        assert_eq!(begun.recv_timeout(SOON).unwrap(), "a");
        assert_eq!(begun.recv_timeout(SOON).unwrap(), "b");
        open.send(()).unwrap();
    }

    #[test]
    fn a_file_is_read_by_one_worker_at_a_time() {
        let (pool, begun, open, _told) = gated(2);
        let larger = Wish { cells: Size::new(40, 20), ..wish("a") };
        pool.wish(vec![wish("a"), larger, wish("b")]);
        let both = [begun.recv_timeout(SOON).unwrap(), begun.recv_timeout(SOON).unwrap()];
        assert!(both.contains(&"a".into()) && both.contains(&"b".into()), "{both:?}");
        // Whichever ends first, only then does the other size begin.
        for _ in 0..3 {
            open.send(()).unwrap();
        }
        assert_eq!(begun.recv_timeout(SOON).unwrap(), "a");
    }

    #[test]
    fn a_panic_is_the_failure_of_its_picture() {
        let (tell, told) = unbounded();
        let make = |wish: &Wish| -> Made {
            assert!(wish.path != Path::new("cursed"), "cursed");
            Err("fine".into())
        };
        let pool = Pool::start(1, make, Box::new(move || tell.send(()).unwrap()));
        pool.wish(wishes(["cursed", "b"]));
        told.recv_timeout(SOON).unwrap();
        told.recv_timeout(SOON).unwrap();
        let reasons: Vec<String> = pool.take().into_iter().filter_map(|(_, made)| made.err()).collect();
        assert_eq!(reasons, ["preparing it for the terminal failed", "fine"]);
    }

    #[test]
    fn dropping_does_not_wait_for_a_disk() {
        let (pool, begun, open, told) = gated(1);
        pool.wish(wishes(["slow", "next"]));
        begun.recv_timeout(SOON).unwrap();
        drop(pool);
        open.send(()).unwrap();
        // The thread has ended, and nobody was told.
        assert!(told.recv_timeout(SOON).is_err_and(|e| e.is_disconnected()));
        assert!(begun.try_recv().is_err());
    }

    fn studio(graphics: Graphics, cache: Option<&Path>) -> Studio {
        let thumbnails = cache.map(|dir| Arc::new(Thumbnails::new(dir.into())));
        Studio { graphics, thumbnails, limits: Limits::default(), large: Mutex::default() }
    }

    fn plain(width: u32, height: u32, color: [u8; 3]) -> Vec<u8> {
        let image = RgbImage::new(width, height, color.repeat((width * height) as usize)).unwrap();
        taiyi_image::to_jpeg(&image, 85).unwrap()
    }

    /// Upper and lower colour of each cell.
    fn shown(made: Made) -> (Size, Vec<[u8; 3]>) {
        let protocol = made.map_err(|reason| panic!("{reason}")).unwrap().protocol;
        let area = Rect::from(protocol.size());
        let mut buffer = Buffer::empty(area);
        ratatui_image::Image::new(&protocol).render(area, &mut buffer);
        let colors = buffer.content.iter().flat_map(|cell| {
            let ends = if cell.symbol() == "▄" { [cell.bg, cell.fg] } else { [cell.fg, cell.bg] };
            ends.map(|color| if let Color::Rgb(r, g, b) = color { [r, g, b] } else { [0; 3] })
        });
        (protocol.size(), colors.collect())
    }

    fn is_about(made: Made, color: [u8; 3]) -> bool {
        shown(made).1.iter().all(|seen| (0..3).all(|i| seen[i].abs_diff(color[i]) <= 4))
    }

    /// Other content of the same size, with the same time.
    fn spoil(path: &Path) {
        let metadata = fs::metadata(path).unwrap();
        fs::write(path, vec![0; usize::try_from(metadata.len()).unwrap()]).unwrap();
        set_modified(path, metadata.modified().unwrap());
    }

    fn set_modified(path: &Path, at: SystemTime) {
        File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }

    #[test]
    fn a_copy_on_disk_is_as_good_as_the_file_until_that_changes() {
        let dir = tempfile::tempdir().unwrap();
        let wish = Wish { path: dir.path().join("海.jpg"), content: SOME, cells: Size::new(40, 20) };
        let studio = studio(Graphics::halfblocks(), Some(&dir.path().join("cache")));
        fs::write(&wish.path, plain(800, 600, [30, 90, 200])).unwrap();
        assert!(is_about(studio.make(&wish), [30, 90, 200]));
        spoil(&wish.path);
        assert!(is_about(studio.make(&wish), [30, 90, 200]), "the file was not read");
        let elsewhere = Wish { cells: Size::new(10, 5), ..wish.clone() };
        assert!(is_about(studio.make(&elsewhere), [30, 90, 200]), "one copy serves every size");

        set_modified(&wish.path, SystemTime::now() + Duration::from_secs(5));
        assert!(studio.make(&wish).is_err(), "now it was");
        fs::write(&wish.path, plain(800, 600, [200, 90, 30])).unwrap();
        assert!(is_about(studio.make(&wish), [200, 90, 30]));
    }

    #[test]
    fn a_broken_copy_heals() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let wish = Wish { path: dir.path().join("a.jpg"), content: SOME, cells: Size::new(40, 20) };
        let studio = studio(Graphics::halfblocks(), Some(&cache));
        fs::write(&wish.path, plain(800, 600, [9, 200, 9])).unwrap();
        studio.make(&wish).map_err(|reason| panic!("{reason}")).unwrap();
        let key = Key::of(&wish.path, &fs::metadata(&wish.path).unwrap(), SIDES[0]).unwrap();
        let thumbnails = Thumbnails::new(cache.clone());
        assert!(thumbnails.load(&key, SIDES[0]).is_some());
        let shelf = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
        let copy = fs::read_dir(shelf).unwrap().next().unwrap().unwrap().path();
        fs::write(&copy, b"\xff\xd8 no more than that").unwrap();
        assert!(is_about(studio.make(&wish), [9, 200, 9]));
        assert!(thumbnails.load(&key, SIDES[0]).is_some());
    }

    #[test]
    fn a_large_copy_serves_small_places() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let wish = Wish { path: dir.path().join("a.jpg"), content: SOME, cells: Size::new(60, 30) };
        fs::write(&wish.path, plain(1700, 1200, [60, 60, 200])).unwrap();
        let pixels = studio(Graphics::of(ProtocolType::Sixel, (10, 20)), Some(&cache));
        assert!(pixels.make(&wish).is_ok());
        spoil(&wish.path);
        assert!(is_about(studio(Graphics::halfblocks(), Some(&cache)).make(&wish), [60, 60, 200]));
    }

    #[test]
    fn a_small_picture_is_not_copied() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let wish = Wish { path: dir.path().join("a.jpg"), content: SOME, cells: Size::new(40, 20) };
        fs::write(&wish.path, plain(200, 100, [60, 60, 200])).unwrap();
        assert!(studio(Graphics::halfblocks(), Some(&cache)).make(&wish).is_ok());
        assert!(!cache.exists());
    }

    #[test]
    fn pictures_stand_upright() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../taiyi-image/tests/data");
        let studio = studio(Graphics::halfblocks(), None);
        let cells = Size::new(40, 20);
        let make =
            |n| studio.make(&Wish { path: data.join(format!("orientation_{n}.jpg")), content: SOME, cells });
        let (size, expected) = shown(make(1));
        for n in 2..=8 {
            let (turned_size, turned) = shown(make(n));
            assert_eq!(turned_size, size, "orientation {n}");
            let off = expected.iter().zip(&turned).flat_map(|(a, b)| (0..3).map(|i| a[i].abs_diff(b[i])));
            // Each is a JPEG of its own.
            let mean = off.map(f64::from).sum::<f64>() / (expected.len() * 3) as f64;
            assert!(mean < 4.0, "orientation {n} is {mean} off");
        }
    }

    #[test]
    fn failures_have_short_reasons() {
        let dir = tempfile::tempdir().unwrap();
        let reason_of = |name: &str, content: Option<&[u8]>| {
            let path = dir.path().join(name);
            if let Some(content) = content {
                fs::write(&path, content).unwrap();
            }
            let mut studio = studio(Graphics::halfblocks(), None);
            studio.limits.max_pixels = 1000;
            studio.make(&Wish { path, content: SOME, cells: Size::new(4, 2) }).err().unwrap()
        };
        assert_eq!(reason_of("gone.jpg", None), "the file is gone");
        assert_eq!(reason_of("gone.jpg/too", None), "the file is gone");
        assert_eq!(reason_of("empty.jpg", Some(b"")), "the file is empty");
        assert_eq!(reason_of("text.jpg", Some(b"hello")), "not a picture of a known format");
        assert!(reason_of("big.jpg", Some(&plain(50, 50, [1; 3]))).contains("megapixels"));
        assert_eq!(reason_of(".", None), "cannot be read: is a folder");
    }
}
