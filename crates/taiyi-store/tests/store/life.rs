//! What happens to pictures in the course of an index's life.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use taiyi_store::{
    Entry, Failure, FailureKind, LocationRecord, LocationState, PublishOptions, Published, RowTime, Snapshot,
    StoreError, Writer, disk_usage, verify,
};

use crate::support::{
    self, ROOT, contents, embedded, embedding, fill, finds, hash, metadata, model, open, options,
    other_model, path, publish, row_of, search_options, stamp,
};

const DIM: usize = 8;

fn assert_sound(dir: &Path) {
    let report = verify(dir, &mut |_| ()).unwrap();
    assert_eq!(report.problems, [], "{report:?}");
    assert!(report.ledger_checked && report.generation.is_some());
}

#[test]
fn a_root_of_named_files_becomes_whole_once_it_is_added_whole() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path(), DIM);
    let partial =
        |writer: &Writer| writer.roots().unwrap().iter().map(|root| root.partial).collect::<Vec<_>>();
    let id = writer.add_partial_root(Path::new(ROOT)).unwrap();
    assert_eq!(partial(&writer), [true]);
    drop(writer);
    let writer = open(dir.path(), DIM);
    assert_eq!(partial(&writer), [true]);
    assert_eq!(writer.add_root(Path::new(ROOT)).unwrap(), id);
    assert_eq!(partial(&writer), [false]);
    writer.add_partial_root(Path::new(ROOT)).unwrap();
    assert_eq!(partial(&writer), [false], "a whole root stays whole");
    writer.remove_root(id).unwrap();
    writer.add_partial_root(Path::new(ROOT)).unwrap();
    assert_eq!(partial(&writer), [true]);
}

