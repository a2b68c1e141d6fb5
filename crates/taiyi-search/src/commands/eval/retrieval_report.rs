//! What `eval retrieval` prints.

use serde_json::{Value, json};
use taiyi_query::metrics::RankSummary;

use super::candidates::Candidates;
use super::published::{Published, beside, beside_as_json, by_k};
use crate::output::table::{Align, align};
use crate::output::text::{count, thousands};

/// The result, and what took no part in it.
pub(super) struct RetrievalReport<'a> {
    pub(super) model: &'a str,
    /// Pictures that every caption is compared with.
    pub(super) pictures: usize,
    pub(super) candidates: &'a Candidates,
    /// Pictures of a list of candidates that are not there.
    pub(super) candidates_missing: usize,
    pub(super) captions: usize,
    /// Pictures that no caption names.
    pub(super) without_caption: usize,
    /// Files that could not be read.
    pub(super) failed: usize,
    /// Captions whose pictures could not be read.
    pub(super) left_out: usize,
    /// Captions whose pictures are not there.
    pub(super) without_picture: usize,
    /// Pictures that are not there.
    pub(super) pictures_missing: usize,
    /// Pictures and captions that no earlier measurement had embedded.
    pub(super) pictures_embedded: u64,
    pub(super) captions_embedded: usize,
    pub(super) text_to_image: RankSummary,
    /// `None` where it was not measured.
    pub(super) image_to_text: Option<RankSummary>,
    /// What the authors measured, and the same measured here.
    pub(super) published: Option<(Published, RankSummary)>,
}

impl RetrievalReport<'_> {
    /// The mean over both directions.
    fn mean_recall(&self) -> Option<f64> {
        Some((self.text_to_image.mean_recall + self.image_to_text.as_ref()?.mean_recall) / 2.0)
    }

    pub(super) fn to_json(&self) -> Value {
        let direction = |summary: &RankSummary| {
            json!({
                "queries": summary.queries,
                "recall": by_k(&summary.recall),
                "mean_recall": summary.mean_recall,
                "mrr": summary.mean_reciprocal_rank,
                "median_rank": summary.median_rank,
            })
        };
        let published =
            self.published.as_ref().map(|(published, here)| beside_as_json(published, &here.recall));
        json!({
            "model": self.model,
            "pictures": self.pictures,
            "candidates": self.candidates.name(),
            "candidates_missing": self.candidates_missing,
            "captions": self.captions,
            "pictures_without_caption": self.without_caption,
            "failed": self.failed,
            "captions_left_out": self.left_out,
            "captions_without_picture": self.without_picture,
            "pictures_missing": self.pictures_missing,
            "pictures_embedded": self.pictures_embedded,
            "captions_embedded": self.captions_embedded,
            "text_to_image": direction(&self.text_to_image),
            "image_to_text": self.image_to_text.as_ref().map(direction),
            "mean_recall": self.mean_recall(),
            "published": published,
        })
    }

    pub(super) fn to_lines(&self, ks: &[usize]) -> Vec<String> {
        let mut lines = vec![format!(
            "model {}, {}, {}: {}",
            self.model,
            count(self.captions as u64, "caption", "captions"),
            count(self.pictures as u64, "candidate", "candidates"),
            self.candidates.describe()
        )];
        lines.extend(self.directions(ks));
        if let Some(mean) = self.mean_recall() {
            lines.push(format!("mean recall of both directions {mean:.4}"));
        }
        if let Some((published, here)) = &self.published {
            lines.extend(beside(published, "R@", &here.recall));
        }
        lines.extend(self.remarks());
        lines
    }

    fn directions(&self, ks: &[usize]) -> Vec<String> {
        let mut head = vec![String::new(), "queries".to_owned()];
        head.extend(ks.iter().map(|k| format!("R@{k}")));
        head.extend(["mean recall", "MRR", "median rank"].map(str::to_owned));
        let row = |name: &str, summary: &RankSummary| {
            let mut cells = vec![name.to_owned(), thousands(summary.queries as u64)];
            cells.extend(summary.recall.iter().map(|(_, share)| format!("{share:.4}")));
            cells.push(format!("{:.4}", summary.mean_recall));
            cells.push(format!("{:.4}", summary.mean_reciprocal_rank));
            cells.push(summary.median_rank.to_string());
            cells
        };
        let mut rows = vec![head, row("text → image", &self.text_to_image)];
        rows.extend(self.image_to_text.as_ref().map(|summary| row("image → text", summary)));
        let mut columns = vec![Align::Right; ks.len() + 5];
        columns[0] = Align::Left;
        align(&columns, &rows)
    }

    /// What took no part.
    fn remarks(&self) -> Vec<String> {
        let mut lines = Vec::new();
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
        if self.candidates_missing > 0 {
            let missing = count(self.candidates_missing as u64, "candidate is", "candidates are");
            lines.push(format!("{missing} not there, which makes the task easier"));
        }
        if self.pictures_missing > 0 {
            lines.push(format!(
                "{} not there, and {} no part",
                count(self.pictures_missing as u64, "picture is", "pictures are"),
                count(self.without_picture as u64, "caption took", "captions took")
            ));
        }
        lines
    }
}
