//! How long the tests of reliability run, and what they say about it.
//!
//! `make test` runs them briefly with fixed seeds. `make soak` sets `SOAK`, a factor of the long run:
//! 1 is all of it, 0.1 a tenth. `SOAK_SEED` moves every seed. Each run ends in one line that is a row
//! of the table in `docs/reliability.md`.

use std::time::{Duration, Instant};

/// One run of one test.
#[derive(Debug)]
pub struct Soak {
    name: &'static str,
    unit: &'static str,
    count: u64,
    /// How long to go on instead, if the run is a long one that is measured in time.
    time: Option<Duration>,
    seed: u64,
    started: Instant,
}

impl Soak {
    /// Starts a run of `brief` units, or of a share of `long` ones under `make soak`, and says which.
    #[must_use]
    pub fn start(name: &'static str, unit: &'static str, brief: u64, long: u64) -> Self {
        let count = factor().map_or(brief, |factor| brief.max((long as f64 * factor) as u64));
        Self::new(name, unit, count, None)
    }

    /// Starts a run of `brief` units, or of a share of `seconds` under `make soak`.
    #[must_use]
    pub fn timed(name: &'static str, unit: &'static str, brief: u64, seconds: u64) -> Self {
        let time = factor().map(|factor| Duration::from_secs(seconds).mul_f64(factor));
        Self::new(name, unit, brief, time)
    }

    fn new(name: &'static str, unit: &'static str, count: u64, time: Option<Duration>) -> Self {
        let seed = std::env::var("SOAK_SEED").ok();
        let seed = seed.map_or(0, |seed| seed.parse().expect("SOAK_SEED"));
        println!("{name}: {count} {unit}, seed {seed}");
        Self { name, unit, count, time, seed, started: Instant::now() }
    }

    /// Whether to go on after some units.
    #[must_use]
    pub fn goes_on(&self, done: u64) -> bool {
        done < self.count || self.time.is_some_and(|time| self.started.elapsed() < time)
    }

    /// Returns how long to go on, in seconds; nothing in a run that is counted in units.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.time.map_or(0, |time| time.as_secs())
    }

    /// Returns how many units to run.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the seed of this run.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Says how the run went.
    pub fn done(&self, found: &str) {
        let Self { name, unit, count, time, seed, started } = self;
        let seconds = started.elapsed().as_secs_f64();
        let amount = match time {
            Some(time) => format!("{:.0} s", time.as_secs_f64()),
            None => format!("{count} {unit}"),
        };
        println!("| {name} | {amount} | {seed} | {seconds:.0} s | {found} |");
    }
}

/// Returns the share of the long run to do, if this is one.
fn factor() -> Option<f64> {
    std::env::var("SOAK").ok().map(|factor| factor.parse().expect("SOAK"))
}
