//! JSON lines: one object a line, with an id, a text or a vector, and anything else as payload.
//!
//! ```text
//! {"_id": "d1", "title": "Wings", "text": "Lift of a wing in ...", "year": 1958}
//!   id ┘         └────── the text encoded: "Wings Lift of ..." ┘    └ payload
//! ```
//!
//! Vectors of several fields stand in an object, by the names of the fields:
//!
//! ```text
//! {"id": 7, "vectors": {"text": [0.1, ...], "image": [0.7, ...]}, "name": "wing"}
//! ```
//!
//! A sparse vector among them is an object, its indices in any order:
//!
//! ```text
//! {"id": 7, "vectors": {"splade": {"indices": [7, 1996], "values": [0.5, 1.2]}}, "name": "wing"}
//! ```
//!
//! A multi-vector is an array with an array for each token; that of an image may say where the patches
//! lie, in rows and columns:
//!
//! ```text
//! {"id": 7, "vectors": {"tokens": [[0.1, ...], [0.4, ...]]}}
//! {"id": 8, "vectors": {"patches": {"tokens": [[0.1, ...], [0.4, ...]], "grid": [1, 2]}}}
//! ```
//!
//! Title and text also stay in the payload, so that results can be read and a later encoder has
//! its source; [`Fields::keep_text`] turns that off. A line with a vector is stored under that
//! vector, whether or not it has a text; a text beside named vectors is encoded if none of them is
//! the first field's. Blank lines are passed over.

use std::io::{BufRead, Read};
use std::path::Path;
use std::sync::Arc;

use bigrain_engine::{MultiVector, PatchGrid, Payload, PointId, SparseVector};
use serde_json::{Map, Value};

use super::{At, Content, InputError, Place, Problem, Record, joined_text};

/// The longest line, in bytes.
pub const MAX_LINE_BYTES: usize = 32 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Which fields of a JSON line mean what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// The id; `None` takes `id`, or else `_id`.
    pub id: Option<String>,
    /// The text.
    pub text: String,
    /// Put before the text, if it is there.
    pub title: String,
    /// The vector of the collection's first field.
    pub vector: String,
    /// The object of vectors by field.
    pub vectors: String,
    /// The object that is the payload; `None` takes everything else as payload.
    pub payload: Option<String>,
    /// Whether text and title stay in the payload.
    pub keep_text: bool,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            id: None,
            text: "text".to_owned(),
            title: "title".to_owned(),
            vector: "vector".to_owned(),
            vectors: "vectors".to_owned(),
            payload: None,
            keep_text: true,
        }
    }
}

/// Reads records from JSON lines.
#[derive(Debug)]
pub struct Jsonl<R> {
    reader: R,
    file: Arc<Path>,
    fields: Fields,
    len_bytes: u64,
    position: u64,
    line_number: u64,
    line: Vec<u8>,
    ended: bool,
}

impl<R: BufRead> Jsonl<R> {
    /// Reads from `reader`; `file` and `len_bytes` serve messages and progress.
    pub fn new(reader: R, file: Arc<Path>, len_bytes: u64, fields: Fields) -> Self {
        Self {
            reader,
            file,
            fields,
            len_bytes,
            position: 0,
            line_number: 0,
            line: Vec::new(),
            ended: false,
        }
    }

    /// Returns the length of the file.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Reads the next line into `self.line`; `false` at the end of the file.
    fn read_line(&mut self) -> Result<bool, Problem> {
        self.line.clear();
        let limit = MAX_LINE_BYTES as u64 + 1;
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut self.line)?;
        self.position += read as u64;
        self.line_number += 1;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if self.line.len() > MAX_LINE_BYTES {
            self.position += self.reader.skip_until(b'\n')? as u64;
            return Err(Problem::LongLine);
        }
        if self.line_number == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
            self.line.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(read > 0)
    }

    fn record(&self, place: Place) -> Result<Record, Problem> {
        let mut object: Map<String, Value> = serde_json::from_slice(&self.line)?;
        let id = take_id(&mut object, self.fields.id.as_deref())?;
        let content = take_content(&mut object, &self.fields)?;
        let payload = take_payload(object, self.fields.payload.as_deref())?;
        Ok(Record { place, id, content, payload, position: self.position })
    }
}

