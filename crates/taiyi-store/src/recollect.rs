//! What a publication is made from, read from the generation before it and of the ledger only what was changed since:
//! the same, record for record, as [`collect`](crate::collect::collect) reads from the whole ledger.

use std::collections::BTreeMap;

use crate::collect::{Collected, time_of};
use crate::encoding::{Cursor, StoredLocation, put_failed_location, put_location, put_metadata};
use crate::generation::items::{ItemTable, split_item};
use crate::ledger::Ledger;
use crate::touched::Records;
use crate::{ContentHash, Failure, LocationState, StoreError};

/// `table` was made from what the ledger had of `epoch`, and `touched` names everything that was changed since;
/// `progress` is told of every row.
pub(crate) fn recollect(
    ledger: &Ledger,
    epoch: u64,
    table: &ItemTable,
    touched: &Records,
    progress: &mut dyn FnMut(u64),
) -> Result<Collected, StoreError> {
    let mut collected = Collected::of_roots(ledger.roots()?);
    // A content that is new to the ledger and has a row had been lost: the row is of what was there before.
    if touched.contents.iter().any(|hash| table.find(hash).is_some()) {
        return Err(StoreError::ledger(ledger.dir(), "a content of a published row was missing"));
    }
    let mut failures = table.failures()?;
    failures.retain(|(at, _)| !touched.has_location(at.root, at.path.as_bytes()));
    let mut placed = now_at(ledger, touched, &mut failures)?.into_iter().peekable();
    failures.sort_unstable_by(|(a, _), (b, _)| order(a).cmp(&order(b)));
    for (at, failure) in &failures {
        put_failed_location(&mut collected.failures, at.root, at.stamp, &at.path, failure);
    }
    collected.failure_count = failures.len();

    for (done, &row) in (1..).zip(table.order()) {
        let hash = table.hash(row).ok_or_else(|| table.bad_item(row))?;
        while let Some((hash, locations)) = placed.next_if(|(placed, _)| *placed < hash) {
            push_new(&mut collected, ledger, epoch, hash, locations)?;
        }
        let added = placed.next_if(|(placed, _)| *placed == hash).map(|(_, locations)| locations);
        push_row(&mut collected, table, row, hash, touched, added)?;
        progress(done);
    }
    for (hash, locations) in placed {
        push_new(&mut collected, ledger, epoch, hash, locations)?;
    }

    for hash in &touched.contents {
        if collected.position(hash).is_none() && ledger.content_epoch(hash)? == Some(epoch) {
            collected.orphans.push(*hash);
        }
    }
    collected.orphans.sort_unstable();
    collected.orphans.dedup();
    Ok(collected)
}

/// The contents that touched locations have now, and those locations; failed ones go to `failures`.
fn now_at(
    ledger: &Ledger,
    touched: &Records,
    failures: &mut Vec<(StoredLocation, Failure)>,
) -> Result<BTreeMap<ContentHash, Vec<StoredLocation>>, StoreError> {
    let mut placed: BTreeMap<ContentHash, Vec<StoredLocation>> = BTreeMap::new();
    for (root, path) in touched.locations() {
        let Some(record) = ledger.location(root, &path)? else { continue };
        let at = StoredLocation { root, stamp: record.stamp, path };
        match record.state {
            LocationState::Indexed(hash) => placed.entry(hash).or_default().push(at),
            LocationState::Failed(failure) => failures.push((at, failure)),
            LocationState::Ignored => {}
        }
    }
    Ok(placed)
}

/// That of locations in an item, and of failed files.
fn order(at: &StoredLocation) -> (u32, &[u8]) {
    (at.root.get(), at.path.as_bytes())
}

/// Adds a content that the table has not.
fn push_new(
    collected: &mut Collected,
    ledger: &Ledger,
    epoch: u64,
    hash: ContentHash,
    mut locations: Vec<StoredLocation>,
) -> Result<(), StoreError> {
    let Some(record) = ledger.content(&hash)?.filter(|record| record.epoch == epoch) else {
        collected.astray += locations.len();
        return Ok(());
    };
    locations.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
    let time = time_of(record.metadata.taken_s, locations.iter().map(|at| at.stamp));
    collected.push(
        hash,
        time,
        locations.len(),
        |out| put_metadata(out, &record.metadata),
        |out| put_locations(out, &locations),
    );
    Ok(())
}

