//! `model`: which models there are, and bringing, checking and removing them.

mod fetch;
mod import;
mod list;
mod remove;
mod show;
mod verify;

use serde_json::{Value, json};
use taiyi_model::ModelPlace;

use crate::exit::Exit;
use crate::flags::ModelFlags;
use crate::output::text::show_path;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, flags: &ModelFlags) -> anyhow::Result<Exit> {
    match flags {
        ModelFlags::List(flags) => list::run(settings, flags),
        ModelFlags::Fetch(flags) => fetch::run(settings, flags),
        ModelFlags::Show(flags) => show::run(settings, flags),
        ModelFlags::Verify(flags) => verify::run(settings, flags),
        ModelFlags::Import(flags) => import::run(settings, flags),
        ModelFlags::Remove(flags) => remove::run(settings, flags),
    }
}

/// Where a model lies, for people.
fn show_place(place: Option<&ModelPlace>) -> String {
    match place {
        None => String::new(),
        Some(ModelPlace::BuiltIn) => "built in".into(),
        Some(ModelPlace::Folder(dir)) => show_path(dir),
        Some(ModelPlace::Towers { text, image }) => format!("{}, {}", show_path(text), show_path(image)),
    }
}

fn json_place(place: Option<&ModelPlace>) -> Value {
    match place {
        None => Value::Null,
        Some(ModelPlace::BuiltIn) => json!({ "kind": "built-in" }),
        Some(ModelPlace::Folder(dir)) => json!({ "kind": "folder", "path": dir.to_string_lossy() }),
        Some(ModelPlace::Towers { text, image }) => {
            json!({ "kind": "towers", "text": text.to_string_lossy(), "image": image.to_string_lossy() })
        }
    }
}
