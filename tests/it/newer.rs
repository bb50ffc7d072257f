//! What a newer program wrote is refused by its version, file by file, and never called damaged.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bigrain_engine::{
    CheckReport, CollectionConfig, Engine, EngineConfig, ErrorKind, FieldConfig, FindingKind,
    Metric, MultiFieldConfig, MultiVector, Point, PointId, SegmentId, SparseFieldConfig,
    SparseVector, Watch, check_folder,
};
use bigrain_storage::FileKind;
use bigrain_tests::{Db, Random, raise_version};

/// A closed folder with a segment that has files of every kind, and another collection.
fn closed() -> (Db, PathBuf) {
    let config = CollectionConfig::new(3, Metric::Dot)
        .with_field(FieldConfig::new("other", 3, Metric::Dot))
        .with_sparse(SparseFieldConfig::new("terms"))
        .with_multi(MultiFieldConfig::new("tokens", 3, Metric::Dot));
    let mut db = Db::temp(config, 1000);
    let mut random = Random::new(3);
    let mut point = |id: u64| {
        let point = Point::new(id, random.vector(3));
        let point = point.with_sparse("terms", SparseVector::new(vec![1], vec![2.0]).unwrap());
        let point = point.with_multi("tokens", MultiVector::new(3, random.vector(6)).unwrap());
        // The second dense field has an order of its own, as not all points have a vector in it.
        if id.is_multiple_of(2) { point.with_vector("other", random.vector(3)) } else { point }
    };
    db.collection().upsert((0..40).map(&mut point).collect()).unwrap();
    db.collection().flush().unwrap();
    // Two points that are in no segment, one of which had been.
    db.collection().upsert(vec![point(0), point(40)]).unwrap();
    let segment: SegmentId = db.collection().inspect()[0].id;
    let folder = db.path().join("collections/00000000").join(segment.to_string());
    let config = CollectionConfig::new(3, Metric::Dot);
    let healthy = db.engine().create_collection("healthy", config).unwrap();
    healthy.upsert(vec![Point::new(1, vec![1.0, 0.0, 0.0])]).unwrap();
    db.close();
    (db, folder)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// One file was not checked, and nothing is damaged or left over.
fn assert_only_newer(report: &CheckReport, name: &str) {
    assert_eq!((report.damage, report.orphans, report.unchecked), (0, 0, 1), "{name}: {report:?}");
    assert!(!report.is_healthy());
    let [finding] = &report.findings[..] else { panic!("{name}: {report:?}") };
    assert_eq!((finding.kind, finding.collection.as_deref()), (FindingKind::Unchecked, Some("c")));
    assert!(finding.problem.contains(name), "{name}: {finding:?}");
    assert!(finding.problem.contains("written by a newer version"), "{name}: {finding:?}");
    let healthy = report.collections.iter().find(|checked| checked.name == "healthy").unwrap();
    assert_eq!((healthy.points, healthy.damage), (1, 0), "{report:?}");
}

#[test]
fn a_file_of_a_newer_version_is_refused_by_name_whatever_kind_it_is() {
    let (mut db, segment) = closed();
    let mut kinds = BTreeSet::new();
    for path in files(&segment) {
        let name = name(&path);
        let own = fs::read(&path).unwrap();
        change(&path, raise_version);
        let report = check_folder(db.path(), &mut Watch::new()).unwrap();
        assert_only_newer(&report, name);
        // Points are counted all the same, and so are those in no segment.
        let checked = report.collections.iter().find(|checked| checked.name == "c").unwrap();
        assert_eq!((checked.points, checked.damage), (41, 0), "{name}: {report:?}");

        let engine = Engine::open(db.path(), EngineConfig::default()).unwrap();
        let error = engine.collection("c").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{name}: {error}");
        let said = error.to_string();
        assert!(said.contains(name) && said.contains("written by a newer version"), "{said}");
        assert_only_newer(&engine.check(&mut Watch::new()).unwrap(), name);
        assert_eq!(engine.collection("healthy").unwrap().count(), 1, "{name}");

        // The program that reads this version finds everything as it was.
        fs::write(&path, &own).unwrap();
        assert_eq!(engine.collection("c").unwrap().count(), 41, "{name}");
        drop(engine);
        // A version that is no whole one is damage.
        change(&path, |bytes| bytes[own.len() - 16] ^= 0x40);
        let report = check_folder(db.path(), &mut Watch::new()).unwrap();
        assert_eq!((report.damage, report.unchecked), (1, 0), "{name}: {report:?}");
        fs::write(&path, &own).unwrap();

        let magic: [u8; 8] = own[own.len() - 8..].try_into().unwrap();
        kinds.insert(FileKind::from_magic(magic).unwrap().name());
    }
    let every: BTreeSet<&str> = FileKind::ALL.into_iter().map(FileKind::name).collect();
    assert_eq!(kinds, every);
    db.reopen();
    assert_eq!(db.scroll().len(), 41);
    assert!(db.collection().get(&[PointId::from(40)]).unwrap()[0].is_some());
}

#[test]
fn damage_beside_a_newer_file_is_named_as_damage() {
    let (mut db, first) = closed();
    db.reopen();
    db.collection().flush().unwrap();
    let second = db.collection().inspect()[1].id;
    db.close();
    let second = first.with_file_name(second.to_string());
    change(&first.join("ids"), raise_version);
    change(&second.join("dense.vector"), |bytes| bytes[0] ^= 1);
    let report = check_folder(db.path(), &mut Watch::new()).unwrap();
    assert_eq!((report.damage, report.unchecked), (1, 1), "{report:?}");
    let of_kind = |kind| report.findings.iter().find(|finding| finding.kind == kind).unwrap();
    assert!(of_kind(FindingKind::Damage).problem.contains("dense.vector"), "{report:?}");
    assert!(of_kind(FindingKind::Unchecked).problem.contains("ids"), "{report:?}");
}

fn change(path: &Path, change: impl FnOnce(&mut [u8])) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}
