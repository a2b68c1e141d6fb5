//! `embed`: the vectors of texts and pictures, for scripts and for checking against a reference.

use std::io::{BufWriter, Write as _};

use anyhow::bail;
use serde_json::json;
use taiyi_core::TextEncoder as _;
use taiyi_exchange::npy;
use taiyi_image::Limits;

use crate::encoders::Encoders;
use crate::exit::{self, Exit};
use crate::flags::{EmbedFlags, VectorFormat};
use crate::models;
use crate::output::{json as out_json, text};
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, flags: &EmbedFlags) -> anyhow::Result<Exit> {
    if flags.text.iter().any(|text| text.trim().is_empty()) {
        bail!("--text is empty: say what to embed");
    }
    let model = models::open_asked_or_of_index(settings)?;
    let encoders = Encoders::new(&model, settings);
    let limits =
        Limits { max_pixels: settings.max_megapixels.saturating_mul(1_000_000), ..Limits::default() };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut rows = Vec::new();
    if !flags.text.is_empty() {
        let tower = encoders.text()?;
        let texts: Vec<&str> = flags.text.iter().map(String::as_str).collect();
        for (text, embedding) in texts.iter().zip(tower.encode_texts(&texts)?) {
            let tokens = tower.tokenize(text)?;
            if tokens.truncated {
                exit::warn(&format!(
                    "{:?} is longer than the {} tokens that the model reads: its end was left out",
                    text::escape_controls(&text.chars().take(20).collect::<String>()),
                    tower.max_tokens()
                ));
            }
            match flags.format {
                VectorFormat::Json => {
                    let line =
                        json!({ "text": text, "token_ids": tokens.ids, "embedding": embedding.as_slice() });
                    writeln!(out, "{line}")?;
                }
                VectorFormat::Npy => rows.push(embedding),
            }
        }
    }
    for path in &flags.image {
        let embedding = encoders.embed_picture(&taiyi_image::read(path, &limits)?, path, &limits)?;
        match flags.format {
            VectorFormat::Json => {
                let mut object = serde_json::Map::new();
                out_json::insert_path(&mut object, "image", path);
                object.insert("embedding".into(), embedding.as_slice().into());
                writeln!(out, "{}", serde_json::Value::from(object))?;
            }
            VectorFormat::Npy => rows.push(embedding),
        }
    }
    if flags.format == VectorFormat::Npy {
        npy::write(&mut out, model.id.dimension, &rows)?;
    }
    out.flush()?;
    Ok(Exit::Success)
}
