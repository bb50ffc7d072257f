//! Immutable files whose every block carries a checksum.
//!
//! ```text
//!  0                                      body length            + 4 per block     + 32
//!  +--------+--------+--------+-----------+----------------------+--------+
//!  | block  | block  |  ...   | last block| CRC32C of each block | footer |
//!  | 4 KiB  | 4 KiB  |        | 1..=4 KiB | u32 each             | 32 B   |
//!  +--------+--------+--------+-----------+----------------------+--------+
//!  '--------------- body -----------------'------- table --------'
//! ```
//!
//! The body is whatever its writer appended: plain little-endian arrays that are read where they
//! lie. Checksums are per block, so that reading one row of a large file costs one block and not
//! the file; they are in a table behind the body, so that arrays in the body are contiguous.
//!
//! **Opening** reads the footer and the table (a thousandth of the file), never the body.
//! **Reading** believes a block only after its checksum was compared. [`BlockFile::read`] does that
//! at the block's first touch and then answers from the memory map; [`BlockFile::read_into`] does
//! it each time, on the bytes that it returns.
//!
//! A file is trusted in a chain: the manifest names its [`FileIdentity`], whose checksum covers the
//! footer, which covers the table, which covers the blocks.

mod copy;
mod error;
mod reader;
mod residency;
mod scrub;
mod writer;

pub use error::{OpenFileError, ReadError};
pub use reader::BlockFile;
pub use writer::{BlockFileWriter, FileIdentity};

/// Bytes covered by one checksum: a page, so that checking never touches more pages than reading.
pub const BLOCK_BYTES: usize = crate::footer::BLOCK_SIZE as usize;
