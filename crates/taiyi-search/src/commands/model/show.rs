//! `model show`: what a model is made of, and where its files lie.

use std::io::Write as _;

use serde_json::{Value, json};
use taiyi_model::{ModelDescription, ModelError, TowerDescription, known_model};

use super::{json_place, show_place};
use crate::exit::Exit;
use crate::flags::{ShowFlags, SummaryFormat};
use crate::models;
use crate::output::table::{Align, align};
use crate::output::text::{bytes, show_path, thousands};
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, flags: &ShowFlags) -> anyhow::Result<Exit> {
    let (name, place) = match models::locate(settings, &flags.model) {
        Ok(found) => found,
        Err(ModelError::NotHere { name, .. }) => return absent(settings, name, flags.format),
        Err(e) => return Err(e.into()),
    };
    let model = models::open_place(settings, &name, &place, settings.precision.unwrap_or_default())?;
    let is = model.folder.description();
    let files: Vec<_> = model.folder.files().into_iter().map(|path| (length(&path), path)).collect();
    let mut out = anstream::stdout().lock();
    if flags.format == SummaryFormat::Json {
        let files: Vec<Value> = files
            .iter()
            .map(|(bytes, path)| json!({ "path": path.to_string_lossy(), "bytes": bytes }))
            .collect();
        let object = json!({
            "name": name,
            "here": true,
            "place": json_place(Some(&place)),
            "dimension": is.dimension,
            "weights": model.id.weights,
            "one_checkpoint": is.is_one_checkpoint,
            "text": with_tower(&is.text, json!({
                "feature": is.text_feature, "vocabulary": is.vocabulary, "positions": is.positions,
            })),
            "image": with_tower(&is.image, json!({ "side": is.side, "patch": is.patch })),
            "files": files,
        });
        writeln!(out, "{object}")?;
        return Ok(Exit::Success);
    }
    let pair = |name: &str, value: String| vec![name.to_owned(), value];
    let mut facts = vec![
        pair("model", model.id.to_string()),
        pair("where", show_place(Some(&place))),
        pair("kind", kind(&is)),
        pair(
            "text",
            format!(
                "{}, {} words, {} tokens, embedding: {}",
                tower(&is.text),
                thousands(is.vocabulary as u64),
                is.positions,
                is.text_feature
            ),
        ),
        pair("image", format!("{}, {} px, patches of {}", tower(&is.image), is.side, is.patch)),
        pair("weights", model.id.weights.clone()),
    ];
    if let Some(known) = known_model(&name) {
        facts.insert(2, pair("published", repositories(known)));
    }
    for line in align(&[Align::Left, Align::Left], &facts) {
        writeln!(out, "{line}")?;
    }
    if files.is_empty() {
        return Ok(Exit::Success);
    }
    writeln!(out, "files")?;
    let rows: Vec<_> =
        files.iter().map(|(size, path)| vec![String::new(), bytes(*size), show_path(path)]).collect();
    for line in align(&[Align::Left, Align::Right, Align::Left], &rows) {
        writeln!(out, "{line}")?;
    }
    Ok(Exit::Success)
}

/// What is known of a model that is not on this machine.
fn absent(settings: &Settings, name: &str, format: SummaryFormat) -> anyhow::Result<Exit> {
    let mut out = anstream::stdout().lock();
    let Some(known) = known_model(name) else { return Ok(Exit::Failure) };
    if format == SummaryFormat::Json {
        let object = json!({
            "name": name,
            "here": false,
            "dimension": known.dimension,
            "download_bytes": known.download_bytes,
            "text_repository": known.text_repository,
            "image_repository": known.image_repository,
        });
        writeln!(out, "{object}")?;
        return Ok(Exit::Nothing);
    }
    let facts = [
        vec!["model".to_owned(), format!("{name} ({} dimensions)", known.dimension)],
        vec!["where".to_owned(), format!("not here: {}", models::how_to_get(settings, known))],
        vec!["published".to_owned(), repositories(known)],
    ];
    for line in align(&[Align::Left, Align::Left], &facts) {
        writeln!(out, "{line}")?;
    }
    Ok(Exit::Nothing)
}

fn repositories(known: &taiyi_model::KnownModel) -> String {
    if known.is_one_repository() {
        return known.text_repository.to_owned();
    }
    format!("{} (text), {} (image)", known.text_repository, known.image_repository)
}

fn kind(is: &ModelDescription) -> String {
    if is.is_one_checkpoint { "both towers in one checkpoint" } else { "a checkpoint for each tower" }
        .to_owned()
}

fn tower(tower: &TowerDescription) -> String {
    let TowerDescription { layers, width, heads, activation } = tower;
    format!("{layers} layers of {width}, {heads} heads, {activation}")
}

fn with_tower(tower: &TowerDescription, mut object: Value) -> Value {
    object["layers"] = tower.layers.into();
    object["width"] = tower.width.into();
    object["heads"] = tower.heads.into();
    object["activation"] = tower.activation.into();
    object
}

fn length(path: &std::path::Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}