impl<R: BufRead> Iterator for Jsonl<R> {
    type Item = Result<Record, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let more = self.read_line();
            let place = Place::new(&self.file, At::Line(self.line_number));
            match more {
                Ok(true) if self.line.trim_ascii().is_empty() => {}
                Ok(true) => {
                    return Some(
                        self.record(place.clone()).map_err(|problem| place.error(problem)),
                    );
                }
                Ok(false) => self.ended = true,
                Err(problem) => {
                    let error = place.error(problem);
                    self.ended = !error.skippable();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

fn take_id(object: &mut Map<String, Value>, field: Option<&str>) -> Result<PointId, Problem> {
    let (field, value) = if let Some(field) = field {
        (field, object.remove(field))
    } else if let Some(value) = object.remove("id") {
        ("id", Some(value))
    } else {
        ("_id", object.remove("_id"))
    };
    match value {
        None => Err(Problem::Missing(if field == "_id" {
            "\"id\" or \"_id\"".to_owned()
        } else {
            format!("{field:?}")
        })),
        Some(Value::String(text)) => Ok(PointId::parse(&text)?),
        Some(value) => value
            .as_u64()
            .map(PointId::from)
            .ok_or_else(|| wrong_kind(field, "a string or an unsigned integer", &value)),
    }
}

fn take_payload(mut object: Map<String, Value>, field: Option<&str>) -> Result<Payload, Problem> {
    let Some(field) = field else { return Ok(Payload::from(object)) };
    let payload = match object.remove(field) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(payload)) => payload,
        Some(value) => return Err(wrong_kind(field, "an object", &value)),
    };
    match object.keys().next() {
        None => Ok(Payload::from(payload)),
        Some(other) => Err(Problem::UnknownKey(other.clone())),
    }
}

fn take_content(object: &mut Map<String, Value>, fields: &Fields) -> Result<Content, Problem> {
    let mut take = |field: &str| object.remove(field).filter(|value| !value.is_null());
    let (vector, vectors) = (take(&fields.vector), take(&fields.vectors));
    let text = take_text(object, &fields.text, fields.keep_text)?;
    let title = take_text(object, &fields.title, fields.keep_text)?;
    let text = joined_text(title.as_deref(), text.as_deref());
    match (vector, vectors, text) {
        (Some(_), Some(_), _) => {
            Err(Problem::BothVectors(fields.vector.clone(), fields.vectors.clone()))
        }
        (Some(vector), None, _) => Ok(Content::Vector(to_vector(&fields.vector, &vector)?)),
        (None, Some(vectors), text) => {
            let NamedVectors { dense: vectors, sparse, multi } =
                to_vectors(&fields.vectors, &vectors)?;
            Ok(Content::Named { text, vectors, sparse, multi })
        }
        (None, None, Some(text)) => Ok(Content::Text(text)),
        (None, None, None) => {
            Err(Problem::Missing(format!("{:?} or {:?}", fields.text, fields.vector)))
        }
    }
}

/// Vectors with the names of their fields.
#[derive(Default)]
struct NamedVectors {
    dense: Vec<(String, Vec<f32>)>,
    sparse: Vec<(String, SparseVector)>,
    multi: Vec<(String, MultiVector)>,
}

fn to_vectors(field: &str, value: &Value) -> Result<NamedVectors, Problem> {
    let Some(object) = value.as_object() else {
        return Err(wrong_kind(field, "an object of vectors by field", value));
    };
    let mut named = NamedVectors::default();
    for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        let field = format!("{field}.{name}");
        let name = name.clone();
        match (value.as_object(), value.as_array().and_then(|values| values.first())) {
            (Some(object), _) if object.contains_key("tokens") => {
                named.multi.push((name, to_patches(&field, object)?));
            }
            (Some(object), _) => named.sparse.push((name, to_sparse(&field, object)?)),
            (None, Some(Value::Array(_))) => named.multi.push((name, to_multi(&field, value)?)),
            (None, _) => named.dense.push((name, to_vector(&field, value)?)),
        }
    }
    Ok(named)
}

