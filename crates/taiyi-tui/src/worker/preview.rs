//! The preview workers: make of a file what a terminal shows in so many cells, the wish at the front of
//! the newest list first.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use ratatui::layout::Size;
use taiyi_core::RgbImage;
use taiyi_image::{ImageError, Limits};

use crate::graphics::{Graphics, Rendered};
use crate::worker::thumbnails::{Key, Thumbnails};

/// Longer sides of the copies kept on disk. What a grid or half-blocks need, and what a large preview in
/// real pixels needs; the larger one serves both where it is there.
const SIDES: [u32; 2] = [512, 1536];

/// Photos of more pixels than this are decoded one at a time: one of 200 megapixels takes 600 MB as RGB.
const LARGE_PIXELS: u64 = 32_000_000;

/// The same for files of more bytes than this.
const LARGE_BYTES: u64 = 64 << 20;

/// A picture wished for, in a place of so many cells.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wish {
    pub(crate) path: PathBuf,
    pub(crate) cells: Size,
}

/// What became of a wish: the picture, or why there is none.
pub(crate) type Made = Result<Rendered, String>;

/// What workers and gallery tell each other.
#[derive(Default)]
struct Board {
    /// To be made, the next one first.
    wishes: Vec<Wish>,
    running: Vec<Wish>,
    /// Made and not yet taken. No more than were wished for at a time, and those running.
    made: Vec<(Wish, Made)>,
    is_closed: bool,
}

struct Shared {
    board: Mutex<Board>,
    changed: Condvar,
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
            // A file that another worker reads right now will soon be had for less.
            let next = board.wishes.iter().position(|wish| board.running.iter().all(|r| r.path != wish.path));
            if let Some(next) = next {
                let wish = board.wishes.remove(next);
                board.running.push(wish.clone());
                return Some(wish);
            }
            board = self.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether anyone still wants to know.
    fn finish(&self, wish: Wish, made: Made) -> bool {
        let mut board = self.board();
        board.running.retain(|running| *running != wish);
        board.made.push((wish, made));
        self.changed.notify_all();
        !board.is_closed
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
        let (make, notify) = (Arc::new(make), Arc::<dyn Fn() + Send + Sync>::from(notify));
        let shared = Arc::new(Shared { board: Mutex::default(), changed: Condvar::new() });
        for n in 0..threads.max(1) {
            let (shared, make, notify) = (shared.clone(), make.clone(), notify.clone());
            let work = move || {
                while let Some(wish) = shared.next() {
                    // The decoder contains its own panics; this is for what comes after it.
                    let made = catch_unwind(AssertUnwindSafe(|| make(&wish)))
                        .unwrap_or_else(|_| Err("preparing it for the terminal failed".into()));
                    if !shared.finish(wish, made) {
                        return;
                    }
                    notify();
                }
            };
            // The program's panic hook keeps quiet about threads of this kind of name.
            if let Err(e) = thread::Builder::new().name(format!("decode-preview-{n}")).spawn(work) {
                tracing::warn!("a thread for previews could not start: {e}");
            }
        }
        Self { shared }
    }

    /// Replaces everything wished for before; what is being made is finished.
    pub(crate) fn wish(&self, mut wishes: Vec<Wish>) {
        let mut board = self.shared.board();
        wishes
            .retain(|wish| !board.running.contains(wish) && !board.made.iter().any(|(made, _)| made == wish));
        board.wishes = wishes;
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
        let (original, turn) = self.decode(path, metadata.len())?;
        let small = taiyi_image::thumbnail(&original, side)?;
        let is_smaller = small.width() < original.width() || small.height() < original.height();
        drop((original, turn));
        // A picture that is small itself is read as quickly as its copy.
        if let Some((thumbnails, key)) = key(side).filter(|_| is_smaller) {
            thumbnails.store(&key, &small);
        }
        Ok(small)
    }

    /// Decodes a file, with its turn if it is large.
    fn decode(&self, path: &Path, bytes: u64) -> Result<(RgbImage, Option<MutexGuard<'_, ()>>), ImageError> {
        let take_turn = || self.large.lock().unwrap_or_else(PoisonError::into_inner);
        let mut turn = (bytes > LARGE_BYTES).then(take_turn);
        let bytes = taiyi_image::read(path, &self.limits)?;
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
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "the file is gone".into(),
            io::ErrorKind::PermissionDenied => "no permission to read it".into(),
            _ => error.reason(),
        },
        _ => error.reason(),
    }
}