/// Adds a content of the table, its locations as they are now.
fn push_row(
    collected: &mut Collected,
    table: &ItemTable,
    row: u32,
    hash: ContentHash,
    touched: &Records,
    added: Option<Vec<StoredLocation>>,
) -> Result<(), StoreError> {
    let bad = || table.bad_item(row);
    let item = table.item(row)?;
    let mut cursor = Cursor::new(item);
    let taken_s = cursor.metadata().ok_or_else(bad)?.taken_s;
    let metadata = item.get(..item.len() - cursor.rest().len()).unwrap_or_default();
    let count = cursor.u32().ok_or_else(bad)? as usize;
    let locations = cursor.rest();
    let mut is_touched = added.is_some();
    for _ in 0..count {
        let (root, _, path) = cursor.location_bytes().ok_or_else(bad)?;
        is_touched |= touched.has_location(root, path);
    }
    if !is_touched {
        // What nearly all of a million rows come to: two copies.
        let (put_metadata, put_locations) = (
            |out: &mut Vec<u8>| out.extend_from_slice(metadata),
            |out: &mut Vec<u8>| out.extend_from_slice(locations),
        );
        collected.push(hash, table.time(row), count, put_metadata, put_locations);
        return Ok(());
    }
    let (_, mut locations) = split_item(item).ok_or_else(bad)?;
    locations.retain(|at| !touched.has_location(at.root, at.path.as_bytes()));
    locations.extend(added.into_iter().flatten());
    if locations.is_empty() {
        collected.orphans.push(hash);
        return Ok(());
    }
    locations.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
    collected.push(
        hash,
        time_of(taken_s, locations.iter().map(|at| at.stamp)),
        locations.len(),
        |out| out.extend_from_slice(metadata),
        |out| put_locations(out, &locations),
    );
    Ok(())
}

