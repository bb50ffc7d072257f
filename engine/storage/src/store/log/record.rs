//! One record of a log, and what may have happened to it.

/// Bytes of a block; no record crosses into the next.
pub(super) const BLOCK_BYTES: usize = 32 << 10;
pub(super) const HEADER_BYTES: usize = 7;
/// What a disk writes as a whole or not at all.
const SECTOR_BYTES: usize = 512;

pub(super) const WHOLE: u8 = 1;
pub(super) const FIRST: u8 = 2;
pub(super) const MIDDLE: u8 = 3;
pub(super) const LAST: u8 = 4;

/// The polynomial of CRC32C, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// A record's header, and what lies behind it up to the end of its block.
pub(super) struct Record<'b> {
    masked_crc: u32,
    /// Bytes of payload, as the header says.
    pub length: usize,
    pub kind: u8,
    behind: &'b [u8],
}

impl<'b> Record<'b> {
    pub fn parse(bytes: &'b [u8]) -> Option<Self> {
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
    pub fn whole_length(&self) -> Option<usize> {
        self.matches(self.behind.get(..self.length)?).then_some(HEADER_BYTES + self.length)
    }

    /// Whether a record of another length would match: of one that differs in one bit, or that goes on
    /// to the end.
    pub fn has_wrong_length(&self) -> bool {
        let one_bit_off = (0..16).map(|bit| self.length ^ (1 << bit));
        one_bit_off
            .chain([self.behind.len()])
            .any(|length| self.behind.get(..length).is_some_and(|payload| self.matches(payload)))
    }

    /// Whether one flipped bit, of the checksum or of what it covers, is all that is wrong.
    pub fn has_flipped_bit(&self) -> bool {
        let Some(payload) = self.behind.get(..self.length) else { return false };
        let actual = self.crc(payload);
        if (mask(actual) ^ self.masked_crc).is_power_of_two() {
            return true;
        }
        // A CRC is linear: what a flipped bit changes in it depends on nothing but how many bits
        // follow. For the last bit that is the polynomial, and each bit before is one step more.
        let difference = actual ^ unmask(self.masked_crc);
        let mut change = POLYNOMIAL;
        (0..8 * (payload.len() + 1)).any(|_| {
            let found = change == difference;
            change = (change >> 1) ^ if change & 1 == 1 { POLYNOMIAL } else { 0 };
            found
        })
    }

    /// Whether the checksum is that of this payload.
    fn matches(&self, payload: &[u8]) -> bool {
        mask(self.crc(payload)) == self.masked_crc
    }

    fn crc(&self, payload: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&[self.kind]), payload)
    }
}

/// RocksDB stores checksums rotated and shifted, because logs may contain logs.
pub(super) fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

fn unmask(masked: u32) -> u32 {
    masked.wrapping_sub(0xa282_ead8).rotate_left(15)
}

/// Whether a whole record, or the first part of one, lies at the start of `bytes`.
pub(super) fn is_start(bytes: &[u8]) -> bool {
    Record::parse(bytes).is_some_and(|record| {
        matches!(record.kind, WHOLE | FIRST) && record.whole_length().is_some()
    })
}

/// Whether a sector that begins in `start..end`, or the rest of the one that `start` lies in, is all
/// zeros: what an append that never reached the disk leaves.
pub(super) fn has_hole(block: &[u8], start: usize, end: usize) -> bool {
    let mut at = start;
    while at < end.min(block.len()) {
        let next = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
        if is_zero(&block[at..next.min(block.len())]) {
            return true;
        }
        at = next;
    }
    false
}

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(payload: &[u8]) -> Vec<u8> {
        let crc = mask(crc32c::crc32c_append(crc32c::crc32c(&[WHOLE]), payload));
        let length = u16::try_from(payload.len()).unwrap();
        [&crc.to_le_bytes()[..], &length.to_le_bytes(), &[WHOLE], payload].concat()
    }

    proptest! {
        #[test]
        fn one_flipped_bit_is_told_from_two(
            payload in prop::collection::vec(any::<u8>(), 1..2000),
            first in any::<prop::sample::Index>(), second in any::<prop::sample::Index>(),
        ) {
            let whole = record(&payload);
            let flip = |bytes: &mut Vec<u8>, bit: usize| bytes[bit / 8] ^= 1 << (bit % 8);
            let explained = |bytes: &[u8]| {
                let record = Record::parse(bytes).unwrap();
                record.has_wrong_length() || record.has_flipped_bit()
            };
            let (first, second) = (first.index(8 * whole.len()), second.index(8 * whole.len()));
            let mut damaged = whole.clone();
            flip(&mut damaged, first);
            prop_assert!(explained(&damaged));
            // Two bits of what the checksum covers are not taken for one.
            let covered = 8 * (HEADER_BYTES - 1);
            if first != second && first.min(second) >= covered {
                flip(&mut damaged, second);
                prop_assert!(!explained(&damaged));
            }
        }
    }

    #[test]
    fn a_hole_is_a_sector_or_the_rest_of_one() {
        let mut block = vec![7; 4 * SECTOR_BYTES + 100];
        assert!(!has_hole(&block, 0, block.len()));
        block[1000..1024].fill(0);
        assert!(has_hole(&block, 1000, 1010) && has_hole(&block, 1010, 1100));
        assert!(!has_hole(&block, 999, 1500), "not zero from where the append began");
        block[1024..1535].fill(0);
        assert!(!has_hole(&block, 1020 - SECTOR_BYTES, 1030 + SECTOR_BYTES - 8));
        block[1535] = 0;
        assert!(has_hole(&block, 600, 1100));
        let tail = 4 * SECTOR_BYTES;
        block[tail..].fill(0);
        assert!(has_hole(&block, tail - 10, tail + 1));
    }
}
