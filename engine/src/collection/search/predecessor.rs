//! Points that still have a vector of the encoder before.
//!
//! ```text
//!  query q of the later encoder ──> its code ───────> codes of the former field, crossed ──> candidates
//!                               └─> M q (learned) ──> vectors of the former field ─────────> cos(M q, d')
//!                                                                 i + s cos(M q, d') ──> one list with cos(q, d)
//! ```
//!
//! `i`, `s` and `M` were learned with the later binarizer. The search of the former field is one as any other,
//! with bounds that hold for `cos(M q, d')`; what it finds joins the list of the later field by what that means.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bigrain_binarize::Translation;
use bigrain_types::{PointId, SearchParams, SearchStats, SeqNo};

use super::hit::keep_best;
use super::vector_search::Found;
use super::{Hit, VectorSearch};
use crate::field::Field;
use crate::plan::SearchPlan;
use crate::{Error, ErrorKind, Query, Result};

/// What points of the former field came to.
pub(super) struct Before {
    /// Their similarities are those that the later encoder would have, as far as was learned.
    pub hits: Vec<Hit>,
    /// The last write that is shown.
    pub seq: SeqNo,
    pub plan: Option<SearchPlan>,
}

impl VectorSearch<'_> {
    /// Searches the field that the query's field has followed; no `Before` where there is none, and nothing at all
    /// when it changed meanwhile.
    pub fn before(&self, stats: &mut SearchStats) -> Result<Option<Option<Before>>> {
        // Asked first: most fields follow none, and the fields of the moment cost a lock.
        if self.field.predecessor.is_none() {
            return Ok(Some(None));
        }
        let fields = self.shared.fields();
        let Some(before) = fields.before(&self.field) else { return Ok(Some(None)) };
        let started = Instant::now();
        let (search, translation) = self.of_predecessor(before)?;
        stats.times.prepare += started.elapsed();
        let found = match search.find(stats) {
            // Dropped since it was looked up: then there is nothing in it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        let Some(Found { mut hits, view }) = found else { return Ok(None) };
        for hit in &mut hits {
            hit.similarity = translation.similarity(hit.similarity);
        }
        let plan = self.params.explain().then(|| {
            let mut plan = search.plan(&view);
            let translated = ", vectors of another encoder by a learned translation";
            plan.method.push_str(translated);
            plan
        });
        Ok(Some(Some(Before { hits, seq: view.seq, plan })))
    }

    /// Puts what both fields found into one list, best first. A point that went over meanwhile counts once, as the
    /// later field has it.
    pub fn joined(&self, mut hits: Vec<Hit>, before: Vec<Hit>) -> Vec<Hit> {
        let known: HashSet<PointId> = hits.iter().map(|hit| hit.id.clone()).collect();
        hits.extend(before.into_iter().filter(|hit| !known.contains(&hit.id)));
        keep_best(&mut hits, self.params.limit());
        hits
    }

    /// Returns the same search in the field before, and what its similarities mean.
    fn of_predecessor(&self, before: &Arc<Field>) -> Result<(VectorSearch<'_>, &Translation)> {
        let learned = self.field.config.binarizer.as_ref();
        let code = self.code.of_predecessor(&self.field, before);
        let (Some(translation), Some(code)) = (learned.and_then(|l| l.translation()), code) else {
            let (field, before) = (&self.field.name, &before.name);
            let reason = format!("field {field:?} has not learned to compare with {before:?}");
            return Err(Error::new(ErrorKind::Internal, reason));
        };
        let Some(vector) = translation.translate(&self.vector) else {
            let reason = format!("the query has no direction among vectors of {:?}", before.name);
            return Err(Error::invalid(reason));
        };
        let field = Arc::clone(before);
        let search = VectorSearch { field, vector, code, prepared: Duration::ZERO, ..self.clone() };
        Ok((search, translation))
    }
}

/// Refuses what takes stored vectors of one encoder.
pub(super) fn refuse_during_succession(query: &Query, params: &SearchParams) -> Result<()> {
    let what = match (params.diversity(), &query.adapter) {
        (Some(_), _) => "diverse results take",
        (None, Some(_)) => "an adapter takes",
        (None, None) => return Ok(()),
    };
    let reason = format!("{what} vectors of one encoder: the upgrade to another has not ended");
    Err(Error::new(ErrorKind::FailedPrecondition, reason))
}
