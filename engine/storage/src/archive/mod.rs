//! Many files in one, of which every byte is checked: what a backup is written to.
//!
//! An archive is a plain tar file, so that anybody can look into it, with three things more:
//!
//! ```text
//! | header | data, padded with zeros | header | data | ... | header | checksums.txt | 1024 zeros |
//!   512 B    to a multiple of 512 B                                 last entry
//! ```
//!
//! - Its last entry, `checksums.txt`, lists every entry before it with its length and its BLAKE3,
//!   and ends in the BLAKE3 of the list. An archive that was cut off has no such end.
//! - A header is a function of name and length, and a reader compares all 512 bytes of it. Links,
//!   folders, devices, absolute names and names with `..` are no such headers.
//! - Padding is zeros and is read.
//!
//! So no byte of an archive can change without being noticed, and nothing an archive says is
//! believed: lengths are compared with the file's before anything is allocated or written.
//!
//! An entry lies in one piece, so an archive can be used in place: [`Archive::folder`] is a
//! read-only [`Directory`](crate::Directory) over its entries.

mod error;
mod folder;
mod header;
mod reader;
mod writer;

pub use error::ArchiveError;
pub use folder::ArchiveFolder;
pub use reader::{Archive, ArchiveEntry};
pub use writer::{ArchiveWriter, EntrySink};

/// The name of the last entry.
const CHECKSUMS: &str = "checksums.txt";

/// What an archive ends in.
const END_BYTES: u64 = 1024;

/// The longest `checksums.txt`, in bytes: millions of entries.
const MAX_CHECKSUMS_BYTES: u64 = 512 << 20;

/// Returns the line of `checksums.txt` on one entry.
fn checksum_line(hash: &blake3::Hash, length: u64, name: &str) -> String {
    format!("{}  {length}  {name}\n", hash.to_hex())
}

/// Returns the last line of `checksums.txt`, on the lines before it.
fn last_line(lines: &str) -> String {
    format!("{}  end\n", blake3::hash(lines.as_bytes()).to_hex())
}
