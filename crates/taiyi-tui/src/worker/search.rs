//! The search worker: holds the snapshot and the towers, and answers the newest request.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::tz::TimeZone;
use lru::LruCache;
use taiyi_core::{Embedding, ImageEncoder, ModelId, TextEncoder};
use taiyi_image::Limits;
use taiyi_query::{
    BrowseRequest, ContentHash, Filter, SearchRequest, Snapshot, Source, StoreError, Term, combine, newest,
    search,
};

use crate::action::Action;
use crate::state::Entry;

/// So many texts are kept embedded: going back to a former prompt costs no encoding.
const KEPT_TEXTS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// What is looked for. Without terms and without a picture, the newest pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Question {
    /// The sum to embed.
    pub(crate) terms: Vec<Term>,
    /// Which pictures may answer.
    pub(crate) filter: Filter,
    /// An indexed picture that counts as one more term, and is left out of the answer.
    pub(crate) similar: Option<ContentHash>,
}

/// A question with its number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    /// Grows with every request; answers to older ones are dropped.
    pub(crate) generation: u64,
    /// What is looked for.
    pub(crate) question: Question,
}

/// What the worker found.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// That of the request.
    pub(crate) generation: u64,
    /// The pictures, best or newest first; or what is wrong with this question.
    pub(crate) found: Result<Arc<[Entry]>, String>,
    /// Whether more pictures would fit than were asked for.
    pub(crate) is_cut: bool,
    /// Pictures in the index.
    pub(crate) total: usize,
}

/// Why there is nothing to search in, or nothing to search with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// There is no index in this folder.
    NoIndex(PathBuf),
    /// The first run of `index` has not published anything yet.
    NotPublished(PathBuf),
    /// There is no picture in the index.
    Empty(PathBuf),
    /// The index cannot be read: why, and what to do.
    Index(String),
    /// The model cannot be used: why, and what to do.
    Model(String),
}

/// The towers of whatever model made an index. Loading is slow and happens on the worker's thread; errors
/// are told to people as they are.
pub trait Towers: Send + Sync {
    /// The text tower.
    ///
    /// # Errors
    /// Why there is none, and what to do.
    fn text(&self, model: &ModelId) -> Result<Arc<dyn TextEncoder>, String>;

    /// The image tower.
    ///
    /// # Errors
    /// Why there is none, and what to do.
    fn image(&self, model: &ModelId) -> Result<Arc<dyn ImageEncoder>, String>;
}

/// Where and how to search.
#[derive(Clone, Debug)]
pub(crate) struct SearchOptions {
    /// Folder of the index.
    pub(crate) index_dir: PathBuf,
    /// How many pictures an answer has, at most.
    pub(crate) results: usize,
    /// Bounds for pictures in prompts.
    pub(crate) limits: Limits,
    /// Threads of one search.
    pub(crate) threads: NonZeroUsize,
    /// In which zone days begin.
    pub(crate) zone: TimeZone,
    /// What `~/` stands for in a picture's path.
    pub(crate) home: Option<PathBuf>,
}

/// What waits to be done; requests replace one another.
#[derive(Default)]
struct Waiting {
    request: Option<Request>,
    checks_index: bool,
}

/// The other end of the worker.
pub(crate) struct SearchWorker {
    waiting: Arc<Mutex<Waiting>>,
    wake: Sender<()>,
}

