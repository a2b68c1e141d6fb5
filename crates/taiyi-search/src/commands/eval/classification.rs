//! `eval classification`: is the label that fits a picture best the right one?
//!
//! Every picture is compared with every label, as in `classify`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use taiyi_core::Embedding;
use taiyi_query::classification::{ClassificationSummary, Guess};
use taiyi_store::RelativePath;

use super::class_report::ClassReport;
use super::picture_table::{CLASS, PictureTable};
use super::pictures::Pictures;
use super::published;
use super::{parallel, scores};
use crate::encoders::Encoders;
use crate::exit::{self, Exit};
use crate::flags::{ClassificationFlags, SummaryFormat};
use crate::interrupt;
use crate::labels::{Label, Labels};
use crate::models::{self, Model};
use crate::output::text::{count, escape_controls, show_path};
use crate::progress;
use crate::settings::Settings;

/// Texts embedded between two steps of the progress bar.
const CHUNK: usize = 256;
/// Classes named in one warning, at most.
const NAMED: usize = 5;

pub(crate) fn run(settings: &Settings, flags: &ClassificationFlags) -> anyhow::Result<Exit> {
    if !flags.images.is_dir() {
        bail!("--images {} is not a folder", show_path(&flags.images));
    }
    let labels = Labels::new(&flags.labels)?;
    if labels.rows.len() < 2 {
        bail!("one label alone is always the best: give two or more");
    }
    let table =
        flags.classes.as_ref().map(|path| PictureTable::read(path, CLASS, &flags.images)).transpose()?;
    let model = models::open_asked_or_of_index(settings)?;
    let published =
        flags.published.map(|set| published::of_classification(set, &model.id.name)).transpose()?;
    let cancel = interrupt::cancel_flag();
    // Before the pictures: what is wrong with a label shall be told before an hour of embedding.
    let Some(label_embeddings) = embed_labels(settings, &model, &labels, &cancel)? else {
        return Ok(Exit::Interrupted);
    };
    let classes = Classes::new(&labels.rows);
    let mut unlabelled = Unlabelled::default();
    let embedded = Pictures::embed(settings, &model, &flags.images, flags.fresh, &cancel, |walked| {
        let files = match &table {
            None => walked.iter().map(top_folder).collect(),
            Some(table) => {
                table.check_walked(walked, &flags.images)?;
                table.rows.iter().map(|row| Some(row.text.clone())).collect()
            }
        };
        unlabelled = classes.check(files, &flags.images)?;
        Ok(walked.clone())
    })?;
    let Some(pictures) = embedded else { return Ok(Exit::Interrupted) };
    let (right, left_out) = match &table {
        None => (classes.of_folders(&pictures), 0),
        Some(table) => {
            let known = table.known(&pictures, &flags.images);
            let classes = known.rows.iter().map(|row| classes.find(&row.text));
            let right = known.pictures.iter().zip(classes);
            (right.filter_map(|(picture, class)| Some((*picture, class?))).collect(), known.left_out)
        }
    };
    tell_pictures_in_several(&right);
    let right: Vec<(usize, usize)> = right.into_iter().collect();
    let guesses = parallel(right.len(), settings.threads.get(), &cancel, |index| {
        let (picture, class) = *right.get(index)?;
        Guess::of(&scores(pictures.embeddings.get(picture)?, &label_embeddings), class)
    });
    if cancel.load(Ordering::Relaxed) {
        return Ok(Exit::Interrupted);
    }
    let summary = ClassificationSummary::of(&guesses, labels.rows.len())
        .with_context(|| format!("no picture with a class could be read in {}", show_path(&flags.images)))?;
    let report = ClassReport {
        model: &model.id.name,
        labels: &labels,
        summary,
        unlabelled: &unlabelled.files,
        without_class: unlabelled.without_class,
        failed: pictures.failures.len(),
        left_out,
        embedded: pictures.embedded,
        published,
    };
    let mut out = anstream::stdout().lock();
    match flags.format {
        SummaryFormat::Json => writeln!(out, "{}", report.to_json())?,
        SummaryFormat::Text => {
            for line in report.to_lines() {
                writeln!(out, "{line}")?;
            }
        }
    }
    Ok(Exit::Success)
}

/// `None` when that was stopped.
fn embed_labels(
    settings: &Settings,
    model: &Model,
    labels: &Labels,
    cancel: &AtomicBool,
) -> anyhow::Result<Option<Vec<Embedding>>> {
    // Dropped with its tower before the pictures need the memory.
    let encoders = Encoders::new(model, settings);
    let tower = encoders.text()?;
    labels.check_lengths(tower)?;
    let bar = progress::bar(settings, labels.rows.len(), "labels");
    let mut embeddings = Vec::with_capacity(labels.rows.len());
    for rows in labels.rows.chunks((CHUNK / labels.templates()).max(1)) {
        if cancel.load(Ordering::Relaxed) {
            bar.finish_and_clear();
            return Ok(None);
        }
        embeddings.append(&mut labels.embed(tower, rows)?);
        bar.inc(rows.len() as u64);
    }
    bar.finish_and_clear();
    Ok(Some(embeddings))
}

