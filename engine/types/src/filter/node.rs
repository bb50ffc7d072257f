//! The tree of a filter.

use super::{Condition, FieldTest, FilterError};

/// The longest filter, in bytes of JSON.
pub const MAX_FILTER_BYTES: usize = 4 << 20;
/// How deep filters may lie in each other, the outermost included.
pub const MAX_FILTER_DEPTH: usize = 16;
/// The most conditions of one filter, those of inner ones included.
pub const MAX_FILTER_CONDITIONS: usize = 1024;
/// The most values and ids that a filter compares with, in all its lists together.
pub const MAX_FILTER_VALUES: usize = 65_536;

/// Which points a search may return: see [the module](crate::filter).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// All of these hold.
    pub must: Vec<Condition>,
    /// At least one of these holds, if there are any.
    pub should: Vec<Condition>,
    /// None of these holds.
    pub must_not: Vec<Condition>,
    /// Enough of these hold.
    pub min_should: Option<MinShould>,
}

/// Some conditions, and how many of them must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct MinShould {
    /// The conditions.
    pub conditions: Vec<Condition>,
    /// How many of them must hold: 0 asks for nothing, more than there are for the impossible.
    pub count: usize,
}

impl Filter {
    /// Returns the filter that holds for every point.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition that must hold.
    #[must_use]
    pub fn must(mut self, condition: Condition) -> Self {
        self.must.push(condition);
        self
    }

    /// Adds a condition of which at least one must hold.
    #[must_use]
    pub fn should(mut self, condition: Condition) -> Self {
        self.should.push(condition);
        self
    }

    /// Adds a condition that must not hold.
    #[must_use]
    pub fn must_not(mut self, condition: Condition) -> Self {
        self.must_not.push(condition);
        self
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { must, should, must_not, min_should } = self;
        must.is_empty() && should.is_empty() && must_not.is_empty() && min_should.is_none()
    }

    /// Checks the limits of depth and size and that ranges have ends, which what is read from JSON has passed already.
    ///
    /// # Errors
    ///
    /// [`FilterError`] past a limit.
    pub fn validate(&self) -> Result<(), FilterError> {
        let mut size = Size::default();
        size.add(self, 1)?;
        let limits = [
            ("conditions", size.conditions, MAX_FILTER_CONDITIONS),
            ("values", size.values, MAX_FILTER_VALUES),
        ];
        for (what, actual, limit) in limits {
            if actual > limit {
                return Err(FilterError::new(format!("{actual} {what}, the limit is {limit}")));
            }
        }
        Ok(())
    }

    /// Returns all conditions of this node, whatever is asked of them.
    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let enough = self.min_should.iter().flat_map(|enough| &enough.conditions);
        self.must.iter().chain(&self.should).chain(&self.must_not).chain(enough)
    }
}

#[derive(Default)]
struct Size {
    conditions: usize,
    values: usize,
}

impl Size {
    fn add(&mut self, filter: &Filter, depth: usize) -> Result<(), FilterError> {
        if depth > MAX_FILTER_DEPTH {
            return Err(FilterError::new(format!(
                "nested deeper than the limit of {MAX_FILTER_DEPTH}"
            )));
        }
        for condition in filter.conditions() {
            self.conditions += 1;
            match condition {
                Condition::Field {
                    test: FieldTest::In(values) | FieldTest::NotIn(values), ..
                } => {
                    self.values += values.len();
                }
                Condition::Field { test: FieldTest::GeoPolygon(region), .. } => {
                    self.values += region.corners();
                }
                Condition::Field { path, test } if test.is_endless() => {
                    return Err(FilterError::new(format!("the range of {path} has no end")));
                }
                Condition::Field { .. } => {}
                Condition::Ids(ids) => self.values += ids.len(),
                Condition::Nested { filter, .. } | Condition::Filter(filter) => {
                    self.add(filter, depth + 1)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_named() {
        let deep = |depth: usize| {
            (1..depth).fold(Filter::new(), |inner, _| {
                Filter::new().must(Condition::Filter(Box::new(inner)))
            })
        };
        deep(MAX_FILTER_DEPTH).validate().unwrap();
        let error = deep(MAX_FILTER_DEPTH + 1).validate().unwrap_err();
        assert_eq!(error.to_string(), "filter: nested deeper than the limit of 16");
        let ids = (0..=MAX_FILTER_VALUES as u64).map(Into::into).collect();
        let error = Filter::new().must(Condition::Ids(ids)).validate().unwrap_err();
        assert_eq!(error.to_string(), "filter: 65537 values, the limit is 65536");
        let wide = (0..=MAX_FILTER_CONDITIONS)
            .fold(Filter::new(), |filter, _| filter.should(Condition::Ids(Default::default())));
        assert!(wide.validate().unwrap_err().to_string().contains("conditions"));
    }
}
