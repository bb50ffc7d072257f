//! Scores of sign codes that lie in blocks of 32 rows: the scan of whole lists.
//!
//! The popcount kernel ([`scan`](crate::scan)) works through one row after the other and pays for
//! every bit of the query. Rows that are always scanned together can do better: they are
//! transposed, so that one register holds the same eight dimensions of 32 rows, and a byte shuffle
//! looks up the share of four dimensions of 16 or 32 rows at once. That costs the same for a query
//! of one bit and of six.
//!
//! # Layout
//!
//! A row is its sign plane, `D` bits in `D / 8` bytes (little-endian words, so byte `p` holds
//! dimensions `8p..8p+8`, the lowest in bit 0). A block is 32 rows, transposed byte by byte;
//! *column* `p` of a block is byte `p` of each of its rows:
//!
//! ```text
//!            row 0    row 1    row 2            row 31
//!  column 0  [byte 0] [byte 0] [byte 0]   ...   [byte 0]     32 bytes, dimensions 0..8
//!  column 1  [byte 1] [byte 1] [byte 1]   ...   [byte 1]     32 bytes, dimensions 8..16
//!    ...
//!                |
//!           one byte:   7 6 5 4 | 3 2 1 0
//!                       high    | low nibble: dimensions 8p..8p+4, the lowest in bit 0
//! ```
//!
//! A block is `4 D` bytes. The last block of a plane is filled up with rows of zeros.
//!
//! # Tables
//!
//! The query is a vector of odd integers `w` (see [`scan`](crate::scan)). For one nibble of a
//! column, with `x` in `{-1, 1}^4`,
//!
//! ```text
//!  sum x_i w_i  =  2 * (sum of |w_i| where x_i has the sign of w_i)  -  sum |w_i|
//!                       \______________ table entry ______________/
//! ```
//!
//! so a table of 16 entries per nibble, from 0 to `sum |w_i|`, gives the exact score
//! `S = 2 * (sum of entries) - offset`, where `offset` is the sum of all `|w_i|`. Up to
//! [`TABLE_WIDTH`](table::TABLE_WIDTH) bits of a query an entry is a byte, at most `4 * 63`. A wider
//! query is two queries, `w = 16 w_high + w_low`, scanned one after the other while their block is
//! in the cache.
//!
//! # Sums
//!
//! Adding a byte of each of 32 rows to 16-bit sums takes three instructions, adding it to another
//! byte takes one. So bytes are added up in groups first. How many fit a group depends on the query
//! and not on its width alone: entries are as small as they can be, and [`BlockTable`] takes the
//! largest group whose largest sum is below 256. 16-bit sums in turn are emptied into the 32-bit
//! scores before they can overflow. A stretch of columns with one group size that needs no emptying
//! is a *pass*; up to 1,000 dimensions or so there is only one.
//!
//! Nothing is rounded: scores equal those of [`scan`](crate::scan), on every instruction set.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod bounds;
mod layout;
mod portable;
mod scan;
#[cfg(test)]
mod support;
mod table;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use bounds::{Bounded, Bounds, RowFactors, bound_blocks, bound_blocks_with};
pub use layout::{BLOCK_ROWS, block_bytes, pack_blocks, pack_blocks_with, unpack_row};
pub use scan::{scan_blocks, scan_blocks_with};
pub use table::BlockTable;

/// Columns that one word of each row fills.
const WORD_COLUMNS: usize = 8;

/// Byte `p` of each row of a block.
type Column = [u8; BLOCK_ROWS];
/// One word of each row of a block.
type WordColumns = [Column; WORD_COLUMNS];
/// The table entries of a column's low and high nibbles.
type ColumnTables = [[u8; 16]; 2];
/// The tables of the columns of a word.
type WordTables = [ColumnTables; WORD_COLUMNS];
/// The largest entry of each table of a word.
type WordLargest = [[u8; 2]; WORD_COLUMNS];
