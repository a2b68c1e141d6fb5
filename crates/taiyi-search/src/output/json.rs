//! JSON for scripts. A path is text; where it is not UTF-8, its bytes stand beside it.

use std::path::Path;

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use taiyi_core::PhotoMetadata;
use taiyi_query::Hit;
use taiyi_store::RowTime;

use crate::output::text;

/// Time spent on a prompt, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    pub(crate) load_ms: f64,
    pub(crate) encode_ms: f64,
    pub(crate) search_ms: f64,
}

/// One line of `query --format json`.
pub(crate) fn answer(prompt: &str, model: &str, hits: &[Hit], took: Took, zone: &TimeZone) -> Value {
    let hits: Vec<Value> = hits.iter().map(|hit| self::hit(hit, zone)).collect();
    json!({
        "prompt": prompt,
        "model": model,
        "hits": hits,
        "took_ms": {
            "load": hundredths(took.load_ms),
            "encode": hundredths(took.encode_ms),
            "search": hundredths(took.search_ms),
        },
    })
}

/// The line of a prompt that could not be answered: as many lines come out as prompts went in (a blank line is none).
pub(crate) fn failure(prompt: &str, model: &str, error: &str) -> Value {
    json!({ "prompt": prompt, "model": model, "hits": [], "error": error })
}

fn hit(hit: &Hit, zone: &TimeZone) -> Value {
    let Hit { rank, score, picture } = hit;
    let PhotoMetadata { format, gps, ref camera, orientation, .. } = picture.metadata;
    let (width, height) = picture.metadata.size().unzip();
    let mut object = Map::new();
    object.insert("rank".into(), (*rank).into());
    object.insert("score".into(), round(f64::from(score.get()), 1e6));
    insert_path(&mut object, "path", &picture.path);
    object.insert("copies".into(), picture.copies.iter().map(|path| path.to_string_lossy()).collect());
    if picture.copies.iter().any(|path| path.to_str().is_none()) {
        object.insert("copies_bytes".into(), picture.copies.iter().map(|path| path_bytes(path)).collect());
    }
    object.insert("width".into(), width.into());
    object.insert("height".into(), height.into());
    let taken = picture.time.filter(|time| matches!(time, RowTime::Taken(_)));
    object.insert("taken".into(), text::date_time(taken, zone).into());
    let modified = picture.time.filter(|time| matches!(time, RowTime::Modified(_)));
    if modified.is_some() {
        object.insert("modified".into(), text::date_time(modified, zone).into());
    }
    object.insert("format".into(), format.map(taiyi_core::ImageFormat::name).into());
    object.insert("orientation".into(), orientation.to_exif().into());
    if let Some(gps) = gps {
        object.insert(
            "gps".into(),
            json!({ "latitude": gps.latitude, "longitude": gps.longitude, "altitude": gps.altitude }),
        );
    }
    if let Some(camera) = camera {
        object.insert("camera".into(), camera.as_str().into());
    }
    object.into()
}

/// Puts `path` under `key`, and its bytes under `key_bytes` where text cannot hold them.
pub(crate) fn insert_path(object: &mut Map<String, Value>, key: &str, path: &Path) {
    object.insert(key.into(), path.to_string_lossy().into());
    if path.to_str().is_none() {
        object.insert(format!("{key}_bytes"), path_bytes(path));
    }
}

fn path_bytes(path: &Path) -> Value {
    path.as_os_str().as_encoded_bytes().iter().copied().collect()
}

/// An object with a path and a reason, for lists of what failed.
pub(crate) fn path_and_reason(path: &Path, kind: Option<&str>, reason: &str) -> Value {
    let mut object = Map::new();
    insert_path(&mut object, "path", path);
    if let Some(kind) = kind {
        object.insert("kind".into(), kind.into());
    }
    object.insert("reason".into(), reason.into());
    object.into()
}

pub(crate) fn hundredths(x: f64) -> Value {
    round(x, 100.0)
}

/// To the nearest of `steps` a unit.
pub(crate) fn round(x: f64, steps: f64) -> Value {
    json!((x * steps).round() / steps)
}
