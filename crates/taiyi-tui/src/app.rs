//! The loop that ties everything together: events → actions → state → effects, then one drawing.

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use crossterm::event::{self, Event as TerminalEvent, KeyEvent, MouseButton, MouseEventKind};
use jiff::tz::TimeZone;
use taiyi_image::Limits;

use crate::action::{Action, Effect};
use crate::draw::{Surroundings, draw};
use crate::gallery::{Gallery, GalleryOptions};
use crate::graphics::{self, Graphics, Images};
use crate::history::History;
use crate::keymap::{self, Keymap};
use crate::state::State;
use crate::terminal::Screen;
use crate::theme::Theme;
use crate::viewer;
use crate::worker::{SearchOptions, SearchWorker, Towers};

/// Events that may wait before their senders do.
const QUEUE: usize = 256;
/// So often the flag that asks to stop is looked at.
const STOP_CHECK: Duration = Duration::from_millis(200);
/// So long keys are taken in at a time.
const BURST: Duration = Duration::from_millis(100);
/// Pictures decoded at a time. A search in between should not have to wait for a processor.
const PREVIEW_THREADS: usize = 2;
/// The wheel turns by so many rows.
const WHEEL_ROWS: i16 = 3;

/// Everything the program around decides.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of the index.
    pub index_dir: PathBuf,
    /// How many pictures an answer has, at most.
    pub results: usize,
    /// Bounds for decoding.
    pub limits: Limits,
    /// Threads of one search, and at most as many for previews.
    pub threads: NonZeroUsize,
    /// In which zone days begin.
    pub zone: TimeZone,
    /// What `~/` stands for in a picture's path.
    pub home: Option<PathBuf>,
    /// Where thumbnails are kept; `None` keeps none on disk.
    pub thumbnails_dir: Option<PathBuf>,
    /// The file of former prompts; `None` keeps none.
    pub history: Option<PathBuf>,
    /// Which key does what.
    pub keymap: Keymap,
    /// Colours.
    pub theme: Theme,
    /// How pictures are put on the terminal.
    pub images: Images,
    /// Where the terminal is.
    pub terminal: graphics::Surroundings,
    /// Whether the terminal knows 256 colours and no more.
    pub has_few_colors: bool,
    /// Program and arguments that open a picture, its path behind them; empty for the system's choice.
    pub viewer: Vec<String>,
    /// A line shown while nothing else is to be said.
    pub hint: Option<String>,
}

