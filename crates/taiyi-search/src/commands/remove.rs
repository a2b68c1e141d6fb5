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
    let paths: Vec<_> = flags.paths.iter().map(|path| absolute_even_if_gone(path)).collect();
    for path in &paths {
        let removed = taiyi_indexer::forget(&writer, path)?;
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
    if !settings.is_quiet() && total > 0 {
        exit::note(&format!(
            "took {} out of the index; the files themselves were not touched",
            count(total, "file", "files")
        ));
    }
    Ok(if unknown { Exit::Failure } else { Exit::Success })
}
