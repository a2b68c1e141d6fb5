//! `classify`: which of several labels fits a picture.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::bail;
use serde_json::{Map, Value};
use taiyi_core::Embedding;
use taiyi_image::Limits;
use taiyi_query::classification::{cosine, probabilities};

use crate::encoders::Encoders;
use crate::exit::{self, Exit};
use crate::flags::{ClassifyFlags, LabelFormat};
use crate::labels::{Label, Labels};
use crate::models;
use crate::output::json;
use crate::output::table::{Align, align};
use crate::output::text::{escape_controls, show_path};
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, flags: &ClassifyFlags) -> anyhow::Result<Exit> {
    if flags.k == 0 {
        bail!("-k 0 asks for nothing: give a number from 1");
    }
    let labels = Labels::new(&flags.labels)?;
    let model = models::open_asked_or_of_index(settings)?;
    let encoders = Encoders::new(&model, settings);
    let embeddings = {
        let tower = encoders.text()?;
        labels.check_lengths(tower)?;
        if flags.reference_padding {
            labels.embed_with_reference_padding(tower)?
        } else {
            labels.embed(tower, &labels.rows)?
        }
    };
    if embeddings.len() == 1 && !settings.is_quiet() {
        exit::note(
            "one label has no probability, which would be 1 whatever the picture shows: give two or more to compare",
        );
    }
    // What is wrong with the model is no picture's fault.
    encoders.image()?;
    let limits =
        Limits { max_pixels: settings.max_megapixels.saturating_mul(1_000_000), ..Limits::default() };
    let out: Box<dyn Write> = match flags.format {
        LabelFormat::Table => Box::new(anstream::stdout().lock()),
        LabelFormat::Json => Box::new(BufWriter::new(io::stdout().lock())),
    };
    let mut writer = AnswerWriter {
        out,
        format: flags.format,
        model: &model.id.name,
        k: flags.k,
        headed: flags.images.len() > 1,
        written: 0,
    };
    let mut failed = false;
    for path in &flags.images {
        let embedded = taiyi_image::read(path, &limits)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| encoders.embed_picture(&bytes, path, &limits));
        match embedded {
            Ok(picture) => writer.answer(path, &fits(&picture, &labels.rows, &embeddings))?,
            Err(e) => {
                failed = true;
                exit::report(&e);
                writer.failure(path, &exit::one_line(&e))?;
            }
        }
    }
    Ok(if failed { Exit::Failure } else { Exit::Success })
}

/// How well a label fits a picture.
struct Fit<'a> {
    label: &'a Label,
    cosine: f64,
    /// `None` where there is no other label.
    probability: Option<f64>,
}

/// Every label, the one that fits best first; equal ones as they were given.
fn fits<'a>(picture: &Embedding, labels: &'a [Label], embeddings: &[Embedding]) -> Vec<Fit<'a>> {
    let cosines: Vec<f64> = embeddings.iter().map(|label| cosine(picture, label)).collect();
    let probabilities = probabilities(&cosines);
    let probability = |index: usize| probabilities.as_ref().and_then(|all| all.get(index)).copied();
    let mut fits: Vec<Fit<'_>> = labels
        .iter()
        .zip(cosines)
        .enumerate()
        .map(|(index, (label, cosine))| Fit { label, cosine, probability: probability(index) })
        .collect();
    fits.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
    fits
}

/// Writes one picture's labels after another.
struct AnswerWriter<'a, W> {
    out: W,
    format: LabelFormat,
    model: &'a str,
    /// Labels a picture, at most.
    k: usize,
    /// Whether each table is headed by its picture: needed as soon as there are several.
    headed: bool,
    written: usize,
}

