//! What writers do in the crash tests, and what must be there afterwards.
//!
//! A writer says what it is about to do and what was acknowledged, on a channel that outlives it; a
//! [`Ledger`] listens. Whatever ends the writer, the collection must then hold everything that was
//! acknowledged, and of the operation each writer was in all or nothing.
//!
//! To add an operation: a variant of [`Operation`], a line in each of its methods.

use std::collections::{BTreeMap, BTreeSet};

use bigrain_engine::{
    Collection, CollectionConfig, Error, ErrorKind, Language, Metric, MultiFieldConfig, MultiQuery,
    MultiVector, Payload, PayloadUpdate, Point, PointId, Query, SearchParams, SparseFieldConfig,
    SparseQuery, SparseVector, TextField, TextQuery,
};
use serde::{Deserialize, Serialize};

use crate::Random;

const DIMS: usize = 8;
const IDS_PER_WRITER: u64 = 150;

/// The payload field that is searched by words.
const WORDS: &str = "words";

/// The field of sparse vectors, and the dimension that all of them share.
const SPARSE: &str = "sparse";
const SHARED: u32 = 7;

/// The field of multi-vectors, and their dimensions.
const MULTI: &str = "multi";
const TOKEN_DIMS: usize = 4;

/// Which points exist, and how.
pub type Model = BTreeMap<u64, Written>;

/// How a point was written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Of its vector and payload.
    pub version: u64,
    /// Of the last change of its payload alone since; 0 if there was none.
    pub mark: u64,
}

/// One thing a writer does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Stores points, all of one version.
    Upsert {
        /// Which.
        ids: Vec<u64>,
        /// Never used before.
        version: u64,
    },
    /// Deletes points.
    Delete {
        /// Which.
        ids: Vec<u64>,
    },
    /// Changes the payload of points that exist, and leaves their vectors.
    Mark {
        /// Which.
        ids: Vec<u64>,
        /// Never used before.
        mark: u64,
    },
    /// Turns the memtable into a segment.
    Flush,
    /// Merges segments until none has dead rows.
    Compact,
}

impl Operation {
    /// Draws an operation on points of one writer. A version is never used twice.
    pub fn draw(random: &mut Random, writer: u64, version: u64) -> Self {
        let start = writer * IDS_PER_WRITER;
        let mut ids: Vec<u64> =
            (0..=random.below(9)).map(|_| start + random.below(IDS_PER_WRITER)).collect();
        ids.sort_unstable();
        ids.dedup();
        match random.below(40) {
            0 | 1 => Self::Flush,
            2 => Self::Compact,
            3..14 => Self::Delete { ids },
            14..20 => Self::Mark { ids, mark: version },
            _ => Self::Upsert { ids, version },
        }
    }

    /// Does it.
    ///
    /// # Errors
    ///
    /// The collection's.
    pub fn run(&self, collection: &Collection) -> Result<(), Error> {
        match self {
            Self::Upsert { ids, version } => {
                collection.upsert(ids.iter().map(|&id| point(id, *version)).collect()).map(drop)
            }
            Self::Delete { ids } => {
                let ids: Vec<PointId> = ids.iter().map(|&id| id.into()).collect();
                collection.delete(&ids).map(drop)
            }
            Self::Mark { ids, mark } => {
                let ids: Vec<PointId> = ids.iter().map(|&id| id.into()).collect();
                let mark = PayloadUpdate::Merge(Payload::new().with("mark", *mark));
                collection.update_payload(&ids, &mark).map(drop)
            }
            Self::Flush => collection.flush(),
            Self::Compact => collection.compact(),
        }
    }

    /// Does it to the model.
    pub fn apply(&self, model: &mut Model) {
        match self {
            Self::Upsert { ids, version } => {
                let written = Written { version: *version, mark: 0 };
                model.extend(ids.iter().map(|&id| (id, written)));
            }
            Self::Mark { ids, mark } => {
                let marked = model.iter_mut().filter(|(id, _)| ids.contains(id));
                marked.for_each(|(_, written)| written.mark = *mark);
            }
            Self::Delete { ids } => model.retain(|id, _| !ids.contains(id)),
            Self::Flush | Self::Compact => {}
        }
    }

