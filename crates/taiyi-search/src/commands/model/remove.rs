//! `model remove`: takes a model's files off the disk.

use anyhow::bail;
use taiyi_model::library::{Removal, plan_removal, remove};

use crate::exit::{self, Exit};
use crate::fetching::{can_ask, confirm};
use crate::flags::RemoveModelFlags;
use crate::output::text::{bytes, escape_controls, show_path};
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, flags: &RemoveModelFlags) -> anyhow::Result<Exit> {
    let removal = plan_removal(&flags.name, &settings.homes)?;
    let name = escape_controls(&flags.name);
    for (repository, needed_by) in &removal.kept {
        exit::note(&format!("{repository} stays: {} needs it", needed_by.join(" and ")));
    }
    if removal.is_empty() {
        exit::note(&format!("nothing here is {name}'s alone"));
        return Ok(Exit::Success);
    }
    if !flags.yes {
        let what = describe(&removal, &name);
        if !can_ask() {
            bail!("this would remove {what}: add --yes to do it");
        }
        if !confirm(&format!("Remove {what}?"), false)? {
            return Ok(Exit::Nothing);
        }
    }
    let removed = remove(&flags.name, &settings.homes)?;
    if !settings.is_quiet() {
        exit::note(&format!("removed {}", describe(&removed, &name)));
    }
    Ok(Exit::Success)
}

fn describe(removal: &Removal, name: &str) -> String {
    let places: Vec<_> = removal.places.iter().map(|place| show_path(place)).collect();
    format!("{} of {name} in {}", bytes(removal.bytes), places.join(" and "))
}