impl<W: Write> AnswerWriter<'_, W> {
    fn answer(&mut self, path: &Path, fits: &[Fit<'_>]) -> io::Result<()> {
        let fits = fits.get(..self.k).unwrap_or(fits);
        match self.format {
            LabelFormat::Table => self.table(path, fits)?,
            LabelFormat::Json => {
                let mut object = self.object(path);
                object.insert("labels".into(), fits.iter().map(fit_to_json).collect());
                writeln!(self.out, "{}", Value::from(object))?;
            }
        }
        self.written += 1;
        self.out.flush()
    }

    /// Keeps the lines of JSON in step with the pictures when one of them fails.
    fn failure(&mut self, path: &Path, error: &str) -> io::Result<()> {
        if self.format == LabelFormat::Json {
            let mut object = self.object(path);
            object.insert("labels".into(), Vec::<Value>::new().into());
            object.insert("error".into(), error.into());
            writeln!(self.out, "{}", Value::from(object))?;
        }
        self.out.flush()
    }

    fn object(&self, path: &Path) -> Map<String, Value> {
        let mut object = Map::new();
        json::insert_path(&mut object, "image", path);
        object.insert("model".into(), self.model.into());
        object
    }

    fn table(&mut self, path: &Path, fits: &[Fit<'_>]) -> io::Result<()> {
        if self.headed {
            let gap = if self.written > 0 { "\n" } else { "" };
            writeln!(self.out, "{gap}\u{1b}[1m{}\u{1b}[0m", show_path(path))?;
        }
        let has_probabilities = fits.iter().any(|fit| fit.probability.is_some());
        let mut rows = vec![vec!["label".to_owned(), "cosine".to_owned()]];
        if has_probabilities {
            rows[0].insert(1, "probability".to_owned());
        }
        for fit in fits {
            let mut row = vec![escape_controls(&fit.label.text)];
            row.extend(fit.probability.map(|probability| format!("{probability:.3}")));
            row.push(format!("{:.3}", fit.cosine));
            rows.push(row);
        }
        for line in align(&[Align::Left, Align::Right, Align::Right], &rows) {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }
}

fn fit_to_json(fit: &Fit<'_>) -> Value {
    let mut object = Map::new();
    object.insert("label".into(), fit.label.text.as_str().into());
    if let Some(class) = &fit.label.class {
        object.insert("class".into(), class.as_str().into());
    }
    object.insert("cosine".into(), json::round(fit.cosine, 1e6));
    object.insert("probability".into(), fit.probability.map_or(Value::Null, |p| json::round(p, 1e6)));
    object.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Label {
        Label { text: text.into(), class: None }
    }

    fn written(format: LabelFormat, headed: bool, fits: &[Fit<'_>]) -> String {
        let mut writer = AnswerWriter { out: Vec::new(), format, model: "demo", k: 2, headed, written: 0 };
        writer.answer(Path::new("甲.png"), fits).unwrap();
        writer.answer(Path::new("a\tb.png"), fits).unwrap();
        String::from_utf8(writer.out).unwrap()
    }

    #[test]
    fn labels_stand_in_the_order_of_fit_and_line_up() {
        let unit = |v: [f32; 2]| Embedding::normalize(v.to_vec()).unwrap();
        let labels = [label("狗"), label("a cat"), label("两只老虎")];
        let embeddings = [unit([3.0, 4.0]), unit([3.0, -4.0]), unit([1.0, 0.0])];
        let fits = fits(&unit([1.0, 0.0]), &labels, &embeddings);
        let order: Vec<&str> = fits.iter().map(|fit| fit.label.text.as_str()).collect();
        assert_eq!(order, ["两只老虎", "狗", "a cat"], "equal ones as given");
        assert_eq!(
            written(LabelFormat::Table, true, &fits),
            "\u{1b}[1m甲.png\u{1b}[0m\n\
             label     probability  cosine\n\
             两只老虎        1.000   1.000\n\
             狗              0.000   0.600\n\
             \n\u{1b}[1ma\\tb.png\u{1b}[0m\n\
             label     probability  cosine\n\
             两只老虎        1.000   1.000\n\
             狗              0.000   0.600\n"
        );
        let lines = written(LabelFormat::Json, true, &fits);
        let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!((&line["image"], &line["model"]), (&"甲.png".into(), &"demo".into()));
        assert_eq!(line["labels"].as_array().unwrap().len(), 2);
        assert_eq!(line["labels"][1]["cosine"], 0.6);
    }

    #[test]
    fn one_label_shows_its_cosine_alone() {
        let only = label("猫");
        let fits = [Fit { label: &only, cosine: 0.25, probability: None }];
        assert!(written(LabelFormat::Table, false, &fits).starts_with("label  cosine\n猫      0.250\n"));
        let lines = written(LabelFormat::Json, false, &fits);
        let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(line["labels"][0]["probability"], Value::Null);
    }
}