impl SearchWorker {
    /// Starts the worker; `tell` is called on its thread, and may block.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(
        options: SearchOptions,
        towers: Arc<dyn Towers>,
        tell: impl Fn(Action) + Send + 'static,
    ) -> std::io::Result<Self> {
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        // One wake-up is as good as many.
        let (wake, woken) = bounded(1);
        let mut searcher = Searcher {
            options,
            towers,
            tell: Box::new(tell),
            waiting: Arc::clone(&waiting),
            snapshot: None,
            opened: 0,
            told: None,
            text: None,
            image: None,
            embedded: LruCache::new(KEPT_TEXTS),
        };
        // Not joined: a search of a dead network folder must not keep anybody from leaving.
        thread::Builder::new().name("search".into()).spawn(move || searcher.run(&woken))?;
        Ok(Self { waiting, wake })
    }

    /// Asks; what was asked before and is not answered yet is forgotten.
    pub(crate) fn ask(&self, request: Request) {
        lock(&self.waiting).request = Some(request);
        let _ = self.wake.try_send(());
    }

    /// Lets the worker look for a newer index; it tells [`Action::IndexChanged`] if there is one.
    pub(crate) fn check_index(&self) {
        lock(&self.waiting).checks_index = true;
        let _ = self.wake.try_send(());
    }
}

/// Nothing panics while it holds the lock, and if it did, what is in there would still be good.
fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a request has no answer.
enum Failed {
    /// Something is wrong with the question.
    Mistake(String),
    /// Nothing can be asked.
    Trouble(Trouble),
    /// A newer request waits.
    Stale,
}

struct Searcher {
    options: SearchOptions,
    towers: Arc<dyn Towers>,
    tell: Box<dyn Fn(Action) + Send>,
    waiting: Arc<Mutex<Waiting>>,
    snapshot: Option<Snapshot>,
    /// How many snapshots there have been.
    opened: u64,
    /// The trouble that was told last, until it is over.
    told: Option<Trouble>,
    text: Option<(ModelId, Arc<dyn TextEncoder>)>,
    image: Option<(ModelId, Arc<dyn ImageEncoder>)>,
    /// Of the text tower in `text`.
    embedded: LruCache<String, Embedding>,
}

impl Searcher {
    fn run(&mut self, woken: &Receiver<()>) {
        while woken.recv().is_ok() {
            let waiting = std::mem::take(&mut *lock(&self.waiting));
            let generation = waiting.request.as_ref().map(|request| request.generation);
            if catch_unwind(AssertUnwindSafe(|| self.work(waiting))).is_err() {
                self.start_afresh(generation);
            }
        }
    }

    /// After a panic: whoever waits for an answer is told, and no tower is used that may be half-done.
    fn start_afresh(&mut self, generation: Option<u64>) {
        (self.text, self.image) = (None, None);
        self.embedded.clear();
        if let Some(generation) = generation {
            let found =
                Err("the search broke off, tui.log in the cache folder says where: ask something else"
                    .to_owned());
            let total = self.snapshot.as_ref().map_or(0, Snapshot::len);
            (self.tell)(Action::Answered(Box::new(Answer { generation, found, is_cut: false, total })));
        }
    }

    fn work(&mut self, Waiting { request, checks_index }: Waiting) {
        if let Some(request) = request {
            self.answer(&request);
        } else if checks_index {
            self.check_index();
        }
        // The first prompt will want the tower: there is nothing better to do meanwhile.
        if let Some(model) = self.snapshot.as_ref().map(|snapshot| snapshot.model().clone())
            // Just tried in vain; it is tried again when the index is looked at.
            && !matches!(self.told, Some(Trouble::Model(_)))
            && !self.is_stale()
            && let Err(Failed::Trouble(trouble)) = self.text_tower(&model)
        {
            self.tell_trouble(trouble);
        }
    }

    fn is_stale(&self) -> bool {
        lock(&self.waiting).request.is_some()
    }

    fn tell_trouble(&mut self, trouble: Trouble) {
        if self.told.as_ref() != Some(&trouble) {
            self.told = Some(trouble.clone());
            (self.tell)(Action::Trouble(trouble));
        }
    }

    fn check_index(&mut self) {
        let before = self.opened;
        match self.open() {
            Ok(snapshot) => {
                // Not by its number: an index made anew in the same folder counts from the start.
                let is_other = before != self.opened;
                // A model that was not there may be there now.
                let was_trouble = matches!(self.told, Some(Trouble::Model(_)));
                if is_other || (was_trouble && self.text_tower(&snapshot.model().clone()).is_ok()) {
                    self.told = None;
                    (self.tell)(Action::IndexChanged);
                }
            }
            Err(trouble) => self.tell_trouble(trouble),
        }
    }

