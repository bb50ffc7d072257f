//! A filter, checked, with the name that caches know it by.

use bigrain_types::Filter;

use crate::Result;

/// A filter, checked, with the name that caches know it by.
#[derive(Clone, Debug)]
pub(crate) struct PreparedFilter {
    filter: Filter,
    key: FilterKey,
}

/// Equal for filters that differ only in the order of their conditions and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FilterKey([u8; 32]);

impl PreparedFilter {
    /// Checks a filter's limits.
    pub fn new(filter: &Filter) -> Result<Self> {
        filter.validate()?;
        let key = FilterKey(*blake3::hash(filter.to_key().as_bytes()).as_bytes());
        Ok(Self { filter: filter.clone(), key })
    }

    /// Returns the filter.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Returns its name.
    pub fn key(&self) -> FilterKey {
        self.key
    }
}
