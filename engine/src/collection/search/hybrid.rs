//! Searching in several ways at once.
//!
//! Every part takes a view of its own. A result counts if it was last written before the first view
//! and still exists after the last: then it was the same in all of them. If one of the results was not,
//! everything is searched again.

use bigrain_types::{MAX_LIMIT, Metric, Payload, SearchParams, SearchStats, SeqNo};

use super::{MultiVectorSearch, SparseVectorSearch, TextSearch, VectorSearch, refuse_diversity};
use crate::collection::Collection;
use crate::collection::handle::Shared;
use crate::hybrid_query::{HybridPart, Weighing};
use crate::plan::SearchPlan;
use crate::{Error, HybridQuery, RankedList, Result, SearchOutput, fuse};

/// Results of each part for each one that is wanted.
const DEPTH_FACTOR: usize = 10;

/// Results of each part at least.
const MIN_DEPTH: usize = 100;

impl Collection {
    /// Returns the points that are best in several searches together, best first, those of equal scores
    /// by their ids. Scores are those of the fusion. The parameters count for every part; their limit and
    /// score threshold for what comes of them. A part of weight 0 is not searched.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for no parts, a weight or fusion out of range, or a depth below the limit;
    /// `FailedPrecondition` for a fitted query where nothing was fitted for its fields; and as
    /// [`search`](Self::search), [`search_sparse`](Self::search_sparse) and
    /// [`search_text`](Self::search_text).
    pub fn search_hybrid(
        &self,
        query: &HybridQuery,
        params: &SearchParams,
    ) -> Result<SearchOutput> {
        let shared = &*self.0;
        shared.run("search", || {
            let search = HybridSearch::prepare(shared, query, params)?;
            shared.retried(|| search.run())
        })
    }
}

/// Several searches, prepared, and how they are fused.
pub(super) struct HybridSearch<'a> {
    shared: &'a Shared,
    params: &'a SearchParams,
    weighing: Weighing,
    parts: Vec<Part<'a>>,
}

impl<'a> HybridSearch<'a> {
    pub fn prepare(
        shared: &'a Shared,
        query: &'a HybridQuery,
        params: &'a SearchParams,
    ) -> Result<Self> {
        refuse_diversity(params)?;
        let weighing = shared.weighing(query)?;
        let depth = depth(query, &weighing, params.limit())?;
        let of_part = params.with_limit(depth)?.with_payload(false).without_score_threshold();
        let parts = query.parts().map(|part| Part::prepare(shared, part, of_part));
        let parts = parts.collect::<Result<_>>()?;
        Ok(Self { shared, params, weighing, parts })
    }

    /// Returns the results, or nothing when one was written or deleted meanwhile.
    pub fn run(&self) -> Result<Option<SearchOutput>> {
        self.shared.run_parts(&self.weighing, &self.parts, self.params)
    }
}

/// One prepared search.
enum Part<'a> {
    Vector(Box<VectorSearch<'a>>),
    Sparse(Box<SparseVectorSearch<'a>>),
    Multi(Box<MultiVectorSearch<'a>>),
    Text(Box<TextSearch<'a>>),
}

impl<'a> Part<'a> {
    fn prepare(shared: &'a Shared, part: &'a HybridPart, params: SearchParams) -> Result<Self> {
        Ok(match part {
            HybridPart::Vector(query) => {
                Self::Vector(Box::new(VectorSearch::prepare(shared, query, &params)?))
            }
            HybridPart::Sparse(query) => {
                Self::Sparse(Box::new(SparseVectorSearch::prepare(shared, query, params)?))
            }
            HybridPart::Multi(query) => {
                Self::Multi(Box::new(MultiVectorSearch::prepare(shared, query, params)?))
            }
            HybridPart::Text(query) => {
                Self::Text(Box::new(TextSearch::prepare(shared, query, params)?))
            }
        })
    }

    /// Returns the results with scores of which larger ones are better.
    fn run(&self) -> Result<Option<SearchOutput>> {
        let (search, metric) = match self {
            Self::Sparse(search) => return search.run(),
            Self::Multi(search) => return search.run(),
            Self::Text(search) => return search.run(),
            Self::Vector(search) => (search, search.field.config.metric),
        };
        let mut output = search.run()?;
        if metric == Metric::L2 {
            let points = output.iter_mut().flat_map(|output| &mut output.points);
            points.for_each(|point| point.score = -point.score);
        }
        Ok(output)
    }
}

impl Shared {
    /// Returns how a query's parts are fused.
    fn weighing(&self, query: &HybridQuery) -> Result<Weighing> {
        let fields = self.fields();
        let (mut vector, mut text) = (String::new(), String::new());
        for part in query.parts().filter(|_| query.is_fitted()) {
            match part {
                HybridPart::Vector(query) => {
                    vector = fields.named(query.field.as_deref())?.name.to_string();
                }
                HybridPart::Sparse(query) => {
                    vector = fields.named_sparse(query.field.as_deref())?.name.to_string();
                }
                HybridPart::Multi(query) => {
                    vector = fields.named_multi(query.field.as_deref())?.name.to_string();
                }
                HybridPart::Text(query) => {
                    text = fields.text(query.field.as_deref())?.config.name();
                }
            }
        }
        query.weighing(fields.hybrid(query.fit()), [&vector, &text])
    }

    /// Runs all parts and fuses their results; nothing when a result was written or deleted meanwhile.
    fn run_parts(
        &self,
        weighing: &Weighing,
        parts: &[Part<'_>],
        params: &SearchParams,
    ) -> Result<Option<SearchOutput>> {
        let seq: SeqNo = self.state.read().seq;
        let (mut lists, mut plans) = (Vec::with_capacity(parts.len()), Vec::new());
        let mut stats = SearchStats::default();
        for (part, &weight) in parts.iter().zip(&weighing.weights) {
            if weight == 0.0 {
                lists.push(RankedList { points: Vec::new(), weight });
                continue;
            }
            let Some(output) = part.run()? else { return Ok(None) };
            stats += output.stats;
            plans.extend(output.plan.map(|plan| SearchPlan {
                method: format!("weight {weight}, {} found: {}", output.points.len(), plan.method),
                ..plan
            }));
            let points = output.points.into_iter().map(|point| (point.id, point.score));
            lists.push(RankedList { points: points.collect(), weight });
        }
        let mut fused = fuse(weighing.fusion, &lists, params.limit())?;
        fused.retain(|(_, score)| params.is_good_enough(*score, true));
        let Some(mut points) = self.with_payloads(fused, seq)? else { return Ok(None) };
        if !params.payload() {
            points.iter_mut().for_each(|point| point.payload = Payload::default());
        }
        let plan = params.explain().then(|| SearchPlan::fused(weighing.fusion, plans));
        Ok(Some(SearchOutput { points, stats, plan }))
    }
}

/// Returns how many results of each part are fused.
fn depth(query: &HybridQuery, weighing: &Weighing, limit: usize) -> Result<usize> {
    if weighing.weights.is_empty() {
        return Err(Error::invalid("nothing to fuse: expected at least one part"));
    }
    match weighing.depth {
        Some(depth) if depth < limit && query.is_fitted() => Ok(limit),
        Some(depth) if depth < limit => {
            Err(Error::invalid(format!("depth {depth} is below the limit of {limit} results")))
        }
        Some(depth) => Ok(depth),
        None => Ok((limit * DEPTH_FACTOR).clamp(MIN_DEPTH, MAX_LIMIT)),
    }
}
