//! The graph against exact search, on vectors as CLIP makes them. The budget: of the ten nearest, one in
//! a hundred may be missed.

use std::path::Path;
use std::sync::OnceLock;

use taiyi_core::Embedding;
use taiyi_store::{Entry, Neighbor, PublishOptions, RowView, SearchOptions, Snapshot, Writer};

use crate::support::{
    ClipLike, ROOT, hash, metadata, model, options, path, publish, rng, search_options, stamp, threads,
};

const DIM: usize = 64;
const ROWS: u64 = 10_000;
const QUERIES: usize = 100;
const BUDGET: f64 = 0.99;

struct Fixture {
    _dir: tempfile::TempDir,
    snapshot: Snapshot,
    queries: Vec<Embedding>,
}

fn commit(
    writer: &Writer,
    seeds: std::ops::Range<u64>,
    source: &ClipLike,
    duplicates_of: Option<&Embedding>,
) {
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    let mut rng = rng(seeds.start + 1);
    let entries: Vec<Entry> = seeds
        .map(|seed| Entry::Embedded {
            root,
            path: path(&format!("{seed}.jpg")),
            stamp: stamp(seed),
            hash: hash(seed),
            metadata: metadata(seed),
            embedding: duplicates_of.cloned().unwrap_or_else(|| source.draw(&mut rng)),
        })
        .collect();
    for batch in entries.chunks(1024) {
        writer.commit(batch).unwrap();
    }
}

/// 10,000 rows in a graph, and 500 after it.
fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let source = ClipLike::new(DIM, 48, 400, 7);
        let writer = Writer::open(dir.path(), options(model(DIM), 1000)).unwrap();
        commit(&writer, 0..ROWS, &source, None);
        let mut reports = 0;
        writer.publish(&PublishOptions { build_graph: true }, &mut |_| reports += 1).unwrap();
        assert!(reports > 10, "building takes long and must be seen to go on");
        commit(&writer, ROWS..ROWS + 500, &source, None);
        let published = publish(&writer);
        assert_eq!((published.rows, published.graph_rows), (ROWS + 500, ROWS), "the old graph is still good");
        let snapshot = Snapshot::open(dir.path()).unwrap();
        let mut rng = rng(2);
        let queries = (0..QUERIES).map(|_| source.draw(&mut rng)).collect();
        Fixture { _dir: dir, snapshot, queries }
    })
}

