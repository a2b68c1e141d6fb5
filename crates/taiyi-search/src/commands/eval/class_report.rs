//! What `eval classification` prints.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use taiyi_query::classification::{Accuracy, ClassificationSummary};

use super::published::{CLASSIFICATION_KS, Published, beside, beside_as_json};
use crate::labels::{Label, Labels};
use crate::output::table::{Align, align};
use crate::output::text::{count, escape_controls, thousands};

/// Classes in the table of confusions, at most.
const WORST: usize = 10;
/// Labels that a class was taken for, at most.
const TAKEN_FOR: usize = 3;

/// The result, and what took no part in it.
pub(super) struct ClassReport<'a> {
    pub(super) model: &'a str,
    pub(super) labels: &'a Labels,
    /// Classes in the order of the labels.
    pub(super) summary: ClassificationSummary,
    /// Classes without a label, and how many files are of them.
    pub(super) unlabelled: &'a BTreeMap<String, u64>,
    /// Files that are of no class.
    pub(super) without_class: u64,
    /// Files that could not be read.
    pub(super) failed: usize,
    /// Rows of the table whose picture could not be read.
    pub(super) left_out: usize,
    /// Pictures that no earlier measurement had embedded.
    pub(super) embedded: u64,
    /// What the authors measured.
    pub(super) published: Option<Published>,
}

impl ClassReport<'_> {
    pub(super) fn to_json(&self) -> Value {
        let top_1 = |accuracy: Option<Accuracy>| accuracy.map(|a| a.top_1);
        let top_5 = |accuracy: Option<Accuracy>| accuracy.map(|a| a.top_5);
        let classes: Vec<Value> = self
            .labels
            .rows
            .iter()
            .zip(&self.summary.classes)
            .map(|(label, class)| {
                let taken_for = class.taken_for.iter().filter_map(|(wrong, times)| {
                    let wrong = self.labels.rows.get(*wrong)?;
                    Some(json!({ "class": wrong.class(), "label": wrong.text, "pictures": times }))
                });
                json!({
                    "class": label.class(),
                    "label": label.text,
                    "pictures": class.accuracy.map_or(0, |a| a.pictures),
                    "top_1": top_1(class.accuracy),
                    "top_5": top_5(class.accuracy),
                    "taken_for": taken_for.collect::<Vec<_>>(),
                })
            })
            .collect();
        let unlabelled: Vec<Value> =
            self.unlabelled.iter().map(|(class, files)| json!({ "class": class, "files": files })).collect();
        let published = self.published.as_ref().map(|published| beside_as_json(published, &self.shares()));
        json!({
            "model": self.model,
            "pictures": self.summary.all.pictures,
            "labels": self.labels.rows.len(),
            "templates": self.labels.templates(),
            "top_1": self.summary.all.top_1,
            "top_5": self.summary.all.top_5,
            "classes": classes,
            "classes_without_label": unlabelled,
            "files_without_class": self.without_class,
            "failed": self.failed,
            "rows_left_out": self.left_out,
            "pictures_embedded": self.embedded,
            "published": published,
        })
    }

    pub(super) fn to_lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "model {}, {}, {}, {}",
            self.model,
            count(self.summary.all.pictures as u64, "picture", "pictures"),
            count(self.labels.rows.len() as u64, "label", "labels"),
            count(self.labels.templates() as u64, "template", "templates"),
        )];
        lines.extend(self.accuracies());
        lines.extend(self.confusions());
        if let Some(published) = &self.published {
            lines.extend(beside(published, "top-", &self.shares()));
        }
        if self.labels.rows.len() <= 5 {
            lines.push(format!("top-5 says nothing among {} labels", self.labels.rows.len()));
        }
        if self.failed > 0 {
            let failed = count(self.failed as u64, "file", "files");
            lines.push(format!("{failed} could not be read and took no part"));
        }
        if self.left_out > 0 {
            let rows = count(self.left_out as u64, "row of the table", "rows of the table");
            lines.push(format!("{rows} took no part: the picture could not be read"));
        }
        lines
    }

    /// What the published numbers stand beside.
    fn shares(&self) -> Vec<(usize, f64)> {
        let Accuracy { top_1, top_5, .. } = self.summary.all;
        CLASSIFICATION_KS.into_iter().zip([top_1, top_5]).collect()
    }

    /// A line for all pictures and one for each class.
    fn accuracies(&self) -> Vec<String> {
        let has_classes = self.labels.rows.iter().any(|label| label.class.is_some());
        let row = |label: &str, class: &str, n: String, top_1: String, top_5: String| {
            let mut row = vec![label.to_owned()];
            row.extend(has_classes.then(|| class.to_owned()));
            row.extend([n, top_1, top_5]);
            row
        };
        let of = |label: &str, class: &str, accuracy: Option<Accuracy>| match accuracy {
            Some(a) => row(label, class, thousands(a.pictures as u64), share(a.top_1), share(a.top_5)),
            None => row(label, class, "0".into(), "–".into(), "–".into()),
        };
        let mut rows = vec![row("label", "class", "n".into(), "top-1".into(), "top-5".into())];
        rows.push(of("(all)", "", Some(self.summary.all)));
        for (label, class) in self.labels.rows.iter().zip(&self.summary.classes) {
            rows.push(of(&shown(label), &escape_controls(label.class()), class.accuracy));
        }
        let mut columns = vec![Align::Left; 1 + usize::from(has_classes)];
        columns.extend([Align::Right; 3]);
        align(&columns, &rows)
    }

    /// What the pictures of the worst classes were taken for.
    fn confusions(&self) -> Vec<String> {
        let worst = self.summary.worst();
        if worst.is_empty() {
            return Vec::new();
        }
        let mut rows = vec![["worst", "top-1", "taken for"].map(str::to_owned).to_vec()];
        for class in worst.iter().take(WORST) {
            let (Some(label), Some(summary)) =
                (self.labels.rows.get(*class), self.summary.classes.get(*class))
            else {
                continue;
            };
            let taken_for: Vec<String> = summary
                .taken_for
                .iter()
                .take(TAKEN_FOR)
                .filter_map(|(wrong, times)| {
                    Some(format!("{} {}", shown(self.labels.rows.get(*wrong)?), thousands(*times as u64)))
                })
                .collect();
            let more = if summary.taken_for.len() > TAKEN_FOR { " …" } else { "" };
            let top_1 = summary.accuracy.map_or_else(String::new, |a| share(a.top_1));
            rows.push(vec![shown(label), top_1, format!("{}{more}", taken_for.join(", "))]);
        }
        let mut lines = vec![String::new()];
        lines.extend(align(&[Align::Left, Align::Right, Align::Left], &rows));
        if worst.len() > WORST {
            lines.push(format!(
                "… and {}",
                count((worst.len() - WORST) as u64, "class less confused", "classes less confused")
            ));
        }
        lines
    }
}

fn shown(label: &Label) -> String {
    escape_controls(&label.text)
}

fn share(share: f64) -> String {
    format!("{share:.4}")
}
