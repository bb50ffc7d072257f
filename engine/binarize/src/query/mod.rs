//! A query as bit planes, and what its scores mean.
//!
//! # The estimator
//!
//! Let `x'`, `q'`, `c'` be a vector, a query and a centre, rotated (rotation keeps dot products),
//! `u` the code of `r = x' - c'` and `w` that of the query, both vectors of odd integers. Segments
//! encode each vector about the centroid of its list, the memtable about the origin.
//!
//! ```text
//!  R     = ||r||^2 / <u, r>        R u - r is orthogonal to r
//!  delta = ||q||^2 / <w, q'>       e = q' - delta w is orthogonal to q'
//!
//!  <r, q' - c'>  =  R delta <u, w>  -  R <u, c'>  -  <R u - r, q' - c'>  +  R <u, e>
//! ```
//!
//! The first term needs one integer score per code and one table per *query*: the centre enters
//! only through `R <u, c'>`, which is known when a vector is encoded and lies in `Factors::add`, and
//! through one number per list (the form of RaBitQ's library; a table per list costs tenfold).
//!
//! The third term is the code's own error. Its direction is uniform among those orthogonal to `r`,
//! because the rotation is random, so its mean is zero and its deviation `||q - c||` times
//! `||r|| sqrt((1 - rho^2) / rho^2) / sqrt(D - 1)`, which is `Factors::error`. A good centre makes
//! both lengths short. The fourth is the query's rounding, seen through the code: `e` is known
//! exactly, and against it `R u` behaves like a random vector of its length `||r|| / rho`, which
//! gives `||r|| / rho ||e|| / sqrt(D)`. As `rho` hardly varies between codes of one level,
//!
//! ```text
//!  (||r|| / rho)^2 = (D - 1) error^2 / (1 - rho^2)
//! ```
//!
//! makes the sum of both squares proportional to `error^2`, so that a bound costs one
//! multiplication: [`Terms::error`] holds all that belongs to the query and the list. `epsilon` counts
//! standard deviations: the usual 1.9 holds for about 97 % of vectors on each side and 94 % on
//! both, 2.6 for 99 % on both, 3.3 for 99.9 %.
//!
//! # Near duplicates
//!
//! Where `x` is close to `q`, `u` and `e` are no longer independent: both round the same
//! coordinates. With four bits and more than the codes have this is nothing, but two sign codes of one vector
//! agree everywhere and `r delta <u, w>` is 1.57 instead of 1. The effect is measured on the query
//! itself when it is prepared, as the relative error of the estimate of `<q, q>`; the same fraction of
//! the estimate is added to every error. Estimates stay monotone in the score either way.

#[cfg(test)]
mod centre_tests;
mod code;
mod prepare;
mod terms;
#[cfg(test)]
mod tests;
mod width;

pub use code::{DEFAULT_EPSILON, QueryCode};
pub use prepare::PrepareQueryError;
pub use terms::{Estimate, Terms};
pub use width::QueryWidth;
