//! Searching by words.
//!
//! BM25 needs statistics of all points before it can score one. So a search takes its view first, in
//! one step under the state lock: the segments with their deleted rows, and of the memtables, which
//! may grow or go as soon as the lock is released, the rows that have a word of the query, and the
//! statistics of all. Then it counts in the segments, and then it scores.

use std::sync::Arc;
use std::time::Instant;

use bigrain_lexical::text::{
    Analyzer, Bm25, QueryWords, RowWords, TextIndex, TextSource, TextStatistics,
};
use bigrain_types::{Offset, PointId, SearchParams, SearchStats, SeqNo, TextField};
use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::refuse_diversity;
use crate::collection::Collection;
use crate::collection::handle::Shared;
use crate::collection::matching::live_slots;
use crate::collection::state::{SegmentView, State};
use crate::filtering::PreparedFilter;
use crate::memtable::Memtable;
use crate::plan::{SearchPlan, SourcePlan};
use crate::text_query::MAX_QUERY_WORDS;
use crate::word_cache::{SegmentWords, TextKey};
use crate::{Error, ErrorKind, Result, SearchOutput, TextQuery};

impl Collection {
    /// Returns the points whose text has a word of the query, best first, those of equal scores by
    /// their ids: `limit` of them, or all that match the query's filter too. Of the parameters, limit,
    /// score threshold, payload and explain count here.
    ///
    /// Scores depend on the points that there are and on nothing else: not on how they lie in segments
    /// and memory, and not on deleted ones.
    ///
    /// # Errors
    ///
    /// `NotFound` for a text field that was not declared, `FailedPrecondition` where there is none or
    /// some segment is not rewritten yet since it was declared;
    /// `InvalidArgument` for more than 1024 words; `Cancelled`; `Corruption` when a stored block fails
    /// its check, which names the file.
    pub fn search_text(&self, query: &TextQuery, params: &SearchParams) -> Result<SearchOutput> {
        let shared = &*self.0;
        shared.run("search", || {
            let search = TextSearch::prepare(shared, query, *params)?;
            shared.retried(|| search.run())
        })
    }
}

/// One search by words, its query checked and cut into words.
pub(super) struct TextSearch<'a> {
    shared: &'a Shared,
    params: SearchParams,
    query: &'a TextQuery,
    field: TextField,
    words: QueryWords,
    filter: Option<PreparedFilter>,
}

/// What a search looks at, taken in one step.
struct View {
    segments: Vec<SegmentView>,
    /// Of the memtables, what has a word of the query and matches the filter.
    in_memory: Vec<(PointId, RowWords)>,
    /// Of the memtables; segments are added.
    statistics: TextStatistics,
    memtables: Vec<SourcePlan>,
    seq: SeqNo,
}

/// A segment and its words.
struct Indexed {
    view: SegmentView,
    index: Arc<TextIndex>,
    /// What matches the filter, if there is one.
    matching: Option<RoaringBitmap>,
}

/// A row with its score.
#[derive(Clone, Copy)]
struct Row {
    score: f32,
    source: usize,
    offset: u32,
}

impl<'a> TextSearch<'a> {
    pub fn prepare(shared: &'a Shared, query: &'a TextQuery, params: SearchParams) -> Result<Self> {
        refuse_diversity(&params)?;
        let field = shared.fields().text(query.field.as_deref())?.config.clone();
        let words = Analyzer::new(&field).query(&query.text);
        if words.len() > MAX_QUERY_WORDS {
            let reason = format!("{} words exceed the limit of {MAX_QUERY_WORDS}", words.len());
            return Err(Error::invalid(reason));
        }
        let filter = query.filter.as_ref().map(PreparedFilter::new).transpose()?;
        Ok(Self { shared, params, query, field, words, filter })
    }

