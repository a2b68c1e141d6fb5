//! `model verify`: a model's files against the hashes by which they came.

use std::io::Write as _;

use serde_json::{Value, json};
use taiyi_model::hub::HubError;
use taiyi_model::library::{FileCheck, FileState, LibraryError, verify_files};
use taiyi_model::{ModelFolder, ModelPlace};

use crate::exit::{self, Exit};
use crate::fetching::FetchReporter;
use crate::flags::{SummaryFormat, VerifyModelFlags};
use crate::interrupt;
use crate::models;
use crate::output::text::{bytes, count, show_path};
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, flags: &VerifyModelFlags) -> anyhow::Result<Exit> {
    let (name, place) = models::locate(settings, &flags.model)?;
    let reporter = FetchReporter::new(settings, "reading");
    let cancel = interrupt::cancel_flag_saying("stopping");
    let checked = verify_files(&place, &settings.homes, &reporter, &cancel);
    reporter.finish();
    let checks = match checked {
        Ok(checks) => checks,
        Err(LibraryError::Files(HubError::Cancelled)) => return Ok(Exit::Interrupted),
        Err(e) => return Err(e.into()),
    };
    let loads = load(settings, &place).err().map(|e| exit::one_line(&e));
    let is_bad = |check: &FileCheck| matches!(check.state, FileState::Damaged { .. } | FileState::Missing);
    let is_damaged = loads.is_some() || checks.iter().any(is_bad);
    let mut out = anstream::stdout().lock();
    if flags.format == SummaryFormat::Json {
        let files: Vec<Value> = checks.iter().map(json_of).collect();
        let object = json!({ "name": name, "sound": !is_damaged, "files": files, "problem": loads });
        writeln!(out, "{object}")?;
    } else {
        for check in &checks {
            writeln!(out, "{}", line_of(check))?;
        }
        if let Some(problem) = &loads {
            writeln!(out, "{problem}")?;
        }
        let files = count(checks.len() as u64, "file", "files");
        let all: u64 = checks.iter().map(|check| check.bytes).sum();
        if is_damaged {
            // A folder of somebody's own has no name by which it could be removed.
            let homes = &settings.homes;
            if matches!(&place, ModelPlace::Folder(dir)
                if !dir.starts_with(&homes.models_dir) && !dir.starts_with(&homes.hub_cache_dir))
            {
                writeln!(out, "{name} is damaged: bring the folder again")?;
            } else {
                writeln!(
                    out,
                    "{name} is damaged: `taiyi-search model remove {name}`, then fetch or import it again"
                )?;
            }
        } else if matches!(place, ModelPlace::BuiltIn) {
            writeln!(out, "{name} is in order, and loads")?;
        } else {
            writeln!(out, "{name} is in order: {files}, {}, and both towers load", bytes(all))?;
        }
    }
    Ok(if is_damaged { Exit::Nothing } else { Exit::Success })
}

fn load(settings: &Settings, place: &ModelPlace) -> anyhow::Result<()> {
    let folder = ModelFolder::open_place(place)?;
    let options = settings.towers();
    folder.text_tower(&options)?;
    folder.image_tower(&options)?;
    Ok(())
}

fn line_of(check: &FileCheck) -> String {
    let path = show_path(&check.path);
    match &check.state {
        FileState::Sound => format!("ok       {path}"),
        FileState::Damaged { expected, actual } => {
            format!("damaged  {path}: its hash is {actual}, it came with {expected}")
        }
        FileState::Missing => format!("missing  {path}"),
        _ => format!("no hash  {path}"),
    }
}

fn json_of(check: &FileCheck) -> Value {
    let mut object = json!({ "path": check.path.to_string_lossy(), "bytes": check.bytes });
    match &check.state {
        FileState::Sound => object["state"] = "sound".into(),
        FileState::Damaged { expected, actual } => {
            object["state"] = "damaged".into();
            object["expected"] = expected.as_str().into();
            object["actual"] = actual.as_str().into();
        }
        FileState::Missing => object["state"] = "missing".into(),
        _ => object["state"] = "unrecorded".into(),
    }
    object
}