#[test]
fn an_index_from_its_first_picture_to_its_last() {
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("new/index");
    assert!(matches!(Snapshot::open(&index), Err(StoreError::NotFound { .. })));
    assert!(matches!(verify(&index, &mut |_| ()), Err(StoreError::NotFound { .. })));
    assert!(matches!(disk_usage(&index), Err(StoreError::NotFound { .. })));

    let writer = open(&index, DIM);
    assert!(matches!(Snapshot::open(&index), Err(StoreError::NotPublished { .. })));
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    assert_eq!(writer.add_root(Path::new(ROOT)).unwrap(), root);
    assert!(writer.add_root(Path::new("relative")).is_err());
    fill(&writer, root, 0..10, DIM);
    assert!(writer.has_unpublished_changes().unwrap());
    assert_eq!(publish(&writer).rows, 10);
    assert!(!writer.has_unpublished_changes().unwrap());
    let unchanged = writer.publish(&PublishOptions { build_graph: true }, &mut |_| ()).unwrap();
    assert!(matches!(unchanged, Published::Unchanged(g) if g.rows == 10));

    let first = Snapshot::open(&index).unwrap();
    assert_eq!((first.len(), first.location_count(), first.roots().len()), (10, 10, 1));
    assert!((0..10).all(|seed| finds(&first, seed)) && !finds(&first, 10));
    let item = first.item(row_of(&first, 4)).unwrap();
    assert_eq!((item.hash, item.metadata.clone()), (hash(4), metadata(4)));
    assert_eq!(item.locations[0].path(), Path::new(ROOT).join("4.jpg"));
    assert_eq!(item.locations[0].stamp, stamp(4));
    assert_eq!(first.time(row_of(&first, 4)), Some(RowTime::Taken(1_500_000_004)));
    assert_eq!(first.time(row_of(&first, 5)), Some(RowTime::Modified(1_600_000_005)));
    assert_eq!(first.embedding(row_of(&first, 4)).unwrap(), embedding(DIM, 4));

    // A copy, a move, a failure, a removal, a change of content, a new picture.
    writer
        .commit(&[
            Entry::Reused { root, path: path("copies/0.jpg"), stamp: stamp(0), hash: hash(0) },
            Entry::Reused { root, path: path("moved/1.jpg"), stamp: stamp(1), hash: hash(1) },
            Entry::Failed {
                root,
                path: path("bad.jpg"),
                stamp: stamp(99),
                failure: Failure { kind: FailureKind::Corrupt, message: "truncated".into() },
            },
            Entry::Ignored { root, path: path("notes.txt"), stamp: stamp(98) },
            embedded(root, "3.jpg", 30, DIM),
            embedded(root, "new.jpg", 31, DIM),
        ])
        .unwrap();
    writer.remove_locations(root, &[path("1.jpg"), path("2.jpg")]).unwrap();
    assert_eq!(publish(&writer).rows, 10);
    assert!(!first.is_newest().unwrap());
    assert_eq!(first.len(), 10, "a snapshot stays what it was");
    assert!(finds(&first, 2));

    let second = Snapshot::open(&index).unwrap();
    assert!(second.is_newest().unwrap());
    for (seed, found) in [(0, true), (1, true), (2, false), (3, false), (30, true), (31, true)] {
        assert_eq!(finds(&second, seed), found, "{seed}");
    }
    let copies = second.item(row_of(&second, 0)).unwrap().locations;
    assert_eq!(
        copies.iter().map(|l| l.relative.clone()).collect::<Vec<_>>(),
        [path("0.jpg"), path("copies/0.jpg")]
    );
    let failures = second.failures().unwrap();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].location.path(), Path::new(ROOT).join("bad.jpg"));
    assert_eq!(failures[0].failure.message, "truncated");
    assert!(!writer.knows_content(&hash(2)).unwrap(), "what lies nowhere is forgotten");

    let usage = disk_usage(&index).unwrap();
    assert!(usage.ledger_bytes > 0 && usage.generations_bytes > 0);
    assert!(usage.total_bytes > usage.ledger_bytes + usage.generations_bytes);

    assert_eq!(writer.remove_root(root).unwrap(), 13);
    assert_eq!(publish(&writer).rows, 0);
    let last = Snapshot::open(&index).unwrap();
    assert!(last.is_empty() && last.failures().unwrap().is_empty() && last.roots().is_empty());
    assert_eq!(last.search(&embedding(DIM, 0), &search_options(3), None).unwrap(), []);
    drop(writer);
    assert_sound(&index);
}

#[test]
fn what_the_indexer_asks() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path(), DIM);
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    let unknown = Entry::Reused { root, path: path("x.jpg"), stamp: stamp(0), hash: hash(0) };
    assert!(matches!(writer.commit(std::slice::from_ref(&unknown)), Err(StoreError::InvalidArgument(_))));
    assert!(writer.commit(&[embedded(root, "x.jpg", 0, DIM + 1)]).is_err());
    // Within one batch a content may be embedded and reused.
    writer.commit(&[embedded(root, "a/1.jpg", 0, DIM), unknown]).unwrap();
    writer.commit(&[]).unwrap();
    assert!(writer.knows_content(&hash(0)).unwrap());
    let record = writer.location(root, &path("a/1.jpg")).unwrap().unwrap();
    assert_eq!(record, LocationRecord { stamp: stamp(0), state: LocationState::Indexed(hash(0)) });
    assert!(writer.is_current(&record).unwrap());
    assert_eq!(writer.location(root, &path("a")).unwrap(), None);

    fill(&writer, root, 1..3, DIM);
    writer.commit(&[embedded(root, "a-b.jpg", 5, DIM), embedded(root, "a/2.jpg", 6, DIM)]).unwrap();
    let below = |folder: &str| -> Vec<_> {
        writer.locations(root, Some(&path(folder))).map(|l| l.unwrap().0).collect()
    };
    assert_eq!(below("a"), [path("a/1.jpg"), path("a/2.jpg")]);
    assert_eq!(below("a/2.jpg"), [path("a/2.jpg")]);
    assert_eq!(writer.locations(root, None).count(), 6);
}

