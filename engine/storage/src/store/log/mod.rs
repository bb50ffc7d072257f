//! Reads every log before RocksDB does, so that recovery loses what was not acknowledged and nothing
//! else.
//!
//! # The problem
//!
//! A log may end in a record that was being written when the power went. It was never
//! acknowledged, and recovery drops it. Damage before the end must not be taken for that, nor that
//! for damage. RocksDB, asked to tolerate torn tails and nothing else, errs both ways. It checks every
//! record's CRC, but the CRC covers a record's type and payload and not its length, so three kinds
//! of damage get past it:
//!
//! - a length that points behind the end of the file looks like a torn tail: every record after
//!   it in the last 32 KiB is dropped, silently;
//! - a header of zeros ends its 32 KiB block: the records after it in the block are dropped,
//!   silently;
//! - a type that stands for recycled logs, which this store does not use, is read again and again:
//!   opening never returns.
//!
//! And a tail of which the disk kept a later sector and not an earlier one, as it may when the power
//! goes, is corruption to RocksDB: it refuses to open.
//!
//! # The rule
//!
//! The same walk over the file. It ends at the end of the file or in a **torn tail**, and anything
//! else is damage. A torn tail is what an interrupted append can leave, and nothing that was
//! acknowledged:
//!
//! ```text
//!  | record | record | reco            cut: the file ends inside a header or a payload
//!  | record | record | re....rd |      holes: sectors, or their ends, that are still zero because
//!  | record | record | 000000...       they were never written
//! ```
//!
//! provided that
//!
//! - **no record begins behind it.** That would be proof that it was synced, because a batch is
//!   written only after the batch before it was;
//! - **no single flipped bit explains it.** A record that holds zeros of its own and a flipped bit
//!   looks like one with a hole. Both a length and the bits under a CRC can be tried: there are
//!   sixteen of the one, and which of the others it was follows from the CRC ([`record`]).
//!
//! The first does not hold for a `MANIFEST`, where RocksDB writes several records before one sync. That
//! a hole there is taken for a torn tail costs nothing: logs are removed only after the manifest was
//! synced, and the manifest names the logs that must be there with their lengths, so if more was lost
//! than the last sync knew of, RocksDB misses a log and says so.
//!
//! A tail with holes is cut off, and the cut synced, before RocksDB opens.
//!
//! # Where files meet
//!
//! A manifest that lost its end would make RocksDB serve what was there before, and remove the tables
//! that it no longer knows. But logs go on where tables end: the first sequence number of the oldest
//! log is at most one more than the last that the manifest knows of ([`edit`]). A gap is damage.
//!
//! # Format
//!
//! ```text
//!  block of 32 KiB: records, then fewer than 7 bytes of zeros
//!  record: | CRC32C of type and payload, masked u32 | length u16 | type u8 | payload |
//!  type: 1 whole, 2 first part, 3 middle part, 4 last part, 9.. others with the same header
//! ```

mod check;
mod edit;
mod record;
mod walk;

pub(super) use check::check_folder;