    /// Returns the results, or nothing when a result was deleted while it was being fetched.
    pub fn run(&self) -> Result<Option<SearchOutput>> {
        let mut stats = SearchStats::default();
        let started = Instant::now();
        let View { segments, in_memory, mut statistics, memtables, seq } = self.view()?;
        self.shared.note_remembered();
        stats.segments = segments.len() as u64;
        let Some(sources) = self.open(segments, seq)? else { return Ok(None) };
        stats.times.filter = started.elapsed();

        let started = Instant::now();
        for Indexed { view, index, .. } in &sources {
            self.query.cancel.check()?;
            statistics.add(&**index, &self.words, &view.deleted)?;
        }
        let bm25 = Bm25::new(&self.words, &statistics);
        let rows = self.best_of(&sources, &bm25)?;
        let mut hits: Vec<(PointId, f32)> = in_memory
            .into_iter()
            .map(|(id, RowWords { length, counts, .. })| (id, bm25.score(length, &counts)))
            .collect();
        stats.candidates = (hits.len() + rows.len()) as u64;
        for Row { score, source, offset } in rows {
            hits.push((sources[source].view.segment.ids.get(Offset(offset))?, score));
        }
        hits.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
        hits.truncate(self.params.limit());
        hits.retain(|(_, score)| self.params.is_good_enough(*score, true));
        stats.times.candidates = started.elapsed();

        let started = Instant::now();
        let points = self.shared.results(hits, &self.params, seq)?;
        stats.times.payload = started.elapsed();
        let plan = self.params.explain().then(|| self.plan(&sources, memtables, &statistics));
        Ok(points.map(|points| SearchOutput { points, stats, plan }))
    }

    fn view(&self) -> Result<View> {
        let state: &State = &self.shared.state.read();
        self.check_indexed(state)?;
        let mut view = View {
            segments: state.segments.clone(),
            in_memory: Vec::new(),
            statistics: TextStatistics::default(),
            memtables: Vec::new(),
            seq: state.seq,
        };
        if let Some(frozen) = &state.frozen {
            self.take(&frozen.table, &frozen.dead, &mut view)?;
        }
        self.take(&state.active, state.active.dead(), &mut view)?;
        self.query.cancel.check()?;
        Ok(view)
    }

    /// Refuses to search some of the points: segments that were written before the field was declared
    /// lack its words until they are rewritten.
    fn check_indexed(&self, state: &State) -> Result<()> {
        let name = self.field.name();
        let text = state.fields.text(Some(&name))?;
        if text.config != self.field {
            let reason = format!("text field {name} was declared anew during the search");
            return Err(Error::new(ErrorKind::FailedPrecondition, reason));
        }
        let lacks = |view: &&SegmentView| view.segment.id < text.since && view.segment.rows() > 0;
        let (lacking, all) = (state.segments.iter().filter(lacks).count(), state.segments.len());
        if lacking == 0 {
            return Ok(());
        }
        let reason = format!(
            "text field {name} is not indexed yet in {lacking} of {all} segments: they are rewritten \
             in the background, or by settling the collection"
        );
        Err(Error::new(ErrorKind::FailedPrecondition, reason))
    }

    /// Takes what counts from a memtable.
    fn take(&self, table: &Memtable, dead: &RoaringBitmap, view: &mut View) -> Result<()> {
        let matching = self.filter.as_ref().map(|filter| live_slots(table, dead, filter));
        let is_in = |slot: u32| match &matching {
            Some(matching) => matching.contains(slot),
            None => !dead.contains(slot),
        };
        let rows = table.with_text(&self.field, |text| {
            view.statistics.add(text, &self.words, dead)?;
            Ok::<_, Error>(text.rows_of(&self.words, is_in))
        })?;
        view.memtables.push(SourcePlan {
            source: "memtable".into(),
            index: format!("{} rows with a word", rows.len()),
            reads: None,
            filter: matching.map(|matching| format!("{} match, by their payloads", matching.len())),
            version: None,
            scanned_by: None,
            rows: table.len() as u64,
            deleted: dead.len(),
        });
        let with_id = |row: RowWords| (table.id(row.row).clone(), row);
        view.in_memory.extend(rows.into_iter().map(with_id));
        Ok(())
    }