fn to_multi(field: &str, value: &Value) -> Result<MultiVector, Problem> {
    let Some(tokens) = value.as_array() else {
        return Err(wrong_kind(field, "an array of tokens", value));
    };
    let token = |(at, token)| to_vector(&format!("{field}[{at}]"), token);
    let tokens: Vec<Vec<f32>> = tokens.iter().enumerate().map(token).collect::<Result<_, _>>()?;
    MultiVector::from_tokens(&tokens).map_err(|error| no_multi(field, error.to_string()))
}

fn to_patches(field: &str, object: &Map<String, Value>) -> Result<MultiVector, Problem> {
    if let Some(other) = object.keys().find(|key| !["tokens", "grid"].contains(&key.as_str())) {
        let reason = format!("unknown key {other:?}: expected \"tokens\" and \"grid\"");
        return Err(no_multi(field, reason));
    }
    let part = |key: &str| object.get(key).unwrap_or(&Value::Null);
    let tokens = to_multi(&format!("{field}.tokens"), part("tokens"))?;
    if part("grid").is_null() {
        return Ok(tokens);
    }
    let grid: PatchGrid = serde_json::from_value(part("grid").clone())
        .map_err(|error| no_multi(field, format!("grid: {error}")))?;
    tokens.with_grid(grid).map_err(|error| no_multi(field, error.to_string()))
}

fn no_multi(field: &str, reason: String) -> Problem {
    Problem::MultiVector { field: field.to_owned(), reason }
}

fn to_sparse(field: &str, object: &Map<String, Value>) -> Result<SparseVector, Problem> {
    if let Some(other) = object.keys().find(|key| !["indices", "values"].contains(&key.as_str())) {
        let reason = format!("unknown key {other:?}: expected \"indices\" and \"values\"");
        return Err(Problem::SparseVector { field: field.to_owned(), reason });
    }
    let part = |key: &str| object.get(key).unwrap_or(&Value::Null);
    let named = format!("{field}.indices");
    let indices = part("indices");
    let Some(numbers) = indices.as_array() else {
        return Err(wrong_kind(&named, "an array of indices", indices));
    };
    let mut dimensions = Vec::with_capacity(numbers.len());
    for number in numbers {
        let dimension = number.as_u64().and_then(|number| u32::try_from(number).ok());
        dimensions.push(dimension.ok_or_else(|| {
            let reason = format!("index {number}: expected whole numbers below 2^32");
            Problem::SparseVector { field: field.to_owned(), reason }
        })?);
    }
    let values = to_vector(&format!("{field}.values"), part("values"))?;
    SparseVector::new(dimensions, values).map_err(|error| Problem::SparseVector {
        field: field.to_owned(),
        reason: error.to_string(),
    })
}

fn take_text(
    object: &mut Map<String, Value>,
    field: &str,
    keep: bool,
) -> Result<Option<String>, Problem> {
    let value = if keep { object.get(field).cloned() } else { object.remove(field) };
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(value) => Err(wrong_kind(field, "a string", &value)),
    }
}

fn to_vector(field: &str, value: &Value) -> Result<Vec<f32>, Problem> {
    let Some(values) = value.as_array() else {
        return Err(wrong_kind(field, "an array of numbers", value));
    };
    let mut vector = Vec::with_capacity(values.len());
    for value in values {
        let number = value.as_f64().ok_or_else(|| wrong_kind(field, "only numbers", value))?;
        vector.push(number as f32);
    }
    Ok(vector)
}