fn recall(filter: Option<&(dyn Fn(RowView<'_>) -> bool + Sync)>, ef: Option<usize>, queries: usize) -> f64 {
    let fixture = fixture();
    let snapshot = &fixture.snapshot;
    let (mut hits, mut all) = (0, 0);
    for query in &fixture.queries[..queries] {
        let walk = SearchOptions { ef, ..search_options(10) };
        let exact = SearchOptions { exact: true, ..walk };
        let expected = snapshot.search(query, &exact, filter).unwrap();
        let found = snapshot.search(query, &walk, filter).unwrap();
        assert_eq!(found.len(), expected.len());
        assert!(found.is_sorted_by(|a, b| a.score >= b.score));
        hits += expected.iter().filter(|n| found.contains(n)).count();
        all += expected.len();
    }
    hits as f64 / all as f64
}

#[test]
fn the_walk_misses_at_most_one_in_a_hundred() {
    // Explicitly, since by default so few rows are scanned.
    let found = recall(None, Some(128), QUERIES);
    assert!(found >= BUDGET, "recall@10 {found}");
    assert!(recall(None, Some(10), QUERIES) < 1.0, "or the test proves nothing");
    assert_eq!(recall(None, None, 10), 1.0);
}

#[test]
fn filters_make_the_walk_longer_not_blind() {
    for (one_in, ef) in
        [(2, Some(128)), (100, Some(128)), (10_000, Some(128)), (2, None), (100, None), (10_000, None)]
    {
        let filter = move |view: RowView<'_>| view.item().unwrap().metadata.height.is_multiple_of(one_in);
        let found = recall(Some(&filter), ef, 15);
        assert!(found >= BUDGET, "1 in {one_in}, ef {ef:?}: recall@10 {found}");
    }
    assert_eq!(recall(Some(&|_| false), Some(128), 2).to_string(), "NaN", "nothing passes, nothing is found");
}

#[test]
fn scans_are_the_same_on_any_number_of_threads_and_for_any_k() {
    let Fixture { snapshot, queries, .. } = fixture();
    let query = &queries[0];
    let mut all: Vec<Neighbor> = snapshot
        .rows()
        .map(|row| {
            let found = snapshot.embedding(row).unwrap();
            Neighbor { row, score: found.score(query) }
        })
        .collect();
    all.sort_by(|a, b| b.score.cmp(&a.score).then(a.row.cmp(&b.row)));
    let scan = |k: usize, n: usize| {
        let options = SearchOptions { k, exact: true, ef: None, threads: threads(n) };
        snapshot.search(query, &options, None).unwrap()
    };
    for k in [1, 10, 1000, 50_000] {
        let found = scan(k, 1);
        assert_eq!(found.len(), k.min(all.len()));
        for (f, a) in found.iter().zip(&all) {
            assert!((f.score.get() - a.score.get()).abs() < 1e-6);
        }
        assert!([2, 3, 7].iter().all(|&n| scan(k, n) == found));
    }
    assert!(snapshot.search(query, &SearchOptions { k: 0, ..search_options(1) }, None).is_err());
    assert!(snapshot.search(&crate::support::embedding(DIM + 1, 0), &search_options(1), None).is_err());
}

#[test]
fn knots_of_duplicates_are_reached() {
    let dir = tempfile::tempdir().unwrap();
    let source = ClipLike::new(DIM, 48, 400, 7);
    let writer = Writer::open(dir.path(), options(model(DIM), 1000)).unwrap();
    let mut rng = rng(3);
    let knots: Vec<Embedding> = (0..4).map(|_| source.draw(&mut rng)).collect();
    for (i, knot) in (0u64..).zip(&knots) {
        commit(&writer, i * 1000..i * 1000 + 300, &source, Some(knot));
        commit(&writer, i * 1000 + 300..i * 1000 + 1000, &source, None);
    }
    assert_eq!(publish(&writer).graph_rows, 4000);
    let snapshot = Snapshot::open(dir.path()).unwrap();
    for knot in &knots {
        let walk = SearchOptions { ef: Some(128), ..search_options(20) };
        let found = snapshot.search(knot, &walk, None).unwrap();
        assert!(found.iter().all(|n| n.score.get() > 0.9999), "{found:?}");
    }
    drop(writer);
    // Which also counts the rows that no link leads to.
    assert_eq!(taiyi_store::verify(dir.path(), &mut |_| ()).unwrap().problems, []);
}

#[test]
fn a_graph_that_grew_misses_no_more_than_one_built_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let source = ClipLike::new(DIM, 48, 400, 7);
    let writer = Writer::open(dir.path(), options(model(DIM), 1000)).unwrap();
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    let mut from = 0;
    for to in [1000, 1100, 1500, 3000, 6000] {
        commit(&writer, from..to, &source, None);
        // Some of the rows that have a node go, too few for another graph.
        let gone: Vec<_> = (from..from + 20).map(|seed| path(&format!("{seed}.jpg"))).collect();
        let published = publish(&writer);
        assert_eq!(published.graph_rows, if to == 1100 { 1000 } else { to }, "100 rows are scanned");
        writer.remove_locations(root, &gone).unwrap();
        from = to;
    }
    assert_eq!(publish(&writer).rows, 5900);
    drop(writer);
    assert_eq!(taiyi_store::verify(dir.path(), &mut |_| ()).unwrap().problems, []);
    // So few candidates that every link counts.
    let recall = || {
        let snapshot = Snapshot::open(dir.path()).unwrap();
        assert_eq!(snapshot.len(), 5900);
        let mut rng = rng(2);
        let walk = SearchOptions { ef: Some(12), ..search_options(10) };
        let mut hits = 0;
        for query in (0..QUERIES).map(|_| source.draw(&mut rng)) {
            let expected = snapshot.search(&query, &SearchOptions { exact: true, ..walk }, None).unwrap();
            let found = snapshot.search(&query, &walk, None).unwrap();
            hits += expected.iter().filter(|n| found.contains(n)).count();
        }
        hits
    };
    let grown = recall();
    for entry in std::fs::read_dir(dir.path()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("gen-") {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let writer = Writer::open(dir.path(), options(model(DIM), 1000)).unwrap();
    assert_eq!(publish(&writer).graph_rows, 5900, "built at once");
    let at_once = recall();
    assert!(at_once > 8 * QUERIES && grown * 100 >= at_once * 98, "{grown} grown, {at_once} at once");
}

#[test]
fn the_graph_grows_when_much_is_outside_and_is_rebuilt_when_much_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let source = ClipLike::new(DIM, 8, 10, 7);
    let writer = Writer::open(dir.path(), options(model(DIM), 100)).unwrap();
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    let remove = |seeds: std::ops::Range<u64>| {
        writer.remove_locations(root, &seeds.map(|s| path(&format!("{s}.jpg"))).collect::<Vec<_>>()).unwrap();
    };
    commit(&writer, 0..99, &source, None);
    assert_eq!(publish(&writer).graph_rows, 0, "below the threshold");
    commit(&writer, 99..1000, &source, None);
    writer.publish(&PublishOptions { build_graph: false }, &mut |_| ()).unwrap();
    assert_eq!(Snapshot::open(dir.path()).unwrap().graph_rows(), 0, "not in the middle of a run");
    assert_eq!(publish(&writer).graph_rows, 1000, "though nothing else changed");
    commit(&writer, 1000..1062, &source, None);
    assert_eq!(publish(&writer).graph_rows, 1000);
    commit(&writer, 1062..1063, &source, None);
    let published = writer.publish(&PublishOptions { build_graph: false }, &mut |_| ()).unwrap();
    assert!(matches!(published, taiyi_store::Published::New(new) if new.graph_rows == 1000));
    assert!(writer.has_unpublished_changes().unwrap(), "an interrupted run leaves it to the next");
    assert_eq!(publish(&writer).graph_rows, 1063, "more than a sixteenth was outside");
    assert!(!writer.has_unpublished_changes().unwrap());
    commit(&writer, 1063..1251, &source, None);
    assert_eq!(publish(&writer).graph_rows, 1251);
    remove(0..250);
    let kept = publish(&writer);
    assert_eq!((kept.rows, kept.graph_rows), (1001, 1251), "a fifth may be removed");
    remove(250..252);
    let rebuilt = publish(&writer);
    assert_eq!((rebuilt.rows, rebuilt.graph_rows), (999, 1251));
    let snapshot = Snapshot::open(dir.path()).unwrap();
    let graph = dir.path().join(format!("gen-{}/graph.bin", snapshot.generation()));
    assert!(graph.exists(), "the graph was built again");
    commit(&writer, 2000..2001, &source, None);
    let next = publish(&writer).generation;
    assert!(!dir.path().join(format!("gen-{next}/graph.bin")).exists(), "and then left alone");
    let query = source.draw(&mut rng(5));
    let everything = SearchOptions { ef: Some(128), ..search_options(2000) };
    let found = Snapshot::open(dir.path()).unwrap().search(&query, &everything, None).unwrap();
    assert_eq!(found.len(), 1000, "no removed row, every other");
    drop(writer);
    assert_eq!(taiyi_store::verify(dir.path(), &mut |_| ()).unwrap().problems, []);
}
