//! The walk over one file of records.

use std::path::{Path, PathBuf};

use super::record::{
    BLOCK_BYTES, FIRST, HEADER_BYTES, LAST, MIDDLE, Record, WHOLE, has_hole, is_start, is_zero,
};
use crate::store::StoreError;

/// How many records may have been on their way to the disk at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InFlight {
    /// One, whose parts may lie in several blocks.
    One,
    /// Several.
    Many,
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// With a whole record.
    Whole,
    /// Inside a record, as RocksDB expects it.
    Cut,
    /// In a record with holes that begins at `offset`.
    Holes { offset: u64 },
}

/// Follows a file block by block.
pub(super) struct Walk<'p> {
    path: &'p Path,
    in_flight: InFlight,
    /// Where the current block begins.
    start: u64,
    /// Where the record began whose last part is still to come.
    unfinished: Option<u64>,
    torn: Option<Torn>,
}

/// A tail that counts as torn unless a record begins behind it.
#[derive(Clone, Copy)]
struct Torn {
    tail: Tail,
    /// Where its damage lies, and what it is if a record does begin behind it.
    offset: u64,
    reason: &'static str,
}

/// What is wrong at a position of a block.
enum Fault {
    /// The file ends there.
    Cut,
    Hole(&'static str),
    Damage(&'static str),
}

impl<'p> Walk<'p> {
    pub fn new(path: &'p Path, in_flight: InFlight) -> Self {
        Self { path, in_flight, start: 0, unfinished: None, torn: None }
    }

    /// Checks the next block; one that is not full is the last.
    /// Shows what each whole record, or first part of one, holds.
    pub fn block(&mut self, block: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        let suspicious = if self.torn.is_some() { Some(0) } else { self.records(block, show)? };
        if let Some(from) = suspicious {
            self.expect_no_start(&block[from..])?;
        }
        self.start += block.len() as u64;
        Ok(())
    }

    /// Says how the file ends, after its last block.
    pub fn end(self) -> Tail {
        match (self.torn, self.unfinished) {
            (Some(torn), _) => torn.tail,
            (None, Some(_)) => Tail::Cut,
            (None, None) => Tail::Whole,
        }
    }

    /// Walks over whole records. Returns where to look for later ones, if the tail of the file
    /// begins here.
    fn records(
        &mut self,
        block: &[u8],
        show: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<usize>, StoreError> {
        let mut at = 0;
        while at < block.len() {
            let rest = &block[at..];
            let is_padding = block.len() == BLOCK_BYTES && rest.len() < HEADER_BYTES;
            if is_padding && is_zero(rest) {
                break;
            }
            let record = Record::parse(rest);
            if let Some((record, length)) = record.and_then(|r| Some((r.kind, r.whole_length()?))) {
                self.follow(record, at)?;
                if matches!(record, WHOLE | FIRST) {
                    show(&rest[HEADER_BYTES..length]);
                }
                at += length;
                continue;
            }
            let offset = self.start + at as u64;
            let begun = self.unfinished.unwrap_or(offset);
            let (tail, reason) = match fault(block, at) {
                Fault::Cut => (Tail::Cut, "record has a wrong length, others follow"),
                Fault::Hole(reason) => (Tail::Holes { offset: begun }, reason),
                Fault::Damage(reason) => return Err(self.damage(offset, reason)),
            };
            self.torn = Some(Torn { tail, offset, reason });
            return Ok(Some(at + 1));
        }
        Ok(None)
    }

    /// Checks that the parts of a record follow each other.
    fn follow(&mut self, kind: u8, at: usize) -> Result<(), StoreError> {
        let offset = self.start + at as u64;
        let inside = self.unfinished.is_some();
        match kind {
            WHOLE | FIRST if inside => {
                return Err(self.damage(offset, "record begins before the last one has ended"));
            }
            MIDDLE | LAST if !inside => {
                return Err(self.damage(offset, "part of a record without its beginning"));
            }
            FIRST => self.unfinished = Some(offset),
            LAST => self.unfinished = None,
            _ => {}
        }
        Ok(())
    }

    fn expect_no_start(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(torn) = self.torn else { return Ok(()) };
        let may_follow =
            self.in_flight == InFlight::Many && matches!(torn.tail, Tail::Holes { .. });
        if !may_follow && (0..bytes.len()).any(|at| is_start(&bytes[at..])) {
            return Err(self.damage(torn.offset, torn.reason));
        }
        Ok(())
    }

    fn damage(&self, offset: u64, reason: &'static str) -> StoreError {
        StoreError::DamagedLog { path: PathBuf::from(self.path), offset, reason }
    }
}

/// Tells what is wrong where no whole record lies.
fn fault(block: &[u8], at: usize) -> Fault {
    let rest = &block[at..];
    if is_zero(rest) {
        return Fault::Hole("zeros before the end of the log");
    }
    let is_last_block = block.len() < BLOCK_BYTES;
    let Some(record) = Record::parse(rest) else {
        return if is_last_block {
            Fault::Cut
        } else {
            Fault::Damage("padding of a block is not zero")
        };
    };
    if record.has_wrong_length() {
        return Fault::Damage("record has a wrong length");
    }
    if record.has_flipped_bit() {
        return Fault::Damage("record does not match its checksum");
    }
    let end = at + HEADER_BYTES + record.length;
    if has_hole(block, at, end) {
        return Fault::Hole("record has a hole, others follow");
    }
    if end <= block.len() {
        return Fault::Damage("record does not match its checksum");
    }
    if !is_last_block || end > BLOCK_BYTES {
        return Fault::Damage("record is longer than its block");
    }
    if !(WHOLE..=LAST).contains(&record.kind) {
        return Fault::Damage("record has an unknown type");
    }
    Fault::Cut
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::mask;
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

    fn check(log: &[u8]) -> Result<Tail, StoreError> {
        let mut walk = Walk::new(Path::new("000001.log"), InFlight::One);
        for block in log.chunks(BLOCK_BYTES) {
            walk.block(block, &mut |_| {})?;
        }
        Ok(walk.end())
    }

    #[test]
    fn whole_logs_pass() {
        for lengths in [&[][..], &[0], &[5, 0, 9], &[100_000, 3], &[32_761, 1], &[32_755, 1]] {
            assert_eq!(check(&log(lengths).0).unwrap(), Tail::Whole);
        }
    }

    #[test]
    fn a_log_cut_anywhere_has_a_torn_tail() {
        let (log, ends) = log(&[50, 200, 120]);
        for length in 0..log.len() {
            let is_end = length == 0 || ends.contains(&length);
            let expected = if is_end { Tail::Whole } else { Tail::Cut };
            assert_eq!(check(&log[..length]).unwrap(), expected, "{length}");
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
        assert_eq!(check(&log).unwrap(), Tail::Holes { offset: first.len() as u64 });
        log.extend(record(WHOLE, b"later"));
        let error = check(&log).unwrap_err().to_string();
        let offset = first.len();
        let expected = format!("log is damaged at {offset}: zeros before the end of the log");
        assert!(error.ends_with(&expected), "{error}");
    }

    /// Returns a log whose last record fills most of four blocks, and where that begins.
    fn long_last_record() -> (Vec<u8>, usize) {
        let (log, ends) = log(&[300, 100_000]);
        (log, ends[0])
    }

    #[test]
    fn a_last_record_that_lost_any_of_its_sectors_is_a_torn_tail() {
        let (whole, start) = long_last_record();
        for first in (start / 512..whole.len() / 512).step_by(3) {
            for sectors in [1, 5, 70] {
                let mut torn = whole.clone();
                let end = torn.len().min((first + sectors) * 512);
                torn[start.max(first * 512)..end].fill(0);
                assert_eq!(check(&torn).unwrap(), Tail::Holes { offset: start as u64 });
            }
        }
    }

    #[test]
    fn a_hole_is_damage_when_a_record_begins_behind_it() {
        let (mut whole, start) = long_last_record();
        whole[(start + 1024) & !511..][..512].fill(0);
        whole.extend(record(WHOLE, b"later"));
        let error = check(&whole).unwrap_err().to_string();
        assert!(error.ends_with("record has a hole, others follow"), "{error}");
    }

    #[test]
    fn in_a_manifest_records_may_follow_a_hole() {
        let (whole, ends) = log(&[300, 900, 40]);
        let mut torn = whole.clone();
        torn[512..1024].fill(0);
        let mut walk = Walk::new(Path::new("MANIFEST-000001"), InFlight::Many);
        walk.block(&torn, &mut |_| {}).unwrap();
        assert_eq!(walk.end(), Tail::Holes { offset: ends[0] as u64 });
    }

    #[test]
    fn a_flipped_bit_in_a_record_of_zeros_is_damage() {
        let zeros = record(WHOLE, &[0; 3000]);
        for bit in 0..zeros.len() * 8 {
            let mut damaged = zeros.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            check(&damaged).expect_err(&format!("bit {bit} of byte {}", bit / 8));
        }
    }

    #[test]
    fn parts_out_of_order_are_damage() {
        let parts: [&[u8]; 4] = [&[FIRST, FIRST], &[FIRST, WHOLE], &[LAST], &[WHOLE, MIDDLE]];
        for kinds in parts {
            let log: Vec<u8> = kinds.iter().flat_map(|&kind| record(kind, b"part")).collect();
            check(&log).expect_err(&format!("{kinds:?}"));
        }
        assert_eq!(check(&record(FIRST, b"part")).unwrap(), Tail::Cut);
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