#[test]
fn a_root_below_another_is_merged_into_it() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path(), DIM);
    let child = writer.add_root(&Path::new(ROOT).join("旅行/2019")).unwrap();
    fill(&writer, child, 0..5000, DIM);
    let parent = writer.add_root(Path::new(ROOT)).unwrap();
    writer.commit(&[embedded(parent, "旅行/2019/7.jpg", 9999, DIM)]).unwrap();
    assert!(writer.merge_root(parent, child).is_err());
    writer.merge_root(child, parent).unwrap();
    assert_eq!(writer.roots().unwrap().len(), 1);
    assert_eq!(publish(&writer).rows, 5000, "the parent's record of 7.jpg stays");
    let snapshot = Snapshot::open(dir.path()).unwrap();
    assert!(finds(&snapshot, 6) && finds(&snapshot, 9999) && !finds(&snapshot, 7));
    let item = snapshot.item(row_of(&snapshot, 6)).unwrap();
    assert_eq!(item.locations[0].path(), Path::new(ROOT).join("旅行/2019/6.jpg"));
    let reused = writer.add_root(&Path::new(ROOT).join("旅行/2019")).unwrap();
    assert!(reused != child && reused != parent, "names of roots are not used again");
}

#[test]
fn another_model_needs_a_rebuild_which_hides_nothing_until_it_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path(), DIM);
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    fill(&writer, root, 0..6, DIM);
    publish(&writer);
    drop(writer);

    let refused = Writer::open(dir.path(), options(other_model(DIM + 4), 50_000)).unwrap_err();
    assert!(matches!(refused, StoreError::Incompatible { .. }));
    assert!(refused.to_string().contains("pass --model fake, or index again with --rebuild"), "{refused}");

    let writer = Writer::open_for_rebuild(dir.path(), options(other_model(DIM + 4), 50_000)).unwrap();
    assert!(writer.is_rebuilding());
    let record = writer.location(root, &path("0.jpg")).unwrap().unwrap();
    assert!(!writer.is_current(&record).unwrap() && !writer.knows_content(&hash(0)).unwrap());
    writer.commit(&[embedded(root, "0.jpg", 0, DIM + 4)]).unwrap();
    assert_eq!(
        writer.publish(&PublishOptions { build_graph: false }, &mut |_| ()).unwrap(),
        Published::HeldBack
    );
    assert_eq!(Snapshot::open(dir.path()).unwrap().model(), &model(DIM));
    drop(writer);
    assert!(verify(dir.path(), &mut |_| ()).unwrap().problems.is_empty(), "a rebuild under way is no damage");

    // Interrupted here; the next run goes on, whether it asks for a rebuild or not.
    let writer = Writer::open(dir.path(), options(other_model(DIM + 4), 50_000)).unwrap();
    assert!(writer.is_rebuilding() && writer.knows_content(&hash(0)).unwrap());
    drop(writer);
    let writer = Writer::open_for_rebuild(dir.path(), options(other_model(DIM + 4), 50_000)).unwrap();
    assert!(writer.knows_content(&hash(0)).unwrap());
    for seed in 1..5 {
        writer.commit(&[embedded(root, &format!("{seed}.jpg"), seed, DIM + 4)]).unwrap();
    }
    assert_eq!(writer.finish_rebuild().unwrap(), 1, "5.jpg was not come by");
    assert_eq!(writer.finish_rebuild().unwrap(), 0);
    assert!(!writer.is_rebuilding());
    assert_eq!(publish(&writer).rows, 5);
    let snapshot = Snapshot::open(dir.path()).unwrap();
    assert_eq!(snapshot.model(), &other_model(DIM + 4));
    assert!((0..5).all(|seed| finds(&snapshot, seed)));
    drop(writer);
    assert_sound(dir.path());
}

