//! From a filter to rows.
//!
//! Every condition gives two sets of rows: a *lower* one, whose rows surely match, and an *upper* one,
//! outside of which none does. Most conditions are decided by terms alone and both are equal. Sets
//! combine as conditions do: `must` intersects, `should` unites, `must_not` turns lower and upper
//! around. The rows between the two are checked with their payloads.
//!
//! Within `nested` a row stands for several objects, and a term of the row may be that of another
//! object. There *lower* means that every object matches, and *upper* that some object may; the same
//! rules of combination hold for both, and only the terms' lower sets are empty.

mod bounds;
mod cover;
mod facet;
mod field;
mod node;
mod postings;
mod row_bits;
mod sorted;

use roaring::RoaringBitmap;

pub use facet::FacetCounts;
pub(crate) use postings::Terms;

/// The rows of a segment that match a filter, as far as its index can tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// These match.
    pub matching: RoaringBitmap,
    /// These match or not: their payloads decide.
    pub undecided: RoaringBitmap,
}
