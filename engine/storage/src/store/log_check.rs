//! Reads every log before RocksDB does, so that recovery cannot lose what was acknowledged.
//!
//! # The problem
//!
//! A log may end in a record that was being written when the power went. It was never
//! acknowledged, and recovery drops it. Damage before the end must not be taken for that. RocksDB,
//! asked to tolerate torn tails and nothing else, checks every record's CRC, but the CRC covers a
//! record's type and payload and not its length, so three kinds of damage get past it:
//!
//! - a length that points behind the end of the file looks like a torn tail: every record after
//!   it in the last 32 KiB is dropped, silently;
//! - a header of zeros ends its 32 KiB block: the records after it in the block are dropped,
//!   silently;
//! - a type that stands for recycled logs, which this store does not use, is read again and again:
//!   opening never returns.
//!
//! # The rule
//!
//! The same walk over the file, with one rule: it ends at the end of the file or at a **torn
//! tail**, and anything else is damage. A torn tail is what an interrupted append can leave:
//!
//! ```text
//!  | record | record | reco          the file ends inside a header or a payload, and
//!                                    - no record begins between there and the end,
//!                                    - the rest is not a whole record whose length is wrong
//!  | record | record | 000000...     or it was made longer and never filled
//! ```
//!
//! A record after the damage is proof that what came before it was synced, because a batch is
//! written only after the batch before it was.
//!
//! The one case that stays open is a batch of several pages in flight when the *power* goes (not
//! when the process is killed): a file system may have kept a later page and not an earlier one.
//! This cannot be told from damage, so it is an error here, as it is in RocksDB.
//!
//! # Format
//!
//! ```text
//!  block of 32 KiB: records, then fewer than 7 bytes of zeros
//!  record: | CRC32C of type and payload, masked u32 | length u16 | type u8 | payload |
//!  type: 1 whole, 2 first part, 3 middle part, 4 last part, 9.. others with the same header
//! ```
//!
//! `MANIFEST` files have the same format and get the same check.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::StoreError;

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
const WHOLE: u8 = 1;
const FIRST: u8 = 2;
const LAST: u8 = 4;

/// Checks the logs and the manifest that RocksDB will recover from, in a folder that may not exist
/// yet.
pub(super) fn check_folder(folder: &Path) -> Result<(), StoreError> {
    let names = match list(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("list", folder, error)),
    };
    check_current(folder, &names)?;
    let is_log = |name: &String| name.ends_with(".log") || name.starts_with("MANIFEST-");
    for name in names.iter().filter(|name| is_log(name)) {
        check_log(&folder.join(name))?;
    }
    Ok(())
}

/// Refuses a folder that has data and no `CURRENT`: RocksDB would begin an empty database there
/// and remove the rest.
fn check_current(folder: &Path, names: &[String]) -> Result<(), StoreError> {
    let is_data = |name: &String| name.ends_with(".log") || name.ends_with(".sst");
    if names.iter().any(|name| name == "CURRENT") || !names.iter().any(is_data) {
        return Ok(());
    }
    let reason = "it has data and no file CURRENT".to_owned();
    Err(StoreError::Damaged { path: folder.to_owned(), reason })
}

fn list(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Checks one file of records.
fn check_log(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let mut walk = Walk::new(path);
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    loop {
        block.clear();
        let read = file.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block);
        read.map_err(failed)?;
        walk.block(&block)?;
        if block.len() < BLOCK_BYTES {
            return Ok(());
        }
    }
}

struct Walk<'p> {
    path: &'p Path,
    /// Where the current block begins.
    start: u64,
    /// Where a tail of zeros began, if one did.
    zeros_since: Option<u64>,
}

/// What is at a position of a block.
enum Found {
    Record { length: usize },
    Zeros,
    TornTail,
    Damage(&'static str),
}

impl<'p> Walk<'p> {
    fn new(path: &'p Path) -> Self {
        Self { path, start: 0, zeros_since: None }
    }

