//! `query`: finds pictures by a sentence, by a picture, or by a sum of both.

use std::collections::HashSet;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use jiff::tz::TimeZone;
use taiyi_core::{Embedding, TextEncoder as _};
use taiyi_image::Limits;
use taiyi_query::{
    Filter, Hit, Prompt, PromptError, SearchRequest, Source, Term, combine, parse_date, search,
};
use taiyi_store::{ContentHash, Snapshot};

use crate::encoders::Encoders;
use crate::exit::{self, Exit};
use crate::flags::{HitFormat, QueryFlags};
use crate::models;
use crate::output::hits::HitWriter;
use crate::output::json::Took;
use crate::settings::Settings;

mod prompts;

use prompts::Prompts;

pub(crate) fn run(settings: &Settings, flags: &QueryFlags) -> anyhow::Result<Exit> {
    let start = Instant::now();
    let format = format(flags)?;
    let common = Common::new(settings, flags)?;
    let mut prompts = Prompts::new(flags, !common.terms.is_empty())?;
    let snapshot = Snapshot::open(&settings.index_dir)?;
    let model = models::open_for_index(settings, snapshot.model())?;
    let encoders = Encoders::new(&model, settings);
    let opening = start.elapsed();

    // Paths are bytes, and must not be touched; the rest may carry colours.
    let out: Box<dyn Write> = match format {
        HitFormat::Table => Box::new(anstream::stdout().lock()),
        HitFormat::Paths | HitFormat::Tsv | HitFormat::Json => {
            Box::new(BufWriter::new(std::io::stdout().lock()))
        }
    };
    let mut writer =
        HitWriter::new(out, format, flags.null, snapshot.model().name.clone(), prompts.are_several());
    // Never dropped: a process that ends here would take a tenth longer for freeing a vocabulary word by word.
    let mut session = ManuallyDrop::new(Session { snapshot, encoders, common, opening });
    let (mut found, mut failed, mut asked) = (false, false, false);
    loop {
        let batch = prompts.next_batch()?;
        if batch.is_empty() {
            break;
        }
        asked = true;
        for (prompt, answer) in session.answer(&batch)? {
            match answer {
                Ok((hits, took)) => {
                    found |= !hits.is_empty();
                    writer.answer(&prompt, &hits, took)?;
                }
                Err(e) => {
                    failed = true;
                    exit::report(&e);
                    writer.failure(&prompt, &exit::one_line(&e))?;
                }
            }
        }
    }
    if !asked {
        bail!("there was no prompt to read: write one a line, or type one, e.g. taiyi-search query 两只老虎");
    }
    Ok(match (failed, found) {
        (true, _) => Exit::Failure,
        (false, true) => Exit::Success,
        (false, false) => Exit::Nothing,
    })
}

fn format(flags: &QueryFlags) -> anyhow::Result<HitFormat> {
    Ok(match (flags.null, flags.format) {
        (true, None | Some(HitFormat::Paths)) => HitFormat::Paths,
        (true, Some(_)) => bail!("-0 goes with --format paths only"),
        (false, Some(format)) => format,
        (false, None) if std::io::stdout().is_terminal() => HitFormat::Table,
        (false, None) => HitFormat::Paths,
    })
}

/// What the flags add to every prompt.
struct Common {
    terms: Vec<Term>,
    filter: Filter,
    k: usize,
    min_score: Option<f32>,
    exact: bool,
    literal: bool,
    truncate: bool,
    limits: Limits,
    threads: std::num::NonZeroUsize,
}

impl Common {
    fn new(settings: &Settings, flags: &QueryFlags) -> anyhow::Result<Self> {
        if flags.k == 0 {
            bail!("-k 0 asks for nothing: give a number from 1");
        }
        if flags.min_score.is_some_and(|score| !(-1.0..=1.0).contains(&score)) {
            bail!("--min-score is a cosine: give a number from -1 to 1");
        }
        let mut terms = Vec::new();
        for path in &flags.image {
            terms.push(Term { weight: 1.0, source: Source::Image(path.clone()) });
        }
        for text in &flags.plus {
            terms.push(Term::parse(text).context("--plus")?);
        }
        for text in &flags.minus {
            terms.push(Term::parse(text).context("--minus")?.negated());
        }
        let mut filter = Filter::default();
        for pattern in &flags.path {
            filter.add_path(pattern)?;
        }
        if let Some(date) = &flags.after {
            filter.set_after(parse_date(date)?);
        }
        if let Some(date) = &flags.before {
            filter.set_before(parse_date(date)?);
        }
        let max_pixels = settings.max_megapixels.saturating_mul(1_000_000);
        Ok(Self {
            terms,
            filter,
            k: flags.k,
            min_score: flags.min_score,
            exact: flags.exact,
            literal: flags.literal,
            truncate: flags.truncate,
            limits: Limits { max_pixels, ..Limits::default() },
            threads: settings.threads,
        })
    }

    /// The prompt with what the flags add.
    fn read(&self, text: &str) -> anyhow::Result<Prompt> {
        let mut prompt = match text {
            "" if !self.terms.is_empty() => Prompt::default(),
            text if self.literal => Prompt::literal(text)?,
            text => Prompt::parse(text).map_err(|e| match e {
                e @ PromptError::Dangling { .. } => anyhow!("{e}, or take it as plain text with --literal"),
                e => e.into(),
            })?,
        };
        prompt.terms.extend(self.terms.iter().cloned());
        if prompt.terms.is_empty() {
            return Err(PromptError::OnlyFilters(text.to_owned()).into());
        }
        prompt.filter = prompt.filter.and(self.filter.clone());
        Ok(prompt)
    }
}

