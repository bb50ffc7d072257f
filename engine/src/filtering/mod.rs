//! Filters at run time: checked and named once, their rows remembered.
//!
//! What a filter means is in [`bigrain_types::filter`]; which rows of a segment match is asked of its
//! lexical index. Here is what makes asking again cheap: a segment never changes, so the rows that
//! matched once match for as long as they live; and a memtable only grows, so only new slots are
//! looked at.

mod cache;
mod method;
mod prepared;
mod slots;

pub(crate) use cache::FilterCache;
pub(crate) use method::{FilterMethod, Matching};
pub(crate) use prepared::{FilterKey, PreparedFilter};
pub(crate) use slots::SlotFilters;
