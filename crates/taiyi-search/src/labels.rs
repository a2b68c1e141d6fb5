//! The labels that pictures are sorted by, and the texts that stand for them.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use taiyi_core::{Embedding, TextEncoder as _};
use taiyi_model::TextTower;
use taiyi_query::classification::label_embedding;

use crate::exit;
use crate::flags::LabelFlags;
use crate::lines;
use crate::output::text::{count, escape_controls, show_path};

/// Where a template takes the label.
const SLOT: &str = "{}";

/// One label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// What is shown and embedded.
    pub(crate) text: String,
    /// What pictures of it are called, where that is something else.
    pub(crate) class: Option<String>,
}

impl Label {
    /// What pictures of it are called.
    pub(crate) fn class(&self) -> &str {
        self.class.as_deref().unwrap_or(&self.text)
    }
}

/// Labels, none twice for the same class, and the templates that all of them are put into.
#[derive(Debug)]
pub(crate) struct Labels {
    pub(crate) rows: Vec<Label>,
    templates: Vec<String>,
}

impl Labels {
    pub(crate) fn new(flags: &LabelFlags) -> anyhow::Result<Self> {
        for template in &flags.template {
            if !template.contains(SLOT) {
                bail!(
                    "the template {template:?} has no place for the label: put {SLOT} there, e.g. 一张{SLOT}的照片"
                );
            }
        }
        let mut templates = flags.template.clone();
        if templates.is_empty() {
            templates.push(SLOT.to_owned());
        }
        if let Some(twice) = first_repeated(&templates) {
            bail!("the template {twice:?} is given twice: give each one once");
        }
        let rows = match &flags.labels_file {
            Some(path) => from_lines(path, lines::read(path)?)?,
            None => from_lists(&flags.labels)?,
        };
        Ok(Self { rows, templates })
    }

    /// How many templates.
    pub(crate) fn templates(&self) -> usize {
        self.templates.len()
    }

    /// The texts of `labels`, all of the first label before those of the second.
    fn texts(&self, labels: &[Label]) -> Vec<String> {
        let fill = |label: &Label, template: &String| template.replace(SLOT, &label.text);
        labels.iter().flat_map(|label| self.templates.iter().map(move |t| fill(label, t))).collect()
    }

    /// Refuses texts that the model would cut.
    pub(crate) fn check_lengths(&self, tower: &TextTower) -> anyhow::Result<()> {
        for text in self.texts(&self.rows) {
            if let Some(most) = tower.too_long(&text)? {
                let start: String = text.chars().take(20).collect();
                bail!(
                    "the prompt {start:?}… is longer than the {most} tokens that the model reads: shorten the \
                     label or the template"
                );
            }
        }
        Ok(())
    }

    /// The embeddings of some of the labels.
    pub(crate) fn embed(&self, tower: &TextTower, labels: &[Label]) -> anyhow::Result<Vec<Embedding>> {
        let texts = self.texts(labels);
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.over_templates(&tower.encode_texts(&texts)?, labels)
    }

    /// The embeddings of all labels as the model card's example code makes them: all texts are one batch, padded
    /// to the longest without a mask.
    pub(crate) fn embed_with_reference_padding(&self, tower: &TextTower) -> anyhow::Result<Vec<Embedding>> {
        let texts = self.texts(&self.rows);
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.over_templates(&tower.encode_with_reference_padding(&texts)?, &self.rows)
    }

    fn over_templates(&self, texts: &[Embedding], labels: &[Label]) -> anyhow::Result<Vec<Embedding>> {
        texts
            .chunks(self.templates.len())
            .zip(labels)
            .map(|(texts, label)| {
                label_embedding(texts)
                    .with_context(|| format!("the templates of {:?} have no mean", label.text))
            })
            .collect()
    }
}

/// Lists as typed: `一只猫,一只狗`, also with the commas of Chinese.
fn from_lists(lists: &[String]) -> anyhow::Result<Vec<Label>> {
    let mut texts = Vec::new();
    for list in lists {
        for text in list.split([',', '，', '、']).map(str::trim) {
            if text.is_empty() {
                bail!("a label is empty in --labels {list:?}: name something between two commas");
            }
            texts.push(text.to_owned());
        }
    }
    if let Some(twice) = first_repeated(&texts) {
        bail!("the label {twice:?} is given twice: give each one once");
    }
    Ok(texts.into_iter().map(|text| Label { text, class: None }).collect())
}

