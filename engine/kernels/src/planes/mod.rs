//! Integer scores of packed codes: the one kernel behind SDC and ADC.
//!
//! A code has `B` levels and a query `Q` planes; both spell one odd integer per dimension. Their
//! dot product needs only XOR and popcount:
//!
//! ```text
//! S = sum over a < B, b < Q of 2^((B-1-a) + (Q-1-b)) * (D - 2 * popcnt(x_a ^ q_b))
//! ```
//!
//! With `Q = B` the query is itself a code (symmetric, SDC); with more planes it keeps more of the
//! embedding (asymmetric, ADC). Both are the same arithmetic, so there is one kernel.
//!
//! # How it is computed
//!
//! The sum over levels is left to the caller of the inner kernel: each implementation only *adds
//! one plane's share, shifted*, to the scores. So the inner loops are specialised for `Q` alone,
//! and levels that lie in different places (plane 0 in memory, the rest on disk) can be added one
//! by one. [`scan`] walks codes in blocks whose scores stay in the first-level cache.
//!
//! ```text
//!  level 0:  | code 0: W words | code 1: W words | ...        W = ceil(D / 64)
//!  level 1:  | code 0: W words | code 1: W words | ...
//!                  |
//!            one pass per level and block: out[i] += S_a(i) << (B-1-a)
//! ```

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod query;
mod scan;

pub use query::{MAX_QUERY_WIDTH, MAX_SCAN_DIMS, QueryPlanes, QueryPlanesError};
pub use scan::{MAX_LEVELS, scan, scan_with, score_one};
