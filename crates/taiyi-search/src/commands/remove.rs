//! `remove`: takes folders or files out of the index. The files themselves stay.

use taiyi_indexer::absolute_even_if_gone;
use taiyi_store::{GraphOptions, Writer};

use crate::exit::{self, Exit};
use crate::flags::RemoveFlags;
use crate::output::text::{count, show_path};
use crate::progress::Reporter;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, flags: &RemoveFlags) -> anyhow::Result<Exit> {
    let writer = Writer::open_any_model(&settings.index_dir, GraphOptions::default(), settings.threads)?;
    let reporter = Reporter::new(settings);
    let mut total = 0;
    let mut unknown = false;
    for path in &flags.paths {
        let mut removed = taiyi_indexer::forget(&writer, &absolute_even_if_gone(path))?;
        // A link that was followed is in the index by its own name.
        if removed == 0 {
            removed = taiyi_indexer::forget(&writer, &std::path::absolute(path)?)?;
        }
        if removed == 0 {
            unknown = true;
            exit::warn(&format!(
                "nothing of {} is in the index; `taiyi-search status` lists its folders",
                show_path(path)
            ));
        }
        total += removed;
    }
    taiyi_indexer::publish_if_changed(&writer, &reporter)?;
    reporter.finish();
    if writer.is_rebuilding() {
        exit::warn(
            "searches still show it until the rebuild is through: run `taiyi-search index` to go on with it",
        );
    }
    if !settings.is_quiet() && total > 0 {
        exit::note(&format!(
            "took {} out of the index; the files themselves were not touched",
            count(total, "file", "files")
        ));
    }
    Ok(if unknown { Exit::Failure } else { Exit::Success })
}
