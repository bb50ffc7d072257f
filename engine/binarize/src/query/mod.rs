//! A query as bit planes, and what its scores mean.
//!
//! # The estimator
//!
//! Let `x'`, `q'` be rotated vectors, `u` the code of `x` and `w` that of the query, both vectors of
//! odd integers; rotation keeps dot products, so `<x, q> = <x', q'>`.
//!
//! ```text
//!  r     = ||x||^2 / <u, x'>       r u - x' is orthogonal to x'
//!  delta = ||q||^2 / <w, q'>       e = q' - delta w is orthogonal to q'
//!
//!  r delta <u, w>  =  <x, q>  +  <r u - x', q'>  -  r <u, e>
//! ```
//!
//! The second term is the code's own error. Its direction is uniform among those orthogonal to
//! `x'`, because the rotation is random, so its mean is zero and its deviation
//! `||q|| ||x|| sqrt((1 - rho^2) / rho^2) / sqrt(D - 1)`: that is `Factors::error * ||q||`. The third
//! is the query's rounding, seen through the code: `e` is known exactly, and against it `r u`
//! behaves like a random vector of its length, which gives `r ||u|| ||e|| / sqrt(D)`. Since
//! `r ||u|| = ||x|| / rho`, its square follows from what is stored:
//!
//! ```text
//!  (r ||u||)^2 = ||x||^2 / rho^2 = ||x||^2 + (D - 1) error^2     cosine (||x|| = 1), L2 (add = -||x||^2)
//!  r ||u||    <= r (2^B - 1) sqrt(D)                             dot (exact at one level)
//! ```
//!
//! [`Estimate::error`] is `epsilon` times the root of the sum of both squares. `epsilon` counts standard
//! deviations: the usual 1.9 holds for about 97 % of vectors on each side and 94 % on both, 2.6 for 99 %
//! on both, 3.3 for 99.9 %.
//!
//! # Near duplicates
//!
//! Where `x` is close to `q`, `u` and `e` are no longer independent: both round the same
//! coordinates. At a width of four bits this is nothing, but two sign codes of one vector
//! agree everywhere and `r delta <u, w>` is 1.57 instead of 1. The effect is measured on the query
//! itself when it is prepared, as the relative error of the estimate of `<q, q>`; the same fraction of
//! the estimate is added to every error. Estimates stay monotone in the score either way.

mod code;
mod prepare;
#[cfg(test)]
mod tests;
mod width;

pub use code::{DEFAULT_EPSILON, Estimate, QueryCode};
pub use prepare::PrepareQueryError;
pub use width::QueryWidth;
