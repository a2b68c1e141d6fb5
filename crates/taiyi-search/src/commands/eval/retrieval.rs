//! `eval retrieval`: do captions find their pictures, and pictures their captions?
//!
//! Every caption is compared with every picture. What was embedded is kept for the next measurement.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use taiyi_core::{Embedding, TextEncoder as _};
use taiyi_query::metrics::RankSummary;
use taiyi_query::retrieval::{CompareOptions, Comparison, RightAnswers, compare};

use super::captions::{Captions, FoundCaption};
use super::export::{self, Export, Measured};
use super::pictures::Pictures;
use super::published;
use super::retrieval_report::RetrievalReport;
use super::text_cache::{KnownText, TextCache};
use crate::encoders::Encoders;
use crate::exit::{self, Exit};
use crate::flags::{RetrievalFlags, SummaryFormat};
use crate::interrupt;
use crate::models::{self, Model};
use crate::output::text::{count, show_path};
use crate::progress;
use crate::settings::Settings;

/// Captions embedded between two steps of the progress bar.
const CHUNK: usize = 256;
/// What was embedded is written down at least so often.
const SAVE_EVERY: Duration = Duration::from_secs(60);

pub(crate) fn run(settings: &Settings, flags: &RetrievalFlags) -> anyhow::Result<Exit> {
    if !flags.images.is_dir() {
        bail!("--images {} is not a folder", show_path(&flags.images));
    }
    let export = flags.export.as_ref().map(|dir| Export::new(dir, flags.overwrite)).transpose()?;
    let list = flags.candidates.as_deref();
    let asked = Captions::read(&flags.captions, flags.layout, &flags.images, list)?;
    let model = models::open_asked_or_of_index(settings)?;
    let published = flags.published.map(|set| published::of_retrieval(set, &model.id.name)).transpose()?;
    let cancel = interrupt::cancel_flag();
    let mut found = None;
    let pictures = Pictures::embed(settings, &model, &flags.images, flags.fresh, &cancel, |files| {
        let captions = asked.find(files, &flags.images)?;
        let candidates = captions.candidates.clone();
        found = Some(captions);
        Ok(candidates)
    })?;
    let (Some(pictures), Some(found)) = (pictures, found) else { return Ok(Exit::Interrupted) };
    let (without_picture, pictures_missing) = (found.without_picture, found.pictures_missing);
    let candidates_missing = found.candidates_missing;
    let captions = found.known(&pictures, &flags.images);
    let right = RightAnswers::new(captions.right, pictures.embeddings.len());
    let Some(texts) = embed_captions(settings, &model, flags.fresh, &captions.rows, &cancel)? else {
        return Ok(Exit::Interrupted);
    };

    let top = if export.is_some() { export::TOP } else { 0 };
    let Some(comparison) =
        compare_all(settings, &texts.embeddings, &pictures.embeddings, &right, top, &cancel)?
    else {
        return Ok(Exit::Interrupted);
    };
    let without_caption = right.pictures_without_text();
    // The literature has no number for pictures that no text belongs to.
    let has_both = without_caption == 0 && !pictures.embeddings.is_empty();
    if let Some(export) = &export {
        let paths = pictures.first_paths();
        export.write(&Measured {
            texts: &captions.rows,
            paths: &paths,
            right: &right,
            comparison: &comparison,
            has_both,
        })?;
    }
    let mut ks = flags.k.iter().map(|&k| k as usize).collect::<Vec<_>>();
    ks.sort_unstable();
    ks.dedup();
    let summary = |ranks: Vec<Option<usize>>, ks: &[usize]| {
        RankSummary::of(&ranks.into_iter().flatten().collect::<Vec<_>>(), ks)
    };
    let nothing = || format!("no picture with a caption could be read in {}", show_path(&flags.images));
    let at_published =
        summary(comparison.text_ranks.clone(), &published::RETRIEVAL_KS).with_context(nothing)?;
    let report = RetrievalReport {
        model: &model.id.name,
        pictures: pictures.embeddings.len(),
        candidates: &asked.candidates,
        candidates_missing,
        captions: texts.embeddings.len(),
        without_caption,
        failed: pictures.failures.len(),
        left_out: captions.left_out,
        without_picture,
        pictures_missing,
        pictures_embedded: pictures.embedded,
        captions_embedded: texts.embedded,
        text_to_image: summary(comparison.text_ranks, &ks).with_context(nothing)?,
        image_to_text: has_both.then(|| summary(comparison.picture_ranks, &ks)).flatten(),
        published: published.map(|published| (published, at_published)),
    };
    let mut out = anstream::stdout().lock();
    match flags.format {
        SummaryFormat::Json => writeln!(out, "{}", report.to_json())?,
        SummaryFormat::Text => {
            for line in report.to_lines(&ks) {
                writeln!(out, "{line}")?;
            }
        }
    }
    Ok(Exit::Success)
}