    /// Opens the words of the segments and finds what matches the filter; nothing when a point was
    /// replaced while its payload was read.
    fn open(&self, segments: Vec<SegmentView>, seq: SeqNo) -> Result<Option<Vec<Indexed>>> {
        let mut sources = Vec::with_capacity(segments.len());
        for view in segments {
            self.query.cancel.check()?;
            let matching = self.shared.matching_if(&view, self.filter.as_ref(), seq)?;
            let Some(matching) = matching else { return Ok(None) };
            let index = view.segment.lexical.text(&self.field)?.ok_or_else(|| {
                let (segment, name) = (view.segment.id, self.field.name());
                let reason = format!("segment {segment} lacks the words of text field {name}");
                Error::new(ErrorKind::Corruption, reason)
            })?;
            sources.push(Indexed { view, index, matching });
        }
        Ok(Some(sources))
    }

    /// Returns the best rows of all segments, in no order: `limit`, and all that score as much as the
    /// last of these.
    fn best_of(&self, sources: &[Indexed], bm25: &Bm25) -> Result<Vec<Row>> {
        let (cache, collection) = (&self.shared.resources.words, self.shared.key);
        let field = TextKey::new(&self.field)?;
        let best = |(source, indexed): (usize, &Indexed)| {
            self.query.cancel.check()?;
            let segment = indexed.view.segment.id;
            let kept = SegmentWords { cache, collection, segment, field };
            indexed.best(source, bm25, self.params.limit(), &kept)
        };
        let all = || sources.par_iter().enumerate().map(best).collect::<Result<Vec<Vec<Row>>>>();
        let mut rows = self.shared.resources.threads.run(all)?.concat();
        keep_best(&mut rows, self.params.limit());
        Ok(rows)
    }

    fn plan(
        &self,
        sources: &[Indexed],
        memtables: Vec<SourcePlan>,
        statistics: &TextStatistics,
    ) -> SearchPlan {
        let rows_with = self.words.iter().zip(&statistics.with_word);
        let rows_with: Vec<String> =
            rows_with.map(|((word, _), rows)| format!("{word} in {rows}")).collect();
        let segment = |indexed: &Indexed| SourcePlan {
            source: format!("segment {}", indexed.view.segment.id),
            index: format!("posting lists of {} rows with text", indexed.index.documents()),
            reads: None,
            filter: indexed.matching.as_ref().map(|rows| format!("{} match", rows.len())),
            version: None,
            scanned_by: None,
            rows: indexed.view.segment.rows(),
            deleted: indexed.view.deleted.len(),
        };
        SearchPlan {
            method: format!("bm25 of {} rows ({})", statistics.documents, rows_with.join(", ")),
            field: self.field.name(),
            levels: 0,
            query_bits: 0,
            max_candidates: 0,
            sources: sources.iter().map(segment).chain(memtables).collect(),
            parts: Vec::new(),
        }
    }
}

impl Indexed {
    /// Returns the best live rows that match and have a word of the query, in no order: `limit`, and
    /// all that score as much as the last of these.
    fn best(
        &self,
        source: usize,
        bm25: &Bm25,
        limit: usize,
        kept: &SegmentWords<'_>,
    ) -> Result<Vec<Row>> {
        let is_in = |offset: u32| match &self.matching {
            Some(matching) => matching.contains(offset),
            None => !self.view.deleted.contains(offset),
        };
        let rows = self.index.best(bm25, limit, is_in, kept)?.into_iter();
        Ok(rows.map(|(offset, score)| Row { score, source, offset }).collect())
    }
}

/// Keeps the `limit` best rows and all that score as much as the last of them.
fn keep_best(rows: &mut Vec<Row>, limit: usize) {
    if rows.len() <= limit {
        return;
    }
    let last = rows.select_nth_unstable_by(limit - 1, |a, b| b.score.total_cmp(&a.score)).1.score;
    rows.retain(|row| row.score >= last);
}
