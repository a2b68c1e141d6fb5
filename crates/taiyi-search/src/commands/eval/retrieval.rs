//! `eval retrieval`: do captions find their pictures, and pictures their captions?
//!
//! The pictures go through the same path as in `index`, into an index that is thrown away; every caption is
//! compared with every picture.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use taiyi_core::{Embedding, TextEncoder as _};
use taiyi_query::metrics::{RankSummary, rank_of_best};

use super::picture_table::{CAPTION, PictureTable, Row};
use super::pictures::Pictures;
use super::{parallel, scores};
use crate::encoders::Encoders;
use crate::exit::{self, Exit};
use crate::flags::{RetrievalFlags, SummaryFormat};
use crate::interrupt;
use crate::models;
use crate::output::table::{Align, align};
use crate::output::text::{count, show_path, thousands};
use crate::progress;
use crate::settings::Settings;

/// Captions embedded between two steps of the progress bar.
const CHUNK: usize = 256;

pub(crate) fn run(settings: &Settings, flags: &RetrievalFlags) -> anyhow::Result<Exit> {
    if !flags.images.is_dir() {
        bail!("--images {} is not a folder", show_path(&flags.images));
    }
    let captions = PictureTable::read(&flags.captions, CAPTION, &flags.images)?;
    let model = models::open_asked_or_of_index(settings)?;
    let cancel = interrupt::cancel_flag();
    let embedded = Pictures::embed(settings, &model, &flags.images, &cancel, |walked| {
        captions.check_walked(&walked.collect(), &flags.images)
    })?;
    let Some((pictures, report)) = embedded else { return Ok(Exit::Interrupted) };
    let captions = captions.known(&pictures, &report, &flags.images);
    let right = &captions.pictures;
    let encoders = Encoders::new(&model, settings.threads);
    let Some(texts) = embed_captions(settings, &encoders, &captions.rows, &cancel)? else {
        return Ok(Exit::Interrupted);
    };

    let captioned: BTreeSet<usize> = right.iter().copied().collect();
    let without_caption = pictures.embeddings.len() - captioned.len();
    let threads = settings.threads.get();
    let text_ranks = parallel(texts.len(), threads, &cancel, |text| {
        rank_of_best(&scores(&texts[text], &pictures.embeddings), |picture| picture == right[text])
    });
    let picture_ranks = match without_caption {
        0 => parallel(pictures.embeddings.len(), threads, &cancel, |picture| {
            rank_of_best(&scores(&pictures.embeddings[picture], &texts), |text| right[text] == picture)
        }),
        // The literature has no number for pictures that no text belongs to.
        _ => Vec::new(),
    };
    if cancel.load(Ordering::Relaxed) {
        return Ok(Exit::Interrupted);
    }
    let mut ks = flags.k.iter().map(|&k| k as usize).collect::<Vec<_>>();
    ks.sort_unstable();
    ks.dedup();
    let outcome = Outcome {
        model: model.id.name.clone(),
        pictures: pictures.embeddings.len(),
        captions: texts.len(),
        without_caption,
        failed: report.failed.len(),
        left_out: captions.left_out,
        text_to_image: RankSummary::of(&text_ranks, &ks).with_context(|| {
            format!("no picture with a caption could be read in {}", show_path(&flags.images))
        })?,
        image_to_text: RankSummary::of(&picture_ranks, &ks),
    };
    let mut out = anstream::stdout().lock();
    match flags.format {
        SummaryFormat::Json => writeln!(out, "{}", outcome.to_json())?,
        SummaryFormat::Text => {
            for line in outcome.to_lines(&ks) {
                writeln!(out, "{line}")?;
            }
        }
    }
    Ok(Exit::Success)
}

/// `None` when that was stopped.
fn embed_captions(
    settings: &Settings,
    encoders: &Encoders<'_>,
    captions: &[Row],
    cancel: &AtomicBool,
) -> anyhow::Result<Option<Vec<Embedding>>> {
    let tower = encoders.text()?;
    let bar = progress::bar_of_texts(settings, captions.len(), "captions");
    let mut embeddings = Vec::with_capacity(captions.len());
    let mut cut = 0;
    for rows in captions.chunks(CHUNK) {
        if cancel.load(Ordering::Relaxed) {
            bar.finish_and_clear();
            return Ok(None);
        }
        let texts: Vec<&str> = rows.iter().map(|caption| caption.text.as_str()).collect();
        for text in &texts {
            cut += u64::from(tower.tokenize(text)?.truncated);
        }
        embeddings.append(&mut tower.encode_texts(&texts)?);
        bar.inc(rows.len() as u64);
    }
    bar.finish_and_clear();
    if cut > 0 {
        exit::warn(&format!(
            "{} cut to the {} tokens that the model reads",
            count(cut, "caption was", "captions were"),
            tower.max_tokens()
        ));
    }
    Ok(Some(embeddings))
}

struct Outcome {
    model: String,
    pictures: usize,
    captions: usize,
    without_caption: usize,
    failed: usize,
    left_out: usize,
    text_to_image: RankSummary,
    image_to_text: Option<RankSummary>,
}

impl Outcome {
    fn to_json(&self) -> Value {
        let direction = |summary: &RankSummary| {
            let recall: serde_json::Map<String, Value> =
                summary.recall.iter().map(|(k, share)| (k.to_string(), json!(share))).collect();
            json!({
                "queries": summary.queries,
                "recall": recall,
                "mrr": summary.mean_reciprocal_rank,
                "median_rank": summary.median_rank,
            })
        };
        json!({
            "model": self.model,
            "pictures": self.pictures,
            "captions": self.captions,
            "pictures_without_caption": self.without_caption,
            "failed": self.failed,
            "captions_left_out": self.left_out,
            "text_to_image": direction(&self.text_to_image),
            "image_to_text": self.image_to_text.as_ref().map(direction),
        })
    }

    fn to_lines(&self, ks: &[usize]) -> Vec<String> {
        let mut head = vec![String::new(), "queries".to_owned()];
        head.extend(ks.iter().map(|k| format!("R@{k}")));
        head.extend(["MRR", "median rank"].map(str::to_owned));
        let row = |name: &str, summary: &RankSummary| {
            let mut cells = vec![name.to_owned(), thousands(summary.queries as u64)];
            cells.extend(summary.recall.iter().map(|(_, share)| format!("{share:.4}")));
            cells.push(format!("{:.4}", summary.mean_reciprocal_rank));
            cells.push(summary.median_rank.to_string());
            cells
        };
        let mut rows = vec![head, row("text → image", &self.text_to_image)];
        rows.extend(self.image_to_text.as_ref().map(|summary| row("image → text", summary)));
        let mut columns = vec![Align::Right; ks.len() + 4];
        columns[0] = Align::Left;
        let mut lines = vec![format!(
            "model {}, {}, {}",
            self.model,
            count(self.pictures as u64, "picture", "pictures"),
            count(self.captions as u64, "caption", "captions")
        )];
        lines.extend(align(&columns, &rows));
        if self.without_caption > 0 {
            let verb = if self.without_caption == 1 { "has" } else { "have" };
            lines.push(format!(
                "image → text was not measured: {} {verb} no caption",
                count(self.without_caption as u64, "picture", "pictures")
            ));
        }
        if self.failed > 0 {
            let failed = count(self.failed as u64, "file", "files");
            lines.push(format!("{failed} could not be read and took no part"));
        }
        if self.left_out > 0 {
            let captions = count(self.left_out as u64, "caption", "captions");
            lines.push(format!("{captions} took no part: the picture could not be read"));
        }
        lines
    }
}
