//! Readers beside a writer, and a second writer.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use taiyi_store::{PublishOptions, Snapshot, StoreError, Writer, verify};

use crate::support::{
    ROOT, contents, embedded, embedding, fill, model, open, options, path, publish, search_options, threads,
};

const DIM: usize = 16;

#[test]
fn readers_see_whole_generations_while_the_writer_publishes() {
    let dir = tempfile::tempdir().unwrap();
    let writer = Writer::open(dir.path(), options(model(DIM), 200)).unwrap();
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    fill(&writer, root, 0..150, DIM);
    publish(&writer);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2u64 {
            let (done, dir) = (&done, dir.path());
            scope.spawn(move || {
                let mut last = (0, 0);
                while !done.load(Ordering::Acquire) {
                    let snapshot = Snapshot::open(dir).unwrap();
                    let seen = (snapshot.generation(), snapshot.len());
                    assert!(seen >= last, "{seen:?} after {last:?}");
                    last = seen;
                    let found = snapshot.search(&embedding(DIM, reader), &search_options(500), None).unwrap();
                    assert_eq!(found.len(), snapshot.len());
                    assert_eq!(contents(&snapshot).len(), snapshot.len());
                }
            });
        }
        for seed in 150..220 {
            writer.commit(&[embedded(root, &format!("{seed}.jpg"), seed, DIM)]).unwrap();
            let build_graph = seed.is_multiple_of(7);
            writer.publish(&PublishOptions { build_graph }, &mut |_| ()).unwrap();
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(Snapshot::open(dir.path()).unwrap().len(), 220);
}

#[test]
fn shares_are_the_live_rows_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path(), 2);
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    fill(&writer, root, 0..9000, 2);
    publish(&writer);
    let removed: Vec<_> = (0..9000).step_by(50).map(|seed| path(&format!("{seed}.jpg"))).collect();
    writer.remove_locations(root, &removed).unwrap();
    publish(&writer);
    let snapshot = Snapshot::open(dir.path()).unwrap();
    let expected: Vec<_> = snapshot.rows().collect();
    assert_eq!(expected.len(), 9000 - removed.len());
    for (wanted, given) in [(1, 1), (2, 2), (64, 2)] {
        let shares = snapshot.shares(threads(wanted));
        assert_eq!(shares.len(), given, "{wanted}");
        let views: Vec<_> = shares.into_iter().flatten().collect();
        assert!(views.iter().map(|view| view.row()).eq(expected.iter().copied()));
        let view = views.last().unwrap();
        assert_eq!((view.time(), view.hash()), (snapshot.time(view.row()), view.item().unwrap().hash));
    }
    let backwards = snapshot.shares(threads(2)).into_iter().rev().flat_map(Iterator::rev);
    assert!(backwards.map(|view| view.row()).eq(expected.into_iter().rev()));
}

#[test]
fn a_second_writer_is_refused_and_verify_says_what_it_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), DIM);
    let root = first.add_root(Path::new(ROOT)).unwrap();
    fill(&first, root, 0..3, DIM);
    publish(&first);
    let second = Writer::open(dir.path(), options(model(DIM), 100)).unwrap_err();
    assert!(matches!(second, StoreError::Busy { .. }));
    assert!(second.to_string().contains("wait for it or stop it"), "{second}");
    let report = verify(dir.path(), &mut |_| ()).unwrap();
    assert!(!report.ledger_checked && report.problems.is_empty() && report.files_checked == 2);
    drop(first);
    open(dir.path(), DIM);
    assert!(verify(dir.path(), &mut |_| ()).unwrap().ledger_checked);
}

#[test]
fn many_threads_may_use_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path(), DIM);
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let writer = &writer;
            scope.spawn(move || {
                for i in 0..20 {
                    let seed = thread * 100 + i;
                    let name = format!("{seed}.jpg");
                    writer.commit(&[embedded(root, &name, seed, DIM)]).unwrap();
                    assert!(writer.location(root, &path(&name)).unwrap().is_some());
                }
            });
        }
        writer.publish(&PublishOptions { build_graph: false }, &mut |_| ()).unwrap();
    });
    assert_eq!(publish(&writer).rows, 80);
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_an_error_that_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("index");
    let writer = open(&index, DIM);
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    fill(&writer, root, 0..3, DIM);
    publish(&writer);
    drop(writer);
    fs::set_permissions(&index, fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(index.join("LOCK"), fs::Permissions::from_mode(0o444)).unwrap();
    // Whoever may write anywhere (root) proves nothing here.
    if fs::write(index.join("probe"), "").is_err() {
        let refused = Writer::open(&index, options(model(DIM), 100)).unwrap_err();
        assert!(matches!(refused, StoreError::Io { .. }));
        assert!(refused.to_string().contains("permission denied"), "{refused}");
        assert_eq!(Snapshot::open(&index).unwrap().len(), 3, "reading needs no right to write");
        assert!(!verify(&index, &mut |_| ()).unwrap().ledger_checked);
    }
    fs::set_permissions(&index, fs::Permissions::from_mode(0o755)).unwrap();

    let file = dir.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    assert!(matches!(Writer::open(&file, options(model(DIM), 100)), Err(StoreError::Io { .. })));
}
