//! `export`: the embeddings of the index as a collection for other programs.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use taiyi_exchange::npy::Dtype;
use taiyi_exchange::{CollectionWriter, ExportOptions, ExportedPicture};
use taiyi_indexer::{Progress as _, ProgressEvent};
use taiyi_store::Snapshot;

use crate::exit::{self, Exit};
use crate::flags::{CollectionFormat, ExportFlags, NumberType};
use crate::interrupt;
use crate::output::text::{count, show_path};
use crate::progress::{Reporter, duration};
use crate::settings::Settings;

/// Rows between two looks at the clock and at Ctrl-C.
const REPORT_ROWS: u64 = 1024;

pub(crate) fn run(settings: &Settings, flags: &ExportFlags) -> anyhow::Result<Exit> {
    let CollectionFormat::Npy = flags.format;
    let start = std::time::Instant::now();
    let snapshot = Snapshot::open(&settings.index_dir)?;
    let dtype = match flags.dtype {
        NumberType::F16 => Dtype::F16,
        NumberType::F32 => Dtype::F32,
    };
    let dimension = snapshot.model().dimension;
    let options = ExportOptions { dimension, dtype, part_rows: flags.part_rows };
    let cancel = interrupt::cancel_flag();
    let mut collection = CollectionWriter::create(&flags.dir, options)?;
    let reporter = Reporter::of_rows(settings, "writing");
    reporter.event(ProgressEvent::Planned { files: snapshot.location_count() as u64 });
    let (mut waiting, mut left_out, mut example) = (0, 0u64, None::<PathBuf>);
    for row in snapshot.rows() {
        let (item, embedding) = (snapshot.item(row)?, snapshot.embedding(row)?);
        let hash = item.hash.to_hex();
        for location in &item.locations {
            let path = location.path();
            let is_imported = location.stamp.is_imported();
            let picture = ExportedPicture {
                path: &path,
                embedding: &embedding,
                size: item.metadata.size(),
                taken_s: item.metadata.taken_s,
                blake3: (!is_imported).then_some(hash.as_str()),
            };
            if !collection.push(&picture)? {
                left_out += 1;
                example.get_or_insert(path);
            }
            waiting += 1;
        }
        if waiting >= REPORT_ROWS {
            reporter.event(ProgressEvent::Done { files: waiting, embedded: waiting, failed: 0 });
            waiting = 0;
            if cancel.load(Ordering::Relaxed) {
                reporter.finish();
                exit::note("stopped early: nothing was written");
                return Ok(Exit::Interrupted);
            }
        }
    }
    let written = collection.finish()?;
    reporter.finish();
    if let Some(example) = &example {
        exit::warn(&format!(
            "left out {}, whose names are not UTF-8, e.g. {}",
            count(left_out, "file", "files"),
            show_path(example)
        ));
    }
    if !settings.is_quiet() {
        exit::note(&format!(
            "wrote {} of {} to {}, {}, in {}",
            count(written.rows, "row", "rows"),
            snapshot.model(),
            show_path(&flags.dir),
            count(written.parts, "pair of files", "pairs of files"),
            duration(start.elapsed())
        ));
    }
    Ok(if left_out == 0 { Exit::Success } else { Exit::Failure })
}
