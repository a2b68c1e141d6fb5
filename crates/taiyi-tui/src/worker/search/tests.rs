//! The worker over a real index, with towers that know three words.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use taiyi_core::{EncodeError, ImageFormat, Orientation, PhotoMetadata, PreparedImage, RgbImage};
use taiyi_store::{
    Entry as StoredEntry, FileStamp, GraphOptions, PublishOptions, RelativePath, Writer, WriterOptions,
};

use super::*;

/// 老虎, 猫 and 海 are the axes; anything else is half of each.
struct Words {
    encoded: Arc<AtomicUsize>,
    /// While it is held by a test, 慢 takes as long.
    gate: Receiver<()>,
}

impl TextEncoder for Words {
    fn dimension(&self) -> usize {
        3
    }

    fn too_long(&self, text: &str) -> Result<Option<usize>, EncodeError> {
        Ok((text.chars().count() > 50).then_some(52))
    }

    fn encode_texts(&self, batch: &[&str]) -> Result<Vec<Embedding>, EncodeError> {
        let encode = |text: &&str| {
            self.encoded.fetch_add(1, Ordering::Relaxed);
            let vector = match *text {
                "老虎" => [1.0, 0.0, 0.0],
                "猫" => [0.0, 1.0, 0.0],
                "海" => [0.0, 0.0, 1.0],
                "慢" => {
                    let _ = self.gate.recv();
                    [1.0, 1.0, 0.0]
                }
                "坏" => panic!("a word that breaks the tower"),
                _ => [0.5; 3],
            };
            Embedding::normalize(vector.to_vec()).map_err(|e| EncodeError::Model(e.to_string()))
        };
        batch.iter().map(encode).collect()
    }
}

/// Everything is 海.
struct Sea;

impl ImageEncoder for Sea {
    fn dimension(&self) -> usize {
        3
    }

    fn prepare(&self, image: &RgbImage) -> Result<PreparedImage, EncodeError> {
        Ok(PreparedImage(image.clone()))
    }

    fn encode_images(&self, batch: &[PreparedImage]) -> Result<Vec<Embedding>, EncodeError> {
        Ok(batch.iter().map(|_| Embedding::normalize(vec![0.0, 0.0, 1.0]).unwrap()).collect())
    }
}

struct FakeTowers {
    text: Arc<Words>,
    is_missing: Arc<AtomicBool>,
}

impl Towers for FakeTowers {
    fn text(&self, _: &ModelId) -> Result<Arc<dyn TextEncoder>, String> {
        if self.is_missing.load(Ordering::Relaxed) {
            return Err("no such model: get it".to_owned());
        }
        Ok(Arc::clone(&self.text) as Arc<dyn TextEncoder>)
    }

    fn image(&self, _: &ModelId) -> Result<Arc<dyn ImageEncoder>, String> {
        Ok(Arc::new(Sea))
    }
}

struct Session {
    dir: tempfile::TempDir,
    worker: SearchWorker,
    told: Receiver<Action>,
    encoded: Arc<AtomicUsize>,
    is_missing: Arc<AtomicBool>,
    gate: Sender<()>,
    generation: u64,
}

fn writer(dir: &Path) -> Writer {
    let model = ModelId { name: "words".into(), weights: "cd".repeat(32), dimension: 3 };
    let options = WriterOptions { model, graph: GraphOptions::default(), threads: NonZeroUsize::MIN };
    Writer::open(&dir.join("index"), options).unwrap()
}

/// Publishes an index of these pictures, the later the newer.
fn publish(dir: &Path, pictures: &[(&str, [f32; 3])]) {
    let writer = writer(dir);
    let root = writer.add_root(&dir.join("photos")).unwrap();
    let entry = |(place, (name, vector)): (usize, &(&str, [f32; 3]))| StoredEntry::Embedded {
        root,
        path: RelativePath::from_path(Path::new(name)).unwrap(),
        stamp: FileStamp { size: 1, mtime_ns: 0 },
        hash: ContentHash::of(name.as_bytes()),
        metadata: PhotoMetadata {
            width: 4,
            height: 3,
            format: Some(ImageFormat::Png),
            orientation: Orientation::Upright,
            taken_s: Some(place as i64),
            taken_offset_min: None,
            gps: None,
            camera: None,
        },
        embedding: Embedding::normalize(vector.to_vec()).unwrap(),
    };
    let entries: Vec<_> = pictures.iter().enumerate().map(entry).collect();
    writer.commit(&entries).unwrap();
    writer.publish(&PublishOptions { build_graph: false }, &mut |_| {}).unwrap();
}