#[test]
fn an_index_without_pictures_takes_any_model_and_a_label_may_change() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), DIM));
    let writer = Writer::open(dir.path(), options(other_model(DIM), 50_000)).unwrap();
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    assert!(!writer.is_rebuilding());
    fill(&writer, root, 0..1, DIM);
    drop(writer);
    let mut renamed = other_model(DIM);
    renamed.name = "renamed".into();
    drop(Writer::open(dir.path(), options(renamed.clone(), 50_000)).unwrap());
    let graph = options(renamed.clone(), 50_000).graph;
    let writer = Writer::open_any_model(dir.path(), graph, support::threads(1)).unwrap();
    assert_eq!(writer.model(), &renamed);
    let nowhere = Writer::open_any_model(&dir.path().join("none"), graph, support::threads(1));
    assert!(matches!(nowhere, Err(StoreError::NotFound { .. })));
}

#[test]
fn small_publications_neither_rewrite_large_parts_nor_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path(), DIM);
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    fill(&writer, root, 0..1000, DIM);
    let first = publish(&writer).generation;
    let large = dir.path().join(format!("gen-{first}/vectors.f32"));
    for seed in 1000..1040 {
        writer.commit(&[embedded(root, &format!("{seed}.jpg"), seed, DIM)]).unwrap();
        publish(&writer);
    }
    assert!(large.exists(), "a thousand rows are not rewritten for one");
    let parts = fs::read_dir(dir.path()).unwrap().flatten().filter(|f| f.path().join("vectors.f32").exists());
    assert!(parts.count() <= 10);
    let snapshot = Snapshot::open(dir.path()).unwrap();
    assert!((0..1040).step_by(13).chain([1039]).all(|seed| finds(&snapshot, seed)));
    drop(writer);
    assert_sound(dir.path());
}

#[test]
fn removed_rows_are_dropped_when_there_are_many() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path(), DIM);
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    fill(&writer, root, 0..100, DIM);
    publish(&writer);
    let vectors = |generation: u64| dir.path().join(format!("gen-{generation}/vectors.f32"));
    let full = fs::metadata(vectors(1)).unwrap().len();
    writer.remove_locations(root, &(0..20).map(|i| path(&format!("{i}.jpg"))).collect::<Vec<_>>()).unwrap();
    let few = publish(&writer);
    assert_eq!((few.rows, vectors(few.generation).exists()), (80, false), "a fifth is only marked");
    // A content that comes back gets a row of its own.
    writer.commit(&[embedded(root, "0.jpg", 0, DIM)]).unwrap();
    publish(&writer);
    assert!(finds(&Snapshot::open(dir.path()).unwrap(), 0));
    writer.remove_locations(root, &(20..50).map(|i| path(&format!("{i}.jpg"))).collect::<Vec<_>>()).unwrap();
    let many = publish(&writer);
    assert_eq!(many.rows, 51);
    assert!(fs::metadata(vectors(many.generation)).unwrap().len() < full);
    let snapshot = Snapshot::open(dir.path()).unwrap();
    assert!(
        (50..100).chain([0]).all(|seed| finds(&snapshot, seed))
            && (1..50).all(|seed| !finds(&snapshot, seed))
    );
    drop(writer);
    assert_sound(dir.path());
}

#[test]
fn deleting_every_generation_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let writer = Writer::open(dir.path(), options(model(DIM), 100)).unwrap();
    let root = writer.add_root(Path::new(ROOT)).unwrap();
    fill(&writer, root, 0..300, DIM);
    publish(&writer);
    fill(&writer, root, 300..310, DIM);
    publish(&writer);
    let before = Snapshot::open(dir.path()).unwrap();
    assert!(before.graph_rows() > 0);
    let query = embedding(DIM, 5);
    let options = search_options(7);
    let hits = |s: &Snapshot| -> Vec<_> {
        let found = s.search(&query, &options, None).unwrap();
        found.iter().map(|n| (s.item(n.row).unwrap(), n.score)).collect()
    };
    for folder in fs::read_dir(dir.path()).unwrap().flatten() {
        if folder.file_name().to_string_lossy().starts_with("gen-") {
            fs::remove_dir_all(folder.path()).unwrap();
        }
    }
    let missing = Snapshot::open(dir.path()).unwrap_err();
    assert!(matches!(missing, StoreError::Corrupt { .. }), "{missing}");
    assert!(writer.has_unpublished_changes().unwrap());
    publish(&writer);
    let after = Snapshot::open(dir.path()).unwrap();
    assert!(after.generation() > before.generation(), "numbers are not used again");
    assert_eq!(contents(&after), contents(&before));
    assert_eq!(hits(&after), hits(&before));
    fs::remove_file(dir.path().join("manifest.json")).unwrap();
    publish(&writer);
    assert_eq!(contents(&Snapshot::open(dir.path()).unwrap()), contents(&before));
    drop(writer);
    assert_sound(dir.path());
}

