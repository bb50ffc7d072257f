//! What every query says in the same way: which field, among which points, and until when.

/// Adds the setters that queries share to a query with the members `field`, `filter` and `cancel`.
macro_rules! query_builders {
    ($query:ty, field: $field:literal, filter: $filter:literal) => {
        impl $query {
            #[doc = $field]
            #[must_use]
            pub fn in_field(mut self, field: impl Into<String>) -> Self {
                self.field = Some(field.into());
                self
            }

            #[doc = $filter]
            #[must_use]
            pub fn with_filter(mut self, filter: bigrain_types::Filter) -> Self {
                self.filter = Some(filter);
                self
            }

            /// Lets the search be given up from another thread.
            #[must_use]
            pub fn with_cancel(mut self, cancel: bigrain_types::Cancel) -> Self {
                self.cancel = cancel;
                self
            }
        }
    };
}

pub(crate) use query_builders;
