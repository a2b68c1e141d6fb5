//! Stored indexes of every format version must stay readable.

use std::fs;
use std::path::{Path, PathBuf};

use taiyi_store::{
    Entry, Failure, FailureKind, GraphOptions, PublishOptions, Published, SearchOptions, Snapshot, Writer,
    WriterOptions, verify,
};

use crate::support::{
    ROOT, contents, embedded, fill, finds, hash, metadata, model, path, row_of, search_options, stamp,
    threads,
};

const DIM: usize = 8;

fn stored(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/format-{version}"))
}

fn options() -> WriterOptions {
    let graph = GraphOptions { m: 4, ef_construction: 16, min_rows: 20 };
    WriterOptions { model: model(DIM), graph, threads: threads(1) }
}

/// Makes the stored index of the current version anew; see `tests/data/README.md`.
#[test]
#[ignore = "makes committed data"]
fn make_stored_index() {
    let target = stored(2);
    let dir = tempfile::tempdir().unwrap();
    let writer = Writer::open(dir.path(), options()).unwrap();
    let root = writer.add_root(Path::new("/照片")).unwrap();
    fill(&writer, root, 0..24, DIM);
    writer.publish(&PublishOptions { build_graph: true }, &mut |_| ()).unwrap();
    let failure = Failure { kind: FailureKind::Corrupt, message: "unexpected end of file".into() };
    writer
        .commit(&[
            embedded(root, "旅行/鳥鳥.png", 24, DIM),
            Entry::Reused { root, path: path("copy of 0.jpg"), stamp: stamp(50), hash: hash(0) },
            Entry::Failed { root, path: path("bad.jpg"), stamp: stamp(51), failure },
            Entry::Ignored { root, path: path("notes.txt"), stamp: stamp(52) },
        ])
        .unwrap();
    writer.remove_locations(root, &[path("1.jpg")]).unwrap();
    writer.publish(&PublishOptions { build_graph: true }, &mut |_| ()).unwrap();
    drop(writer);
    let _ = fs::remove_dir_all(&target);
    copy(dir.path(), &target);
    // Generations that only a reader in the middle of opening would want.
    fs::remove_file(target.join("gen-1/items.bin")).unwrap();
    fs::remove_file(target.join("LOCK")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn assert_is_the_stored_one(snapshot: &Snapshot) {
    assert_eq!((snapshot.len(), snapshot.location_count(), snapshot.model()), (24, 25, &model(DIM)));
    assert!((2..25).chain([0]).all(|seed| finds(snapshot, seed)) && !finds(snapshot, 1));
    let item = snapshot.item(row_of(snapshot, 24)).unwrap();
    assert_eq!(item.metadata, metadata(24));
    assert_eq!(item.locations[0].relative, path("旅行/鳥鳥.png"));
    assert_eq!(item.locations[0].root_path, Path::new("/照片"));
    let copies = snapshot.item(row_of(snapshot, 0)).unwrap().locations;
    assert_eq!(copies.iter().map(|l| l.stamp).collect::<Vec<_>>(), [stamp(0), stamp(50)]);
    let failures = snapshot.failures().unwrap();
    assert_eq!(failures[0].failure.message, "unexpected end of file");
    let walk = SearchOptions { ef: Some(32), ..search_options(3) };
    let query = crate::support::embedding(DIM, 7);
    let walked = snapshot.search(&query, &walk, None).unwrap();
    let scanned = snapshot.search(&query, &SearchOptions { exact: true, ..walk }, None).unwrap();
    assert_eq!(walked, scanned);
}

#[test]
fn an_index_of_format_1_can_be_read_and_its_next_publication_is_of_this_one() {
    let dir = tempfile::tempdir().unwrap();
    copy(&stored(1), dir.path());
    let snapshot = Snapshot::open(dir.path()).unwrap();
    // Its graph has another layout: every row is looked at instead.
    assert_eq!((snapshot.generation(), snapshot.graph_rows()), (2, 0));
    assert_is_the_stored_one(&snapshot);
    assert_eq!(verify(dir.path(), &mut |_| ()).unwrap().problems, []);

    let writer = Writer::open(dir.path(), options()).unwrap();
    assert!(!writer.has_unpublished_changes().unwrap());
    writer.publish(&PublishOptions { build_graph: true }, &mut |_| ()).unwrap();
    let snapshot = Snapshot::open(dir.path()).unwrap();
    assert_eq!((snapshot.generation(), snapshot.graph_rows()), (3, 25), "nothing changed but the format");
    assert_is_the_stored_one(&snapshot);
    assert!(dir.path().join("gen-1/vectors.f32").exists(), "vectors stay as they are");
    let unchanged = writer.publish(&PublishOptions { build_graph: true }, &mut |_| ()).unwrap();
    assert!(matches!(unchanged, Published::Unchanged(_)), "once is enough");
    drop(writer);
    assert_eq!(verify(dir.path(), &mut |_| ()).unwrap().problems, []);
    let manifest = fs::read_to_string(dir.path().join("manifest.json")).unwrap();
    assert!(manifest.contains("\"format\": 2"), "{manifest}");
}

#[test]
fn an_index_of_format_1_can_be_written_on() {
    write_on(1);
}

#[test]
fn an_index_of_format_2_can_be_read_and_written_on() {
    let dir = tempfile::tempdir().unwrap();
    copy(&stored(2), dir.path());
    let snapshot = Snapshot::open(dir.path()).unwrap();
    assert_eq!((snapshot.generation(), snapshot.graph_rows()), (2, 24));
    assert_is_the_stored_one(&snapshot);
    assert_eq!(verify(dir.path(), &mut |_| ()).unwrap().problems, []);
    write_on(2);
}

/// Adds a picture, in the middle of a run and at its end, and makes everything anew from the ledger.
fn write_on(version: u32) {
    let dir = tempfile::tempdir().unwrap();
    copy(&stored(version), dir.path());
    let writer = Writer::open(dir.path(), options()).unwrap();
    let root = writer.add_root(&Path::new(ROOT).join("elsewhere")).unwrap();
    writer.commit(&[embedded(root, "25.jpg", 25, DIM)]).unwrap();
    for build_graph in [false, true] {
        writer.publish(&PublishOptions { build_graph }, &mut |_| ()).unwrap();
        let snapshot = Snapshot::open(dir.path()).unwrap();
        assert!(finds(&snapshot, 25) && finds(&snapshot, 24));
        assert_eq!(contents(&snapshot).len(), 26);
        assert!(!build_graph || snapshot.graph_rows() >= 24);
    }
    drop(writer);

    // And from its ledger alone.
    fs::remove_file(dir.path().join("manifest.json")).unwrap();
    let writer = Writer::open(dir.path(), options()).unwrap();
    writer.remove_root(root).unwrap();
    writer.publish(&PublishOptions { build_graph: true }, &mut |_| ()).unwrap();
    assert_is_the_stored_one(&Snapshot::open(dir.path()).unwrap());
}
