//! Whether a file lies in the page cache.
//!
//! A map is the fastest way to bytes that are in memory and the slowest to bytes that are not: each
//! missing page stops the thread for one read of the disk, one after another. So a reader asks
//! before it chooses. Asking about every page would cost more than it saves; a sample, renewed every
//! second and at other places each time, costs some microseconds a second.
//!
//! What is searched for may be in memory though much of the file is not. Then rows are asked about
//! one by one, about as dear as scoring them; once many in a row were there, only now and then.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::BLOCK_BYTES;
use crate::directory::FileReader;

/// Pages asked about.
const SAMPLES: u64 = 64;
/// Sampled pages that may be missing. One row in fifty that waits for the disk costs about as much
/// as reading the other forty-nine the slower way.
const MAY_MISS: u64 = 1;
/// How long an answer holds.
const LIFETIME: Duration = Duration::from_secs(1);

/// After so many rows that were all there, the next ones are taken to be.
const TRUSTED_AFTER: u32 = 64;
/// Of rows that are taken to be there, one in so many is asked about. One that is not ends the trust.
const TRUSTED_ASK: u32 = 16;

/// What was found out about a file.
#[derive(Debug, Default)]
pub(super) struct Residency {
    last: Mutex<Option<Answer>>,
    /// Rows since the last one that was not there.
    there: AtomicU32,
}

#[derive(Debug)]
struct Answer {
    given: Instant,
    resident: bool,
    round: u64,
}

impl Residency {
    /// Returns the last answer if it is fresh `now`, and asks otherwise.
    pub fn of(&self, reader: &dyn FileReader, body_bytes: u64, now: Instant) -> bool {
        let mut last = self.last.lock();
        let fresh = |answer: &&Answer| now.saturating_duration_since(answer.given) < LIFETIME;
        if let Some(answer) = last.as_ref().filter(fresh) {
            return answer.resident;
        }
        let round = last.as_ref().map_or(0, |answer| answer.round.wrapping_add(1));
        let resident = sample(reader, body_bytes, round);
        *last = Some(Answer { given: now, resident, round });
        resident
    }

    /// Returns whether some pages are in memory, as far as it is worth asking.
    pub fn of_pages(&self, reader: &dyn FileReader, mut pages: RangeInclusive<u64>) -> bool {
        let there = self.there.fetch_add(1, Ordering::Relaxed);
        if there >= TRUSTED_AFTER && !there.is_multiple_of(TRUSTED_ASK) {
            return true;
        }
        let cached = pages.all(|page| reader.is_cached(page * BLOCK_BYTES as u64));
        if !cached {
            self.there.store(0, Ordering::Relaxed);
        }
        cached
    }
}

/// Asks about pages spread evenly over the file, shifted by `round`.
fn sample(reader: &dyn FileReader, body_bytes: u64, round: u64) -> bool {
    let pages = body_bytes.div_ceil(BLOCK_BYTES as u64);
    let samples = pages.min(SAMPLES);
    let mut missing = 0;
    for i in 0..samples {
        // Page `i * pages / samples` and those behind it, up to the next sample's, take turns.
        let (start, end) = (share(i, pages, samples), share(i + 1, pages, samples));
        // A multiplier without a common factor with most widths visits them in no pattern.
        let page = start + round.wrapping_mul(2_654_435_761) % (end - start).max(1);
        missing += u64::from(!reader.is_cached(page * BLOCK_BYTES as u64));
        if missing > MAY_MISS {
            return false;
        }
    }
    true
}

fn share(i: u64, pages: u64, samples: u64) -> u64 {
    (u128::from(i) * u128::from(pages) / u128::from(samples)) as u64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::directory::DirectoryError;

    /// A file of which a part is cached, and which notes what it was asked.
    #[derive(Debug)]
    struct Partly {
        cached_pages: u64,
        asked: Mutex<Vec<u64>>,
    }

    impl FileReader for Partly {
        fn path(&self) -> &Path {
            Path::new("partly")
        }
        fn len(&self) -> u64 {
            u64::MAX
        }
        fn read_at(&self, _: u64, _: &mut [u8]) -> Result<(), DirectoryError> {
            Ok(())
        }
        fn map(&self) -> Result<Option<&[u8]>, DirectoryError> {
            Ok(None)
        }
        fn is_cached(&self, offset: u64) -> bool {
            self.asked.lock().push(offset / BLOCK_BYTES as u64);
            offset / (BLOCK_BYTES as u64) < self.cached_pages
        }
    }

    fn partly(cached_pages: u64) -> Partly {
        Partly { cached_pages, asked: Mutex::default() }
    }

    #[test]
    fn a_file_is_resident_when_nearly_all_of_it_is() {
        let bytes = 10_000 * BLOCK_BYTES as u64;
        for (cached, expected) in [(10_000, true), (9_900, true), (9_000, false), (0, false)] {
            for round in 0..20 {
                assert_eq!(sample(&partly(cached), bytes, round), expected, "{cached}");
            }
        }
        assert!(sample(&partly(0), 0, 0), "an empty file has nothing to wait for");
    }

    #[test]
    fn every_sample_lies_in_the_file_and_rounds_differ() {
        for pages in [1, 2, 63, 64, 65, 1000] {
            let mut seen = Vec::new();
            for round in 0..3 {
                let reader = partly(u64::MAX);
                assert!(sample(&reader, pages * BLOCK_BYTES as u64 - 1, round));
                let asked = reader.asked.into_inner();
                assert_eq!(asked.len() as u64, pages.min(SAMPLES));
                assert!(asked.is_sorted() && asked.iter().all(|&page| page < pages), "{asked:?}");
                seen.push(asked);
            }
            assert!(pages < 1000 || seen[0] != seen[1]);
        }
    }

    #[test]
    fn rows_are_trusted_until_one_is_missing() {
        let reader = partly(10);
        let residency = Residency::default();
        for _ in 0..TRUSTED_AFTER + 1_000 * TRUSTED_ASK {
            assert!(residency.of_pages(&reader, 3..=4));
        }
        assert_eq!(reader.asked.lock().len() as u32, 2 * (TRUSTED_AFTER + 1_000));
        let waits = (0..).find(|_| !residency.of_pages(&reader, 9..=10)).unwrap();
        assert!(waits < TRUSTED_ASK, "{waits}");
        assert!(!residency.of_pages(&reader, 10..=10), "no longer trusted");
    }

    #[test]
    fn an_answer_holds_for_a_second() {
        let reader = partly(0);
        let residency = Residency::default();
        let (bytes, now) = (1000 * BLOCK_BYTES as u64, Instant::now());
        let questions = |now: Instant| {
            assert!(!residency.of(&reader, bytes, now));
            reader.asked.lock().len()
        };
        let first = questions(now);
        assert_eq!(questions(now + LIFETIME / 2), first);
        assert!(questions(now + LIFETIME) > first);
    }
}
