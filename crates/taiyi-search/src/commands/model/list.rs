//! `model list`: names, sizes, and where each model lies.

use std::io::Write as _;

use serde_json::{Value, json};
use taiyi_model::ModelPlace;
use taiyi_model::library::{Standing, inventory};

use super::json_place;
use crate::exit::Exit;
use crate::flags::{ListFlags, SummaryFormat};
use crate::output::table::{Align, align};
use crate::output::text::{bytes, escape_controls, show_path};
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, flags: &ListFlags) -> anyhow::Result<Exit> {
    let models = inventory(&settings.homes);
    let mut out = anstream::stdout().lock();
    if flags.format == SummaryFormat::Json {
        let models: Vec<Value> = models.iter().map(json_of).collect();
        writeln!(out, "{}", json!({ "models": models }))?;
        return Ok(Exit::Success);
    }
    let mut rows = vec![["name", "dimension", "download", "where"].map(str::to_owned).to_vec()];
    for model in &models {
        rows.push(vec![
            escape_controls(&model.name),
            model.dimension.map_or_else(String::new, |dimension| dimension.to_string()),
            model.known.map_or_else(String::new, |known| bytes(known.download_bytes)),
            place_of(model, settings),
        ]);
    }
    for (index, line) in
        align(&[Align::Left, Align::Right, Align::Right, Align::Left], &rows).iter().enumerate()
    {
        if index == 0 {
            writeln!(out, "\u{1b}[2m{line}\u{1b}[0m")?;
        } else {
            writeln!(out, "{line}")?;
        }
    }
    Ok(Exit::Success)
}

fn place_of(model: &Standing, settings: &Settings) -> String {
    match &model.place {
        None if model.bytes > 0 => format!("not here; {} of it in the hub cache", bytes(model.bytes)),
        None => "not here".into(),
        Some(ModelPlace::BuiltIn) => "built in".into(),
        Some(ModelPlace::Folder(dir)) if !dir.starts_with(&settings.homes.hub_cache_dir) => {
            format!("{}, {}", bytes(model.bytes), show_path(dir))
        }
        Some(_) => format!("{}, hub cache {}", bytes(model.bytes), show_path(&settings.homes.hub_cache_dir)),
    }
}

fn json_of(model: &Standing) -> Value {
    json!({
        "name": model.name,
        "dimension": model.dimension,
        "download_bytes": model.known.map(|known| known.download_bytes),
        "repositories": model.known.map(|known| {
            let mut names = vec![known.text_repository, known.image_repository];
            names.dedup();
            names
        }),
        "here": model.place.is_some(),
        "bytes": model.bytes,
        "place": json_place(model.place.as_ref()),
    })
}