    /// Returns the points it may change.
    #[must_use]
    pub fn ids(&self) -> &[u64] {
        match self {
            Self::Upsert { ids, .. } | Self::Delete { ids } | Self::Mark { ids, .. } => ids,
            Self::Flush | Self::Compact => &[],
        }
    }
}

/// The shape of the collection that writers write to.
#[must_use]
pub fn workload_config() -> CollectionConfig {
    let words = TextField::new(WORDS, Language::English).expect("path");
    let sparse = SparseFieldConfig::new(SPARSE);
    let multi = MultiFieldConfig::new(MULTI, TOKEN_DIMS, Metric::Dot);
    let config = CollectionConfig::new(DIMS, Metric::Dot).with_sparse(sparse);
    config.with_multi(multi).with_text(words)
}

/// Everything about a point follows from its id and version, so that a mix of two is found out.
fn point(id: u64, version: u64) -> Point {
    let words = format!("points of v{version}");
    let payload = Payload::new().with("version", version).with(WORDS, words);
    let point = Point::new(id, vector(id, version)).with_payload(payload);
    point.with_sparse(SPARSE, sparse(id, version)).with_multi(MULTI, multi(id, version))
}

/// Returns some tokens whose components halves hold exactly.
fn multi(id: u64, version: u64) -> MultiVector {
    let mut random = Random::new(version << 32 | id);
    let count = TOKEN_DIMS * (1 + random.below(20) as usize);
    let values = (0..count).map(|_| random.below(33) as f32 - 16.0).collect();
    MultiVector::new(TOKEN_DIMS, values).expect("finite")
}

/// Returns a vector of the shared dimension, one of its version, and some others.
fn sparse(id: u64, version: u64) -> SparseVector {
    let mut random = Random::new(version << 32 | id);
    let others = (0..random.below(5)).map(|_| 100 + random.below(1000) as u32);
    let dimensions: BTreeSet<u32> = others.chain([SHARED, version_dimension(version)]).collect();
    let values = dimensions.iter().map(|&dimension| 1.0 + (dimension % 7) as f32).collect();
    SparseVector::new(dimensions.into_iter().collect(), values).expect("distinct, finite")
}

/// Two versions may have one, as two of 2^31 drawn numbers may be equal.
fn version_dimension(version: u64) -> u32 {
    1 << 31 | Random::new(version).below(1 << 31) as u32
}

fn vector(id: u64, version: u64) -> Vec<f32> {
    Random::new(id << 32 | version).vector(DIMS)
}

/// One writer, with points of its own.
#[derive(Debug)]
pub struct Writer {
    number: u64,
    life: u64,
    step: u64,
    random: Random,
}

impl Writer {
    /// Starts a writer; `life` tells its versions from those of earlier lives.
    #[must_use]
    pub fn new(number: u64, life: u64) -> Self {
        Self { number, life, step: 0, random: Random::new(life << 8 | number) }
    }

    /// Does one operation, and says so.
    ///
    /// # Errors
    ///
    /// The collection's; the operation was not acknowledged.
    pub fn step(&mut self, collection: &Collection, say: impl Fn(&str)) -> Result<(), Error> {
        self.step += 1;
        let version = self.life << 24 | self.step;
        let operation = Operation::draw(&mut self.random, self.number, version);
        say(&line(&Line::Begin(self.number, operation.clone())));
        let result = operation.run(collection);
        match &result {
            Ok(()) => say(&line(&Line::Acknowledged(self.number))),
            // After any other error it is unknown whether it happened.
            Err(error) if error.kind() != ErrorKind::Io || operation.ids().is_empty() => {
                say(&line(&Line::Refused(self.number)));
            }
            Err(_) => {}
        }
        result
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum Line {
    Begin(u64, Operation),
    Acknowledged(u64),
    Refused(u64),
}

fn line(line: &Line) -> String {
    serde_json::to_string(line).expect("a line in json")
}

/// What writers said, and what a collection must hold because of it.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    model: Model,
    in_flight: BTreeMap<u64, Operation>,
    acknowledged: u64,
}

impl Ledger {
    /// Takes note of a line; others than writers' are passed over. Returns whether it is an
    /// acknowledgement.
    pub fn hear(&mut self, line: &str) -> bool {
        match serde_json::from_str(line) {
            Ok(Line::Begin(writer, operation)) => {
                assert!(self.in_flight.insert(writer, operation).is_none(), "two at once");
                false
            }
            Ok(Line::Acknowledged(writer)) => {
                let operation = self.in_flight.remove(&writer).expect("it was begun");
                operation.apply(&mut self.model);
                self.acknowledged += 1;
                true
            }
            Ok(Line::Refused(writer)) => {
                self.in_flight.remove(&writer).expect("it was begun");
                false
            }
            Err(_) => false,
        }
    }