    /// The newest snapshot.
    fn open(&mut self) -> Result<Snapshot, Trouble> {
        let dir = &self.options.index_dir;
        if let Some(snapshot) = &self.snapshot {
            match snapshot.is_newest() {
                Ok(true) => return Ok(snapshot.clone()),
                Ok(false) => {}
                // What is mapped stays good, whatever happened to the folder.
                Err(e) => {
                    tracing::debug!("cannot look for a newer index: {e}");
                    return Ok(snapshot.clone());
                }
            }
        }
        let snapshot = Snapshot::open(dir).map_err(|e| match e {
            StoreError::NotFound { dir } => Trouble::NoIndex(dir),
            StoreError::NotPublished { dir } => Trouble::NotPublished(dir),
            other => Trouble::Index(other.to_string()),
        })?;
        if snapshot.is_empty() {
            return Err(Trouble::Empty(dir.clone()));
        }
        self.opened += 1;
        Ok(self.snapshot.insert(snapshot).clone())
    }

    fn answer(&mut self, request: &Request) {
        let answered = self.open().map_err(Failed::Trouble).and_then(|snapshot| {
            let found = match self.find(&snapshot, &request.question) {
                Err(Failed::Mistake(mistake)) => Err(mistake),
                other => Ok(other?),
            };
            Ok((found, snapshot.len()))
        });
        match answered {
            Ok((found, total)) => {
                self.told = None;
                let mut is_cut = false;
                let found = found.map(|mut entries| {
                    is_cut = entries.len() > self.options.results;
                    entries.truncate(self.options.results);
                    entries.into()
                });
                let generation = request.generation;
                (self.tell)(Action::Answered(Box::new(Answer { generation, found, is_cut, total })));
            }
            Err(Failed::Trouble(trouble)) => {
                // Asked for just now: to be told even if it was told before.
                self.told = None;
                self.tell_trouble(trouble);
            }
            Err(Failed::Mistake(_) | Failed::Stale) => {}
        }
    }

    /// One picture more than an answer has, so that it is known whether there are more.
    fn find(&mut self, snapshot: &Snapshot, question: &Question) -> Result<Vec<Entry>, Failed> {
        let k = self.options.results.saturating_add(1);
        let mistake = |e: taiyi_query::QueryError| match e {
            taiyi_query::QueryError::Store(e) => Failed::Trouble(Trouble::Index(e.to_string())),
            other => Failed::Mistake(other.to_string()),
        };
        let (zone, threads) = (self.options.zone.clone(), self.options.threads);
        let filter = question.filter.clone();
        if question.terms.is_empty() && question.similar.is_none() {
            let pictures = newest(snapshot, &BrowseRequest { k, filter, threads, zone }).map_err(mistake)?;
            return Ok(pictures.into_iter().map(|picture| Entry { score: None, picture }).collect());
        }
        let mut without = HashSet::new();
        let mut terms = Vec::with_capacity(question.terms.len() + 1);
        if let Some(content) = question.similar {
            let Some(row) = snapshot.find_content(&content) else {
                return Err(Failed::Mistake("this picture is no longer in the index".to_owned()));
            };
            let embedding = snapshot.embedding(row);
            terms.push((1.0, embedding.map_err(|e| Failed::Trouble(Trouble::Index(e.to_string())))?));
            without.insert(content);
        }
        for term in &question.terms {
            let embedding = match &term.source {
                Source::Text(text) => self.embed_text(snapshot.model(), text)?,
                Source::Image(path) => self.embed_picture(snapshot, path, &mut without)?,
            };
            terms.push((term.weight, embedding));
            if self.is_stale() {
                return Err(Failed::Stale);
            }
        }
        let query = combine(&terms).map_err(mistake)?;
        let request = SearchRequest { k, min_score: None, filter, without, exact: false, threads, zone };
        let hits = search(snapshot, &query, &request).map_err(mistake)?;
        Ok(hits.into_iter().map(|hit| Entry { score: Some(hit.score), picture: hit.picture }).collect())
    }

