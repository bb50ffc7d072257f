//! Looking at a collection as a data set: what is in it twice, what does not fit, what can go.
//!
//! All of it works on what is stored, vectors and payloads. A file each, and each can be checked on what it
//! was not given:
//!
//! | file | finds | and is checked by |
//! |---|---|---|
//! | [`duplicates`] | points that are nearly the same, in groups | altered copies, which should join theirs |
//! | [`relevance`] | points that a query is about | known points, of which half choose the threshold |
//! | [`alignment`] | pictures that their captions do not fit | captions of other pictures |
//! | [`pruning`] | points near the middle of what is common | pictures held out, and as many dropped at random |
//! | [`labels`] | labels that a point's neighbours do not have | wrong labels that were planted |

pub mod alignment;
mod collected;
pub mod duplicates;
pub mod labels;
pub mod pruning;
pub mod relevance;

pub use collected::{Collected, Neighbour};