type Answer = anyhow::Result<(Vec<Hit>, Took)>;

struct Session<'a> {
    snapshot: Snapshot,
    encoders: Encoders<'a>,
    common: Common,
    /// Time that went into opening index and model; told with the first answers.
    opening: Duration,
}

impl Session<'_> {
    /// One answer a prompt. What is wrong with one prompt is its answer; an error of the index or the
    /// model ends it all.
    fn answer(&mut self, batch: &[String]) -> anyhow::Result<Vec<(String, Answer)>> {
        let mut prompts: Vec<anyhow::Result<Prompt>> = Vec::new();
        for text in batch {
            prompts.push(self.common.read(text));
        }
        if prompts.iter().flatten().any(|prompt| texts(prompt).next().is_some()) {
            self.encoders.text()?;
            for prompt in &mut prompts {
                if let Ok(read) = prompt
                    && let Err(e) = self.check_lengths(read)
                {
                    *prompt = Err(e);
                }
            }
        }
        let start = Instant::now();
        let mut embedded = self.embed_texts(&prompts)?;
        let per_prompt = start.elapsed() / u32::try_from(batch.len().max(1)).unwrap_or(1);
        let mut answers = Vec::with_capacity(batch.len());
        for (text, prompt) in batch.iter().zip(prompts) {
            let answer = prompt.and_then(|prompt| {
                let loaded = self.encoders.loading();
                let start = Instant::now();
                // Taken before anything of this prompt can fail: the next one's follow.
                let later = embedded.split_off(texts(&prompt).count().min(embedded.len()));
                let mut of_texts = std::mem::replace(&mut embedded, later).into_iter();
                let mut without = HashSet::new();
                let mut terms = Vec::with_capacity(prompt.terms.len());
                for term in &prompt.terms {
                    let embedding = match &term.source {
                        Source::Text(_) => of_texts.next().context("the model gave too few vectors")?,
                        Source::Image(path) => self.embed_image(path, &mut without)?,
                    };
                    terms.push((term.weight, embedding));
                }
                let query = combine(&terms)?;
                let loading = self.encoders.loading().saturating_sub(loaded);
                let encode = per_prompt + start.elapsed().saturating_sub(loading);
                let start = Instant::now();
                let hits = self.search(&query, prompt.filter, without)?;
                // Told once, with the first answer that had to wait for it.
                let load = std::mem::take(&mut self.opening) + self.encoders.take_loading();
                Ok((hits, Took { load_ms: ms(load), encode_ms: ms(encode), search_ms: ms(start.elapsed()) }))
            });
            answers.push((text.clone(), answer));
        }
        Ok(answers)
    }

    /// Refuses texts that the model would cut, or says that they are cut.
    fn check_lengths(&self, prompt: &Prompt) -> anyhow::Result<()> {
        let tower = self.encoders.text()?;
        for text in texts(prompt) {
            if let Some(most) = tower.too_long(text)? {
                let start: String = text.chars().take(20).collect();
                if !self.common.truncate {
                    bail!(
                        "the prompt {start:?}… is longer than the {most} tokens that the model reads: shorten \
                         it, or let it be cut with --truncate"
                    );
                }
                exit::warn(&format!(
                    "the prompt {start:?}… was cut to the {most} tokens that the model reads"
                ));
            }
        }
        Ok(())
    }

    /// The embeddings of all texts of all prompts, in their order.
    fn embed_texts(&self, prompts: &[anyhow::Result<Prompt>]) -> anyhow::Result<Vec<Embedding>> {
        let texts: Vec<&str> = prompts.iter().flatten().flat_map(texts).collect();
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.encoders.text()?.encode_texts(&texts)?)
    }

    /// The embedding of a query picture, which is left out of the answer. One that is in the index
    /// already is not decoded again.
    fn embed_image(&self, path: &Path, without: &mut HashSet<ContentHash>) -> anyhow::Result<Embedding> {
        let bytes = taiyi_image::read(path, &self.common.limits)?;
        let hash = ContentHash::of(&bytes);
        without.insert(hash);
        match self.snapshot.find_content(&hash) {
            Some(row) => Ok(self.snapshot.embedding(row)?),
            None => self.encoders.embed_picture(&bytes, path, &self.common.limits),
        }
    }

    fn search(
        &self,
        query: &Embedding,
        filter: Filter,
        without: HashSet<ContentHash>,
    ) -> anyhow::Result<Vec<Hit>> {
        // Looking up the system's reads through its whole list of zones, and only dates need it.
        let zone = if filter.has_dates() { TimeZone::system() } else { TimeZone::UTC };
        let request = SearchRequest {
            k: self.common.k,
            min_score: self.common.min_score,
            filter,
            without,
            exact: self.common.exact,
            threads: self.common.threads,
            zone,
        };
        Ok(search(&self.snapshot, query, &request)?)
    }
}

fn texts(prompt: &Prompt) -> impl Iterator<Item = &str> {
    prompt.terms.iter().filter_map(|term| match &term.source {
        Source::Text(text) => Some(text.as_str()),
        Source::Image(_) => None,
    })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
