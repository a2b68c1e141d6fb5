//! Files in the form of Chinese-CLIP's evaluation, so that its own scripts can confirm what was measured.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::json;
use taiyi_query::retrieval::{Comparison, RightAnswers};
use taiyi_store::RelativePath;

use super::captions::FoundCaption;
use crate::exit;
use crate::output::text::{escape_controls, show_path};

/// Answers a query. Chinese-CLIP's scripts want exactly as many.
pub(super) const TOP: usize = 10;

/// Texts with their right pictures, and for each text the pictures that were found.
const TEXTS: &str = "texts.jsonl";
const PREDICTIONS: &str = "predictions.jsonl";
/// The same from pictures to texts.
const PICTURES: &str = "texts.tr.jsonl";
const PICTURE_PREDICTIONS: &str = "tr_predictions.jsonl";
/// What each picture's number stands for.
const NUMBERS: &str = "images.tsv";

/// A folder to write into.
pub(super) struct Export {
    dir: PathBuf,
    overwrite: bool,
}

/// What was measured.
pub(super) struct Measured<'a> {
    pub(super) texts: &'a [FoundCaption],
    /// The first path of each picture.
    pub(super) paths: &'a [RelativePath],
    pub(super) right: &'a RightAnswers,
    pub(super) comparison: &'a Comparison,
    /// Whether image → text was measured.
    pub(super) has_both: bool,
}

impl Export {
    /// Refuses files that are there already, before anything is measured.
    pub(super) fn new(dir: &Path, overwrite: bool) -> anyhow::Result<Self> {
        if dir.exists() && !dir.is_dir() {
            bail!("--export {} is not a folder", show_path(dir));
        }
        for name in [TEXTS, PREDICTIONS, PICTURES, PICTURE_PREDICTIONS, NUMBERS] {
            let file = dir.join(name);
            if !overwrite && file.exists() {
                bail!(
                    "{} is there already: pass --overwrite to replace it, or another folder",
                    show_path(&file)
                );
            }
        }
        Ok(Self { dir: dir.to_owned(), overwrite })
    }

    pub(super) fn write(&self, measured: &Measured<'_>) -> anyhow::Result<()> {
        let Measured { texts, paths, right, comparison, has_both } = measured;
        fs::create_dir_all(&self.dir).with_context(|| format!("cannot write to {}", show_path(&self.dir)))?;
        let numbers_of_texts = numbers_of_texts(texts);
        let numbers_of_pictures = numbers_of_pictures(texts, paths);
        let text_numbers = |texts: &[usize]| numbers(&numbers_of_texts, texts);
        let picture_numbers = |pictures: &[usize]| numbers(&numbers_of_pictures, pictures);
        self.file(NUMBERS, |out| {
            for (number, path) in numbers_of_pictures.iter().zip(*paths) {
                writeln!(out, "{number}\t{}", escape_controls(&path.to_path().to_string_lossy()))?;
            }
            Ok(())
        })?;
        self.file(TEXTS, |out| {
            for (text, (number, caption)) in numbers_of_texts.iter().zip(*texts).enumerate() {
                let right = picture_numbers(right.of_text(text));
                writeln!(out, "{}", json!({ "text_id": number, "text": caption.text, "image_ids": right }))?;
            }
            Ok(())
        })?;
        self.file(PREDICTIONS, |out| {
            for (number, found) in numbers_of_texts.iter().zip(&comparison.pictures_of_texts) {
                writeln!(out, "{}", json!({ "text_id": number, "image_ids": picture_numbers(found) }))?;
            }
            Ok(())
        })?;
        if *has_both {
            self.file(PICTURES, |out| {
                for (picture, number) in numbers_of_pictures.iter().enumerate() {
                    let right = text_numbers(right.of_picture(picture));
                    writeln!(out, "{}", json!({ "image_id": number, "text_ids": right }))?;
                }
                Ok(())
            })?;
            self.file(PICTURE_PREDICTIONS, |out| {
                for (number, found) in numbers_of_pictures.iter().zip(&comparison.texts_of_pictures) {
                    writeln!(out, "{}", json!({ "image_id": number, "text_ids": text_numbers(found) }))?;
                }
                Ok(())
            })?;
        } else {
            // What an earlier measurement left would not belong to this one.
            self.remove(PICTURES)?;
            self.remove(PICTURE_PREDICTIONS)?;
        }
        let fewest = if *has_both { paths.len().min(texts.len()) } else { paths.len() };
        if fewest < TOP {
            exit::warn(&format!(
                "Chinese-CLIP's evaluation wants {TOP} answers to each query, and there are only {fewest}: it will \
                 refuse these files"
            ));
        }
        Ok(())
    }

