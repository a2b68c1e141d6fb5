//! `model import`: a folder of files becomes a model with a name.

use anyhow::bail;
use taiyi_model::hub::HubError;
use taiyi_model::library::{LibraryError, import};
use taiyi_model::{ModelPlace, folder_of_file};

use crate::exit::{self, Exit};
use crate::fetching::FetchReporter;
use crate::flags::ImportModelFlags;
use crate::interrupt;
use crate::output::text::{escape_controls, show_path};
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, flags: &ImportModelFlags) -> anyhow::Result<Exit> {
    for dir in [Some(&flags.dir), flags.image.as_ref()].into_iter().flatten() {
        if let Some(folder) = folder_of_file(dir) {
            bail!(
                "{} is a file, and its model is all of its folder: `taiyi-search model import {} --as {}`",
                show_path(dir),
                show_path(&folder),
                escape_controls(&flags.name)
            );
        }
        if !dir.is_dir() {
            bail!("there is no folder {}", show_path(dir));
        }
    }
    let source = match &flags.image {
        Some(image) => ModelPlace::Towers { text: flags.dir.clone(), image: image.clone() },
        None => ModelPlace::Folder(flags.dir.clone()),
    };
    let reporter = FetchReporter::new(settings, "reading");
    let cancel = interrupt::cancel_flag_saying("stopping; nothing is left behind");
    let imported = import(&source, &flags.name, &settings.homes, &reporter, &cancel);
    reporter.finish();
    match imported {
        Ok(dir) => {
            if !settings.is_quiet() {
                exit::note(&format!("{} is in {}", flags.name, show_path(&dir)));
            }
            Ok(Exit::Success)
        }
        Err(LibraryError::Files(HubError::Cancelled)) => Ok(Exit::Interrupted),
        Err(e) => Err(e.into()),
    }
}
