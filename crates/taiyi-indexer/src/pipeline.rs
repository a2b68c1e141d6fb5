//! Decode workers → inference thread → the calling thread, which alone writes.
//!
//! Queues are bounded, and carry pictures of the model's input size, never photos. Cancelling lets
//! the batch in flight end; what waits is left for the next run.

use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use taiyi_core::{Embedding, EncodeError, ImageEncoder, PhotoMetadata, PreparedImage};
use taiyi_image::{Decoded, Enough, ImageError, Limits};
use taiyi_store::{ContentHash, Failure, FailureKind, FileStamp, RelativePath, Writer};

use crate::change::Change;
use crate::in_flight::{Claim, InFlight};
use crate::{IndexError, Target};

/// A model that fails on this many pictures in a row is broken; the pictures are not to blame.
const MODEL_FAILURES_IN_A_ROW: usize = 8;

/// How long the inference thread waits for a batch to fill before it takes what is there.
const BATCH_PATIENCE: Duration = Duration::from_millis(200);

/// Photos of more pixels than this are decoded one at a time, whatever the number of workers: a
/// 200-megapixel photo takes 600 MB as RGB.
const LARGE_PIXELS: u64 = 32_000_000;

/// The same for files of more bytes than this.
const LARGE_BYTES: u64 = 64 << 20;

/// One file to read.
#[derive(Debug)]
pub(crate) struct FileJob {
    /// Index of its target.
    pub(crate) target: usize,
    /// Path below the target's root.
    pub(crate) path: RelativePath,
    pub(crate) stamp: FileStamp,
    pub(crate) change: Change,
}

impl FileJob {
    pub(crate) fn path_below(&self, targets: &[Target]) -> PathBuf {
        targets[self.target].root.join(self.path.to_path())
    }
}

/// A picture that has its embedding.
pub(crate) struct Embedded {
    pub(crate) job: FileJob,
    pub(crate) hash: ContentHash,
    pub(crate) metadata: PhotoMetadata,
    pub(crate) embedding: Embedding,
}

/// What became of files; handled by the calling thread, in the order of arrival.
pub(crate) enum Outcome {
    Embedded(Vec<Embedded>),
    Reused {
        job: FileJob,
        hash: ContentHash,
    },
    /// `claim` is the content that other files may be waiting for.
    Failed {
        job: FileJob,
        claim: Option<ContentHash>,
        failure: Failure,
        remember: bool,
    },
    Ignored(FileJob),
    /// Gone between the walk and now: the next run sees to it.
    Vanished,
    Fatal(IndexError),
}

struct Prepared {
    job: FileJob,
    hash: ContentHash,
    metadata: PhotoMetadata,
    image: PreparedImage,
}

/// What the threads share.
pub(crate) struct Pipeline<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) encoder: &'a dyn ImageEncoder,
    pub(crate) targets: &'a [Target],
    pub(crate) limits: Limits,
    pub(crate) threads: usize,
    pub(crate) batch_images: usize,
    pub(crate) cancel: &'a AtomicBool,
    pub(crate) in_flight: &'a InFlight,
}

