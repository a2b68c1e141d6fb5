//! Runs of the write path with a fake encoder on small pictures: what is embedded, what is not, and
//! what stays when things go wrong.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use taiyi_core::{Embedding, EncodeError, ImageEncoder, ModelId, PreparedImage, RgbImage};
use taiyi_indexer::{
    IndexError, NoProgress, Progress, ProgressEvent, Report, RunOptions, WalkOptions, forget, plan,
    publish_if_changed, resolve_targets, resolve_with_roots, run,
};
use taiyi_store::{GraphOptions, Snapshot, Writer, WriterOptions};

/// Embeds the mean colour; counts what it is asked for, and fails where it is told to.
#[derive(Default)]
struct MeanColour {
    embedded: AtomicUsize,
    /// A batch with a picture this wide fails as a whole.
    poison_width: Option<u32>,
    broken: bool,
    /// After so many pictures, waits until this is set.
    hold: Option<(usize, Arc<AtomicBool>)>,
}

impl ImageEncoder for MeanColour {
    fn dimension(&self) -> usize {
        4
    }

    fn prepare(&self, image: &RgbImage) -> Result<PreparedImage, EncodeError> {
        Ok(PreparedImage(image.clone()))
    }

    fn encode_images(&self, batch: &[PreparedImage]) -> Result<Vec<Embedding>, EncodeError> {
        if self.broken {
            return Err(EncodeError::Model("out of order".into()));
        }
        if batch.iter().any(|image| Some(image.0.width()) == self.poison_width) {
            return Err(EncodeError::Input("too poisonous".into()));
        }
        let embedded = self.embedded.fetch_add(batch.len(), Ordering::Relaxed) + batch.len();
        if let Some((after, cancel)) = &self.hold
            && embedded > *after
        {
            while !cancel.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let mean = |image: &RgbImage, channel: usize| {
            let sum: u32 = image.pixels().iter().skip(channel).step_by(3).map(|&x| u32::from(x)).sum();
            sum as f32 / (image.width() * image.height()) as f32
        };
        let vector = |image: &RgbImage| vec![mean(image, 0), mean(image, 1), mean(image, 2), 1.0];
        batch.iter().map(|image| Ok(Embedding::normalize(vector(&image.0)).unwrap())).collect()
    }
}

struct World {
    dir: tempfile::TempDir,
    encoder: Arc<MeanColour>,
    options: RunOptions,
}

impl World {
    fn new() -> Self {
        Self::with(MeanColour::default())
    }

    fn with(encoder: MeanColour) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("photos")).unwrap();
        let options = RunOptions { threads: 2, batch_images: 4, ..RunOptions::default() };
        Self { dir, encoder: Arc::new(encoder), options }
    }

    fn photos(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("photos")
    }

    fn index_dir(&self) -> PathBuf {
        self.dir.path().join("index")
    }

    fn picture(&self, name: &str, colour: [u8; 3], width: u32) {
        let path = self.photos().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbImage::from_pixel(width, 8, image::Rgb(colour)).save(path).unwrap();
    }

    fn writer_of(&self, model: &str) -> Result<Writer, taiyi_store::StoreError> {
        let model = ModelId { name: model.into(), weights: model.repeat(8), dimension: 4 };
        let threads = NonZeroUsize::MIN;
        Writer::open(&self.index_dir(), WriterOptions { model, graph: GraphOptions::default(), threads })
    }

    fn index_with(
        &self,
        writer: &Writer,
        paths: &[PathBuf],
        retry_failed: bool,
        progress: &dyn Progress,
        cancel: &AtomicBool,
    ) -> Result<Report, IndexError> {
        let roots = writer.roots()?;
        let targets =
            if paths.is_empty() { resolve_with_roots(&[], &roots)? } else { resolve_targets(paths, &roots)? };
        let mut plan = plan(Some(writer), &targets.found, &WalkOptions::default(), retry_failed, progress)?;
        plan.problems.extend(
            targets.missing.into_iter().map(|(path, reason)| taiyi_indexer::WalkProblem { path, reason }),
        );
        let encoder = Arc::clone(&self.encoder);
        run(writer, plan, move || Ok(encoder as Arc<dyn ImageEncoder>), &self.options, progress, cancel)
    }

    fn index(&self, paths: &[PathBuf]) -> Report {
        let writer = self.writer_of("one").unwrap();
        self.index_with(&writer, paths, false, &NoProgress, &AtomicBool::new(false)).unwrap()
    }

    fn index_photos(&self) -> Report {
        self.index(&[self.photos()])
    }

    fn embedded(&self) -> usize {
        self.encoder.embedded.load(Ordering::Relaxed)
    }

    /// Every path in the index, sorted.
    fn found(&self) -> Vec<PathBuf> {
        let snapshot = Snapshot::open(&self.index_dir()).unwrap();
        let mut paths: Vec<PathBuf> = snapshot
            .rows()
            .flat_map(|row| snapshot.item(row).unwrap().locations)
            .map(|location| location.path())
            .collect();
        paths.sort();
        paths
    }

    fn names(&self) -> Vec<String> {
        let base = self.photos();
        let name = |path: PathBuf| path.strip_prefix(&base).unwrap().to_str().unwrap().to_owned();
        self.found().into_iter().map(name).collect()
    }
}

