//! Reading a collection page by page.

use std::fmt;
use std::str::FromStr;

use bigrain_types::{MAX_LIMIT, PointId};

use crate::{Error, Result, StoredPoint};

/// Where the next page of a scroll begins; opaque, and as durable as the points.
///
/// Pages go in the order of ids, and a cursor is a place in that order. So it holds over restarts
/// and whatever is written meanwhile: every point that exists from the first page to the last is
/// in exactly one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(PointId);

/// The first byte of a cursor's text: how the rest is written.
const FORM: u8 = 1;

impl Cursor {
    /// Returns the place behind a point, whether it exists or not.
    #[must_use]
    pub fn after(id: PointId) -> Self {
        Self(id)
    }

    pub(crate) fn id(&self) -> &PointId {
        &self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = std::iter::once(FORM).chain(self.0.to_key());
        bytes.into_iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = || Error::invalid("malformed cursor: expected the next of an earlier page");
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)
        };
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        let bytes = bytes.filter(|_| rest.is_empty()).ok_or_else(refused)?;
        let key = bytes.strip_prefix(&[FORM]).ok_or_else(refused)?;
        PointId::from_key(key).map(Self).map_err(|_| refused())
    }
}

/// Which page of a scroll, and what of its points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrollParams {
    pub(crate) limit: usize,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) parts: PointParts,
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
    /// `InvalidArgument` for a limit of 0 or above [`MAX_LIMIT`].
    pub fn new(limit: usize) -> Result<Self> {
        if limit == 0 || limit > MAX_LIMIT {
            return Err(Error::invalid(format!(
                "limit out of range: expected 1 to {MAX_LIMIT}, got {limit}"
            )));
        }
        let parts = PointParts { vectors: false, payload: true };
        Ok(Self { limit, cursor: None, parts })
    }

    /// Asks for the page that begins here.
    #[must_use]
    pub fn from_cursor(mut self, cursor: Cursor) -> Self {
        self.cursor = Some(cursor);
        self
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
    /// The points, in the order of their ids. What was not asked for is empty.
    pub points: Vec<StoredPoint>,
    /// Where the next page begins; nothing after the last one.
    pub next: Option<Cursor>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cursors_survive_as_text(number in any::<u64>(), text in "\\PC{1,40}") {
            for id in [PointId::from(number), PointId::parse(&text).unwrap()] {
                let cursor = Cursor::after(id);
                prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-fA-Fé]{0,40}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text.to_lowercase());
            }
        }
    }
}