impl Pipeline<'_> {
    /// Puts `jobs` through, handing every outcome to `handle` on this thread. The first error of
    /// `handle` stops all threads and is returned.
    pub(crate) fn run(
        &self,
        jobs: Vec<FileJob>,
        mut handle: impl FnMut(Outcome) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let jobs = Mutex::new(jobs.into_iter());
        let large = Mutex::new(());
        let (to_inference, prepared) = bounded::<Prepared>(2 * self.batch_images);
        let (to_writer, outcomes) = bounded::<Outcome>(4 * self.batch_images);
        thread::scope(|scope| {
            let mut handles = Vec::new();
            let spawned = (0..self.threads)
                .try_for_each(|n| {
                    let (to_inference, to_writer) = (to_inference.clone(), to_writer.clone());
                    let (jobs, large) = (&jobs, &large);
                    thread::Builder::new()
                        .name(format!("decode-{n}"))
                        .spawn_scoped(scope, move || self.decode(jobs, large, &to_inference, &to_writer))
                        .map(|handle| handles.push(("decode", handle)))
                })
                .and_then(|()| {
                    let to_writer = to_writer.clone();
                    thread::Builder::new()
                        .name("inference".into())
                        .spawn_scoped(scope, move || self.infer(&prepared, &to_writer))
                        .map(|handle| handles.push(("inference", handle)))
                });
            drop((to_inference, to_writer));
            let mut result = match spawned {
                Ok(()) => outcomes.iter().try_for_each(&mut handle),
                Err(e) => Err(IndexError::Thread { thread: "decode", what: format!("could not start: {e}") }),
            };
            // With the receiver gone, every send fails and the threads come to their end.
            drop(outcomes);
            for (thread, handle) in handles {
                if handle.join().is_err() && result.is_ok() {
                    result = Err(IndexError::Thread { thread, what: "panicked".into() });
                }
            }
            result
        })
    }

    fn decode(
        &self,
        jobs: &Mutex<std::vec::IntoIter<FileJob>>,
        large: &Mutex<()>,
        to_inference: &Sender<Prepared>,
        to_writer: &Sender<Outcome>,
    ) {
        while !self.cancel.load(Ordering::Relaxed) {
            let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(job) = next else { return };
            let sent = match self.prepare(job, large) {
                Ok(Some(prepared)) => to_inference.send(prepared).is_ok(),
                Ok(None) => true,
                Err(outcome) => to_writer.send(outcome).is_ok(),
            };
            if !sent {
                return;
            }
        }
    }

    /// Reads, hashes and, if its content is new, decodes a file. `None`: it waits for another file
    /// with the same content.
    fn prepare(&self, job: FileJob, large: &Mutex<()>) -> Result<Option<Prepared>, Outcome> {
        let path = job.path_below(self.targets);
        // Held while a giant is in memory, so that two never are at once.
        let mut turn = (job.stamp.size > LARGE_BYTES).then(|| take_turn(large));
        let bytes = match self.read(&path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(Outcome::Ignored(job)),
            Err(ImageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(Outcome::Vanished);
            }
            Err(e) => return Err(failed(job, None, &e)),
        };
        let hash = ContentHash::of(&bytes);
        let job = match self.in_flight.claim(self.writer, &hash, job) {
            Ok(Claim::Embed(job)) => job,
            Ok(Claim::Reuse(job)) => return Err(Outcome::Reused { job, hash }),
            Ok(Claim::Waits) => return Ok(None),
            Err(e) => return Err(Outcome::Fatal(e.into())),
        };
        let decoded = match self.pixels(&bytes, &path, || {
            turn.get_or_insert_with(|| take_turn(large));
        }) {
            Ok(decoded) => decoded,
            Err(e) => return Err(failed(job, Some(hash), &e)),
        };
        drop(bytes);
        // The decoder catches its own panics; this is for the resize.
        let prepared =
            catch_unwind(AssertUnwindSafe(|| self.encoder.prepare_area(&decoded.image, decoded.area)))
                .unwrap_or_else(|_| Err(EncodeError::Input("preparing the picture panicked".into())));
        match prepared {
            Ok(image) => Ok(Some(Prepared { job, hash, metadata: decoded.metadata, image })),
            Err(e) => Err(not_encoded(job, hash, &e)),
        }
    }

    /// Decodes a picture, with no more pixels than the encoder has use for where that is cheaper. `take_turn` is called
    /// before a giant is decoded.
    fn pixels(&self, bytes: &[u8], path: &Path, take_turn: impl FnOnce()) -> Result<Decoded, ImageError> {
        let enough = self.encoder.enough_pixels().map(Enough::ShortSide);
        if let Some(reduced) = enough.and_then(|e| taiyi_image::decode_reduced(bytes, &self.limits, e)) {
            return Ok(reduced);
        }
        // Refused by its header, a large photo costs nothing the first time.
        let ordinary = Limits { max_pixels: self.limits.max_pixels.min(LARGE_PIXELS), ..self.limits };
        match taiyi_image::decode(bytes, path, &ordinary) {
            Err(ImageError::TooManyPixels { .. }) => {
                take_turn();
                taiyi_image::decode(bytes, path, &self.limits)
            }
            decoded => decoded,
        }
    }

    /// The bytes of a file; `None` if it neither is a picture nor claims to be one by its name. A HEIC
    /// or the like is a failure: its owner should know that it is not in the index.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, ImageError> {
        let mut head = Vec::with_capacity(taiyi_image::SNIFF_BYTES);
        File::open(path)
            .and_then(|file| file.take(taiyi_image::SNIFF_BYTES as u64).read_to_end(&mut head))
            .map_err(|source| ImageError::Io { path: path.to_path_buf(), source })?;
        // A video of gigabytes is not read to its end to learn that it is none of ours, even if it is
        // called a JPEG.
        match taiyi_image::recognize(&head, path) {
            Ok(_) => taiyi_image::read(path, &self.limits).map(Some),
            Err(ImageError::NotAPicture { .. }) if !taiyi_image::has_picture_extension(path) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn infer(&self, prepared: &Receiver<Prepared>, to_writer: &Sender<Outcome>) {
        let mut failures_in_a_row = 0;
        while let Some(batch) = self.next_batch(prepared) {
            let (batch, images): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|p| ((p.job, p.hash, p.metadata), p.image)).unzip();
            let results = match self.encode(&images) {
                Ok(embeddings) => embeddings.into_iter().map(Ok).collect(),
                // One picture may spoil a batch: each gets a chance of its own.
                Err(_) => images.chunks(1).map(|image| self.encode_one(image)).collect::<Vec<_>>(),
            };
            let mut embedded = Vec::with_capacity(results.len());
            for ((job, hash, metadata), result) in batch.into_iter().zip(results) {
                match result {
                    Ok(embedding) => {
                        failures_in_a_row = 0;
                        embedded.push(Embedded { job, hash, metadata, embedding });
                    }
                    Err(e) => {
                        failures_in_a_row += usize::from(matches!(e, EncodeError::Model(_)));
                        let outcome = if failures_in_a_row >= MODEL_FAILURES_IN_A_ROW {
                            Outcome::Fatal(e.into())
                        } else {
                            not_encoded(job, hash, &e)
                        };
                        if to_writer.send(outcome).is_err() {
                            return;
                        }
                    }
                }
            }
            if !embedded.is_empty() && to_writer.send(Outcome::Embedded(embedded)).is_err() {
                return;
            }
        }
    }

    /// A full batch, or what came before patience or the work ran out. `None`: no more, or cancelled.
    fn next_batch(&self, prepared: &Receiver<Prepared>) -> Option<Vec<Prepared>> {
        let mut batch = vec![prepared.recv().ok()?];
        while batch.len() < self.batch_images {
            match prepared.recv_timeout(BATCH_PATIENCE) {
                Ok(next) => batch.push(next),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        // Dropping what is queued is safe: none of it is in the ledger, the next run finds it.
        (!self.cancel.load(Ordering::Relaxed)).then_some(batch)
    }

    fn encode(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EncodeError> {
        let embeddings = catch_unwind(AssertUnwindSafe(|| self.encoder.encode_images(images)))
            .unwrap_or_else(|_| Err(EncodeError::Model("it panicked".into())))?;
        if embeddings.len() == images.len() {
            Ok(embeddings)
        } else {
            let message = format!("{} embeddings for {} pictures", embeddings.len(), images.len());
            Err(EncodeError::Model(message))
        }
    }

    fn encode_one(&self, image: &[PreparedImage]) -> Result<Embedding, EncodeError> {
        let none = || EncodeError::Model("it made no embedding".into());
        self.encode(image)?.pop().ok_or_else(none)
    }
}

fn take_turn(large: &Mutex<()>) -> MutexGuard<'_, ()> {
    large.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(job: FileJob, claim: Option<ContentHash>, error: &ImageError) -> Outcome {
    let kind = match error {
        ImageError::Io { .. } => FailureKind::Unreadable,
        ImageError::FileTooLarge { .. } | ImageError::TooManyPixels { .. } => FailureKind::TooLarge,
        ImageError::NotAPicture { .. } => FailureKind::NotAPicture,
        ImageError::Unsupported { .. } => FailureKind::Unsupported,
        _ => FailureKind::Corrupt,
    };
    Outcome::Failed { job, claim, failure: Failure { kind, message: error.reason() }, remember: true }
}

/// A picture that the model refuses is remembered; a failure of the model is not the picture's.
fn not_encoded(job: FileJob, hash: ContentHash, error: &EncodeError) -> Outcome {
    let failure = Failure { kind: FailureKind::Encoder, message: error.to_string() };
    let remember = matches!(error, EncodeError::Input(_));
    Outcome::Failed { job, claim: Some(hash), failure, remember }
}