#[test]
fn the_life_of_an_index() {
    let world = World::new();
    world.picture("a.png", [200, 0, 0], 8);
    world.picture("旅行/b.png", [0, 200, 0], 8);
    fs::write(world.photos().join("notes.txt"), "no picture").unwrap();
    let first = world.index_photos();
    assert_eq!((first.added, first.ignored, first.failed.len()), (2, 1, 0));
    assert_eq!(world.names(), ["a.png", "旅行/b.png"]);

    let again = world.index_photos();
    assert_eq!((again.added, again.unchanged, again.ignored), (0, 2, 1));
    assert_eq!(world.embedded(), 2, "an unchanged file is not embedded again");
    assert_eq!(again.generation, None, "nothing changed, so nothing is published");

    fs::rename(world.photos().join("a.png"), world.photos().join("旅行/c.png")).unwrap();
    fs::copy(world.photos().join("旅行/b.png"), world.photos().join("copy.png")).unwrap();
    let moved = world.index_photos();
    assert_eq!((moved.added, moved.reused, moved.removed), (0, 2, 1));
    assert_eq!(world.embedded(), 2, "renames and copies cost a hash");
    assert_eq!(world.names(), ["copy.png", "旅行/b.png", "旅行/c.png"]);

    world.picture("旅行/c.png", [0, 0, 200], 9);
    fs::remove_file(world.photos().join("copy.png")).unwrap();
    let changed = world.index_photos();
    assert_eq!((changed.updated, changed.removed, changed.unchanged), (1, 1, 1));
    assert_eq!(world.embedded(), 3);
    assert_eq!(Snapshot::open(&world.index_dir()).unwrap().len(), 2, "the old content is gone");
}

#[test]
fn copies_met_in_one_run_are_embedded_once() {
    let world = World::new();
    for n in 0..20 {
        world.picture(&format!("{n:02}.png"), [90, 90, 0], 8);
    }
    let report = world.index_photos();
    assert_eq!((report.added, report.reused), (1, 19));
    assert_eq!(world.embedded(), 1);
    assert_eq!(world.names().len(), 20);
}

#[test]
fn a_bad_file_is_reported_remembered_and_never_fatal() {
    let world = World::new();
    for n in 0..10u8 {
        world.picture(&format!("{n}.png"), [n * 20, 40, 0], 8);
    }
    fs::write(world.photos().join("empty.jpg"), b"").unwrap();
    fs::write(world.photos().join("text.jpg"), b"not a picture at all, by far").unwrap();
    let png = fs::read(world.photos().join("0.png")).unwrap();
    fs::write(world.photos().join("cut.png"), &png[..png.len() / 2]).unwrap();
    let first = world.index_photos();
    assert_eq!((first.added, first.failed.len()), (10, 3));
    let mut failed: Vec<_> =
        first.failed.iter().map(|f| f.path.file_name().unwrap().to_str().unwrap()).collect();
    failed.sort_unstable();
    assert_eq!(failed, ["cut.png", "empty.jpg", "text.jpg"]);

    let second = world.index_photos();
    assert_eq!((second.known_bad, second.failed.len(), second.unchanged), (3, 0, 10));
    let snapshot = Snapshot::open(&world.index_dir()).unwrap();
    assert_eq!(snapshot.failures().unwrap().len(), 3);
    drop(snapshot);

    let writer = world.writer_of("one").unwrap();
    let retried =
        world.index_with(&writer, &[world.photos()], true, &NoProgress, &AtomicBool::new(false)).unwrap();
    assert_eq!(retried.failed.len(), 3);
    drop(writer);

    world.picture("text.png", [1, 2, 3], 8);
    fs::rename(world.photos().join("text.png"), world.photos().join("text.jpg")).unwrap();
    let mended = world.index_photos();
    assert_eq!((mended.updated + mended.added, mended.known_bad), (1, 2), "a changed file is tried again");
}