    fn text_tower(&mut self, model: &ModelId) -> Result<Arc<dyn TextEncoder>, Failed> {
        if let Some((of, tower)) = &self.text
            && of.is_same_model(model)
        {
            return Ok(Arc::clone(tower));
        }
        let tower = self.towers.text(model).map_err(|e| Failed::Trouble(Trouble::Model(e)))?;
        self.embedded.clear();
        self.text = Some((model.clone(), Arc::clone(&tower)));
        Ok(tower)
    }

    fn embed_text(&mut self, model: &ModelId, text: &str) -> Result<Embedding, Failed> {
        let tower = self.text_tower(model)?;
        if let Some(embedding) = self.embedded.get(text) {
            return Ok(embedding.clone());
        }
        let mistake = |e: taiyi_core::EncodeError| Failed::Mistake(e.to_string());
        if let Some(most) = tower.too_long(text).map_err(mistake)? {
            let start: String = text.chars().take(20).collect();
            return Err(Failed::Mistake(format!(
                "{start:?}… is longer than the {most} tokens that the model reads: shorten it"
            )));
        }
        let embedding = tower.encode_texts(&[text]).map_err(mistake)?.pop();
        let embedding = embedding.ok_or_else(|| Failed::Mistake("the model gave no vector".to_owned()))?;
        self.embedded.put(text.to_owned(), embedding.clone());
        Ok(embedding)
    }

    /// The embedding of a picture in the prompt, which is left out of the answer. One that is in the index
    /// already is not decoded again.
    fn embed_picture(
        &mut self,
        snapshot: &Snapshot,
        path: &Path,
        without: &mut HashSet<ContentHash>,
    ) -> Result<Embedding, Failed> {
        let below_home = path.strip_prefix("~").ok().zip(self.options.home.as_ref());
        let path = below_home.map_or_else(|| path.to_owned(), |(below, home)| home.join(below));
        let picture = |e: taiyi_image::ImageError| Failed::Mistake(e.to_string());
        let bytes = taiyi_image::read(&path, &self.options.limits).map_err(picture)?;
        let hash = ContentHash::of(&bytes);
        without.insert(hash);
        if let Some(row) = snapshot.find_content(&hash) {
            return snapshot.embedding(row).map_err(|e| Failed::Trouble(Trouble::Index(e.to_string())));
        }
        let model = snapshot.model();
        let tower = match &self.image {
            Some((of, tower)) if of.is_same_model(model) => Arc::clone(tower),
            _ => {
                let tower = self.towers.image(model).map_err(|e| Failed::Trouble(Trouble::Model(e)))?;
                self.image = Some((model.clone(), Arc::clone(&tower)));
                tower
            }
        };
        let limits = &self.options.limits;
        let enough = tower.enough_pixels().map(taiyi_image::Enough::ShortSide);
        let reduced = enough.and_then(|enough| taiyi_image::decode_reduced(&bytes, limits, enough));
        let decoded =
            reduced.map_or_else(|| taiyi_image::decode(&bytes, &path, limits), Ok).map_err(picture)?;
        let mistake = |e: taiyi_core::EncodeError| Failed::Mistake(format!("{}: {e}", path.display()));
        let prepared = tower.prepare_area(&decoded.image, decoded.area).map_err(mistake)?;
        let embedding = tower.encode_images(std::slice::from_ref(&prepared)).map_err(mistake)?.pop();
        embedding.ok_or_else(|| Failed::Mistake(format!("{}: the model gave no vector", path.display())))
    }
}