/// Why the interface ended badly.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// There is no terminal, or it does not work.
    #[error("cannot use the terminal: {0}")]
    Terminal(#[from] io::Error),
    /// The system gives no more threads.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

enum Event {
    Terminal(TerminalEvent),
    /// The terminal cannot be read any more.
    Gone,
    /// From a worker, or about something done outside.
    Action(Action),
    /// A picture has been decoded.
    Picture,
}

/// Runs the interface until the person leaves or `stop` is set. Returns the marked files, in the order they
/// were marked. Whatever happens, the terminal is as it was before.
///
/// # Errors
/// When there is no terminal, or it fails.
pub fn run(options: Options, towers: Arc<dyn Towers>, stop: &AtomicBool) -> Result<Vec<PathBuf>, TuiError> {
    let (history, trouble) = match options.history.as_deref().map(History::load) {
        Some(Ok(history)) => (Some(history), None),
        Some(Err(e)) => (None, Some(e.to_string())),
        None => (None, None),
    };
    let screen = Screen::enter()?;
    // Asks the terminal, so it comes before anybody else reads from it.
    let graphics = Graphics::ask(options.images, options.terminal);
    let has_pixels = graphics.as_ref().is_some_and(Graphics::has_pixels);
    let (events, inbox) = bounded(QUEUE);
    let (wake_events, search_events) = (events.clone(), events.clone());
    // A full queue is drawn from anyway, and every drawing takes what has come.
    let notify = move || match wake_events.try_send(Event::Picture) {
        Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
    };
    let gallery_options = GalleryOptions {
        thumbnails_dir: options.thumbnails_dir.clone(),
        limits: options.limits,
        threads: PREVIEW_THREADS.min(options.threads.get()),
    };
    let gallery = match graphics {
        Some(graphics) => Gallery::new(graphics, gallery_options, Box::new(notify)),
        None => Gallery::off(),
    };
    let search_options = SearchOptions {
        index_dir: options.index_dir.clone(),
        results: options.results.max(1),
        limits: options.limits,
        threads: options.threads,
        zone: options.zone.clone(),
        home: options.home.clone(),
    };
    let tell = move |action| drop(search_events.send(Event::Action(action)));
    let search = SearchWorker::start(search_options, towers, tell).map_err(TuiError::Thread)?;
    read_terminal(events.clone()).map_err(TuiError::Thread)?;

    let prompts = history.as_ref().map(|history| history.prompts().to_vec()).unwrap_or_default();
    let mut state = State::new(screen.size()?, prompts, Instant::now());
    if let Some(trouble) = trouble {
        state.apply(Action::Failed(trouble), Instant::now());
    }
    let Options { keymap, theme, zone, hint, viewer, has_few_colors, .. } = options;
    let is_tmux = options.terminal.is_tmux;
    let surroundings = Surroundings { keymap, theme, zone, hint, has_few_colors };
    let app = App {
        screen,
        state,
        gallery,
        search,
        history,
        surroundings,
        events,
        is_tmux,
        has_pixels,
        viewer,
        typed: None,
        is_gone: false,
    };
    app.run(&inbox, stop)
}

struct App {
    screen: Screen,
    state: State,
    gallery: Gallery,
    search: SearchWorker,
    history: Option<History>,
    surroundings: Surroundings,
    events: Sender<Event>,
    is_tmux: bool,
    /// Whether the terminal draws pictures itself.
    has_pixels: bool,
    viewer: Vec<String>,
    /// When the text changed that is not answered yet.
    typed: Option<Instant>,
    /// The terminal cannot be read any more.
    is_gone: bool,
}

impl App {
    fn run(mut self, inbox: &Receiver<Event>, stop: &AtomicBool) -> Result<Vec<PathBuf>, TuiError> {
        let mut is_dirty = true;
        loop {
            if is_dirty {
                self.draw()?;
                is_dirty = false;
            }
            let wait = self.state.deadline().saturating_duration_since(Instant::now()).min(STOP_CHECK);
            let mut next = match inbox.recv_timeout(wait) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return self.leave(),
            };
            // A burst of keys is taken in as a whole before anything is drawn or asked; of one without end
            // something is seen in between.
            let until = Instant::now() + BURST;
            let mut text = String::new();
            while let Some(event) = next {
                is_dirty = true;
                match self.text(&event) {
                    Some(typed) => text.push_str(&typed),
                    None => {
                        if self.insert(&mut text)? || self.take(event)? {
                            return self.leave();
                        }
                    }
                }
                next = if Instant::now() < until { inbox.try_recv().ok() } else { None };
            }
            if self.insert(&mut text)? {
                return self.leave();
            }
            if stop.load(Ordering::Relaxed) {
                return self.leave();
            }
            if self.state.deadline() <= Instant::now() {
                is_dirty = true;
                if self.apply(Action::Tick)? {
                    return self.leave();
                }
            }
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        self.gallery.pump();
        let Self { screen, state, gallery, surroundings, .. } = self;
        gallery.begin_frame();
        screen.draw(|frame| draw(frame, state, gallery, surroundings))?;
        gallery.end_frame();
        if let Some(typed) = self.typed
            && !self.state.is_waiting()
        {
            tracing::debug!(ms = typed.elapsed().as_secs_f64() * 1e3, "results drawn after the last key");
            self.typed = None;
        }
        Ok(())
    }

    /// What an event types, if it types.
    fn text(&self, event: &Event) -> Option<String> {
        let Event::Terminal(TerminalEvent::Key(key)) = event else { return None };
        match key_action(&self.surroundings.keymap, key) {
            Some(Action::Insert(text)) => Some(text),
            _ => None,
        }
    }

    /// Inserts what was typed in one go, for each insertion looks at the whole line. Whether to leave.
    fn insert(&mut self, text: &mut String) -> io::Result<bool> {
        if text.is_empty() {
            return Ok(false);
        }
        self.typed = Some(Instant::now());
        self.apply(Action::Insert(std::mem::take(text)))
    }

    /// Whether to leave.
    fn take(&mut self, event: Event) -> io::Result<bool> {
        match event {
            Event::Terminal(event) => match self.action(event) {
                Some(action) => self.apply(action),
                None => Ok(false),
            },
            Event::Action(action) => self.apply(action),
            Event::Picture => Ok(false),
            Event::Gone => {
                self.is_gone = true;
                Ok(true)
            }
        }
    }

    fn action(&mut self, event: TerminalEvent) -> Option<Action> {
        match event {
            TerminalEvent::Key(key) => key_action(&self.surroundings.keymap, &key),
            TerminalEvent::Paste(text) => Some(Action::Insert(text)),
            TerminalEvent::Mouse(mouse) => match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => {
                    Some(Action::Click { column: mouse.column, row: mouse.row })
                }
                MouseEventKind::ScrollDown => Some(Action::Wheel(WHEEL_ROWS)),
                MouseEventKind::ScrollUp => Some(Action::Wheel(-WHEEL_ROWS)),
                _ => None,
            },
            TerminalEvent::Resize(columns, rows) => {
                // Pictures that the terminal holds itself may be anywhere now. What is made of characters is
                // drawn anew as all others are.
                if self.has_pixels {
                    self.gallery.forget();
                }
                Some(Action::Resize { columns, rows })
            }
            TerminalEvent::FocusGained | TerminalEvent::FocusLost => None,
        }
    }

    /// Changes the state and does what it wants done. Whether to leave.
    fn apply(&mut self, action: Action) -> io::Result<bool> {
        for effect in self.state.apply(action, Instant::now()) {
            match effect {
                Effect::Search(request) => self.search.ask(request),
                Effect::CheckIndex => self.search.check_index(),
                Effect::Open(path) => {
                    self.outside("opened", path.clone(), viewer::open(&self.viewer, &path));
                }
                Effect::Reveal(path) => {
                    self.outside("opened the folder of", path.clone(), viewer::reveal(&path));
                }
                Effect::Copy(text) => {
                    self.screen.copy(&text, self.is_tmux)?;
                    let said = match text.lines().count() {
                        1 => format!("copied {text}"),
                        n => format!("copied {n} paths"),
                    };
                    self.state.apply(Action::Done(said), Instant::now());
                }
                Effect::Remember(prompt) => {
                    if let Some(Err(e)) = self.history.as_ref().map(|history| history.append(&prompt)) {
                        // Told once: the next prompt would fail alike.
                        self.history = None;
                        self.state.apply(Action::Failed(e.to_string()), Instant::now());
                    }
                }
                Effect::Redraw => {
                    self.gallery.forget();
                    self.screen.clear()?;
                }
                Effect::Quit => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Waits on a thread of its own for something that another program does.
    fn outside(
        &self,
        did: &'static str,
        path: PathBuf,
        work: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) {
        let events = self.events.clone();
        let finish = move || {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            let action = match work() {
                Ok(()) => Action::Done(format!("{did} {name}")),
                Err(e) => Action::Failed(format!("cannot open {}: {e}", path.display())),
            };
            // Nobody listens any more once the interface has ended.
            let _ = events.send(Event::Action(action));
        };
        if let Err(e) = thread::Builder::new().name("viewer".into()).spawn(finish) {
            tracing::error!("cannot start a thread: {e}");
        }
    }

    fn leave(self) -> Result<Vec<PathBuf>, TuiError> {
        self.screen.leave()?;
        // Whose window was closed did not choose to hand the marks on.
        Ok(if self.is_gone { Vec::new() } else { self.state.marks().to_vec() })
    }
}

fn key_action(keymap: &Keymap, key: &KeyEvent) -> Option<Action> {
    match keymap.command(key) {
        Some(command) => Some(Action::Command(command)),
        None => keymap::text(key).map(Action::Insert),
    }
}

/// Hands on what the terminal says, on a thread of its own. It ends with the process: a blocking read cannot
/// be called back, and it holds nothing.
fn read_terminal(events: Sender<Event>) -> io::Result<()> {
    let read = move || {
        loop {
            let sent = match event::read() {
                Ok(event) => events.send(Event::Terminal(event)),
                Err(e) => {
                    tracing::error!("the terminal cannot be read: {e}");
                    let _ = events.send(Event::Gone);
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("terminal".into()).spawn(read).map(drop)
}