#[test]
fn one_picture_cannot_spoil_its_batch() {
    let world = World::with(MeanColour { poison_width: Some(13), ..MeanColour::default() });
    for n in 0..7u8 {
        world.picture(&format!("{n}.png"), [n * 30, 0, 9], 8);
    }
    world.picture("poison.png", [9, 9, 9], 13);
    let report = world.index_photos();
    assert_eq!((report.added, report.failed.len()), (7, 1));
    assert!(report.failed[0].reason.contains("poisonous"), "{}", report.failed[0].reason);
}

#[test]
fn a_broken_model_stops_the_run_and_blames_no_picture() {
    let world = World::with(MeanColour { broken: true, ..MeanColour::default() });
    for n in 0..20u8 {
        world.picture(&format!("{n}.png"), [n * 10, 0, 9], 8);
    }
    let writer = world.writer_of("one").unwrap();
    let error = world
        .index_with(&writer, &[world.photos()], false, &NoProgress, &AtomicBool::new(false))
        .unwrap_err();
    assert!(error.to_string().contains("out of order"), "{error}");
    drop(writer);
    let mended = World { encoder: Arc::default(), ..world };
    assert_eq!(mended.index_photos().added, 20, "no picture was remembered as bad");
}

#[test]
fn a_root_that_is_gone_or_suddenly_empty_removes_nothing() {
    let world = World::new();
    world.picture("a.png", [200, 0, 0], 8);
    world.picture("b.png", [0, 200, 0], 8);
    world.index_photos();
    let away = world.dir.path().join("unplugged");

    fs::rename(world.photos(), &away).unwrap();
    let gone = world.index(&[world.dir.path().join("photos")]);
    assert_eq!((gone.removed, gone.problems.len()), (0, 1));

    fs::create_dir(world.dir.path().join("photos")).unwrap();
    let empty = world.index_photos();
    assert_eq!((empty.removed, empty.problems.len()), (0, 1));
    assert!(empty.problems[0].reason.contains("2 pictures stay"), "{}", empty.problems[0].reason);
    assert_eq!(world.names(), ["a.png", "b.png"]);

    fs::remove_dir(world.photos()).unwrap();
    fs::rename(&away, world.photos()).unwrap();
    assert_eq!(world.index_photos().unchanged, 2);
    assert_eq!(world.embedded(), 2);
}

#[test]
fn roots_meet_without_doubling_files() {
    let world = World::new();
    world.picture("2022/a.png", [200, 0, 0], 8);
    world.picture("2022/z.png", [200, 9, 0], 8);
    world.picture("2023/b.png", [0, 200, 0], 8);
    world.index(&[world.photos().join("2023")]);
    assert_eq!(world.names(), ["2023/b.png"]);
    let parent = world.index_photos();
    assert_eq!((parent.added, parent.unchanged), (2, 1), "what the child root knew stays known");
    assert_eq!(world.names(), ["2022/a.png", "2022/z.png", "2023/b.png"]);

    world.picture("2023/c.png", [0, 0, 200], 8);
    fs::remove_file(world.photos().join("2022/a.png")).unwrap();
    let part = world.index(&[world.photos().join("2023")]);
    assert_eq!(
        (part.added, part.unchanged, part.removed),
        (1, 1, 0),
        "only the part that was walked is swept"
    );
    fs::remove_file(world.photos().join("2023/b.png")).unwrap();
    let whole = world.index_photos();
    assert_eq!(whole.removed, 2);
    assert_eq!(world.names(), ["2022/z.png", "2023/c.png"]);
}

