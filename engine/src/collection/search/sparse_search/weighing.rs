//! Queries whose dimensions are weighed by how rare they are.

use std::collections::BTreeMap;

use bigrain_index::sparse::{SparseIndex, SparseRows, SparseStatistics, SparseTable};
use bigrain_lexical::text::idf;
use bigrain_types::{PointId, SearchStats, SparseVector};
use roaring::RoaringBitmap;

use super::{Hit, Passing, Source, SparseVectorSearch};
use crate::Result;
use crate::collection::matching::live_slots;
use crate::collection::state::Frozen;
use crate::memtable::Memtable;
use crate::plan::SourcePlan;

/// What a search has of the memtable that takes writes.
pub(super) enum Active {
    /// Its best, scored already.
    Scored(Vec<Hit>),
    /// What is scored once all is counted.
    Held(Held),
}

/// The rows of a memtable that use a dimension of the query, in these dimensions.
pub(super) struct Held {
    vectors: SparseTable,
    /// By row.
    ids: Vec<PointId>,
    statistics: SparseStatistics,
}

/// The query as it is compared: as it came, or weighed by what was counted.
pub(super) struct Weighed {
    pub(super) vector: SparseVector,
    statistics: Option<SparseStatistics>,
}

impl SparseVectorSearch<'_> {
    /// Takes of a memtable what the query may find.
    pub(super) fn hold(
        &self,
        table: &Memtable,
        dead: &RoaringBitmap,
    ) -> Result<(Active, SourcePlan)> {
        let matching = self.filter.as_ref().map(|filter| live_slots(table, dead, filter));
        let mut statistics = SparseStatistics::default();
        let mut rows: BTreeMap<u32, (Vec<u32>, Vec<f32>)> = BTreeMap::new();
        if let Some(vectors) = table.sparse(self.field.id) {
            let passing = Passing { matching: matching.as_ref(), dead };
            statistics.add(vectors, self.query.vector.view(), dead)?;
            for (dimension, _) in self.query.vector.iter() {
                let Some(list) = vectors.list(dimension)? else { continue };
                for (&slot, &value) in list.offsets.iter().zip(list.values) {
                    if !passing.skips(slot) {
                        let (dimensions, values) = rows.entry(slot).or_default();
                        dimensions.push(dimension);
                        values.push(value);
                    }
                }
            }
        }
        let ids = rows.keys().map(|&slot| table.id(slot).clone()).collect();
        let mut held = SparseRows::default();
        for (row, (dimensions, values)) in (0..).zip(rows.into_values()) {
            held.push(row, SparseVector::new(dimensions, values)?.view());
        }
        let mut vectors = SparseTable::default();
        vectors.append(&held, 0);
        let plan = self.memtable_plan(table, dead, matching.as_ref());
        Ok((Active::Held(Held { vectors, ids, statistics }), plan))
    }

    /// Returns the query as it is compared.
    pub(super) fn weigh(
        &self,
        active: &Active,
        frozen: Option<&Frozen>,
        sources: &[Source],
    ) -> Result<Weighed> {
        let query = &self.query.vector;
        let Active::Held(held) = active else {
            return Ok(Weighed { vector: query.clone(), statistics: None });
        };
        let mut statistics = held.statistics.clone();
        statistics.with_dimension.resize(query.len(), 0);
        if let Some(Frozen { table, dead, .. }) = frozen
            && let Some(vectors) = table.sparse(self.field.id)
        {
            statistics.add(vectors, query.view(), dead)?;
        }
        for source in sources {
            self.query.cancel.check()?;
            statistics.add(&source.files.reader, query.view(), &source.view.deleted)?;
        }
        let counted = query.values().iter().zip(&statistics.with_dimension);
        let values = counted.map(|(value, &points)| value * idf(points, statistics.vectors));
        let vector = SparseVector::new(query.dimensions().to_vec(), values.collect())?;
        Ok(Weighed { vector, statistics: Some(statistics) })
    }

    /// Returns the best points of the memtable that takes writes, and completes its plan.
    pub(super) fn in_active(
        &self,
        active: Active,
        query: &Weighed,
        plan: &mut SourcePlan,
        stats: &mut SearchStats,
    ) -> Result<Vec<Hit>> {
        let Held { vectors, ids, .. } = match active {
            Active::Scored(hits) => return Ok(hits),
            Active::Held(held) => held,
        };
        let passing = Passing { matching: None, dead: &RoaringBitmap::new() };
        let searched = self.search(&vectors, &query.vector, &passing)?;
        searched.count(stats);
        let hit = |row: &bigrain_kernels::Scored| Hit {
            similarity: row.score,
            id: ids[row.offset as usize].clone(),
        };
        let hits = searched.found.rows.iter().map(hit).collect();
        plan.index = searched.index;
        Ok(hits)
    }
}

impl Weighed {
    /// Says how it is compared, for people.
    pub(super) fn describe(&self) -> String {
        let mut method = format!("exact dot products of {} dimensions", self.vector.len());
        if let Some(SparseStatistics { vectors, with_dimension }) = &self.statistics {
            let least = with_dimension.iter().min().copied().unwrap_or_default();
            let most = with_dimension.iter().max().copied().unwrap_or_default();
            method.push_str(&format!(
                ", weighed by idf: each is in {least} to {most} of {vectors} vectors"
            ));
        }
        method
    }
}
