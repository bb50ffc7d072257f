//! The rows of a filter.

use bigrain_types::Filter;
use bigrain_types::filter::{Condition, FieldTest};
use roaring::RoaringBitmap;

use super::Selection;
use super::bounds::Bounds;
use super::field::Field;
use super::postings::Terms;
use crate::LexicalError;
use crate::terms::{ID_PREFIX, PathKey, term};

/// Paths that lead to nested objects, at most: each level of nesting doubles them. Beyond, payloads
/// decide.
const MAX_ROOTS: usize = 16;

/// Where the paths of conditions begin.
struct Roots {
    paths: Vec<PathKey>,
    /// Whether a row stands for several objects there.
    nested: bool,
}

impl Terms<'_> {
    /// Returns the rows that match a filter, and those that terms cannot decide.
    pub fn select(&self, filter: &Filter) -> Result<Selection, LexicalError> {
        let roots = Roots { paths: vec![PathKey::default()], nested: false };
        let all = self.all();
        let Bounds { lower, upper } = self.of_filter(filter, &roots, &all)?;
        Ok(Selection { undecided: upper - &lower, matching: lower })
    }

    fn of_filter(
        &self,
        filter: &Filter,
        roots: &Roots,
        all: &RoaringBitmap,
    ) -> Result<Bounds, LexicalError> {
        let mut bounds = Bounds::exact(all.clone());
        for condition in &filter.must {
            bounds.intersect(&self.of_condition(condition, roots, all)?);
        }
        for condition in &filter.must_not {
            bounds.intersect(&self.of_condition(condition, roots, all)?.not(all));
        }
        if !filter.should.is_empty() {
            let mut any = Bounds::exact(RoaringBitmap::new());
            for condition in &filter.should {
                any.unite(&self.of_condition(condition, roots, all)?);
            }
            bounds.intersect(&any);
        }
        if let Some(enough) = &filter.min_should {
            let conditions = enough.conditions.iter();
            let of: Result<Vec<Bounds>, _> =
                conditions.map(|condition| self.of_condition(condition, roots, all)).collect();
            bounds.intersect(&Bounds::at_least(enough.count, &of?, all));
        }
        Ok(bounds)
    }

    fn of_condition(
        &self,
        condition: &Condition,
        roots: &Roots,
        all: &RoaringBitmap,
    ) -> Result<Bounds, LexicalError> {
        match condition {
            Condition::Field { path, test } => {
                // Counts are of the whole row, whichever object they come from.
                if roots.nested && matches!(test, FieldTest::Count(_)) {
                    return Ok(Bounds::within(all.clone()));
                }
                let mut bounds = Bounds::exact(RoaringBitmap::new());
                for root in &roots.paths {
                    bounds.unite(&self.of_field(&Field::new(root, path.steps()), test)?);
                }
                Ok(if roots.nested { Bounds::within(bounds.upper) } else { bounds })
            }
            Condition::Nested { path, filter } => {
                let fields = roots.paths.iter().map(|root| Field::new(root, path.steps()));
                let paths: Vec<PathKey> = fields.flat_map(|field| field.values().clone()).collect();
                let reached = self.of_any_path(&paths)?;
                if paths.len() > MAX_ROOTS {
                    return Ok(Bounds::within(reached));
                }
                let inner = self.of_filter(filter, &Roots { paths, nested: true }, all)?;
                Ok(Bounds::within(inner.upper & reached))
            }
            Condition::Ids(ids) => {
                let terms = ids.iter().map(|id| term(&[ID_PREFIX], &id.to_key()));
                Ok(Bounds::exact(self.any_of(terms)?))
            }
            Condition::Filter(filter) => self.of_filter(filter, roots, all),
            _ => Ok(Bounds::within(all.clone())),
        }
    }
}