/// The folder of the first level that a file lies in, which is its class; none for a file that lies in none.
fn top_folder(path: &RelativePath) -> Option<String> {
    let path = path.to_path();
    let mut names = path.iter();
    let first = names.next()?;
    names.next().map(|_| first.to_string_lossy().into_owned())
}

/// Files that cannot be judged.
#[derive(Default)]
struct Unlabelled {
    /// How many are of a class that has no label.
    files: BTreeMap<String, u64>,
    /// How many lie in no folder.
    without_class: u64,
}

/// From a class to its label.
struct Classes<'a> {
    labels: &'a [Label],
    by_name: HashMap<&'a str, usize>,
}

impl<'a> Classes<'a> {
    fn new(labels: &'a [Label]) -> Self {
        let by_name = labels.iter().enumerate().map(|(index, label)| (label.class(), index)).collect();
        Self { labels, by_name }
    }

    fn find(&self, class: &str) -> Option<usize> {
        self.by_name.get(class).copied()
    }

    /// Tells which classes have no label, and which labels no picture, given the class of every file.
    fn check(&self, files: Vec<Option<String>>, images: &Path) -> anyhow::Result<Unlabelled> {
        let mut unlabelled = Unlabelled::default();
        let mut found = HashSet::new();
        for class in files {
            match class.as_deref().map(|class| self.find(class)) {
                None => unlabelled.without_class += 1,
                Some(Some(label)) => {
                    found.insert(label);
                }
                Some(None) => *unlabelled.files.entry(class.unwrap_or_default()).or_insert(0) += 1,
            }
        }
        if found.is_empty() {
            bail!(
                "no picture in {} is of a class that has a label: the classes are {}; the labels are for {}",
                show_path(images),
                listed(unlabelled.files.keys().map(String::as_str)),
                listed(self.labels.iter().map(Label::class))
            );
        }
        if unlabelled.without_class > 0 {
            exit::warn(&format!(
                "{} in no folder of {}, so of no class, and {} no part",
                count(unlabelled.without_class, "file lies", "files lie"),
                show_path(images),
                if unlabelled.without_class == 1 { "takes" } else { "take" }
            ));
        }
        if !unlabelled.files.is_empty() {
            exit::warn(&format!(
                "{} no label, so that {} no part: {}",
                count(unlabelled.files.len() as u64, "class has", "classes have"),
                count(unlabelled.files.values().sum(), "file takes", "files take"),
                listed(unlabelled.files.keys().map(String::as_str))
            ));
        }
        let without_pictures: Vec<&str> = (0..self.labels.len())
            .filter(|label| !found.contains(label))
            .filter_map(|label| self.labels.get(label))
            .map(Label::class)
            .collect();
        if !without_pictures.is_empty() {
            exit::warn(&format!(
                "{} no picture, and can only be wrong: {}",
                count(without_pictures.len() as u64, "class has", "classes have"),
                listed(without_pictures.into_iter())
            ));
        }
        Ok(unlabelled)
    }

    /// The pictures below folders that have a label, each with its label.
    fn of_folders(&self, pictures: &Pictures) -> BTreeSet<(usize, usize)> {
        let class = |path: &RelativePath| self.find(&top_folder(path)?);
        pictures.by_path.iter().filter_map(|(path, picture)| Some((*picture, class(path)?))).collect()
    }
}

/// The first few of `names`.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(escape_controls).collect();
    if names.is_empty() {
        return "none".into();
    }
    let more = if names.len() > NAMED { " …" } else { "" };
    format!("{}{more}", names[..NAMED.min(names.len())].join(", "))
}

fn tell_pictures_in_several(right: &BTreeSet<(usize, usize)>) {
    let mut classes: HashMap<usize, u64> = HashMap::new();
    for (picture, _) in right {
        *classes.entry(*picture).or_insert(0) += 1;
    }
    let several = classes.values().filter(|classes| **classes > 1).count();
    if several > 0 {
        exit::warn(&format!(
            "{} of more than one class, and counted once in each",
            count(several as u64, "picture is", "pictures are")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_is_the_first_folder() {
        let class = |path: &str| top_folder(&RelativePath::from_path(Path::new(path)).unwrap());
        assert_eq!(class("动物/a.jpg").as_deref(), Some("动物"));
        assert_eq!(class("动物/海边/a.jpg").as_deref(), Some("动物"));
        assert_eq!(class("a/a").as_deref(), Some("a"), "a file named as its folder");
        assert_eq!(class("a.jpg"), None);
    }

    #[test]
    fn only_a_few_names_are_listed() {
        assert_eq!(listed(["a", "b"].into_iter()), "a, b");
        assert_eq!(listed(["a", "b", "c", "d", "e", "f"].into_iter()), "a, b, c, d, e …");
        assert_eq!(listed(std::iter::empty()), "none");
    }
}
