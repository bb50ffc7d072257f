//! What the records of RocksDB's files say about their order.

/// The sequence number of the first row of a batch, from a record of a log.
pub(super) fn first_sequence(batch: &[u8]) -> Option<u64> {
    batch.first_chunk().map(|sequence| u64::from_le_bytes(*sequence))
}

/// The last sequence number that tables hold, from a record of a manifest, if it says.
///
/// A record is a list of fields, each with a number in front. The short ones come first, this one among
/// them, so that reading stops where the first one is met that is not listed here.
pub(super) fn last_sequence(edit: &[u8]) -> Option<u64> {
    const COMPARATOR: u64 = 1;
    const LAST_SEQUENCE: u64 = 4;
    const DATABASE_ID: u64 = (1 << 13) + 1;
    // Numbers of logs, files and column families.
    const NUMBERS: [u64; 5] = [2, 3, 9, 10, 203];
    let mut rest = edit;
    loop {
        match varint(&mut rest)? {
            LAST_SEQUENCE => return varint(&mut rest),
            COMPARATOR | DATABASE_ID => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            number if NUMBERS.contains(&number) => {
                varint(&mut rest)?;
            }
            _ => return None,
        }
    }
}

/// Reads a number of seven bits a byte, the lowest first.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_last_sequence_is_found_behind_other_numbers() {
        let id = [&[0x81, 0x40, 3][..], b"abc"].concat();
        let edit = [&id[..], &[2, 9, 3, 0xac, 2, 4, 0x85, 1, 103, 7]].concat();
        assert_eq!(last_sequence(&edit), Some(133));
        assert_eq!(last_sequence(&edit[..10]), None, "cut short");
        assert_eq!(last_sequence(&[103, 4, 5]), None, "not where short fields are");
        assert_eq!(first_sequence(&[7, 0, 0, 0, 0, 0, 0, 0, 1]), Some(7));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = (first_sequence(&bytes), last_sequence(&bytes));
        }
    }
}