fn put_locations(out: &mut Vec<u8>, locations: &[StoredLocation]) {
    for at in locations {
        put_location(out, at.root, at.stamp, &at.path);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use taiyi_core::{Embedding, ImageFormat, ModelId, Orientation, PhotoMetadata};

    use super::*;
    use crate::{
        Entry, FailureKind, FileStamp, GraphOptions, PublishOptions, PublishProgress, PublishStep,
        RelativePath, RootId, Writer, WriterOptions,
    };

    const ROOTS: [&str; 2] = if cfg!(windows) { ["C:\\a", "C:\\a\\b"] } else { ["/a", "/a/b"] };

    fn open(dir: &Path) -> (Writer, [RootId; 2]) {
        let model = ModelId { name: "fake".into(), weights: "00".into(), dimension: 2 };
        let graph = GraphOptions { min_rows: 1000, ..GraphOptions::default() };
        let threads = std::num::NonZeroUsize::MIN;
        let writer = Writer::open(dir, WriterOptions { model, graph, threads }).unwrap();
        let roots = ROOTS.map(|root| writer.add_root(Path::new(root)).unwrap());
        (writer, roots)
    }

    fn metadata(content: u8) -> PhotoMetadata {
        PhotoMetadata {
            width: 1 + u32::from(content),
            height: 1,
            format: Some(ImageFormat::Png),
            orientation: Orientation::Upright,
            taken_s: content.is_multiple_of(2).then_some(i64::from(content)),
            taken_offset_min: None,
            gps: None,
            camera: content.is_multiple_of(3).then(|| "camera".to_owned()),
        }
    }

    /// One of the things that happen to an index: `kind` tells which, the rest to what.
    fn act(writer: &Writer, root: RootId, kind: u8, file: u8, content: u8) {
        let path = RelativePath::from_bytes(format!("{file}.jpg").as_bytes()).unwrap();
        let stamp = match content % 5 {
            0 => FileStamp::IMPORTED,
            day => FileStamp { size: 1, mtime_ns: i64::from(day) << 40 },
        };
        let hash = ContentHash([content; 32]);
        let entry = match kind {
            0..=3 => {
                let metadata = metadata(content);
                let embedding = Embedding::normalize(vec![1.0, f32::from(content)]).unwrap();
                Entry::Embedded { root, path, stamp, hash, metadata, embedding }
            }
            4 if writer.knows_content(&hash).unwrap() => Entry::Reused { root, path, stamp, hash },
            5 => {
                let failure = Failure { kind: FailureKind::Corrupt, message: format!("{content}") };
                Entry::Failed { root, path, stamp, failure }
            }
            6 => Entry::Ignored { root, path, stamp },
            _ => return writer.remove_locations(root, &[path]).unwrap(),
        };
        writer.commit(&[entry]).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whatever happened since, and in however many runs, both ways tell the same.
        #[test]
        fn what_is_read_both_ways_is_the_same(
            happened in prop::collection::vec((0u8..13, 0u8..2, 0u8..6, 0u8..9), 1..60),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let (mut writer, mut roots) = open(dir.path());
            let publish = |writer: &Writer, build_graph| {
                writer.publish(&PublishOptions { build_graph }, &mut |_| ()).unwrap();
            };
            publish(&writer, true);
            for (kind, root, file, content) in happened {
                match kind {
                    9 => publish(&writer, false),
                    10 => publish(&writer, true),
                    11 => {
                        drop(writer);
                        (writer, roots) = open(dir.path());
                    }
                    12 if content == 0 => {
                        writer.merge_root(roots[1], roots[0]).unwrap();
                        roots[1] = writer.add_root(Path::new(ROOTS[1])).unwrap();
                    }
                    12 if content == 1 => {
                        writer.remove_root(roots[1]).unwrap();
                        roots[1] = writer.add_root(Path::new(ROOTS[1])).unwrap();
                    }
                    _ => act(&writer, roots[usize::from(root)], kind, file, content),
                }
                if let Some([short, whole]) = writer.collected_both_ways() {
                    prop_assert_eq!(short, whole);
                }
            }
        }
    }

    #[test]
    fn the_whole_ledger_is_read_no_more_often_than_it_must_be() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, [root, _]) = open(dir.path());
        let publish = |writer: &Writer, build_graph| {
            writer.publish(&PublishOptions { build_graph }, &mut |_| ()).unwrap();
        };
        let is_short = |writer: &Writer| writer.collected_both_ways().is_some();
        let is_published_short = |writer: &Writer| {
            let mut is_short = false;
            let mut progress = |p: PublishProgress| is_short |= p.step == PublishStep::Collect && p.total > 0;
            writer.publish(&PublishOptions { build_graph: true }, &mut progress).unwrap();
            is_short
        };
        assert!(!is_short(&writer), "nothing is published");
        act(&writer, root, 0, 0, 1);
        act(&writer, root, 0, 1, 2);
        publish(&writer, true);
        assert!(is_short(&writer));
        drop(writer);

        let (writer, _) = open(dir.path());
        assert!(is_short(&writer), "a new run knows that nothing was changed");
        act(&writer, root, 0, 5, 9);
        assert!(is_published_short(&writer));
        act(&writer, root, 0, 2, 3);
        assert!(is_short(&writer));
        drop(writer);

        let (writer, _) = open(dir.path());
        assert!(!is_short(&writer), "a run ended before it published");
        publish(&writer, false);
        act(&writer, root, 7, 2, 0);
        publish(&writer, false);
        let [short, whole] = writer.collected_both_ways().unwrap();
        assert_eq!(short.orphans, [ContentHash([3; 32])]);
        assert_eq!(short, whole);
        drop(writer);

        let (writer, _) = open(dir.path());
        assert!(!is_short(&writer), "a content lies nowhere, and only the ledger knows which");
        act(&writer, root, 0, 3, 4);
        publish(&writer, true);
        assert!(is_short(&writer) && !writer.knows_content(&ContentHash([3; 32])).unwrap());

        act(&writer, root, 7, 3, 0);
        publish(&writer, false);
        publish(&writer, true);
        assert!(
            is_short(&writer) && !writer.knows_content(&ContentHash([4; 32])).unwrap(),
            "nothing new to publish"
        );
    }

    #[test]
    fn a_ledger_with_a_hole_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, [root, _]) = open(dir.path());
        let publish = |writer: &Writer| {
            writer.publish(&PublishOptions { build_graph: true }, &mut |_| ()).unwrap();
        };
        act(&writer, root, 0, 0, 1);
        act(&writer, root, 0, 1, 1);
        act(&writer, root, 0, 2, 2);
        publish(&writer);
        assert!(writer.collected_both_ways().is_some());
        // Two locations lose their content, and a third record brings the ledger back to be published.
        writer.lose_content(&ContentHash([1; 32]));
        act(&writer, root, 0, 3, 3);
        drop(writer);
        let (writer, _) = open(dir.path());
        publish(&writer);
        assert!(writer.collected_both_ways().is_none(), "the table tells nothing of those two");
        drop(writer);
        let (writer, _) = open(dir.path());
        assert!(writer.collected_both_ways().is_none());
        // One of them is read again; the other one is found with it.
        act(&writer, root, 0, 0, 1);
        publish(&writer);
        let [short, whole] = writer.collected_both_ways().unwrap();
        assert_eq!((short.location_count, short.astray), (4, 0));
        assert_eq!(short, whole);
    }

    #[test]
    fn rows_that_the_ledger_has_lost_are_given_up_where_they_matter() {
        let prepare = |pictures: u8, dir: &Path| {
            let (writer, [root, _]) = open(dir);
            (0..pictures).for_each(|i| act(&writer, root, 0, i, i + 1));
            (writer, root)
        };
        let publish =
            |writer: &Writer| writer.publish(&PublishOptions { build_graph: true }, &mut |_| ()).unwrap();
        let lost = ContentHash([1; 32]);

        // The whole ledger is read, and a table with other counts is no longer up to date.
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, _) = prepare(3, dir.path());
        writer.set_faults(Box::new(|step| match step {
            crate::fault::Step::Vouch => Err(StoreError::InvalidArgument("stopped".into())),
            _ => Ok(()),
        }));
        publish(&writer);
        writer.lose_content(&lost);
        drop(writer);
        let (writer, _) = open(dir.path());
        assert!(matches!(publish(&writer), crate::Published::New(new) if new.rows == 2));

        // A compaction asks the ledger for every vector.
        let dir = tempfile::tempdir().unwrap();
        let (writer, root) = prepare(6, dir.path());
        publish(&writer);
        writer.lose_content(&lost);
        (3..6).for_each(|i| act(&writer, root, 7, i, 0));
        assert!(matches!(publish(&writer), crate::Published::New(new) if new.rows == 2));

        // What comes back is not taken for what was there before.
        let dir = tempfile::tempdir().unwrap();
        let (writer, root) = prepare(3, dir.path());
        publish(&writer);
        writer.lose_content(&lost);
        act(&writer, root, 0, 0, 1);
        publish(&writer);
        let [short, whole] = writer.collected_both_ways().unwrap();
        assert_eq!(short, whole);
        assert_eq!(whole.contents.len(), 3);
    }
}
