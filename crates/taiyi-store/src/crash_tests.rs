//! Stops before every step at which something becomes durable or visible, and looks at what is left: the
//! reader sees the old generation whole or the new one, and the writer goes on without loss.
//!
//! Each stop is made twice: by an error, after which the writer is dropped in good order, and by ending
//! the process, for which the test runs itself again as a child.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use taiyi_core::{Embedding, ImageFormat, ModelId, Orientation, PhotoMetadata};

use crate::fault::Step;
use crate::{
    ContentHash, Entry, FileStamp, GraphOptions, PublishOptions, Published, RelativePath, Snapshot,
    StoreError, Writer, WriterOptions, verify,
};

const CHILD_DIR: &str = "TAIYI_STORE_CRASH_DIR";
const CHILD_STOP: &str = "TAIYI_STORE_CRASH_STOP";
const ROOT: &str = if cfg!(windows) { "C:\\r" } else { "/r" };
const OLD: u8 = 30;
const NEW: u8 = 60;

fn open(dir: &Path) -> Writer {
    let model = ModelId { name: "fake".into(), weights: "00".into(), dimension: 4 };
    let graph = GraphOptions { m: 4, ef_construction: 8, min_rows: 10 };
    let threads = std::num::NonZeroUsize::MIN;
    Writer::open(dir, WriterOptions { model, graph, threads }).unwrap()
}

fn path(i: u8) -> RelativePath {
    RelativePath::from_path(Path::new(&format!("{i}.jpg"))).unwrap()
}

fn vector(i: u8) -> Embedding {
    let x = f32::from(i);
    Embedding::normalize(vec![x.sin(), (x * 1.7).cos(), (x * 0.3).sin(), 1.0]).unwrap()
}

fn commit(writer: &Writer, pictures: std::ops::Range<u8>) -> Result<(), StoreError> {
    let root = writer.add_root(Path::new(ROOT))?;
    let entries: Vec<Entry> = pictures
        .map(|i| Entry::Embedded {
            root,
            path: path(i),
            stamp: FileStamp { size: 1, mtime_ns: 2 },
            hash: ContentHash::of(&[i]),
            metadata: PhotoMetadata {
                width: 1,
                height: 1,
                format: Some(ImageFormat::Png),
                orientation: Orientation::Upright,
                taken_s: None,
                taken_offset_min: None,
                gps: None,
                camera: None,
            },
            embedding: vector(i),
        })
        .collect();
    writer.commit(&entries)
}

/// What is interrupted: two commits, a removal, and a publication with a graph and contents to forget.
fn act(writer: &Writer) -> Result<(), StoreError> {
    commit(writer, OLD..45)?;
    commit(writer, 45..NEW)?;
    let root = writer.add_root(Path::new(ROOT))?;
    writer.remove_locations(root, &[path(0), path(1)])?;
    writer.publish(&PublishOptions { build_graph: true }, &mut |_| ()).map(drop)
}

fn prepare(dir: &Path) {
    let writer = open(dir);
    commit(&writer, 0..OLD).unwrap();
    writer.publish(&PublishOptions { build_graph: true }, &mut |_| ()).unwrap();
}

/// Steps that [`act`] passes.
fn steps() -> Vec<Step> {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut writer = open(dir.path());
    let record = seen.clone();
    writer.set_faults(Box::new(move |step| {
        record.lock().unwrap().push(step);
        Ok(())
    }));
    act(&writer).unwrap();
    drop(writer);
    std::mem::take(&mut *seen.lock().unwrap())
}

/// Calls `stop` before step number `at`.
fn stop_at(writer: &mut Writer, at: usize, stop: fn() -> Result<(), StoreError>) {
    let passed = AtomicUsize::new(0);
    writer.set_faults(Box::new(
        move |_| if passed.fetch_add(1, Ordering::SeqCst) == at { stop() } else { Ok(()) },
    ));
}