const PICTURES: &[(&str, [f32; 3])] = &[
    ("tiger.png", [1.0, 0.1, 0.0]),
    ("cat.png", [0.1, 1.0, 0.0]),
    ("sea.png", [0.0, 0.0, 1.0]),
    ("cat at sea.png", [0.0, 0.9, 1.0]),
];

impl Session {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (gate, waits) = unbounded();
        let (tell, told) = unbounded();
        let (encoded, is_missing) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let text = Arc::new(Words { encoded: Arc::clone(&encoded), gate: waits });
        let towers = Arc::new(FakeTowers { text, is_missing: Arc::clone(&is_missing) });
        let options = SearchOptions {
            index_dir: dir.path().join("index"),
            results: 3,
            limits: Limits::default(),
            threads: NonZeroUsize::MIN,
            zone: TimeZone::UTC,
            home: Some(dir.path().to_owned()),
        };
        let worker = SearchWorker::start(options, towers, move |action| drop(tell.send(action))).unwrap();
        Self { dir, worker, told, encoded, is_missing, gate, generation: 0 }
    }

    fn with_pictures() -> Self {
        let session = Self::new();
        publish(session.dir.path(), PICTURES);
        session
    }

    fn ask(&mut self, text: &str) {
        let prompt =
            if text.is_empty() { Default::default() } else { taiyi_query::Prompt::parse(text).unwrap() };
        self.ask_question(Question { terms: prompt.terms, filter: prompt.filter, similar: None });
    }

    fn ask_question(&mut self, question: Question) {
        self.generation += 1;
        self.worker.ask(Request { generation: self.generation, question });
    }

    fn next(&self) -> Action {
        self.told.recv_timeout(Duration::from_secs(20)).expect("the worker said nothing")
    }

    fn answer(&self) -> Answer {
        match self.next() {
            Action::Answered(answer) => *answer,
            other => panic!("{other:?}"),
        }
    }

    /// Names of the answer to the newest request.
    fn names(&self) -> Vec<String> {
        let answer = self.answer();
        assert_eq!(answer.generation, self.generation);
        let name = |entry: &Entry| entry.picture.path.file_stem().unwrap().to_string_lossy().into_owned();
        answer.found.unwrap().iter().map(name).collect()
    }
}

#[test]
fn nothing_asked_browses_and_a_prompt_ranks() {
    let mut s = Session::with_pictures();
    s.ask("");
    let answer = s.answer();
    let entries = answer.found.unwrap();
    assert_eq!(entries[0].picture.path.file_name().unwrap(), "cat at sea.png", "the newest first");
    assert!(answer.is_cut && entries.len() == 3 && entries.iter().all(|entry| entry.score.is_none()));
    assert_eq!(answer.total, 4);
    s.ask("猫");
    assert_eq!(s.names(), ["cat", "cat at sea", "tiger"]);
    s.ask("猫 + 海");
    assert_eq!(s.names()[0], "cat at sea");
    s.ask("猫 path:*sea*");
    assert_eq!(s.names(), ["cat at sea", "sea"]);
    let similar = Some(ContentHash::of(b"cat.png"));
    s.ask_question(Question { similar, ..Question::default() });
    assert_eq!(s.names(), ["cat at sea", "tiger", "sea"], "without itself");
}

#[test]
fn a_text_is_encoded_once() {
    let mut s = Session::with_pictures();
    for _ in 0..3 {
        s.ask("老虎");
        assert_eq!(s.names()[0], "tiger");
    }
    assert_eq!(s.encoded.load(Ordering::Relaxed), 1);
}

#[test]
fn only_the_newest_request_is_answered() {
    let mut s = Session::with_pictures();
    s.ask("慢");
    while s.encoded.load(Ordering::Relaxed) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    // While the first is being encoded, three more come.
    for text in ["猫", "海", "老虎"] {
        s.ask(text);
    }
    s.gate.send(()).unwrap();
    assert_eq!(s.names()[0], "tiger");
    assert_eq!(s.encoded.load(Ordering::Relaxed), 2, "those in between were never encoded");
    assert!(s.told.recv_timeout(Duration::from_millis(100)).is_err());
}

