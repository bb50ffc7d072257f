//! Which filters, what rows carry for them, which queries ask, and what is true.

use bigrain_engine::{Filter, Payload};
use serde_json::json;

use crate::matrix::Matrix;
use crate::truth::Neighbors;

/// The shares of rows that match: those of VectorDBBench.
const SHARES: [f64; 9] = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];

/// The payload field that filters look at where no file says otherwise.
const FIELD: &str = "u";

/// Filters to search with, and the numbers that rows carry for them.
#[derive(Debug)]
pub(in crate::cmd::eval) struct FilterCases {
    pub(super) numbers: Numbers,
    pub(super) cases: Vec<FilterCase>,
}

/// The numbers that rows carry.
#[derive(Debug)]
pub(super) enum Numbers {
    /// One below 2^32 that has nothing to do with the row's vector, made from the row's own number.
    Scattered,
    /// Those of a file: for each row, a value of each field.
    Read { fields: Vec<String>, values: Matrix },
}

/// A filter, and what is searched with it.
#[derive(Clone, Debug)]
pub(super) struct FilterCase {
    /// How the rows that match lie to the queries: `random`, or what a file calls it.
    pub kind: String,
    /// The share of rows that match.
    pub share: f64,
    pub filter: Filter,
    /// The numbers of the queries that ask.
    pub queries: Vec<usize>,
    pub truth: CaseTruth,
}

/// What is to be found in a case.
#[derive(Clone, Debug)]
pub(super) enum CaseTruth {
    /// What an exact search with the same filter finds.
    Exact,
    /// The nearest of the rows that match for each query of the case, and how many rows match.
    Given { nearest: Neighbors, matching: u64 },
}

impl FilterCases {
    /// Returns nine filters, of which 50 % to 0.1 % of the rows match whatever their vectors are.
    pub fn scattered(queries: usize) -> anyhow::Result<Self> {
        let case = |share: f64| {
            let end = (share * 2_f64.powi(32)) as u64;
            let filter = Filter::from_value(&json!({"field": FIELD, "lt": end}))?;
            let (kind, queries) = ("random".to_owned(), (0..queries).collect());
            Ok(FilterCase { kind, share, filter, queries, truth: CaseTruth::Exact })
        };
        let cases = SHARES.into_iter().map(case).collect::<anyhow::Result<_>>()?;
        Ok(Self { numbers: Numbers::Scattered, cases })
    }

    /// Returns the payload of a row.
    pub fn payload(&self, row: u64) -> Payload {
        match &self.numbers {
            Numbers::Scattered => Payload::new().with(FIELD, scatter(row)),
            Numbers::Read { fields, values } => {
                let mut payload = Payload::new();
                // The file was checked: it has a value of every field for every row.
                for (field, &value) in fields.iter().zip(values.row(row as usize)) {
                    payload = payload.with(field, value as u64);
                }
                payload
            }
        }
    }
}

/// Turns a row's number into one below 2^32 that looks random (the finisher of SplitMix64).
fn scatter(row: u64) -> u64 {
    let mut bits = row.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits ^ (bits >> 31)) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_keeps_the_share_it_stands_for() {
        for share in SHARES {
            let end = (share * 2_f64.powi(32)) as u64;
            let kept = (0..200_000).filter(|&row| scatter(row) < end).count() as f64;
            assert!((kept / 200_000.0 / share - 1.0).abs() < 0.15, "{share}: {kept}");
        }
    }
}
