//! Points that still have a vector of the encoder before.
//!
//! ```text
//!  by two vectors   q  by the later encoder ──> the later field ──> cos(q, d) ───┐ deviations of each list (tail.rs)
//!                   q' by the former one ─────> the former field ─> cos(q', d') ─┴──> one list
//!
//!  by one           q ──> its code ───────> codes of the former field, crossed ──> candidates
//!                   └─> M q (learned) ──> vectors of the former field ─────────> cos(M q, d')
//!                                                     i + s cos(M q, d') ──> one list with cos(q, d)
//! ```
//!
//! `i`, `s` and `M` were learned with the later binarizer. Either way the search of the former field is one as any
//! other, with bounds that hold for its own similarities; what it finds joins the list of the later field.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bigrain_binarize::Translation;
use bigrain_types::{PointId, SearchParams, SearchStats};

use super::VectorSearch;
use super::hit::keep_best;
use super::query_versions::QueryVersions;
use super::tail::{DEPTH, Tail};
use super::vector_search::Found;
use crate::field::Field;
use crate::plan::SearchPlan;
use crate::{Error, ErrorKind, Query, Result};

/// What points of the former field came to.
pub(super) struct Before<'a> {
    pub found: Found,
    pub plan: Option<SearchPlan>,
    compared: Compared<'a>,
}

/// How similarities of the former field become those of the later one.
enum Compared<'a> {
    /// By how far they stand out.
    ByTails,
    /// As the later binarizer has learned.
    Learned(&'a Translation),
}

impl VectorSearch<'_> {
    /// Searches the field that the query's field has followed; no `Before` where there is none, and nothing at all
    /// when it changed meanwhile.
    pub fn before(&self, stats: &mut SearchStats) -> Result<Option<Option<Before<'_>>>> {
        // Asked first: most fields follow none, and the fields of the moment cost a lock.
        if self.field.predecessor.is_none() {
            return Ok(Some(None));
        }
        let fields = self.shared.fields();
        let Some(before) = fields.before(&self.field) else { return Ok(Some(None)) };
        let started = Instant::now();
        let (search, compared) = self.of_predecessor(before)?;
        stats.times.prepare += started.elapsed();
        let found = match search.find(stats) {
            // Dropped since it was looked up: then there is nothing in it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        let Some(found) = found else { return Ok(None) };
        let plan = self.params.explain().then(|| {
            let mut plan = search.plan(&found.view);
            plan.method.push_str(match compared {
                Compared::ByTails => ", vectors of another encoder by the query's own of that",
                Compared::Learned(_) => ", vectors of another encoder by a learned translation",
            });
            plan
        });
        Ok(Some(Some(Before { found, plan, compared })))
    }

    /// Puts what both fields found into one list, best first. A point that went over meanwhile counts once, as the
    /// later field has it.
    pub fn join(&self, found: &mut Found, before: Before<'_>) {
        let mut others = before.found.hits;
        match before.compared {
            Compared::Learned(translation) => {
                others.iter_mut().for_each(|hit| {
                    hit.similarity = translation.similarity(hit.similarity);
                });
            }
            Compared::ByTails => {
                let later = Tail::fit(&found.hits, found.view.rows());
                let former = Tail::fit(&others, before.found.view.rows());
                // Of a field with a handful of rows nothing can be said but what its similarities are.
                if let (Some(later), Some(former)) = (later, former) {
                    others.iter_mut().for_each(|hit| {
                        hit.similarity = later.as_far_out(&former, hit.similarity);
                    });
                }
            }
        }
        let known: HashSet<PointId> = found.hits.iter().map(|hit| hit.id.clone()).collect();
        others.retain(|hit| !known.contains(&hit.id));
        found.hits.append(&mut others);
        keep_best(&mut found.hits, self.params.limit());
    }

    /// Returns the same search in the field before, and what its similarities mean.
    fn of_predecessor(&self, before: &Arc<Field>) -> Result<(VectorSearch<'_>, Compared<'_>)> {
        let (vector, code, compared) = match &self.query.former {
            Some(vector) => {
                let mut vector = vector.clone();
                before.normalize(&mut vector);
                let code = QueryVersions::new(before, &vector)?;
                (vector, code, Compared::ByTails)
            }
            None => self.translated(before)?,
        };
        let field = Arc::clone(before);
        let search = VectorSearch { field, vector, code, prepared: Duration::ZERO, ..self.clone() };
        Ok((search, compared))
    }

    /// Returns the query among vectors of the field before, by what was learned.
    fn translated(&self, before: &Field) -> Result<(Vec<f32>, QueryVersions, Compared<'_>)> {
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
        Ok((vector, code, Compared::Learned(translation)))
    }
}

/// Checks a query for a field whose points have vectors of two encoders; returns how both are searched.
pub(super) fn during_succession(
    query: &Query,
    params: SearchParams,
    field: &Field,
    before: &Field,
) -> Result<SearchParams> {
    let refuse = |reason: String| Err(Error::new(ErrorKind::FailedPrecondition, reason));
    let what = match (params.diversity(), &query.adapter) {
        (Some(_), _) => Some("diverse results take"),
        (None, Some(_)) => Some("an adapter takes"),
        (None, None) => None,
    };
    if let Some(what) = what {
        return refuse(format!(
            "{what} vectors of one encoder: the upgrade to another has not ended"
        ));
    }
    match &query.former {
        Some(vector) => {
            before.check_query(vector, None)?;
            Ok(params.with_limit(params.limit().max(DEPTH))?)
        }
        None if field.former.is_some() => Ok(params),
        None => refuse(format!(
            "points still have vectors of the encoder before, in field {:?}: a query needs its vector by that encoder \
             too (former_vector), until the upgrade has ended",
            before.name
        )),
    }
}
