//! Whether a JPEG file reaches its end.
//!
//! A JPEG file is a row of segments, `FF marker length ...`, and after each start of scan come coded
//! bytes, in which `FF` is followed by 0 or by a restart marker. A thumbnail among the metadata is a
//! file of its own with its own end, which is why looking for the last `FF D9` will not do.

const START: u8 = 0xd8;
const END: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;

/// Whether the segments of a file lead to its end marker.
pub(super) fn jpeg_has_end(bytes: &[u8]) -> bool {
    let mut at = 0;
    while let Some((marker, after)) = next_marker(bytes, at) {
        at = match marker {
            END => return true,
            // Markers that stand alone.
            0x00 | 0x01 | START | 0xd0..=0xd7 => after,
            START_OF_SCAN => match skip_segment(bytes, after) {
                Some(coded) => end_of_scan(bytes, coded),
                None => return false,
            },
            _ => match skip_segment(bytes, after) {
                Some(next) => next,
                None => return false,
            },
        };
    }
    false
}

/// The next marker from `at` on, and where what follows it starts. Any number of `FF` may come
/// before one, and decoders pass over bytes between segments.
fn next_marker(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let rest = bytes.get(at..)?;
    let start = rest.iter().position(|&byte| byte == 0xff)?;
    let marker = start + rest[start..].iter().position(|&byte| byte != 0xff)?;
    Some((rest[marker], at + marker + 1))
}

/// Where the segment ends whose length stands at `at`.
fn skip_segment(bytes: &[u8], at: usize) -> Option<usize> {
    let length = bytes.get(at..)?.first_chunk::<2>()?;
    Some(at + usize::from(u16::from_be_bytes(*length)))
}

/// Where the coded bytes from `at` on end: before the next marker that is none of theirs.
fn end_of_scan(bytes: &[u8], mut at: usize) -> usize {
    while let Some((marker, after)) = next_marker(bytes, at) {
        if !matches!(marker, 0x00 | 0xd0..=0xd7) {
            return after - 2;
        }
        at = after;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end_of_the_file() {
        let head = [0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9];
        let scan = [0xff, 0xda, 0, 3, 9, 0x12, 0xff, 0x00, 0xff, 0xd0, 0x34];
        let whole = [&head[..], &scan, &[0xff, 0xff, 0xd9]].concat();
        assert!(jpeg_has_end(&whole));
        for cut in 0..whole.len() {
            assert!(!jpeg_has_end(&whole[..cut]), "{cut}");
        }
        assert!(jpeg_has_end(&[&whole[..], b"more"].concat()));
    }
}
