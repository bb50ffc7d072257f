//! How much of something a key may do in a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A token bucket that holds what one second allows.
///
/// What takes more than a second's worth at once goes ahead when the bucket is full, and is paid for afterwards: a
/// batch of 10,000 points at 2,000 a second goes through, and the next one 5 seconds later.
#[derive(Debug)]
pub(crate) struct Meter {
    per_second: f64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Meter {
    /// A full bucket.
    pub(crate) fn new(per_second: f64, now: Instant) -> Self {
        let bucket = Bucket { level: per_second.max(1.0), at: now };
        Self { per_second, bucket: Mutex::new(bucket) }
    }

    /// Returns what a second allows.
    pub(crate) fn per_second(&self) -> f64 {
        self.per_second
    }

    /// Takes some, or says how long to wait for as much.
    pub(crate) fn take(&self, count: usize, now: Instant) -> Result<(), Duration> {
        let full = self.per_second.max(1.0);
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.level = (bucket.level + passed * self.per_second).min(full);
        bucket.at = bucket.at.max(now);
        let needed = (count as f64).min(full);
        if bucket.level < needed {
            let wait = (needed - bucket.level) / self.per_second;
            return Err(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX));
        }
        bucket.level -= count as f64;
        Ok(())
    }
}

/// Meters are alike if they allow the same.
impl PartialEq for Meter {
    fn eq(&self, other: &Self) -> bool {
        self.per_second == other.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_second_allows_what_it_should_in_bursts_and_evenly() {
        let start = Instant::now();
        let meter = Meter::new(4.0, start);
        for _ in 0..4 {
            assert_eq!(meter.take(1, start), Ok(()));
        }
        assert_eq!(meter.take(1, start), Err(ms(250)));
        assert_eq!(meter.take(1, start + ms(250)), Ok(()));
        assert_eq!(meter.take(1, start + ms(300)), Err(ms(200)));
        // An hour without requests is worth a second, not an hour.
        let later = start + ms(3_600_000);
        assert_eq!((0..10).filter(|_| meter.take(1, later).is_ok()).count(), 4);
    }

    #[test]
    fn more_than_a_second_allows_goes_ahead_and_is_paid_for_afterwards() {
        let start = Instant::now();
        let meter = Meter::new(100.0, start);
        assert_eq!(meter.take(300, start), Ok(()));
        assert_eq!(meter.take(1, start), Err(ms(2_010)));
        assert_eq!(meter.take(300, start + ms(2_500)), Err(ms(500)));
        assert_eq!(meter.take(300, start + ms(3_000)), Ok(()));
    }

    #[test]
    fn less_than_one_a_second_is_one_now_and_then() {
        let start = Instant::now();
        let meter = Meter::new(0.5, start);
        assert_eq!(meter.take(1, start), Ok(()));
        assert_eq!(meter.take(1, start + ms(500)), Err(ms(1_500)));
        assert_eq!(meter.take(1, start + ms(2_000)), Ok(()));
    }
}