/// What must hold after a stop before `step`.
fn check(dir: &Path, step: Step, is_published: bool) {
    let old: Vec<u8> = (0..OLD).collect();
    let new: Vec<u8> = (2..NEW).collect();
    let seen = |snapshot: &Snapshot| -> Vec<u8> {
        (0..NEW).filter(|&i| snapshot.find_content(&ContentHash::of(&[i])).is_some()).collect()
    };
    let snapshot = Snapshot::open(dir).unwrap();
    assert_eq!(seen(&snapshot), if is_published { new.clone() } else { old }, "{step:?}");
    for row in snapshot.rows() {
        let item = snapshot.item(row).unwrap();
        let i = (0..NEW).find(|&i| ContentHash::of(&[i]) == item.hash).unwrap();
        assert_eq!(snapshot.embedding(row).unwrap(), vector(i), "{step:?}");
    }

    let writer = open(dir);
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    let known: Vec<u8> = (0..NEW).filter(|&i| writer.location(root, &path(i)).unwrap().is_some()).collect();
    let whole_batches = [0..OLD, 0..45, 0..NEW, 2..NEW].map(|range| range.collect::<Vec<u8>>());
    assert!(whole_batches.contains(&known), "{step:?}: {known:?}");
    assert_eq!(
        writer.has_unpublished_changes().unwrap(),
        !(is_published || known.len() == usize::from(OLD)),
        "{step:?}"
    );
    for i in &known {
        assert!(writer.knows_content(&ContentHash::of(&[*i])).unwrap(), "{step:?}: {i} lost its content");
    }
    // The next run goes through the same files again.
    act(&writer).unwrap();
    let published = writer.publish(&PublishOptions { build_graph: true }, &mut |_| ()).unwrap();
    assert!(matches!(published, Published::Unchanged(_)), "{step:?}");
    drop(writer);
    assert_eq!(seen(&Snapshot::open(dir).unwrap()), new, "{step:?}");
    let report = verify(dir, &mut |_| ()).unwrap();
    assert!(report.ledger_checked && report.problems.is_empty(), "{step:?}: {report:?}");
    let leftovers = std::fs::read_dir(dir).unwrap().flatten();
    assert!(leftovers.filter(|f| f.file_name().to_string_lossy().ends_with(".tmp")).count() == 0, "{step:?}");
}

fn is_published(steps: &[Step], at: usize) -> bool {
    steps[..at].contains(&Step::RenameManifest)
}

#[test]
fn an_error_before_any_step_loses_nothing() {
    let steps = steps();
    let all = [
        Step::Apply,
        Step::Sync,
        Step::Folder,
        Step::Vectors,
        Step::Graph,
        Step::Items,
        Step::RenameFolder,
        Step::WriteManifest,
        Step::RenameManifest,
        Step::Sweep,
        Step::Forget,
        Step::Vouch,
    ];
    assert!(all.iter().all(|step| steps.contains(step)), "{steps:?}");
    for (at, goes_on) in (0..steps.len()).flat_map(|at| [(at, false), (at, true)]) {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let mut writer = open(dir.path());
        stop_at(&mut writer, at, || Err(StoreError::InvalidArgument("stopped".into())));
        // What comes after a publication is no failure of it.
        assert_eq!(act(&writer).is_ok(), matches!(steps[at], Step::Forget | Step::Vouch), "{:?}", steps[at]);
        if let Some([short, whole]) = writer.collected_both_ways() {
            assert_eq!(short, whole, "the same writer after an error before {:?}", steps[at]);
        }
        let is_published = is_published(&steps, at);
        if goes_on {
            // The stop is passed, and comes no more.
            writer.publish(&PublishOptions { build_graph: true }, &mut |_| ()).unwrap();
            let [short, whole] = writer.collected_both_ways().unwrap();
            assert_eq!(short, whole, "published again after an error before {:?}", steps[at]);
            act(&writer).unwrap();
            drop(writer);
            check(dir.path(), steps[at], true);
            continue;
        }
        drop(writer);
        check(dir.path(), steps[at], is_published);
    }
}

#[test]
fn ending_the_process_before_any_step_loses_nothing() {
    let steps = steps();
    for at in 0..steps.len() {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "crash_tests::crash_in_a_child", "--test-threads=1"])
            .env(CHILD_DIR, dir.path())
            .env(CHILD_STOP, at.to_string())
            .output()
            .unwrap();
        assert!(!child.status.success(), "the child was to die before {:?}", steps[at]);
        check(dir.path(), steps[at], is_published(&steps, at));
    }
}

#[test]
#[ignore = "only as a child of ending_the_process_before_any_step_loses_nothing"]
fn crash_in_a_child() {
    let (Some(dir), Ok(at)) = (std::env::var_os(CHILD_DIR), std::env::var(CHILD_STOP)) else { return };
    let mut writer = open(Path::new(&dir));
    stop_at(&mut writer, at.parse().unwrap(), || std::process::abort());
    act(&writer).unwrap();
}
