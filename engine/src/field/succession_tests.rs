use bigrain_binarize::{Fit, Parent, Recurrent, RecurrentParts, Scoring, Translation};
use bigrain_types::{Levels, Metric};

use super::*;
use crate::{CollectionConfig, LearnedBinarizer};

fn parts(dims: usize) -> RecurrentParts {
    RecurrentParts {
        dims,
        code_dims: 64,
        levels: Levels::ONE,
        seed: 1,
        first: Default::default(),
        loops: Vec::new(),
        scoring: Scoring::default(),
        provenance: Default::default(),
    }
}

fn field(name: &str, dims: usize, parent: Option<(&LearnedBinarizer, usize)>) -> FieldConfig {
    let mut parts = parts(dims);
    parts.provenance.parent = parent.map(|(parent, parent_dims)| {
        let fit = Fit { slope: 1.0, intercept: 0.0, error: 1.0 };
        let map = vec![0.5; parent_dims * dims];
        let translation = Some(Translation { dims: parent_dims, map, fit });
        Parent { space: parent.id(), scoring: Scoring::default(), translation }
    });
    let binarizer = LearnedBinarizer::from(Recurrent::new(parts).unwrap());
    FieldConfig::new(name, dims, Metric::Cosine).with_binarizer(binarizer)
}

fn names(schema: &Schema) -> Vec<String> {
    schema.config().field_names().map(str::to_owned).collect()
}

/// A schema of "a", learned, and "b".
fn two() -> (Schema, LearnedBinarizer) {
    let a = field("a", 64, None);
    let binarizer = a.binarizer.clone().unwrap();
    let config = CollectionConfig::of(a).with_field(FieldConfig::new("b", 3, Metric::Dot));
    (Schema::new(config).unwrap(), binarizer)
}

fn read_back(schema: &Schema) -> Schema {
    Schema::from_json(&schema.to_json().unwrap()).unwrap()
}

#[test]
fn a_later_field_takes_the_place_and_keeps_it() {
    let (mut schema, first) = two();
    let (a, b) = (FieldId(0), FieldId(1));
    let (former, later) = schema.succeed(a, field("a", 70, Some((&first, 64)))).unwrap();
    assert_eq!((former.id, &*former.config.name, &*former.file_stem), (a, "a-former", "a"));
    assert_eq!((later.id, &*later.config.name, &*later.file_stem), (FieldId(2), "a", "a@2"));
    assert_eq!(names(&schema), ["a", "b", "a-former"]);
    assert!(schema.to_json().unwrap().starts_with(r#"{"version":5,"#));
    schema = read_back(&schema);
    assert_eq!(names(&schema), ["a", "b", "a-former"]);
    let error = schema.remove("a").unwrap_err();
    assert_eq!(error.to_string(), "field \"a\" follows \"a-former\": drop \"a-former\" before it");
    // The next one waits for the former one to go.
    let second = schema.fields[2].config.binarizer.clone().unwrap();
    let third = field("a", 80, Some((&second, 70)));
    let error = schema.succeed(FieldId(2), third.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert_eq!(schema.remove("a-former").unwrap(), a);
    schema = read_back(&schema);
    assert_eq!(names(&schema), ["a", "b"], "the place stays when the former one is gone");
    schema.succeed(FieldId(2), third).unwrap();
    schema.remove("a-former").unwrap();
    schema = read_back(&schema);
    assert_eq!(names(&schema), ["a", "b"]);
    assert_eq!(schema.fields.iter().map(|field| field.id).collect::<Vec<_>>(), [b, FieldId(3)]);
    schema.remove("a").unwrap();
    assert_eq!(names(&schema), ["b"]);
}

#[test]
fn what_cannot_follow_is_refused_and_changes_nothing() {
    let (mut schema, first) = two();
    let other = field("x", 96, None).binarizer.unwrap();
    let kept = schema.clone();
    for (id, later, reason) in [
        (FieldId(0), field("c", 70, Some((&first, 64))), "cannot take the place of field \"a\""),
        (FieldId(0), field("a", 70, Some((&other, 64))), "was trained to follow another"),
        (FieldId(0), field("a", 70, Some((&first, 65))), "was trained to follow another"),
        (FieldId(0), FieldConfig::new("a", 70, Metric::L2), "a field by l2"),
        (FieldId(1), field("b", 70, None), "which is by dot"),
    ] {
        let error = schema.succeed(id, later).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(schema, kept);
    }
    schema.add(FieldConfig::new("a-former", 3, Metric::Dot)).unwrap();
    let error = schema.succeed(FieldId(0), field("a", 70, Some((&first, 64)))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    // A version of the same encoder's vectors is another thing.
    let (mut schema, first) = two();
    let next = field("a", 70, Some((&first, 64))).binarizer.unwrap();
    let error = schema.upgrade(FieldId(0), next).unwrap_err().to_string();
    assert!(error.contains("vectors of another encoder"), "{error}");
}

#[test]
fn a_field_without_anything_learned_follows_any() {
    for later in [field("a", 70, None), FieldConfig::new("a", 70, Metric::Cosine)] {
        let (mut schema, _) = two();
        let (_, later) = schema.succeed(FieldId(0), later).unwrap();
        assert_eq!((later.predecessor, &later.former), (Some(FieldId(0)), &None));
        assert_eq!(read_back(&schema), schema);
    }
    let (mut schema, _) = two();
    let (former, _) = schema.succeed(FieldId(1), FieldConfig::new("b", 9, Metric::Dot)).unwrap();
    assert_eq!((former.id, &*former.config.name), (FieldId(1), "b-former"));
}

#[test]
fn fields_that_do_not_name_each_other_are_corruption() {
    let (mut schema, first) = two();
    schema.succeed(FieldId(0), field("a", 70, Some((&first, 64)))).unwrap();
    for change in [
        |schema: &mut Schema| schema.fields[0].successor = None,
        |schema: &mut Schema| schema.fields[0].successor = Some(FieldId(1)),
        |schema: &mut Schema| schema.fields[2].predecessor = None,
        |schema: &mut Schema| schema.fields[2].place = Some(FieldId(9)),
    ] {
        let mut wrong = schema.clone();
        change(&mut wrong);
        let error = Schema::from_json(&wrong.to_json().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
    }
}