#[derive(Clone, Debug)]
enum Step {
    Embed(u8, u8),
    Fail(u8),
    Remove(u8),
    Publish(bool),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u8..12, 0u8..6).prop_map(|(name, content)| Step::Embed(name, content)),
        2 => (0u8..12).prop_map(Step::Fail),
        4 => (0u8..12).prop_map(Step::Remove),
        3 => any::<bool>().prop_map(Step::Publish),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn ledger_and_generations_follow_a_plain_map(steps in prop::collection::vec(step(), 1..30)) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = open(dir.path(), DIM);
        let root = writer.add_root(Path::new(ROOT)).unwrap();
        let mut expected: HashMap<u8, Option<u8>> = HashMap::new();
        for step in steps {
            match step {
                Step::Embed(name, content) => {
                    let seed = u64::from(content);
                    let entry = if writer.knows_content(&hash(seed)).unwrap() {
                        Entry::Reused { root, path: path(&name.to_string()), stamp: stamp(seed), hash: hash(seed) }
                    } else {
                        embedded(root, &name.to_string(), seed, DIM)
                    };
                    writer.commit(&[entry]).unwrap();
                    expected.insert(name, Some(content));
                }
                Step::Fail(name) => {
                    let failure = Failure { kind: FailureKind::Encoder, message: String::new() };
                    writer.commit(&[Entry::Failed { root, path: path(&name.to_string()), stamp: stamp(0), failure }]).unwrap();
                    expected.insert(name, None);
                }
                Step::Remove(name) => {
                    writer.remove_locations(root, &[path(&name.to_string())]).unwrap();
                    expected.remove(&name);
                }
                Step::Publish(build_graph) => {
                    writer.publish(&PublishOptions { build_graph }, &mut |_| ()).unwrap();
                    let snapshot = Snapshot::open(dir.path()).unwrap();
                    let mut files: Vec<_> = expected.iter()
                        .filter_map(|(name, content)| Some((Path::new(ROOT).join(name.to_string()), hash(u64::from((*content)?)))))
                        .collect();
                    files.sort();
                    prop_assert_eq!(contents(&snapshot), files);
                    prop_assert_eq!(snapshot.failure_count(), expected.values().filter(|c| c.is_none()).count());
                    prop_assert!(expected.values().flatten().all(|c| finds(&snapshot, u64::from(*c))));
                }
                Step::Reopen => {
                    drop(writer);
                    writer = open(dir.path(), DIM);
                }
            }
            let mut known: Vec<_> = writer.locations(root, None).map(|l| l.unwrap()).map(|(path, record)| {
                (path, match record.state { LocationState::Indexed(hash) => Some(hash), _ => None })
            }).collect();
            known.sort();
            let mut names: Vec<_> = expected.iter()
                .map(|(name, content)| (path(&name.to_string()), content.map(|c| hash(u64::from(c)))))
                .collect();
            names.sort();
            prop_assert_eq!(known, names);
        }
        publish(&writer);
        drop(writer);
        let report = verify(dir.path(), &mut |_| ()).unwrap();
        prop_assert_eq!(report.problems, vec![]);
    }
}