    /// Takes note of a line, whatever it says.
    pub fn listen(&mut self, line: &str) {
        let _ = self.hear(line);
    }

    /// Returns how many operations were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Whether a writer said anything.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.acknowledged > 0 || !self.in_flight.is_empty()
    }

    /// Whether it is unknown of some operation whether it happened.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Returns how many points must be there.
    #[must_use]
    pub fn points(&self) -> usize {
        self.model.len()
    }

    /// Compares a collection with what was said, and with itself: every way of reading it must give
    /// the same points. Operations in flight that turn out to have happened count as such from here on.
    ///
    /// # Errors
    ///
    /// What differs.
    pub fn settle(&mut self, collection: &Collection) -> Result<(), String> {
        let found = read_consistent(collection)?;
        let in_flight = std::mem::take(&mut self.in_flight);
        for operation in in_flight.values() {
            if operation.ids().iter().any(|id| found.get(id) != self.model.get(id)) {
                operation.apply(&mut self.model);
            }
        }
        if found != self.model {
            return Err(format!(
                "{}; in flight was {in_flight:?}",
                difference(&self.model, &found)
            ));
        }
        Ok(())
    }
}

/// Reads a collection in every way and returns its points.
///
/// # Errors
///
/// Two ways that differ.
pub fn read_consistent(collection: &Collection) -> Result<Model, String> {
    let found = read_all(collection)?;
    let (count, expected) = (collection.count(), found.len());
    if count != expected as u64 {
        return Err(format!("{expected} points, count says {count}"));
    }
    let params = SearchParams::new(1000).map(|params| params.with_exact(true));
    let everything = collection.search(&Query::new(vec![1.0; DIMS]), &params.expect("params"));
    let searched = everything.map_err(|error| error.to_string())?.points.len();
    if searched != expected {
        return Err(format!("{expected} points, a search finds {searched}"));
    }
    check_words(collection, &found)?;
    check_sparse(collection, &found)?;
    check_multi(collection, &found)?;
    Ok(found)
}

/// The shared dimension finds every point, and that of one version no other.
fn check_sparse(collection: &Collection, model: &Model) -> Result<(), String> {
    let params = SearchParams::new(1000).expect("params");
    let search = |dimension: u32| {
        let vector = SparseVector::new(vec![dimension], vec![1.0]).expect("one dimension");
        let query = SparseQuery::new(vector).in_field(SPARSE);
        let found = collection.search_sparse(&query, &params).map_err(|e| e.to_string())?.points;
        Ok::<_, String>(found.iter().filter_map(|point| point.id.as_number()).collect::<Vec<_>>())
    };
    let (all, expected) = (search(SHARED)?.len(), model.len());
    if all != expected {
        return Err(format!("{expected} points, sparse vectors find {all}"));
    }
    let Some(&Written { version, .. }) = model.values().next_back() else { return Ok(()) };
    // Equal scores come in the order of their ids.
    let found = search(version_dimension(version))?;
    let of_version = model.iter().filter(|(_, other)| other.version == version).map(|(id, _)| *id);
    let expected: Vec<u64> = of_version.collect();
    if found != expected {
        return Err(format!("version {version} is of {expected:?}, sparse vectors find {found:?}"));
    }
    Ok(())
}

