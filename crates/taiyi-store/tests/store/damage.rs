//! Damaged files: errors or answers, never a panic; and `verify` sees every flipped bit.

use std::fs;
use std::path::{Path, PathBuf};

use taiyi_store::{GraphOptions, SearchOptions, Snapshot, StoreError, Writer, WriterOptions, verify};

use crate::support::{
    ROOT, contents, embedding, fill, finds, hash, model, options, path, publish, search_options, threads,
};

const DIM: usize = 8;

/// An index with two parts of vectors, a graph, a failure and a removed row.
fn index(dir: &Path) -> Writer {
    let graph = GraphOptions { m: 4, ef_construction: 16, min_rows: 40 };
    let writer = Writer::open(dir, WriterOptions { model: model(DIM), graph, threads: threads(1) }).unwrap();
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    fill(&writer, root, 0..60, DIM);
    publish(&writer);
    fill(&writer, root, 60..70, DIM);
    let failure =
        taiyi_store::Failure { kind: taiyi_store::FailureKind::TooLarge, message: "300 megapixels".into() };
    let failed =
        taiyi_store::Entry::Failed { root, path: path("big.png"), stamp: crate::support::stamp(1), failure };
    writer.commit(&[failed]).unwrap();
    writer.remove_locations(root, &[path("3.jpg")]).unwrap();
    assert_eq!(publish(&writer).graph_rows, 60);
    writer
}

/// The files that the manifest names.
fn published_files(dir: &Path) -> Vec<PathBuf> {
    vec![
        dir.join("gen-2/items.bin"),
        dir.join("gen-1/vectors.f32"),
        dir.join("gen-2/vectors.f32"),
        dir.join("gen-1/graph.bin"),
    ]
}

/// Uses everything there is in a snapshot.
fn exercise(dir: &Path) -> Result<(), StoreError> {
    let snapshot = Snapshot::open(dir)?;
    let query = embedding(DIM, 5);
    let walk = SearchOptions { ef: Some(16), ..search_options(10) };
    let mut result = Ok(());
    for options in [walk, SearchOptions { exact: true, ..walk }] {
        let found = snapshot.search(&query, &options, None);
        if let Ok(found) = &found {
            assert!(found.is_sorted_by(|a, b| a.score >= b.score));
        }
        result = result.and(found.map(drop));
        let filter = |view: taiyi_store::RowView<'_>| view.item().is_ok_and(|i| i.metadata.width > 0);
        result = result.and(snapshot.search(&query, &options, Some(&filter)).map(drop));
    }
    for row in snapshot.rows() {
        let _ = snapshot.time(row);
        result = result.and(snapshot.item(row).map(drop)).and(snapshot.embedding(row).map(drop));
    }
    let _ = snapshot.find_content(&hash(1));
    result.and(snapshot.failures().map(drop))
}

#[test]
fn a_flipped_byte_anywhere_never_panics_and_verify_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    drop(index(dir.path()));
    exercise(dir.path()).unwrap();
    for file in published_files(dir.path()) {
        let whole = fs::read(&file).unwrap();
        // Every byte of the headers, and a stride through the rest that meets every byte of a number.
        let offsets = (0..whole.len().min(400)).chain((400..whole.len()).step_by(7));
        for at in offsets {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= flip;
                fs::write(&file, &damaged).unwrap();
                if let Err(e) = exercise(dir.path()) {
                    assert!(matches!(e, StoreError::Corrupt { .. }), "{} at {at}: {e}", file.display());
                }
            }
        }
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 4;
        fs::write(&file, &damaged).unwrap();
        let report = verify(dir.path(), &mut |_| ()).unwrap();
        let name = file.display().to_string();
        assert!(report.problems.iter().any(|p| p.what.contains(&name)), "{name}: {report:?}");
        assert!(report.problems.iter().all(|p| p.remedy.contains("index again")), "{report:?}");
        fs::write(&file, &whole).unwrap();
    }
    assert_eq!(verify(dir.path(), &mut |_| ()).unwrap().problems, []);
}

#[test]
fn a_cut_or_missing_file_is_named_with_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    drop(index(dir.path()));
    for file in published_files(dir.path()) {
        let whole = fs::read(&file).unwrap();
        for len in [0, 1, 8, 63, 64, 127, 128, whole.len() / 2, whole.len() - 1] {
            fs::write(&file, &whole[..len]).unwrap();
            let error = exercise(dir.path()).unwrap_err();
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
            assert!(error.to_string().contains(&format!("it has {len}")), "{error}");
        }
        fs::write(&file, [&whole[..], b"more"].concat()).unwrap();
        assert!(exercise(dir.path()).is_err());
        fs::remove_file(&file).unwrap();
        let error = exercise(dir.path()).unwrap_err().to_string();
        assert!(error.contains("it is missing; delete the gen-* folders"), "{error}");
        assert!(!verify(dir.path(), &mut |_| ()).unwrap().problems.is_empty());
        fs::write(&file, &whole).unwrap();
    }
    for junk in [&b""[..], b"{", b"{}", b"null", br#"{"format":1}"#] {
        let manifest = dir.path().join("manifest.json");
        let whole = fs::read(&manifest).unwrap();
        fs::write(&manifest, junk).unwrap();
        assert!(matches!(exercise(dir.path()), Err(StoreError::Corrupt { .. })));
        assert!(!verify(dir.path(), &mut |_| ()).unwrap().problems.is_empty());
        fs::write(&manifest, whole).unwrap();
    }
}