#[test]
fn a_disk_below_a_folder_may_go_and_come() {
    let world = World::new();
    world.picture("a.png", [200, 0, 0], 8);
    world.picture("usb/b.png", [0, 200, 0], 8);
    world.index(&[world.photos().join("usb")]);
    world.index_photos();
    let away = world.dir.path().join("unplugged");
    fs::rename(world.photos().join("usb"), &away).unwrap();
    for mount_point_stays in [false, true] {
        if mount_point_stays {
            fs::create_dir(world.photos().join("usb")).unwrap();
        }
        let without = world.index_photos();
        assert_eq!((without.removed, without.problems.len()), (0, 1), "{:?}", without.problems);
        assert_eq!(world.names(), ["a.png", "usb/b.png"]);
    }
    fs::remove_dir(world.photos().join("usb")).unwrap();
    fs::rename(&away, world.photos().join("usb")).unwrap();
    let back = world.index_photos();
    assert_eq!((back.unchanged, back.added, back.problems.len()), (2, 0, 0));
}

#[test]
fn a_file_indexed_alone_is_taken_in_with_its_folder() {
    let world = World::new();
    world.picture("2023/a.png", [200, 0, 0], 8);
    world.picture("2023/b.png", [0, 200, 0], 8);
    world.index(&[world.photos().join("2023/a.png")]);
    let whole = world.index_photos();
    assert_eq!((whole.added, whole.unchanged), (1, 1));
    assert_eq!(world.names(), ["2023/a.png", "2023/b.png"]);
    let writer = world.writer_of("one").unwrap();
    let roots: Vec<_> = writer.roots().unwrap().into_iter().map(|root| (root.path, root.partial)).collect();
    assert_eq!(roots, [(world.photos(), false)]);
}

#[test]
fn a_single_file_does_not_sweep_its_folder() {
    let world = World::new();
    world.picture("a.png", [200, 0, 0], 8);
    world.picture("b.png", [0, 200, 0], 8);
    world.index_photos();
    fs::remove_file(world.photos().join("b.png")).unwrap();
    let one = world.index(&[world.photos().join("a.png")]);
    assert_eq!((one.unchanged, one.removed), (1, 0));
    assert_eq!(world.names(), ["a.png", "b.png"]);
}

#[test]
fn renewing_the_index_takes_in_no_neighbours_of_a_single_file() {
    let world = World::new();
    world.picture("a.png", [200, 0, 0], 8);
    world.picture("b.png", [0, 200, 0], 8);
    world.index(&[world.photos().join("a.png")]);
    let renewed = world.index(&[]);
    assert_eq!((renewed.added, renewed.unchanged), (0, 1));
    world.picture("a.png", [0, 0, 200], 9);
    assert_eq!(world.index(&[]).updated, 1);
    fs::remove_file(world.photos().join("a.png")).unwrap();
    assert_eq!(world.index(&[]).removed, 1);
    assert!(world.names().is_empty());

    assert_eq!(world.index_photos().added, 1, "named itself, the folder is taken whole");
    world.picture("c.png", [50, 0, 200], 9);
    assert_eq!(world.index(&[]).added, 1);
}

/// Cancels once so many files are done.
struct CancelAfter<'a> {
    files: AtomicUsize,
    limit: usize,
    cancel: &'a AtomicBool,
}

