//! Reading a collection page by page.

use bigrain_types::Filter;
use bigrain_types::filter::{FieldPath, SortDirection};

use crate::config::check_limit;
use crate::{Cursor, Error, Result, StoredPoint};

/// The order of points by a payload field. Points with several values count by the one that comes
/// first; those without any, which are null, objects or missing, come last in either direction. Points
/// of equal values are in the order of their ids. What comes before what is said by [`SortKey`](crate::filter::SortKey).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderBy {
    pub(crate) field: FieldPath,
    pub(crate) direction: SortDirection,
}

impl OrderBy {
    /// Orders by the values of a field, written as in filters: `price`, `authors[].name`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a bad path.
    pub fn new(field: &str, direction: SortDirection) -> Result<Self> {
        Ok(Self { field: FieldPath::parse(field)?, direction })
    }
}

/// Which page of a scroll, and what of its points.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrollParams {
    pub(crate) limit: usize,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) parts: PointParts,
    pub(crate) filter: Option<Filter>,
    pub(crate) order: Option<OrderBy>,
}

/// Which parts of stored points are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PointParts {
    pub vectors: bool,
    pub payload: bool,
}

impl PointParts {
    pub const ALL: Self = Self { vectors: true, payload: true };
}

impl ScrollParams {
    /// Asks for the first page, of up to `limit` points with payloads and without vectors.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a limit of 0 or above [`MAX_LIMIT`](crate::MAX_LIMIT).
    pub fn new(limit: usize) -> Result<Self> {
        let limit = check_limit(limit)?;
        let parts = PointParts { vectors: false, payload: true };
        Ok(Self { limit, cursor: None, parts, filter: None, order: None })
    }

    /// Asks for another number of points.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_limit(mut self, limit: usize) -> Result<Self> {
        self.limit = check_limit(limit)?;
        Ok(self)
    }

    /// Reads the points that match a filter.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Orders the points by a payload field, and not by their ids.
    #[must_use]
    pub fn with_order(mut self, order: OrderBy) -> Self {
        self.order = Some(order);
        self
    }

    /// Asks for the page that begins here: the `next` of one with the same filter and order.
    #[must_use]
    pub fn from_cursor(mut self, cursor: Cursor) -> Self {
        self.cursor = Some(cursor);
        self
    }

    /// Refuses the cursor of another order.
    pub(crate) fn check_cursor(&self) -> Result<()> {
        let Some(cursor) = &self.cursor else { return Ok(()) };
        let (asked, found) = match (&self.order, cursor.key()) {
            (None, None) | (Some(_), Some(_)) => return Ok(()),
            (None, Some(_)) => ("ids", "values"),
            (Some(_), None) => ("values", "ids"),
        };
        Err(Error::invalid(format!("cursor of another order: expected {asked}, got {found}")))
    }

    /// Sets whether vectors are read.
    #[must_use]
    pub fn with_vectors(mut self, vectors: bool) -> Self {
        self.parts.vectors = vectors;
        self
    }

    /// Sets whether payloads are read.
    #[must_use]
    pub fn with_payload(mut self, payload: bool) -> Self {
        self.parts.payload = payload;
        self
    }
}

/// One page of a scroll.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ScrollPage {
    /// The points, in the order of their ids unless another was asked for. What was not asked for is empty.
    pub points: Vec<StoredPoint>,
    /// Where the next page begins; nothing after the last one.
    pub next: Option<Cursor>,
}