    /// Checks the next block; one that is not full is the last.
    fn block(&mut self, block: &[u8]) -> Result<(), StoreError> {
        if let Some(offset) = self.zeros_since {
            if !is_zero(block) {
                return Err(self.damage(offset, "zeros before the end of the log"));
            }
        } else {
            self.records(block)?;
        }
        self.start += block.len() as u64;
        Ok(())
    }

    fn records(&mut self, block: &[u8]) -> Result<(), StoreError> {
        let mut at = 0;
        while at < block.len() {
            match look(block, at) {
                Found::Record { length } => at += length,
                Found::TornTail => return Ok(()),
                Found::Zeros => {
                    let padding = block.len() == BLOCK_BYTES && block.len() - at < HEADER_BYTES;
                    if !padding {
                        self.zeros_since = Some(self.start + at as u64);
                    }
                    return Ok(());
                }
                Found::Damage(reason) => {
                    return Err(self.damage(self.start + at as u64, reason));
                }
            }
        }
        Ok(())
    }

    fn damage(&self, offset: u64, reason: &'static str) -> StoreError {
        StoreError::DamagedLog { path: PathBuf::from(self.path), offset, reason }
    }
}

fn look(block: &[u8], at: usize) -> Found {
    let rest = &block[at..];
    if is_zero(rest) {
        return Found::Zeros;
    }
    let is_last_block = block.len() < BLOCK_BYTES;
    let Some(record) = Record::parse(rest) else {
        return if is_last_block {
            Found::TornTail
        } else {
            Found::Damage("padding of a block is not zero")
        };
    };
    if let Some(length) = record.whole_length() {
        return Found::Record { length };
    }
    let end = at + HEADER_BYTES + record.length;
    if end <= block.len() {
        return Found::Damage("record does not match its checksum");
    }
    if !is_last_block || end > BLOCK_BYTES {
        return Found::Damage("record is longer than its block");
    }
    if !(WHOLE..=LAST).contains(&record.kind) {
        return Found::Damage("record has an unknown type");
    }
    if record.matches(&rest[HEADER_BYTES..]) {
        return Found::Damage("record has a wrong length");
    }
    if (at + 1..block.len()).any(|at| is_start_of_record(&block[at..])) {
        return Found::Damage("record has a wrong length, others follow");
    }
    Found::TornTail
}

/// Whether a whole record, or the first part of one, lies at the start of `bytes`.
fn is_start_of_record(bytes: &[u8]) -> bool {
    Record::parse(bytes).is_some_and(|record| {
        matches!(record.kind, WHOLE | FIRST) && record.whole_length().is_some()
    })
}

/// A record's header, and what lies behind it up to the end of its block.
struct Record<'b> {
    masked_crc: u32,
    length: usize,
    kind: u8,
    behind: &'b [u8],
}

impl<'b> Record<'b> {
    fn parse(bytes: &'b [u8]) -> Option<Self> {
        let (header, behind) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let [a, b, c, d, low, high, kind] = *header;
        Some(Self {
            masked_crc: u32::from_le_bytes([a, b, c, d]),
            length: usize::from(u16::from_le_bytes([low, high])),
            kind,
            behind,
        })
    }

    /// Returns the length with the header, if all of the record is there and matches.
    fn whole_length(&self) -> Option<usize> {
        let payload = self.behind.get(..self.length)?;
        self.matches(payload).then_some(HEADER_BYTES + self.length)
    }

    /// Whether the checksum is that of this payload.
    fn matches(&self, payload: &[u8]) -> bool {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&[self.kind]), payload);
        mask(crc) == self.masked_crc
    }
}

