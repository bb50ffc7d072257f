//! How the rows that match a filter are searched.

use std::fmt;

/// Up to so many matching vectors are scored exactly and no code is looked at: reading a row costs
/// about as much as scanning the block of 32 codes in which it is likely the only one.
const FEW: u64 = 1000;

/// Below so many matching vectors of a segment all their codes are scanned: little work, and no list
/// is missed.
const LITTLE: u64 = 500;

/// Below this share of a segment all codes are scanned too: lists are probed for a few thousand
/// neighbours at most, and what was calibrated says nothing beyond.
const SPARSE: f64 = 0.001;

/// How the vectors of a segment that match a filter are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FilterMethod {
    /// Their dense rows are scored.
    ScoreRows,
    /// Their codes are scanned, in all lists.
    ScanAll,
    /// Their codes are scanned, list by list from the nearest on, until enough of them were found for
    /// the target recall.
    ScanLists,
}

/// What the choice depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matching {
    /// Vectors that match, in all segments.
    pub total: u64,
    /// Vectors that match, in this segment.
    pub here: u64,
    /// Vectors of this segment.
    pub rows: u64,
    /// Results wanted.
    pub limit: usize,
    /// Whether rows are scored at all.
    pub verify: bool,
}

impl FilterMethod {
    /// Chooses by how many vectors match, and by nothing else: two filters that match the same rows
    /// give the same results.
    pub fn choose(matching: Matching) -> Self {
        let Matching { total, here, rows, limit, verify } = matching;
        if verify && total <= FEW.max(limit as u64) {
            Self::ScoreRows
        } else if here < LITTLE || (here as f64) < SPARSE * rows as f64 {
            Self::ScanAll
        } else {
            Self::ScanLists
        }
    }
}

/// What is done and why, for people.
impl fmt::Display for FilterMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ScoreRows => write!(f, "scored exactly, because there are few in all segments"),
            Self::ScanAll => write!(
                f,
                "codes of all scanned, because there are fewer than {LITTLE} or {} %",
                100.0 * SPARSE
            ),
            Self::ScanLists => write!(
                f,
                "codes scanned by list, nearest first, until enough match, because there are many"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_matching_rows_decides() {
        let choose = |total, here, rows, limit, verify| {
            FilterMethod::choose(Matching { total, here, rows, limit, verify })
        };
        assert_eq!(choose(1000, 10, 1_000_000, 10, true), FilterMethod::ScoreRows);
        assert_eq!(choose(1001, 10, 1_000_000, 10, true), FilterMethod::ScanAll);
        assert_eq!(choose(1001, 10, 1_000_000, 2000, true), FilterMethod::ScoreRows);
        assert_eq!(choose(10, 10, 1_000_000, 10, false), FilterMethod::ScanAll);
        assert_eq!(choose(60_000, 20_000, 60_000, 10, true), FilterMethod::ScanLists);
        assert_eq!(choose(60_000, 499, 60_000, 10, true), FilterMethod::ScanAll);
        assert_eq!(choose(60_000, 500, 60_000, 10, true), FilterMethod::ScanLists);
        assert_eq!(choose(60_000, 2_999, 3_000_000, 10, true), FilterMethod::ScanAll);
        assert_eq!(choose(60_000, 3_000, 3_000_000, 10, true), FilterMethod::ScanLists);
    }
}
