//! What must hold of points for a write to happen.

use std::collections::HashMap;
use std::fmt;

use bigrain_types::{PointId, SeqNo};

use crate::{Error, ErrorKind, Result};

/// What must hold of one point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// Nothing.
    #[default]
    Any,
    /// It does not exist.
    Absent,
    /// It exists.
    Present,
    /// It exists as this write left it: the [`seq`](crate::StoredPoint::seq) that was read.
    Version(SeqNo),
}

/// What must hold of points for a write to happen: all of it, or the write changes nothing.
///
/// The check and the write are one step, so of two callers that read the same version and write on
/// that condition, one succeeds.
///
/// ```
/// use bigrain_engine::{Condition, Conditions, SeqNo};
///
/// let insert_only = Conditions::all(Condition::Absent);
/// let update_only = Conditions::all(Condition::Present);
/// let as_i_read_it = Conditions::default().with(7, Condition::Version(SeqNo(12)));
/// # let _ = (insert_only, update_only, as_i_read_it);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    all: Condition,
    each: HashMap<PointId, Condition>,
}

impl Conditions {
    /// Demands the same of every point that is written.
    #[must_use]
    pub fn all(condition: Condition) -> Self {
        Self { all: condition, each: HashMap::new() }
    }

    /// Demands something of one point, in place of what is demanded of all. The point need not be
    /// one that is written.
    #[must_use]
    pub fn with(mut self, id: impl Into<PointId>, condition: Condition) -> Self {
        self.each.insert(id.into(), condition);
        self
    }

    /// Returns the points that are named.
    pub(crate) fn named(&self) -> impl Iterator<Item = &PointId> {
        self.each.keys()
    }

    /// Checks the points of a write and those named; `version` tells since which write a point is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Aborted`], naming the first point whose condition does not hold.
    pub(crate) fn check<'a>(
        &'a self,
        written: impl IntoIterator<Item = &'a PointId>,
        version: impl Fn(&PointId) -> Option<SeqNo>,
    ) -> Result<()> {
        for (id, condition) in &self.each {
            condition.check(id, version(id))?;
        }
        if self.all == Condition::Any {
            return Ok(());
        }
        let unnamed = written.into_iter().filter(|id| !self.each.contains_key(id));
        unnamed.into_iter().try_for_each(|id| self.all.check(id, version(id)))
    }
}

impl Condition {
    fn check(self, id: &PointId, actual: Option<SeqNo>) -> Result<()> {
        let holds = match self {
            Self::Any => true,
            Self::Absent => actual.is_none(),
            Self::Present => actual.is_some(),
            Self::Version(expected) => actual == Some(expected),
        };
        if holds {
            return Ok(());
        }
        let found = actual.map_or("none".to_owned(), |seq| format!("version {}", seq.0));
        Err(Error::new(ErrorKind::Aborted, format!("point {id}: expected {self}, found {found}")))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::Absent => f.write_str("no point"),
            Self::Present => f.write_str("a point"),
            Self::Version(seq) => write!(f, "version {}", seq.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_hold_is_named() {
        let check = |conditions: Conditions, actual| {
            let id = PointId::from(7);
            conditions.check([&id], |_| actual).map_err(|error| error.to_string())
        };
        let version = |seq| Conditions::default().with(7, Condition::Version(SeqNo(seq)));
        let seq = Some(SeqNo(5));
        assert_eq!(check(version(5), seq), Ok(()));
        assert_eq!(
            check(version(4), seq),
            Err("point 7: expected version 4, found version 5".into())
        );
        assert_eq!(check(version(4), None), Err("point 7: expected version 4, found none".into()));
        let absent = Conditions::all(Condition::Absent);
        assert_eq!(check(absent.clone(), None), Ok(()));
        assert_eq!(
            check(absent.clone(), seq),
            Err("point 7: expected no point, found version 5".into())
        );
        assert_eq!(check(absent.with(7, Condition::Present), seq), Ok(()));
        assert_eq!(
            check(Conditions::all(Condition::Present), None),
            Err("point 7: expected a point, found none".into())
        );
    }
}