#[test]
fn an_index_that_appears_or_grows_is_noticed() {
    let mut s = Session::new();
    s.ask("");
    assert!(matches!(s.next(), Action::Trouble(Trouble::NoIndex(dir)) if dir.ends_with("index")));
    drop(writer(s.dir.path()));
    s.worker.check_index();
    assert!(matches!(s.next(), Action::Trouble(Trouble::NotPublished(_))));
    s.worker.check_index();
    assert!(s.told.recv_timeout(Duration::from_millis(200)).is_err(), "told once");
    publish(s.dir.path(), &[]);
    s.worker.check_index();
    assert!(matches!(s.next(), Action::Trouble(Trouble::Empty(_))));
    publish(s.dir.path(), &PICTURES[..1]);
    s.worker.check_index();
    assert!(matches!(s.next(), Action::IndexChanged));
    s.ask("");
    assert_eq!(s.names(), ["tiger"]);
    s.worker.check_index();
    assert!(s.told.recv_timeout(Duration::from_millis(200)).is_err(), "nothing has changed");
    publish(s.dir.path(), &PICTURES[..2]);
    s.worker.check_index();
    assert!(matches!(s.next(), Action::IndexChanged));
    s.ask("");
    assert_eq!(s.names(), ["cat", "tiger"]);
}

#[test]
fn an_index_made_anew_in_the_same_folder_is_another() {
    let mut s = Session::with_pictures();
    s.ask("");
    assert_eq!(s.names().len(), 3);
    std::fs::remove_dir_all(s.dir.path().join("index")).unwrap();
    s.worker.check_index();
    assert!(s.told.recv_timeout(Duration::from_millis(200)).is_err(), "what is mapped stays good");
    // It begins with the same generation again.
    publish(s.dir.path(), &PICTURES[..1]);
    s.worker.check_index();
    assert!(matches!(s.next(), Action::IndexChanged));
    s.ask("");
    assert_eq!(s.names(), ["tiger"]);
}

#[test]
fn a_panic_is_an_answer_and_the_worker_goes_on() {
    let mut s = Session::with_pictures();
    s.ask("坏");
    let answer = s.answer();
    assert_eq!((answer.generation, answer.total), (s.generation, 4));
    assert!(answer.found.unwrap_err().contains("broke off"));
    s.ask("老虎");
    assert_eq!(s.names()[0], "tiger");
}

#[test]
fn a_model_that_cannot_be_used_is_told_and_may_come_later() {
    let mut s = Session::with_pictures();
    s.is_missing.store(true, Ordering::Relaxed);
    s.ask("");
    assert!(s.answer().found.is_ok(), "browsing needs no model");
    assert!(matches!(s.next(), Action::Trouble(Trouble::Model(why)) if why.contains("get it")));
    s.ask("猫");
    assert!(matches!(s.next(), Action::Trouble(Trouble::Model(_))));
    s.is_missing.store(false, Ordering::Relaxed);
    s.worker.check_index();
    assert!(matches!(s.next(), Action::IndexChanged));
    s.ask("猫");
    assert_eq!(s.names()[0], "cat");
}

#[test]
fn what_is_wrong_with_a_prompt_is_its_answer() {
    let mut s = Session::with_pictures();
    let mistake = |s: &Session| s.answer().found.unwrap_err();
    s.ask("@./no-such.jpg");
    assert!(mistake(&s).contains("no-such.jpg"));
    s.ask(&"长".repeat(60));
    assert!(mistake(&s).contains("52 tokens"));
    s.ask("老虎 - 老虎");
    assert!(mistake(&s).contains("nothing"));
    s.ask_question(Question { similar: Some(ContentHash::of(b"gone")), ..Question::default() });
    assert!(mistake(&s).contains("no longer"));
    // And a picture that is there, by a path below the home folder.
    std::fs::write(s.dir.path().join("query.ppm"), b"P6 2 1 255\n\x10\x20\x30\x40\x50\x60").unwrap();
    s.ask("@~/query.ppm");
    assert_eq!(s.names(), ["sea", "cat at sea", "cat"]);
}
