//! Groups of records, small enough to hold a few of them.

use std::collections::HashMap;
use std::mem;

use bigrain_engine::{PointId, StoredPoint, normalize};

use crate::input::{Content, Record};

/// Rows in a chunk; below the engine's limit for one batch.
const MAX_ROWS: usize = 8_192;
/// Texts in a chunk: enough to sort by length, few enough to show progress.
const MAX_TEXTS: usize = 512;
/// Bytes of text, vectors and payload in a chunk, about.
const MAX_BYTES: usize = 16 << 20;

/// How far a component may be off when a stored vector is compared with the input's, after the
/// one was brought to length one and stored.
const SAME_COMPONENT: f32 = 1e-6;

/// Some consecutive records.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The records.
    pub records: Vec<Record>,
    texts: usize,
    bytes: usize,
}

impl Chunk {
    /// Adds a record; returns the chunk, leaving an empty one, when that fills it.
    pub fn push(&mut self, record: Record) -> Option<Self> {
        self.bytes += size_of::<Record>() + payload_bytes(&record);
        match &record.content {
            Content::Text(text) => {
                self.texts += 1;
                self.bytes += text.len();
            }
            Content::Vector(vector) => self.bytes += size_of_val(vector.as_slice()),
            Content::Named { text, vectors, sparse, multi } => {
                self.texts += usize::from(text.is_some());
                self.bytes += text.as_ref().map_or(0, String::len);
                let vectors = vectors.iter().map(|(_, vector)| size_of_val(vector.as_slice()));
                self.bytes += vectors.sum::<usize>();
                self.bytes += sparse.iter().map(|(_, vector)| 8 * vector.len()).sum::<usize>();
                let multi = multi.iter().map(|(_, vector)| size_of_val(vector.values()));
                self.bytes += multi.sum::<usize>();
            }
        }
        self.records.push(record);
        let full =
            self.records.len() >= MAX_ROWS || self.texts >= MAX_TEXTS || self.bytes >= MAX_BYTES;
        full.then(|| mem::take(self))
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the records, of those with one id only the last; and how many went.
    pub fn into_distinct(self) -> (Vec<Record>, u64) {
        let mut last: HashMap<PointId, usize> = HashMap::with_capacity(self.records.len());
        for (index, record) in self.records.iter().enumerate() {
            last.insert(record.id.clone(), index);
        }
        let repeated = (self.records.len() - last.len()) as u64;
        let mut records = self.records;
        if repeated > 0 {
            let mut index = 0..;
            records.retain(|record| last.get(&record.id).copied() == index.next());
        }
        (records, repeated)
    }
}

/// Whether storing `record` would leave `stored` as it is, in a collection whose first field is called
/// `first`; `tokens` are the fields that get the tokens of texts. A text is unchanged if the payload is,
/// which it stands in.
pub fn is_unchanged(record: &Record, stored: &StoredPoint, first: &str, tokens: &[String]) -> bool {
    if record.payload != stored.payload {
        return false;
    }
    let is_stored = |field: &str, vector: &[f32]| {
        stored.vector(field).is_some_and(|stored| is_same(vector, stored))
    };
    let has_tokens = tokens.iter().all(|field| stored.multi(field).is_some());
    match &record.content {
        Content::Text(_) => stored.vector(first).is_some() && has_tokens,
        Content::Vector(vector) => {
            let count = stored.vectors.len() + stored.sparse.len() + stored.multi.len();
            count == 1 && is_stored(first, vector)
        }
        Content::Named { vectors, sparse, multi, .. } => {
            let has_text = record.text(first).is_some();
            let encoded = has_text && stored.vector(first).is_some();
            let own = |field: &&String| multi.iter().all(|(name, _)| name != *field);
            let of_text = if has_text { tokens.iter().filter(own).count() } else { 0 };
            // An empty sparse vector is stored as none.
            let mut sparse = sparse.iter().filter(|(_, vector)| !vector.is_empty());
            stored.vectors.len() == vectors.len() + usize::from(encoded)
                && vectors.iter().all(|(field, vector)| is_stored(field, vector))
                && stored.sparse.len() == sparse.clone().count()
                && sparse.all(|(field, vector)| stored.sparse(field) == Some(vector))
                // Tokens are rounded when they are stored, so only those that were stored once are the same.
                && stored.multi.len() == multi.len() + of_text
                && (of_text == 0 || has_tokens)
                && multi.iter().all(|(field, vector)| stored.multi(field) == Some(vector))
        }
    }
}

/// Whether a vector of the input is the stored one, perhaps brought to length one.
fn is_same(vector: &[f32], stored: &[f32]) -> bool {
    let same = |a: &[f32], b: &[f32]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= SAME_COMPONENT)
    };
    let mut unit = vector.to_vec();
    normalize(&mut unit);
    same(vector, stored) || same(&unit, stored)
}