#[test]
fn the_writer_mends_a_damaged_generation_from_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let writer = index(dir.path());
    let root = writer.roots().unwrap()[0].id;
    let before = contents(&Snapshot::open(dir.path()).unwrap());
    let mut seed = 100;
    let mut names = published_files(dir.path());
    names.push(dir.path().join("manifest.json"));
    for file in names {
        // Files move on with every publication: damage what plays the same part now.
        let name = file.file_name().unwrap();
        for folder in fs::read_dir(dir.path()).unwrap().flatten().map(|f| f.path()).chain([dir.path().into()])
        {
            let file = folder.join(name);
            if let Ok(mut bytes) = fs::read(&file) {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
                fs::write(&file, bytes).unwrap();
            }
        }
        // Enough new rows that all of the old parts are read again.
        fill(&writer, root, seed..seed + 200, DIM);
        publish(&writer);
        let snapshot = Snapshot::open(dir.path()).unwrap();
        assert!((0..3).chain(4..70).chain(100..seed + 200).all(|s| finds(&snapshot, s)), "{name:?}");
        seed += 200;
    }
    let after = contents(&Snapshot::open(dir.path()).unwrap());
    assert!(before.iter().all(|file| after.contains(file)));
    drop(writer);
    assert_eq!(verify(dir.path(), &mut |_| ()).unwrap().problems, []);
}

#[test]
fn a_damaged_or_lost_ledger_asks_for_a_rebuild_and_hides_nothing_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    drop(index(dir.path()));
    let files: Vec<PathBuf> = fs::read_dir(dir.path().join("ledger"))
        .unwrap()
        .flatten()
        .map(|f| f.path())
        .filter(|f| f.is_file())
        .collect();
    for (n, file) in files.iter().enumerate() {
        let whole = fs::read(file).unwrap();
        for junk in [vec![0x5a; whole.len()], whole[..whole.len() / 3].to_vec()] {
            fs::write(file, junk).unwrap();
            // sled mends or forgets some damage by itself; what matters is that nothing panics or is believed.
            let report = verify(dir.path(), &mut |_| ()).unwrap();
            match Writer::open(dir.path(), options(model(DIM), 40)) {
                Err(e) => {
                    assert!(!report.problems.is_empty());
                    assert!(matches!(e, StoreError::Corrupt { .. } | StoreError::Io { .. }), "{n}: {e}");
                }
                Ok(writer) => drop(writer.locations(writer.roots().unwrap()[0].id, None).count()),
            }
            assert_eq!(Snapshot::open(dir.path()).unwrap().len(), 69);
            fs::write(file, &whole).unwrap();
        }
    }
    fs::remove_dir_all(dir.path().join("ledger")).unwrap();
    let lost = Writer::open(dir.path(), options(model(DIM), 40)).unwrap_err();
    assert!(lost.to_string().contains("it is missing; index again with --rebuild"), "{lost}");
    assert!(!verify(dir.path(), &mut |_| ()).unwrap().problems.is_empty());

    let writer = Writer::open_for_rebuild(dir.path(), options(model(DIM), 40)).unwrap();
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    fill(&writer, root, 0..5, DIM);
    let held = writer.publish(&taiyi_store::PublishOptions { build_graph: false }, &mut |_| ()).unwrap();
    assert_eq!(held, taiyi_store::Published::HeldBack);
    assert_eq!(Snapshot::open(dir.path()).unwrap().len(), 69);
    writer.finish_rebuild().unwrap();
    assert_eq!(publish(&writer).rows, 5);
}

#[test]
fn what_a_newer_version_wrote_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(index(dir.path()));
    let manifest = dir.path().join("manifest.json");
    fs::write(&manifest, r#"{"format":3,"checksum":"?","index":{}}"#).unwrap();
    let refusals = [
        Snapshot::open(dir.path()).map(drop).unwrap_err(),
        verify(dir.path(), &mut |_| ()).map(drop).unwrap_err(),
    ];
    for refused in refusals {
        assert!(matches!(refused, StoreError::NewerFormat { found: 3, supported: 2, .. }));
        assert!(refused.to_string().contains("update taiyi-search"), "{refused}");
    }
    let refused = Writer::open(dir.path(), options(model(DIM), 40)).unwrap_err();
    assert!(matches!(refused, StoreError::NewerFormat { .. }));
}
