//! Queries whose dimensions are weighed by how rare they are.
//!
//! Nothing can be scored before it is counted everywhere. With the view, under the state lock, the
//! memtable that takes writes is only counted. It is scored under the lock again when the weights are
//! known, as it was then: what a slot holds never changes, so slots that were added since are passed over, and
//! those that died since are not. If it has gone into a segment meanwhile, the search runs once more.

use bigrain_index::sparse::SparseStatistics;
use bigrain_lexical::text::idf;
use bigrain_types::{SearchStats, SparseVector};
use roaring::RoaringBitmap;

use super::{Hit, Passing, Source, SparseVectorSearch};
use crate::Result;
use crate::collection::matching::live_slots;
use crate::collection::state::{Frozen, State};
use crate::memtable::{Memtable, MemtableIdentity};
use crate::plan::SourcePlan;

/// What a search has of the memtable that takes writes.
pub(super) enum Active {
    /// Its best, scored already.
    Scored(Vec<Hit>),
    /// What is scored once all is counted.
    Counted(Counted),
}

/// A memtable at a moment.
pub(super) struct Counted {
    table: MemtableIdentity,
    /// How many slots it had.
    slots: u32,
    /// What of them matches the filter and is alive, if there is a filter.
    matching: Option<RoaringBitmap>,
    dead: RoaringBitmap,
    statistics: SparseStatistics,
}

/// The query as it is compared: as it came, or weighed by what was counted.
pub(super) struct Weighed {
    pub(super) vector: SparseVector,
    statistics: Option<SparseStatistics>,
}

impl SparseVectorSearch<'_> {
    /// Counts how a memtable uses the dimensions of the query.
    pub(super) fn count(
        &self,
        table: &Memtable,
        dead: &RoaringBitmap,
    ) -> Result<(Active, SourcePlan)> {
        let matching = self.filter.as_ref().map(|filter| live_slots(table, dead, filter));
        let mut statistics = SparseStatistics::default();
        if let Some(vectors) = table.sparse(self.field.id) {
            statistics.add(vectors, self.query.vector.view(), dead)?;
        }
        let plan = self.memtable_plan(table, dead, matching.as_ref());
        let counted = Counted {
            table: table.identity().clone(),
            slots: table.len() as u32,
            matching,
            dead: dead.clone(),
            statistics,
        };
        Ok((Active::Counted(counted), plan))
    }

    /// Returns the query as it is compared.
    pub(super) fn weigh(
        &self,
        active: &Active,
        frozen: Option<&Frozen>,
        sources: &[Source],
    ) -> Result<Weighed> {
        let query = &self.query.vector;
        let Active::Counted(counted) = active else {
            return Ok(Weighed { vector: query.clone(), statistics: None });
        };
        let mut statistics = counted.statistics.clone();
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

    /// Returns the best points of the memtable that took writes when the view was taken, and completes its
    /// plan; nothing when it has gone into a segment since.
    pub(super) fn in_active(
        &self,
        active: Active,
        query: &Weighed,
        plan: &mut SourcePlan,
        stats: &mut SearchStats,
    ) -> Result<Option<Vec<Hit>>> {
        let counted = match active {
            Active::Scored(hits) => return Ok(Some(hits)),
            Active::Counted(counted) => counted,
        };
        let state = self.shared.state.read();
        let Some(table) = counted.find(&state) else { return Ok(None) };
        // The field may have been dropped since.
        let Some(vectors) = table.sparse(self.field.id) else { return Ok(None) };
        let Counted { slots, matching, dead, .. } = &counted;
        let passing = Passing { matching: matching.as_ref(), dead, end: *slots };
        let searched = self.search(vectors, &query.vector, &passing)?;
        searched.count(stats);
        plan.index.clone_from(&searched.index);
        Ok(Some(searched.hits(table)))
    }
}

