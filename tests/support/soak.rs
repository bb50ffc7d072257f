//! How long the tests of reliability run, and what they say about it.
//!
//! `make test` runs them briefly with fixed seeds. `make soak` sets `SOAK`, a factor of the long run:
//! 1 is all of it, 0.1 a tenth. `SOAK_SEED` moves every seed. Each run ends in one line that is a row
//! of the table in `docs/reliability.md`.

use std::time::Instant;

/// One run of one test.
#[derive(Debug)]
pub struct Soak {
    name: &'static str,
    unit: &'static str,
    count: u64,
    seed: u64,
    started: Instant,
}

impl Soak {
    /// Starts a run of `brief` units, or of a share of `long` ones under `make soak`, and says which.
    #[must_use]
    pub fn start(name: &'static str, unit: &'static str, brief: u64, long: u64) -> Self {
        let number = |name: &str| std::env::var(name).ok();
        let factor: Option<f64> = number("SOAK").map(|factor| factor.parse().expect("SOAK"));
        let seed = number("SOAK_SEED").map_or(0, |seed| seed.parse().expect("SOAK_SEED"));
        let count = factor.map_or(brief, |factor| brief.max((long as f64 * factor) as u64));
        println!("{name}: {count} {unit}, seed {seed}");
        Self { name, unit, count, seed, started: Instant::now() }
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
        let Self { name, unit, count, seed, started } = self;
        let seconds = started.elapsed().as_secs_f64();
        println!("| {name} | {count} {unit} | {seed} | {seconds:.0} s | {found} |");
    }
}