fn wrong_kind(field: &str, expected: &'static str, value: &Value) -> Problem {
    let actual = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a fraction, or more than 64 bits",
        Value::Number(number) if number.as_u64().is_none() => "a negative number",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Problem::FieldKind { field: field.to_owned(), expected, actual }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_with(bytes: &[u8], fields: Fields) -> Vec<Result<Record, String>> {
        let file: Arc<Path> = Arc::from(Path::new("in.jsonl"));
        Jsonl::new(bytes, file, bytes.len() as u64, fields)
            .map(|record| record.map_err(|error| error.to_string()))
            .collect()
    }

    fn read(text: &str) -> Vec<Result<Record, String>> {
        read_with(text.as_bytes(), Fields::default())
    }

    fn refusal(line: &str) -> String {
        read(line).remove(0).unwrap_err()
    }

    #[test]
    fn multi_vectors_are_arrays_of_arrays() {
        let line =
            r#"{"id":1,"vectors":{"a":[[1,2],[3,4]],"b":{"tokens":[[5],[6]],"grid":[2,1]}}}"#;
        let tokens = MultiVector::new(2, vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let grid = PatchGrid { height: 2, width: 1 };
        let patches = MultiVector::new(1, vec![5.0, 6.0]).unwrap().with_grid(grid).unwrap();
        let multi = vec![("a".to_owned(), tokens), ("b".to_owned(), patches)];
        let (text, vectors, sparse) = (None, Vec::new(), Vec::new());
        let content = read(line).remove(0).unwrap().content;
        assert_eq!(content, Content::Named { text, vectors, sparse, multi });
        for (vector, expected) in [
            ("[[1,2],[3]]", "token 1 has 1 components, expected 2"),
            ("[[1],2]", "\"vectors.a[1]\": expected an array of numbers, got a number"),
            (r#"{"tokens":[[1]],"grid":[2,2]}"#, "a grid of 2 by 2 patches does not have 1 tokens"),
            (r#"{"tokens":[[1]],"grid":[300,1]}"#, "grid: "),
            (r#"{"tokens":[[1]],"rows":1}"#, "unknown key \"rows\""),
            (r#"{"tokens":[]}"#, "multi-vector has no tokens"),
        ] {
            let error = refusal(&format!(r#"{{"id":1,"vectors":{{"a":{vector}}}}}"#));
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn vectors_of_several_fields_stand_in_an_object() {
        let line = r#"{"id":1,"vectors":{"b":[1],"a":[2,3],"c":null},"text":"x","n":1}"#;
        let record = read(line).remove(0).unwrap();
        let vectors = vec![("a".to_owned(), vec![2.0, 3.0]), ("b".to_owned(), vec![1.0])];
        let text = Some("x".to_owned());
        assert_eq!(
            record.content,
            Content::Named { text, vectors, sparse: Vec::new(), multi: Vec::new() }
        );
        assert_eq!((record.text("a"), record.text("c")), (None, Some("x")));
        assert_eq!(record.payload, Payload::new().with("n", 1).with("text", "x"));
        for (line, expected) in [
            (r#"{"id":1,"vectors":[1]}"#, "\"vectors\""),
            (r#"{"id":1,"vectors":"x"}"#, "an object of vectors by field"),
            (r#"{"id":1,"vectors":{"a":["x"]}}"#, "\"vectors.a\""),
            (r#"{"id":1,"vector":[1],"vectors":{"a":[1]}}"#, "both \"vector\" and \"vectors\""),
        ] {
            let error = refusal(line);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn sparse_vectors_are_objects_of_indices_and_values() {
        let line = r#"{"id":1,"vectors":{"s":{"values":[0.5,2,0],"indices":[9,4,7]},"a":[2,3]}}"#;
        let sparse = SparseVector::new(vec![4, 9], vec![2.0, 0.5]).unwrap();
        let vectors = vec![("a".to_owned(), vec![2.0, 3.0])];
        let sparse = vec![("s".to_owned(), sparse)];
        let content = read(line).remove(0).unwrap().content;
        let multi = Vec::new();
        assert_eq!(content, Content::Named { text: None, vectors, sparse, multi });
        for (vector, expected) in [
            (r#"{"indices":[1,1],"values":[1,2]}"#, "sparse vector has dimension 1 twice"),
            (r#"{"indices":[1],"values":[1,2]}"#, "1 dimensions but 2 values"),
            (r#"{"indices":[1],"values":[1e99]}"#, "every value must be finite"),
            (r#"{"indices":[-1],"values":[1]}"#, "index -1: expected whole numbers below 2^32"),
            (r#"{"indices":[4294967296],"values":[1]}"#, "index 4294967296: expected whole"),
            (r#"{"indices":[1.5],"values":[1]}"#, "index 1.5: expected whole"),
            (r#"{"values":[1]}"#, "\"vectors.s.indices\": expected an array of indices"),
            (r#"{"indices":[1]}"#, "\"vectors.s.values\": expected an array of numbers"),
            (r#"{"dims":[1],"values":[1]}"#, "unknown key \"dims\""),
        ] {
            let error = refusal(&format!(r#"{{"id":1,"vectors":{{"s":{vector}}}}}"#));
            assert!(error.contains(expected), "{error}");
            assert!(error.contains("vectors.s"), "{error}");
        }
    }

    #[test]
    fn ids_texts_and_vectors_are_taken_and_the_rest_is_payload() {
        let records = read(concat!(
            "\u{feff}{\"_id\": \"d1\", \"title\": \"Wings\", \"text\": \"lift\", \"year\": 1958}\r\n",
            "\n",
            "{\"id\": 7, \"vector\": [1, -0.5], \"text\": \"kept\"}",
        ));
        let [first, second] = records.as_slice() else { panic!("{records:?}") };
        let first = first.as_ref().unwrap();
        assert_eq!(first.id, PointId::parse("d1").unwrap());
        assert_eq!(first.content, Content::Text("Wings lift".to_owned()));
        assert_eq!(first.payload.get("year"), Some(&Value::from(1958)));
        assert_eq!(first.payload.text("text"), Some("lift"));
        let second = second.as_ref().unwrap();
        assert_eq!(second.id, PointId::from(7));
        assert_eq!(second.content, Content::Vector(vec![1.0, -0.5]));
        assert_eq!(second.payload.text("text"), Some("kept"));
        assert_eq!(second.place.to_string(), "in.jsonl line 3");
    }

    #[test]
    fn field_names_are_the_callers_and_text_can_be_left_out() {
        let fields = Fields {
            id: Some("key".to_owned()),
            text: "body".to_owned(),
            keep_text: false,
            ..Fields::default()
        };
        let line = br#"{"key": "a", "body": "words", "id": 9}"#;
        let record = read_with(line, fields).remove(0).unwrap();
        assert_eq!(record.content, Content::Text("words".to_owned()));
        assert_eq!(record.payload, Payload::new().with("id", 9));
    }

    #[test]
    fn bad_lines_are_named_and_the_next_line_is_read() {
        let records = read("{\"id\": 1,\n[2]\n{\"id\": 3, \"text\": \"ok\"}\n");
        assert!(records[0].as_ref().unwrap_err().starts_with("in.jsonl line 1: not a JSON object"));
        assert_eq!(
            records[1].as_ref().unwrap_err(),
            "in.jsonl line 2: not a JSON object: invalid type: sequence, expected a map at column 0"
        );
        assert_eq!(records[2].as_ref().unwrap().id, PointId::from(3));
    }

    #[test]
    fn refusals_say_what_was_expected() {
        for (line, expected) in [
            (r#"{"text": "x"}"#, "no field \"id\" or \"_id\""),
            (r#"{"id": 1}"#, "no field \"text\" or \"vector\""),
            (r#"{"id": "", "text": "x"}"#, "point id is empty"),
            (
                r#"{"id": -1, "text": "x"}"#,
                "field \"id\": expected a string or an unsigned integer, got a negative number",
            ),
            (r#"{"id": 1, "text": ["x"]}"#, "field \"text\": expected a string, got an array"),
            (
                r#"{"id": 1, "vector": [1, "2"]}"#,
                "field \"vector\": expected only numbers, got a string",
            ),
        ] {
            assert_eq!(refusal(line), format!("in.jsonl line 1: {expected}"));
        }
    }

    #[test]
    fn a_line_beyond_the_limit_is_skipped_without_holding_it() {
        let mut bytes = vec![b' '; MAX_LINE_BYTES + 10];
        bytes.extend_from_slice(b"\n{\"id\": 2, \"text\": \"x\"}");
        let records = read_with(&bytes, Fields::default());
        assert!(records[0].as_ref().unwrap_err().contains("line is longer than"));
        let second = records[1].as_ref().unwrap();
        assert_eq!((second.id.clone(), second.position), (PointId::from(2), bytes.len() as u64));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let lines = bytes.split(|&byte| byte == b'\n').count();
            prop_assert!(read_with(&bytes, Fields::default()).len() <= lines);
        }

        #[test]
        fn arbitrary_json_never_panics(text in r#"\{("(id|text|vector|_id)":([0-9e.-]{1,5}|"a"|\[1,2?\]|null),?){0,4}\}"#) {
            let _ = read(&text);
        }
    }
}
