//! Queries of one version compared with codes of the version before it.
//!
//! A version that was trained with its parent's codes as the documents' side has queries that these codes
//! rank as their own do. So one query code searches codes of both. What a score means differs: factors of
//! the parent's codes hold the line `cosine ~ i + s * score` of its own queries, and for the new version's
//! queries `i' + s' * score` was fitted. Since a code's factors are used linearly, they need not change:
//!
//! ```text
//!  i' + s' score = (i + (i' - i)) + (s score) (s' / s)
//! ```

use super::{Fit, Recurrent};

/// What changes in the terms of a query that is compared with codes of its binarizer's parent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crossing {
    /// For whole codes.
    pub full: Crossed,
    /// For the signs of codes of several levels.
    pub sign: Crossed,
}

/// From one line to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crossed {
    /// `i' - i`.
    pub shift: f32,
    /// `s' / s`.
    pub stretch: f32,
    /// The ratio of errors.
    pub error: f32,
}

impl Crossing {
    /// Returns how queries of a binarizer are compared with codes of another one; nothing unless training
    /// has declared that one its parent.
    #[must_use]
    pub fn declared(queries: &Recurrent, codes: &Recurrent) -> Option<Self> {
        let parent = queries.parts().provenance.parent.as_ref()?;
        let (new, old) = (parent.scoring, codes.parts().scoring);
        let dims = parent.translation.as_ref().map_or(queries.dims(), |other| other.dims);
        let same_shape = queries.layout() == codes.layout() && dims == codes.dims();
        (parent.space == codes.id() && same_shape).then(|| {
            // A query has the error of signs relative to the slope of their codes.
            let own = queries.parts().scoring.sign;
            let error = (new.sign.error / old.sign.slope) / (own.error / own.slope);
            let sign = Crossed { error, ..Crossed::of(new.sign, old.sign) };
            Self { full: Crossed::of(new.full, old.full), sign }
        })
    }
}

impl Crossed {
    fn of(new: Fit, old: Fit) -> Self {
        Self {
            shift: new.intercept - old.intercept,
            stretch: new.slope / old.slope,
            error: new.error / old.error,
        }
    }
}