impl Progress for CancelAfter<'_> {
    fn event(&self, event: ProgressEvent<'_>) {
        if let ProgressEvent::Done { files, .. } = event
            && self.files.fetch_add(files as usize, Ordering::Relaxed) + files as usize >= self.limit
        {
            self.cancel.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_cancelled_run_publishes_what_it_has_and_the_next_goes_on() {
    let cancel = Arc::new(AtomicBool::new(false));
    let world = World::with(MeanColour { hold: Some((8, Arc::clone(&cancel))), ..MeanColour::default() });
    for n in 0..60u8 {
        world.picture(&format!("{n:02}.png"), [n * 4, 100, 0], 8);
    }
    let progress = CancelAfter { files: AtomicUsize::new(0), limit: 8, cancel: &cancel };
    let writer = world.writer_of("one").unwrap();
    let first = world.index_with(&writer, &[world.photos()], false, &progress, &cancel).unwrap();
    drop(writer);
    assert!(first.interrupted && first.added >= 8 && first.added < 60, "{}", first.added);
    assert_eq!(world.names().len() as u64, first.added);
    let second = world.index_photos();
    assert_eq!((second.added, second.unchanged), (60 - first.added, first.added));
    assert_eq!(world.names().len(), 60);
}

#[test]
fn readers_see_the_index_grow_during_a_run() {
    let mut world = World::new();
    world.options.publish_every = Duration::ZERO;
    for n in 0..24u8 {
        world.picture(&format!("{n:02}.png"), [n * 10, 50, 0], 8);
    }
    struct Generations(AtomicUsize);
    impl Progress for Generations {
        fn event(&self, event: ProgressEvent<'_>) {
            if let ProgressEvent::Published { .. } = event {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    let generations = Generations(AtomicUsize::new(0));
    let writer = world.writer_of("one").unwrap();
    world.index_with(&writer, &[world.photos()], false, &generations, &AtomicBool::new(false)).unwrap();
    assert!(generations.0.load(Ordering::Relaxed) > 2);
    assert_eq!(world.names().len(), 24);
}

#[test]
fn a_rebuild_embeds_everything_anew_and_holds_back_until_it_is_through() {
    let world = World::new();
    for n in 0..40u8 {
        world.picture(&format!("{n:02}.png"), [n * 6, 100, 0], 8);
    }
    world.index_photos();
    let refused = world.writer_of("two").unwrap_err().to_string();
    assert!(refused.contains("--rebuild"), "{refused}");

    let model = ModelId { name: "two".into(), weights: "two".repeat(8), dimension: 4 };
    let options = WriterOptions { model, graph: GraphOptions::default(), threads: NonZeroUsize::MIN };
    let writer = Writer::open_for_rebuild(&world.index_dir(), options).unwrap();
    let cancel = Arc::new(AtomicBool::new(false));
    let slow = MeanColour { hold: Some((8, Arc::clone(&cancel))), ..MeanColour::default() };
    let world = World { encoder: Arc::new(slow), ..world };
    let progress = CancelAfter { files: AtomicUsize::new(0), limit: 8, cancel: &cancel };
    let first = world.index_with(&writer, &[world.photos()], false, &progress, &cancel).unwrap();
    drop(writer);
    assert!(first.interrupted && first.held_back);
    assert_eq!(Snapshot::open(&world.index_dir()).unwrap().model().name, "one", "readers keep the old index");

    let writer = world.writer_of("two").unwrap();
    assert!(writer.is_rebuilding());
    let second =
        world.index_with(&writer, &[world.photos()], false, &NoProgress, &AtomicBool::new(false)).unwrap();
    drop(writer);
    assert_eq!(first.embedded() + second.embedded(), 40, "what was embedded anew before counts");
    assert_eq!(Snapshot::open(&world.index_dir()).unwrap().model().name, "two");
    assert_eq!(world.names().len(), 40);
}

#[test]
fn forgetting_takes_files_folders_and_roots() {
    let world = World::new();
    for name in ["a.png", "旅行/b.png", "旅行/c.png", "旅行者/d.png"] {
        world.picture(name, [name.len() as u8 * 10, 3, 0], 8 + name.len() as u32);
    }
    world.index_photos();
    let forget = |path: &Path| {
        let writer = world.writer_of("one").unwrap();
        let removed = forget(&writer, path).unwrap();
        publish_if_changed(&writer, &NoProgress).unwrap();
        removed
    };
    assert_eq!(forget(&world.photos().join("旅行")), 2);
    assert_eq!(world.names(), ["a.png", "旅行者/d.png"], "a folder's longer-named neighbour stays");
    assert_eq!(forget(&world.photos().join("a.png")), 1);
    assert_eq!(forget(&world.photos().join("nothing")), 0);
    assert_eq!(forget(&world.photos()), 1);
    assert!(world.found().is_empty());
    assert!(world.photos().join("a.png").exists(), "the files stay");
}