/// A label a line, commas and all, or a class, a tab, and its label.
fn from_lines(path: &Path, lines: Vec<(usize, String)>) -> anyhow::Result<Vec<Label>> {
    let mut rows = Vec::new();
    // What was met, with its line.
    let (mut texts, mut classes) = (HashMap::new(), HashMap::new());
    let (mut sharing, mut first_sharing) = (0, None);
    for (line, text) in lines {
        let place = || lines::place(path, line);
        let columns: Vec<&str> = text.split('\t').map(str::trim).collect();
        let (class, text) = match columns[..] {
            [text] => (None, text),
            [class, text] => (Some(class.to_owned()), text),
            _ => bail!(
                "{} has {} tabs, expected a label, or a class, a tab, and its label",
                place(),
                columns.len() - 1
            ),
        };
        if text.is_empty() || class.as_deref() == Some("") {
            bail!("{} has nothing on one side of the tab", place());
        }
        let label = Label { text: text.to_owned(), class };
        let (first, has_class) =
            *texts.entry(label.text.clone()).or_insert_with(|| (line, label.class.is_some()));
        if first != line {
            let told =
                format!("{} repeats the label of line {first}: {}", place(), escape_controls(&label.text));
            // Two things may have one name, as the crane does that flies and the one that lifts.
            if !has_class || label.class.is_none() {
                bail!(told);
            }
            sharing += 1;
            first_sharing.get_or_insert(told);
        }
        if let Some(first) = classes.insert(label.class().to_owned(), line) {
            bail!("{} repeats the class of line {first}: {}", place(), escape_controls(label.class()));
        }
        rows.push(label);
    }
    if let Some(first) = first_sharing {
        exit::warn(&format!(
            "{} the label of another, and cannot be told apart from it; the first: {first}",
            count(sharing, "class has", "classes have"),
        ));
    }
    if rows.is_empty() {
        bail!("{} has no labels: write one a line", show_path(path));
    }
    Ok(rows)
}

fn first_repeated(texts: &[String]) -> Option<&String> {
    texts.iter().enumerate().find(|(index, text)| texts[..*index].contains(text)).map(|(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(lists: &[&str]) -> anyhow::Result<Vec<Label>> {
        from_lists(&lists.iter().map(|list| (*list).to_owned()).collect::<Vec<_>>())
    }

    fn file(text: &str) -> anyhow::Result<Vec<Label>> {
        let path = Path::new("标签.txt");
        from_lines(path, lines::parse(path, text.as_bytes())?)
    }

    fn told(labels: anyhow::Result<Vec<Label>>) -> String {
        format!("{:#}", labels.unwrap_err())
    }

    #[test]
    fn any_comma_parts_labels() {
        let texts: Vec<String> = lists(&["一只猫, 一只狗，两只猫、老虎", "a cat"])
            .unwrap()
            .into_iter()
            .map(|row| row.text)
            .collect();
        assert_eq!(texts, ["一只猫", "一只狗", "两只猫", "老虎", "a cat"]);
        for list in ["", "猫,", ",猫", "猫,，狗", "猫,\u{3000},狗"] {
            assert!(told(lists(&[list])).contains("a label is empty"), "{list}");
        }
        assert!(told(lists(&["猫,狗", "猫"])).contains("\"猫\" is given twice"));
    }

    #[test]
    fn a_file_may_name_classes() {
        let rows = file("\u{feff}猫\r\n\r\nn01484850\t 大白鲨 \n你好, 世界").unwrap();
        assert_eq!(
            rows.iter().map(|row| row.text.as_str()).collect::<Vec<_>>(),
            ["猫", "大白鲨", "你好, 世界"]
        );
        assert_eq!(rows.iter().map(Label::class).collect::<Vec<_>>(), ["猫", "n01484850", "你好, 世界"]);
        for (text, part) in [
            ("猫\n狗\n\n猫\n", "line 4 of 标签.txt repeats the label of line 1: 猫"),
            ("a\t猫\na\t狗\n", "line 2 of 标签.txt repeats the class of line 1: a"),
            ("狗\t猫\n狗\n", "line 2 of 标签.txt repeats the class of line 1: 狗"),
            ("a\t猫\n猫\n", "line 2 of 标签.txt repeats the label of line 1: 猫"),
            ("猫\na\t猫\n", "line 2 of 标签.txt repeats the label of line 1: 猫"),
            ("a\tb\tc\n", "line 1 of 标签.txt has 2 tabs"),
            ("a\t\n", "line 1 of 标签.txt has nothing on one side"),
            ("\ta\n", "line 1 of 标签.txt has nothing on one side"),
            (" \n", "标签.txt has no labels"),
        ] {
            let told = told(file(text));
            assert!(told.contains(part), "{told}");
        }
        // Classes of a file may share a label.
        let rows = file("a\t鹤\nb\t狗\nc\t鹤\n").unwrap();
        assert_eq!(rows.iter().map(Label::class).collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn a_label_stands_where_the_template_says() {
        let flags = |template: &[&str]| LabelFlags {
            labels: vec!["猫,狗".into()],
            labels_file: None,
            template: template.iter().map(|t| (*t).to_owned()).collect(),
        };
        let texts = |template: &[&str]| {
            let labels = Labels::new(&flags(template)).unwrap();
            labels.texts(&labels.rows)
        };
        assert_eq!(texts(&[]), ["猫", "狗"]);
        assert_eq!(texts(&["一张{}的照片", "{}和{}"]), ["一张猫的照片", "猫和猫", "一张狗的照片", "狗和狗"]);
        for (template, part) in [(&["照片"][..], "no place for the label"), (&["{}", "{}"], "given twice")]
        {
            let told = format!("{:#}", Labels::new(&flags(template)).unwrap_err());
            assert!(told.contains(part), "{told}");
        }
    }
}