fn payload_bytes(record: &Record) -> usize {
    let value_bytes =
        |value: &serde_json::Value| value.as_str().map_or(size_of::<serde_json::Value>(), str::len);
    record.payload.as_map().iter().map(|(key, value)| key.len() + value_bytes(value)).sum()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use bigrain_engine::{Payload, SeqNo, SparseVector, StoredSparseVector, StoredVector};

    use super::*;
    use crate::input::{At, Place};

    fn record(id: u64, content: Content) -> Record {
        let file: Arc<Path> = Arc::from(Path::new("in"));
        let place = Place::new(&file, At::Row(id));
        let payload = Payload::new().with("n", id);
        Record { place, id: PointId::from(id), content, payload, position: id }
    }

    fn text(id: u64, text: &str) -> Record {
        record(id, Content::Text(text.to_owned()))
    }

    #[test]
    fn chunks_fill_by_texts_rows_or_bytes() {
        let mut chunk = Chunk::default();
        let full = (0..).find_map(|id| chunk.push(text(id, "x"))).unwrap();
        assert_eq!(full.records.len(), MAX_TEXTS);
        assert!(chunk.is_empty());
        let vector = Content::Vector(vec![0.0; 4]);
        let full = (0..).find_map(|id| chunk.push(record(id, vector.clone()))).unwrap();
        assert_eq!(full.records.len(), MAX_ROWS);
        let long = "x".repeat(MAX_BYTES / 3);
        let full = (0..).find_map(|id| chunk.push(text(id, &long))).unwrap();
        assert_eq!(full.records.len(), 3);
    }

    #[test]
    fn the_last_of_repeated_ids_stays() {
        let records = vec![text(1, "old"), text(2, "b"), text(1, "new")];
        let (records, repeated) = Chunk { records, ..Chunk::default() }.into_distinct();
        assert_eq!(records, [text(2, "b"), text(1, "new")]);
        assert_eq!(repeated, 1);
    }

    #[test]
    fn rows_are_unchanged_when_payload_and_vector_are() {
        let row = record(1, Content::Vector(vec![3.0, 4.0]));
        let stored = |vector: Vec<f32>, payload: Payload| StoredPoint {
            id: PointId::from(1),
            vectors: vec![StoredVector { field: "v".into(), values: vector }],
            sparse: Vec::new(),
            multi: Vec::new(),
            payload,
            seq: SeqNo(1),
        };
        let own = row.payload.clone();
        let unchanged =
            |record: &Record, stored: &StoredPoint| is_unchanged(record, stored, "v", &[]);
        assert!(unchanged(&row, &stored(vec![3.0, 4.0], own.clone())));
        assert!(unchanged(&row, &stored(vec![0.6, 0.8], own.clone())));
        assert!(!unchanged(&row, &stored(vec![0.8, 0.6], own.clone())));
        assert!(!unchanged(&row, &stored(vec![3.0, 4.0], Payload::new())));
        assert!(unchanged(&text(1, "x"), &stored(vec![1.0], own.clone())));

        let named = |vectors: &[(&str, f32)], text: Option<&str>| {
            let vectors = vectors.iter().map(|(name, x)| ((*name).to_owned(), vec![*x])).collect();
            let (text, sparse) = (text.map(str::to_owned), Vec::new());
            record(1, Content::Named { text, vectors, sparse, multi: Vec::new() })
        };
        let mut two = stored(vec![1.0], own);
        two.vectors.push(StoredVector { field: "w".into(), values: vec![2.0] });
        assert!(unchanged(&named(&[("v", 1.0), ("w", 2.0)], None), &two));
        assert!(unchanged(&named(&[("w", 2.0)], Some("x")), &two));
        assert!(!unchanged(&named(&[("w", 2.0)], None), &two));
        assert!(!unchanged(&named(&[("v", 1.0), ("w", 3.0)], None), &two));
        assert!(!unchanged(&record(1, Content::Vector(vec![1.0])), &two));

        let sparse = |value: f32| SparseVector::new(vec![7], vec![value]).unwrap();
        let mut one = stored(vec![1.0], record(1, Content::Vector(Vec::new())).payload);
        let field = "s".into();
        one.sparse.push(StoredSparseVector { field, vector: sparse(2.0) });
        let with = |vectors: &[(&str, SparseVector)]| {
            let sparse = vectors.iter().map(|(name, v)| ((*name).to_owned(), v.clone())).collect();
            let vectors = vec![("v".to_owned(), vec![1.0])];
            record(1, Content::Named { text: None, vectors, sparse, multi: Vec::new() })
        };
        assert!(unchanged(&with(&[("s", sparse(2.0))]), &one));
        assert!(unchanged(&with(&[("s", sparse(2.0)), ("t", SparseVector::default())]), &one));
        assert!(!unchanged(&with(&[("s", sparse(3.0))]), &one));
        assert!(!unchanged(&with(&[("s", sparse(2.0)), ("t", sparse(1.0))]), &one));
        assert!(!unchanged(&with(&[]), &one));
        assert!(!unchanged(&record(1, Content::Vector(vec![1.0])), &one));
    }
}
