//! All points of a collection, in memory.

use std::collections::HashMap;

use anyhow::bail;
use bigrain_engine::{
    Cancel, Collection, Metric, Payload, PointId, Query, ScrollParams, SearchParams,
};

use crate::matrix::Matrix;

/// Points read at a time.
const PAGE: usize = 1_000;
/// Searches run together.
const BATCH: usize = 256;

/// The points of a collection that have a vector in its first field, in the order of their ids.
#[derive(Clone, Debug)]
pub struct Collected {
    /// Their ids.
    pub ids: Vec<PointId>,
    /// Their attributes.
    pub payloads: Vec<Payload>,
    /// Their vectors, of length one if the model's are.
    pub vectors: Matrix,
}

/// Another point, and how near it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Its row among those collected.
    pub row: usize,
    /// Its score: the larger the nearer.
    pub score: f32,
}

impl Collected {
    /// Reads a collection. It takes four bytes a dimension of every point, and the payloads.
    ///
    /// # Errors
    ///
    /// When scores of the collection's first field are distances, there is no point in it, or the store cannot
    /// be read.
    pub fn read(collection: &Collection, cancel: &Cancel) -> anyhow::Result<Self> {
        let config = collection.config();
        let field = config.field(None)?;
        if !matches!(field.metric, Metric::Cosine | Metric::Dot) {
            let (name, metric) = (collection.name(), field.metric);
            bail!("collection {name:?} compares by {metric}: expected cosine or dot");
        }
        let (ids, payloads) = (Vec::new(), Vec::new());
        let mut collected = Self { ids, payloads, vectors: Matrix::empty(field.dims) };
        let mut params = ScrollParams::new(PAGE)?.with_vectors(true).with_payload(true);
        loop {
            cancel.check()?;
            let page = collection.scroll_page(&params)?;
            for mut point in page.points {
                let at = point.vectors.iter().position(|vector| *vector.field == *field.name);
                let Some(at) = at else { continue };
                collected.vectors.push(&point.vectors.swap_remove(at).values);
                collected.ids.push(point.id);
                collected.payloads.push(point.payload);
            }
            let Some(next) = page.next else { break };
            params = params.from_cursor(next);
        }
        if collected.ids.is_empty() {
            bail!("collection {:?} is empty", collection.name());
        }
        Ok(collected)
    }

    /// Returns how many points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no point.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the nearest points of each of `vectors`, best first: at most `limit`, and none below
    /// `min_score`. They are searched for in the collection, not compared one by one.
    ///
    /// # Errors
    ///
    /// When a parameter is out of range or a search fails.
    pub fn nearest<'v>(
        &self,
        collection: &Collection,
        vectors: impl Iterator<Item = &'v [f32]>,
        (limit, min_score): (usize, Option<f32>),
        cancel: &Cancel,
    ) -> anyhow::Result<Vec<Vec<Neighbour>>> {
        let rows: HashMap<&PointId, usize> = self.ids.iter().zip(0..).collect();
        let mut params = SearchParams::new(limit)?;
        if let Some(score) = min_score {
            params = params.with_score_threshold(score)?;
        }
        let searches: Vec<(Query, SearchParams)> = vectors
            .map(|vector| (Query::new(vector.to_vec()).with_cancel(cancel.clone()), params))
            .collect();
        let mut nearest = Vec::with_capacity(searches.len());
        for batch in searches.chunks(BATCH) {
            for found in collection.search_batch(batch) {
                // What was written since the points were read is not among them.
                let neighbour = |point: bigrain_engine::ScoredPoint| {
                    let row = *rows.get(&point.id)?;
                    Some(Neighbour { row, score: point.score })
                };
                nearest.push(found?.points.into_iter().filter_map(neighbour).collect());
            }
        }
        Ok(nearest)
    }

    /// As [`Collected::nearest`] for every point, which is not among its own neighbours.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn neighbours(
        &self,
        collection: &Collection,
        (limit, min_score): (usize, Option<f32>),
        cancel: &Cancel,
    ) -> anyhow::Result<Vec<Vec<Neighbour>>> {
        let with_itself = limit.saturating_add(1);
        let rows = (0..self.len()).map(|row| self.vectors.row(row));
        let mut nearest = self.nearest(collection, rows, (with_itself, min_score), cancel)?;
        for (row, neighbours) in nearest.iter_mut().enumerate() {
            neighbours.retain(|neighbour| neighbour.row != row);
            neighbours.truncate(limit);
        }
        Ok(nearest)
    }

    /// Returns what the payload field `field` says of a point: a text, or the first text of a list.
    #[must_use]
    pub fn label(&self, row: usize, field: &str) -> Option<&str> {
        let value = self.payloads[row].get(field)?;
        value.as_str().or_else(|| value.as_array()?.first()?.as_str())
    }
}