    /// Writes a file as a whole, or not at all.
    fn file(
        &self,
        name: &str,
        content: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let path = self.dir.join(name);
        let failed = || format!("cannot write {}", show_path(&path));
        let mut builder = tempfile::Builder::new();
        builder.prefix("new-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let new = builder.tempfile_in(&self.dir).with_context(failed)?;
        let mut out = BufWriter::new(new.as_file());
        content(&mut out).and_then(|()| out.flush()).with_context(failed)?;
        drop(out);
        let persisted = if self.overwrite { new.persist(&path) } else { new.persist_noclobber(&path) };
        persisted.map_err(|e| e.error).with_context(failed)?;
        Ok(())
    }

    fn remove(&self, name: &str) -> anyhow::Result<()> {
        let path = self.dir.join(name);
        match fs::remove_file(&path) {
            Err(e) if self.overwrite && e.kind() != io::ErrorKind::NotFound => {
                Err(e).with_context(|| format!("cannot remove {}", show_path(&path)))
            }
            _ => Ok(()),
        }
    }
}

fn numbers(of_all: &[u64], some: &[usize]) -> Vec<u64> {
    some.iter().filter_map(|&index| of_all.get(index).copied()).collect()
}

/// The numbers that the file gives, else those of its order.
fn numbers_of_texts(texts: &[FoundCaption]) -> Vec<u64> {
    let given: Option<Vec<u64>> = texts.iter().map(|text| text.number).collect();
    given.filter(|given| are_distinct(given)).unwrap_or_else(|| (0..texts.len() as u64).collect())
}

/// The numbers that the files are named by, where the texts have numbers too; else those of the order of paths.
fn numbers_of_pictures(texts: &[FoundCaption], paths: &[RelativePath]) -> Vec<u64> {
    let number = |path: &RelativePath| {
        let stem = path.to_path().file_stem()?.to_str()?.to_owned();
        // 007 is not the number 7.
        stem.parse().ok().filter(|number: &u64| number.to_string() == stem)
    };
    let given: Option<Vec<u64>> = paths.iter().map(number).collect();
    given
        .filter(|given| are_distinct(given) && texts.iter().all(|text| text.number.is_some()))
        .unwrap_or_else(|| (0..paths.len() as u64).collect())
}

fn are_distinct(numbers: &[u64]) -> bool {
    numbers.iter().collect::<HashSet<_>>().len() == numbers.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(numbers: &[Option<u64>]) -> Vec<FoundCaption> {
        let text = |number: &Option<u64>| FoundCaption {
            text: "猫".into(),
            line: 1,
            number: *number,
            pictures: Vec::new(),
        };
        numbers.iter().map(text).collect()
    }

    #[test]
    fn numbers_are_those_of_the_data_set_where_it_has_some() {
        let numbers = |numbers: &[Option<u64>], paths: &[&str]| {
            let paths: Vec<_> =
                paths.iter().map(|path| RelativePath::from_path(Path::new(path)).unwrap()).collect();
            let texts = texts(numbers);
            (numbers_of_texts(&texts), numbers_of_pictures(&texts, &paths))
        };
        assert_eq!(numbers(&[Some(8), Some(3)], &["a/17.jpg", "9.png"]), (vec![8, 3], vec![17, 9]));
        assert_eq!(numbers(&[Some(8), None], &["a/17.jpg", "9.png"]), (vec![0, 1], vec![0, 1]));
        assert_eq!(numbers(&[Some(8)], &["a/17.jpg", "b/17.jpg"]), (vec![8], vec![0, 1]));
        assert_eq!(numbers(&[Some(8)], &["017.jpg"]), (vec![8], vec![0]));
    }
}