/// The captions' embeddings.
struct Texts {
    embeddings: Vec<Embedding>,
    /// Texts that no earlier measurement had embedded; those that are alike count once.
    embedded: usize,
}

/// `None` when that was stopped.
fn embed_captions(
    settings: &Settings,
    model: &Model,
    is_fresh: bool,
    captions: &[FoundCaption],
    cancel: &AtomicBool,
) -> anyhow::Result<Option<Texts>> {
    let mut cache = TextCache::open(settings, &model.id, is_fresh);
    let mut unknown: Vec<&str> = Vec::new();
    let mut known = HashMap::new();
    for caption in captions {
        let text = caption.text.as_str();
        known.entry(text).or_insert_with(|| {
            let kept = cache.get(text);
            if kept.is_none() {
                unknown.push(text);
            }
            kept
        });
    }
    if !unknown.is_empty() {
        // Loaded only where it is needed.
        let encoders = Encoders::new(model, settings);
        let tower = encoders.text()?;
        let bar = progress::bar(settings, unknown.len(), "captions");
        let mut saved = Instant::now();
        for texts in unknown.chunks(CHUNK) {
            if cancel.load(Ordering::Relaxed) {
                bar.finish_and_clear();
                cache.save();
                return Ok(None);
            }
            for (text, embedding) in texts.iter().zip(tower.encode_texts(texts)?) {
                let is_cut = tower.tokenize(text)?.truncated;
                cache.insert(text, KnownText { embedding, is_cut });
            }
            bar.inc(texts.len() as u64);
            if saved.elapsed() > SAVE_EVERY {
                cache.save();
                saved = Instant::now();
            }
        }
        bar.finish_and_clear();
        cache.save();
        for text in &unknown {
            known.insert(text, cache.get(text));
        }
    }
    let mut cut = 0;
    let mut texts = Texts { embeddings: Vec::with_capacity(captions.len()), embedded: unknown.len() };
    for caption in captions {
        let known = known.get(caption.text.as_str()).and_then(Option::as_ref);
        let known = known.with_context(|| format!("the model gave no vector for {:?}", caption.text))?;
        cut += u64::from(known.is_cut);
        texts.embeddings.push(known.embedding.clone());
    }
    if cut > 0 {
        exit::warn(&format!(
            "{} cut to the tokens that the model reads",
            count(cut, "caption was", "captions were")
        ));
    }
    Ok(Some(texts))
}

/// `None` when that was stopped.
fn compare_all(
    settings: &Settings,
    texts: &[Embedding],
    pictures: &[Embedding],
    right: &RightAnswers,
    top: usize,
    cancel: &AtomicBool,
) -> anyhow::Result<Option<Comparison>> {
    let bar = progress::bar(settings, texts.len(), "captions compared");
    let options = CompareOptions { threads: settings.threads.get(), top };
    let compared = compare(texts, pictures, right, options, &|texts| bar.inc(texts), cancel);
    bar.finish_and_clear();
    if compared.is_none() && !cancel.load(Ordering::Relaxed) {
        bail!("a thread that compares captions and pictures has died: this is a fault of the program");
    }
    Ok(compared)
}