/// RocksDB stores checksums rotated and shifted, because logs may contain logs.
fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
        let crc = mask(crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload));
        let length = u16::try_from(payload.len()).unwrap();
        [&crc.to_le_bytes()[..], &length.to_le_bytes(), &[kind], payload].concat()
    }

    /// Returns a log of records with payloads of these lengths, cut into blocks as RocksDB does,
    /// and where each of them ends.
    fn log(lengths: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let (mut log, mut ends) = (Vec::new(), Vec::new());
        for (i, &length) in lengths.iter().enumerate() {
            let payload: Vec<u8> = (0..length).map(|j| (i * 7 + j * 13) as u8 | 1).collect();
            let mut rest = &payload[..];
            let mut is_first = true;
            loop {
                let room = BLOCK_BYTES - log.len() % BLOCK_BYTES;
                if room < HEADER_BYTES {
                    log.resize(log.len() + room, 0);
                    continue;
                }
                let (part, later) = rest.split_at(rest.len().min(room - HEADER_BYTES));
                let kind = match (is_first, later.is_empty()) {
                    (true, true) => WHOLE,
                    (true, false) => FIRST,
                    (false, false) => 3,
                    (false, true) => LAST,
                };
                log.extend(record(kind, part));
                (rest, is_first) = (later, false);
                if rest.is_empty() {
                    break;
                }
            }
            ends.push(log.len());
        }
        (log, ends)
    }

    fn check(log: &[u8]) -> Result<(), StoreError> {
        let mut walk = Walk::new(Path::new("000001.log"));
        for block in log.chunks(BLOCK_BYTES) {
            walk.block(block)?;
        }
        Ok(())
    }

    #[test]
    fn whole_logs_pass() {
        for lengths in [&[][..], &[0], &[5, 0, 9], &[100_000, 3], &[32_761, 1], &[32_755, 1]] {
            check(&log(lengths).0).unwrap();
        }
    }

    #[test]
    fn a_log_cut_anywhere_has_a_torn_tail() {
        let (log, _) = log(&[50, 200, 120]);
        for length in 0..log.len() {
            check(&log[..length]).unwrap();
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let (log, ends) = log(&[50, 0, 200, 120]);
        for bit in 0..log.len() * 8 {
            let mut damaged = log.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = check(&damaged).expect_err(&format!("bit {bit} of byte {}", bit / 8));
            let StoreError::DamagedLog { offset, .. } = error else { panic!("{error}") };
            let start = ends.iter().rfind(|&&end| end <= bit / 8).copied().unwrap_or(0);
            assert_eq!(offset, start as u64, "bit {bit}");
        }
    }

    #[test]
    fn a_tail_of_zeros_is_torn_and_zeros_before_data_are_damage() {
        let (first, _) = log(&[50, 60]);
        let mut log = first.clone();
        log.resize(2 * BLOCK_BYTES + 100, 0);
        check(&log).unwrap();
        log.extend(record(WHOLE, b"later"));
        let error = check(&log).unwrap_err().to_string();
        let offset = first.len();
        let expected = format!("log is damaged at {offset}: zeros before the end of the log");
        assert!(error.ends_with(&expected), "{error}");
    }

    #[test]
    fn data_without_current_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        check_folder(&folder.path().join("absent")).unwrap();
        check_folder(folder.path()).unwrap();
        std::fs::write(folder.path().join("000004.log"), b"").unwrap();
        let error = check_folder(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("it has data and no file CURRENT"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = check(&bytes);
        }

        #[test]
        fn a_flip_in_a_log_of_many_blocks_is_found(
            lengths in prop::collection::vec(0usize..40_000, 1..5), at: prop::sample::Index,
            bit in 0u8..8,
        ) {
            let (mut log, _) = log(&lengths);
            let byte = at.index(log.len());
            log[byte] ^= 1 << bit;
            // Zeros at the end of a block belong to no record.
            if check(&log).is_ok() {
                let in_block = byte % BLOCK_BYTES;
                prop_assert!(in_block > BLOCK_BYTES - HEADER_BYTES, "byte {byte}");
            }
        }
    }
}
