//! Other names of collections.

use bigrain_engine::{
    AliasChange, CollectionConfig, Engine, EngineConfig, ErrorKind, Metric, Point, Watch, restore,
    verify,
};
use tempfile::TempDir;

fn open(folder: &TempDir) -> Engine {
    Engine::open(folder.path(), EngineConfig::default()).unwrap()
}

fn set(alias: &str, collection: &str) -> AliasChange {
    AliasChange::Set { alias: alias.to_owned(), collection: collection.to_owned() }
}

fn remove(alias: &str) -> AliasChange {
    AliasChange::Remove { alias: alias.to_owned() }
}

/// Two collections, of which the second has a point.
fn two(folder: &TempDir) -> Engine {
    let engine = open(folder);
    for name in ["blue", "green"] {
        engine.create_collection(name, CollectionConfig::new(1, Metric::Dot)).unwrap();
    }
    engine.collection("green").unwrap().upsert(vec![Point::new(1, vec![1.0])]).unwrap();
    engine
}

#[test]
fn an_alias_opens_its_collection_and_survives_a_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let engine = two(&folder);
    engine.change_aliases(&[set("live", "blue"), set("next", "green")]).unwrap();
    assert_eq!(engine.collection("live").unwrap().count(), 0);
    let swap = [
        remove("next"),
        AliasChange::Rename { from: "live".to_owned(), to: "old".to_owned() },
        set("live", "green"),
    ];
    engine.change_aliases(&swap).unwrap();
    assert_eq!(engine.collection("live").unwrap().count(), 1);
    drop(engine);
    let engine = open(&folder);
    let expected = [("live", "green"), ("old", "blue")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(engine.aliases(), expected);
    assert_eq!(engine.collection("live").unwrap().name(), "green");
}

#[test]
fn aliases_go_with_their_collection() {
    let folder = tempfile::tempdir().unwrap();
    let engine = two(&folder);
    engine.change_aliases(&[set("live", "blue"), set("next", "green")]).unwrap();
    engine.drop_collection("blue").unwrap();
    assert_eq!(engine.collection("live").unwrap_err().kind(), ErrorKind::NotFound);
    drop(engine);
    assert_eq!(open(&folder).aliases(), [("next".to_owned(), "green".to_owned())]);
}

#[test]
fn a_backup_holds_the_aliases_of_its_collections() {
    let folder = tempfile::tempdir().unwrap();
    let engine = two(&folder);
    engine
        .change_aliases(&[set("live", "green"), set("new", "green"), set("old", "blue")])
        .unwrap();
    let (archive, restored) = (folder.path().join("green.tar"), folder.path().join("restored"));
    // Asked for by its name and by an alias, it is in the archive once.
    let wanted = Some(&["live", "green"][..]);
    let contents = engine.backup(&archive, wanted, &mut Watch::new()).unwrap();
    assert_eq!(contents.collections.len(), 1);
    assert_eq!(verify(&archive, &mut Watch::new()).unwrap(), contents);
    restore(&archive, &restored, &mut Watch::new()).unwrap();
    let engine = Engine::open(&restored, EngineConfig::default()).unwrap();
    let expected = ["live", "new"].map(|alias| (alias.to_owned(), "green".to_owned()));
    assert_eq!(engine.aliases(), expected);
    assert_eq!(engine.collection("live").unwrap().count(), 1);
}

#[test]
fn one_change_that_is_refused_keeps_all_from_happening() {
    let folder = tempfile::tempdir().unwrap();
    let engine = two(&folder);
    for (refused, kind) in [
        (set("other", "absent"), ErrorKind::NotFound),
        (set("green", "blue"), ErrorKind::AlreadyExists),
        (remove("absent"), ErrorKind::NotFound),
        (set("a b", "blue"), ErrorKind::InvalidArgument),
    ] {
        let error = engine.change_aliases(&[set("live", "blue"), refused]).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(engine.aliases().is_empty());
    }
    engine.change_aliases(&[set("live", "blue")]).unwrap();
    let taken = engine.create_collection("live", CollectionConfig::new(1, Metric::Dot));
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::AlreadyExists);
}