impl Counted {
    /// Finds the memtable again, if it is still one.
    fn find<'s>(&self, state: &'s State) -> Option<&'s Memtable> {
        let frozen = state.frozen.iter().map(|frozen| &*frozen.table);
        [&state.active].into_iter().chain(frozen).find(|table| *table.identity() == self.table)
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

#[cfg(test)]
mod tests {
    use bigrain_types::{Filter, Payload, SearchParams};

    use super::*;
    use crate::{
        Collection, CollectionConfig, Engine, EngineConfig, Point, SearchOutput, SparseFieldConfig,
        SparseModifier, SparseQuery,
    };

    fn point(id: u64, dimensions: &[u32]) -> Point {
        let values = vec![1.0; dimensions.len()];
        let vector = SparseVector::new(dimensions.to_vec(), values).unwrap();
        Point::empty(id)
            .with_sparse("words", vector)
            .with_payload(Payload::new().with("even", id.is_multiple_of(2)))
    }

    fn collection(engine: &Engine) -> Collection {
        let field = SparseFieldConfig::new("words").with_modifier(SparseModifier::Idf);
        let config = CollectionConfig::of_sparse(field);
        let collection = engine.create_collection("c", config).unwrap();
        collection.upsert(vec![point(1, &[1]), point(2, &[1, 2]), point(3, &[1])]).unwrap();
        collection
    }

    /// Takes a view, lets `meanwhile` happen, and answers.
    fn answer(
        collection: &Collection,
        query: &SparseQuery,
        meanwhile: impl FnOnce(),
    ) -> Option<SearchOutput> {
        let search =
            SparseVectorSearch::prepare(&collection.0, query, SearchParams::new(9).unwrap());
        let search = search.unwrap();
        let mut stats = SearchStats::default();
        let view = search.view(&mut stats).unwrap();
        meanwhile();
        search.answer(view, stats).unwrap()
    }

    fn scores(output: &SearchOutput) -> Vec<(String, f32)> {
        output.points.iter().map(|point| (point.id.to_string(), point.score)).collect()
    }

    #[test]
    fn what_is_written_between_counting_and_scoring_is_not_seen() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(folder.path(), EngineConfig::default()).unwrap();
        let collection = collection(&engine);
        let query = SparseQuery::new(SparseVector::new(vec![1, 2], vec![1.0, 1.0]).unwrap());
        let even = Filter::from_json(br#"{"field": "even", "eq": true}"#).unwrap();
        for query in [query.clone(), query.with_filter(even)] {
            let before = answer(&collection, &query, || {}).unwrap();
            let id = 10 + before.points.len() as u64 * 2;
            let write = || {
                collection.upsert(vec![point(id, &[1, 2])]).unwrap();
            };
            let during = answer(&collection, &query, write).unwrap();
            assert_eq!(scores(&during), scores(&before));
            let after = answer(&collection, &query, || {}).unwrap();
            assert_eq!(after.points.len(), before.points.len() + 1);
            assert!(collection.delete(&[id.into()]).unwrap().deleted == 1);
        }
    }

    #[test]
    fn a_point_that_goes_or_a_memtable_that_is_flushed_between_makes_it_run_again() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(folder.path(), EngineConfig::default()).unwrap();
        let collection = collection(&engine);
        let query = SparseQuery::new(SparseVector::new(vec![1, 2], vec![1.0, 1.0]).unwrap());
        let gone = answer(&collection, &query, || {
            collection.delete(&[2.into()]).unwrap();
        });
        assert!(gone.is_none());
        let flushed = answer(&collection, &query, || collection.flush().unwrap());
        assert!(flushed.is_none());
        let found = answer(&collection, &query, || {}).unwrap();
        assert_eq!(found.points.len(), 2);
        let dropped = answer(&collection, &query, || {
            collection.add_sparse_field(SparseFieldConfig::new("other")).unwrap();
            collection.drop_field("words").unwrap();
        });
        assert!(dropped.is_none());
    }
}