/// A multi-vector finds every point, scored as the one that it must have.
fn check_multi(collection: &Collection, model: &Model) -> Result<(), String> {
    let tokens = MultiVector::new(TOKEN_DIMS, vec![1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.5, 0.0]);
    let asked = tokens.expect("finite");
    let params = SearchParams::new(1000).expect("params");
    let found = collection.search_multi(&MultiQuery::new(asked.clone()), &params);
    let found = found.map_err(|error| error.to_string())?.points;
    if found.len() != model.len() {
        return Err(format!("{} points, multi-vectors find {}", model.len(), found.len()));
    }
    for point in found {
        let id = point.id.as_number().ok_or("an id that nobody wrote")?;
        let written = model.get(&id).ok_or_else(|| format!("multi-vectors find point {id}"))?;
        // Of small integers and halves, so that sums are exact.
        let stored = multi(id, written.version);
        let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        let best = |asked: &[f32]| stored.iter().map(|t| dot(asked, t)).fold(f32::MIN, f32::max);
        let expected = asked.iter().map(best).sum::<f32>() / asked.tokens() as f32;
        if point.score != expected {
            return Err(format!("point {id} scores {}, expected {expected}", point.score));
        }
    }
    Ok(())
}

/// Words find every point, and those of one version no other.
fn check_words(collection: &Collection, model: &Model) -> Result<(), String> {
    let params = SearchParams::new(1000).expect("params");
    let search = |words: &str| {
        let found = collection.search_text(&TextQuery::new(words), &params);
        let found = found.map_err(|error| error.to_string())?.points;
        Ok::<_, String>(found.iter().filter_map(|point| point.id.as_number()).collect::<Vec<_>>())
    };
    let (all, expected) = (search("point")?.len(), model.len());
    if all != expected {
        return Err(format!("{expected} points, words find {all}"));
    }
    let Some(&Written { version, .. }) = model.values().next_back() else { return Ok(()) };
    let mut found = search(&format!("v{version}"))?;
    found.sort_unstable();
    let of_version = model.iter().filter(|(_, other)| other.version == version).map(|(id, _)| *id);
    let expected: Vec<u64> = of_version.collect();
    if found != expected {
        return Err(format!("version {version} is of {expected:?}, words find {found:?}"));
    }
    Ok(())
}

fn read_all(collection: &Collection) -> Result<Model, String> {
    let mut found = Model::new();
    let mut after: Option<PointId> = None;
    loop {
        let page = collection.scroll(after.as_ref(), 64).map_err(|error| error.to_string())?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.id.clone());
        for point in page {
            let id = point.id.as_number().ok_or("an id that nobody wrote")?;
            let number = |key| point.payload.get(key).and_then(|value| value.as_u64());
            let version = number("version").ok_or_else(|| format!("point {id} has no version"))?;
            if point.vector("vector") != Some(&vector(id, version)[..]) {
                return Err(format!("vector and payload of point {id} disagree"));
            }
            if point.sparse(SPARSE) != Some(&sparse(id, version)) {
                return Err(format!("sparse vector and payload of point {id} disagree"));
            }
            if point.multi(MULTI) != Some(&multi(id, version)) {
                return Err(format!("multi-vector and payload of point {id} disagree"));
            }
            found.insert(id, Written { version, mark: number("mark").unwrap_or(0) });
        }
    }
}

fn difference(model: &Model, found: &Model) -> String {
    let lost: Vec<_> = model.iter().filter(|(id, _)| !found.contains_key(id)).collect();
    let extra: Vec<_> = found.iter().filter(|(id, _)| !model.contains_key(id)).collect();
    let other: Vec<_> = found
        .iter()
        .filter_map(|(id, found)| Some((id, model.get(id).filter(|model| *model != found)?, found)))
        .collect();
    format!("lost {lost:?}, should not be there {extra:?}, other version {other:?}")
}
