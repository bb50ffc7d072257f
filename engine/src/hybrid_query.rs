//! What to search for in several ways at once.

use bigrain_types::Filter;

use crate::{
    Error, ErrorKind, Fusion, HybridFit, MultiQuery, Query, Result, SparseQuery, TextQuery,
};

/// Several searches of one collection, and how their results become one list.
///
/// Weights and fusion have no default, because none is right: fusing with a much weaker list makes a
/// strong one worse. They are stated,
///
/// ```
/// use bigrain_engine::{Fusion, HybridQuery, Query, TextQuery};
///
/// let query = HybridQuery::new(Fusion::default())
///     .with_vector(Query::new(vec![0.6, 0.8]), 0.7)
///     .with_text(TextQuery::new("sparse retrieval"), 0.3);
/// # let _ = query;
/// ```
///
/// or were fitted on the collection with judged queries, and kept there:
///
/// ```
/// use bigrain_engine::{HybridQuery, Query, TextQuery};
///
/// let query = HybridQuery::fitted(Query::new(vec![0.6, 0.8]), TextQuery::new("sparse retrieval"));
/// # let _ = query;
/// ```
#[derive(Clone, Debug)]
pub struct HybridQuery {
    /// None for one that was fitted.
    fusion: Option<Fusion>,
    /// The name of the one that was fitted, if it has one.
    fit: Option<String>,
    parts: Vec<(HybridPart, f32)>,
    depth: Option<usize>,
}

/// One search of several.
#[derive(Clone, Debug)]
pub(crate) enum HybridPart {
    Vector(Query),
    Sparse(SparseQuery),
    Multi(MultiQuery),
    Text(TextQuery),
}

/// How the parts of a query are fused, once it is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weighing {
    pub fusion: Fusion,
    /// One for each part.
    pub weights: Vec<f32>,
    /// Results of each part, if that is decided.
    pub depth: Option<usize>,
}

impl HybridPart {
    fn filter_mut(&mut self) -> &mut Option<Filter> {
        match self {
            Self::Vector(query) => &mut query.filter,
            Self::Sparse(query) => &mut query.filter,
            Self::Multi(query) => &mut query.filter,
            Self::Text(query) => &mut query.filter,
        }
    }
}

impl HybridQuery {
    /// Fuses as said; parts are added one by one.
    #[must_use]
    pub fn new(fusion: Fusion) -> Self {
        Self { fusion: Some(fusion), fit: None, parts: Vec::new(), depth: None }
    }

    /// Fuses with what was fitted on the collection for these two fields. Refused where nothing was.
    #[must_use]
    pub fn fitted(vector: Query, text: TextQuery) -> Self {
        let parts = vec![(HybridPart::Vector(vector), 1.0), (HybridPart::Text(text), 1.0)];
        Self { fusion: None, fit: None, parts, depth: None }
    }

    /// As [`fitted`](Self::fitted), for a sparse vector field.
    #[must_use]
    pub fn fitted_sparse(vector: SparseQuery, text: TextQuery) -> Self {
        let parts = vec![(HybridPart::Sparse(vector), 1.0), (HybridPart::Text(text), 1.0)];
        Self { fusion: None, fit: None, parts, depth: None }
    }

    /// Fuses a [fitted](Self::fitted) query with what was fitted under a name.
    #[must_use]
    pub fn with_fit(mut self, name: impl Into<String>) -> Self {
        self.fit = Some(name.into());
        self
    }

    /// Adds a search by vector, and how much it counts.
    #[must_use]
    pub fn with_vector(mut self, query: Query, weight: f32) -> Self {
        self.parts.push((HybridPart::Vector(query), weight));
        self
    }

    /// Adds a search by a sparse vector, and how much it counts.
    #[must_use]
    pub fn with_sparse(mut self, query: SparseQuery, weight: f32) -> Self {
        self.parts.push((HybridPart::Sparse(query), weight));
        self
    }

    /// Adds a search by a multi-vector, and how much it counts.
    #[must_use]
    pub fn with_multi(mut self, query: MultiQuery, weight: f32) -> Self {
        self.parts.push((HybridPart::Multi(query), weight));
        self
    }

    /// Adds a search by words, and how much it counts.
    #[must_use]
    pub fn with_text(mut self, query: TextQuery, weight: f32) -> Self {
        self.parts.push((HybridPart::Text(query), weight));
        self
    }

    /// Fuses the first `depth` results of each part, at least as many as results are wanted; ten times
    /// as many, and 100 at least, unless stated or fitted.
    #[must_use]
    pub fn with_depth(mut self, depth: usize) -> Self {
        self.depth = Some(depth);
        self
    }

    /// Searches among the points that match a filter, in every part so far, whatever filter it had.
    #[must_use]
    pub fn with_filter(mut self, filter: &Filter) -> Self {
        self.filters_mut().for_each(|of_part| *of_part = Some(filter.clone()));
        self
    }

    /// Returns the filter of every part.
    pub(crate) fn filters_mut(&mut self) -> impl Iterator<Item = &mut Option<Filter>> {
        self.parts.iter_mut().map(|(part, _)| part.filter_mut())
    }

    /// Returns how many results of each part are fused, where that is stated.
    pub(crate) fn depth(&self) -> Option<usize> {
        self.depth
    }

    /// Returns the parts.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &HybridPart> {
        self.parts.iter().map(|(part, _)| part)
    }

    /// Returns how the parts are fused: as stated, or as `fit` says, which is of the fields that are
    /// called `vector` and `text`.
    pub(crate) fn weighing(
        &self,
        fit: Option<&HybridFit>,
        [vector, text]: [&str; 2],
    ) -> Result<Weighing> {
        if let Some(fusion) = self.fusion {
            fusion.check()?;
            let weights = self.parts.iter().map(|&(_, weight)| weight).collect();
            return Ok(Weighing { fusion, weights, depth: self.depth });
        }
        if self.parts.len() != 2 {
            let got = self.parts.len();
            let reason =
                format!("a fitted fusion is of one vector and one text, the query has {got} parts");
            return Err(Error::invalid(reason));
        }
        let fit = fit.filter(|fit| fit.vector.field == vector && fit.text.field == text);
        let fit = fit.ok_or_else(|| {
            let name = self.fit.as_ref().map_or_else(String::new, |name| format!(" as {name:?}"));
            let reason = format!(
                "no fusion was fitted{name} for vector field {vector:?} and text field {text:?}: \
                 state weights, or fit them with judged queries"
            );
            Error::new(ErrorKind::FailedPrecondition, reason)
        })?;
        Ok(Weighing {
            fusion: fit.fusion,
            weights: vec![fit.vector.weight, fit.text.weight],
            depth: self.depth.or(Some(fit.depth)),
        })
    }

    /// Returns the name of the fit, if it has one.
    pub(crate) fn fit(&self) -> Option<&str> {
        self.fit.as_deref()
    }

    /// Whether fusion and weights are those that were fitted.
    pub(crate) fn is_fitted(&self) -> bool {
        self.fusion.is_none()
    }
}
