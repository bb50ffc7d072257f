//! Tokens a second of our encoder, beside a peer that takes turns with it.
//!
//! A round is one pass of ours and one of the peer's over the same texts. Whatever else the
//! machine does in the meantime slows both, so the median of the rounds' ratios is steadier than
//! either median.

use std::time::Duration;

use anyhow::Context;
use bigrain_encoders::{TextEncoder, measure_throughput};
use bigrain_engine::Cancel;
use serde::Serialize;
use serde_json::Value;

use crate::human;
use crate::peer::Peer;

/// What a benchmark found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EncodeBench {
    /// Texts encoded in each pass.
    pub texts: u64,
    /// Threads of each side.
    pub threads: usize,
    /// Our passes.
    pub ours: Passes,
    /// The peer's passes, if there is one.
    pub peer: Option<Passes>,
    /// What the peer says of itself.
    pub peer_description: Option<Value>,
    /// The median over the rounds of our rate divided by the peer's.
    pub ratio: Option<f64>,
}

/// The passes of one side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Passes {
    /// Tokens encoded in each pass.
    pub tokens: u64,
    /// Tokens a second, pass by pass.
    pub rates: Vec<f64>,
    /// The median of the rates.
    pub median: f64,
}

impl EncodeBench {
    /// Runs one pass of each side that does not count, and then `rounds` that do. `on_round` is
    /// told the number of each round and the rates of both sides.
    ///
    /// # Errors
    ///
    /// When encoding fails, the peer ends, or the caller cancels.
    pub fn run(
        encoder: &dyn TextEncoder,
        texts: &[&str],
        mut peer: Option<&mut Peer>,
        plan: RoundPlan<'_>,
        mut on_round: impl FnMut(usize, f64, Option<f64>) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let (mut our_tokens, mut their_tokens) = (0, 0);
        for round in 0..=plan.rounds {
            plan.cancel.check()?;
            let pass = measure_throughput(encoder, texts).context("encode")?;
            let their_pass = peer.as_mut().map(|peer| peer.pass()).transpose()?;
            if round == 0 {
                continue;
            }
            our_tokens = pass.stats.tokens;
            ours.push(pass.tokens_per_second());
            if let Some(pass) = their_pass {
                their_tokens = pass.tokens;
                theirs.push(rate(pass.tokens, pass.elapsed));
            }
            on_round(round, pass.tokens_per_second(), theirs.last().copied())?;
        }
        let ours = Passes::new(our_tokens, ours);
        let peer_passes = peer.is_some().then(|| Passes::new(their_tokens, theirs));
        let ratio = peer_passes.as_ref().map(|passes| ours.ratio(passes));
        Ok(Self {
            texts: texts.len() as u64,
            threads: plan.threads,
            ours,
            peer: peer_passes,
            peer_description: peer.map(|peer| peer.description().clone()),
            ratio,
        })
    }
}

/// How often to measure, on how many threads.
#[derive(Clone, Copy, Debug)]
pub struct RoundPlan<'a> {
    /// Rounds that count.
    pub rounds: usize,
    /// Threads of each side.
    pub threads: usize,
    /// Raised to stop between passes.
    pub cancel: &'a Cancel,
}

impl Passes {
    fn new(tokens: u64, rates: Vec<f64>) -> Self {
        let median = median(&rates);
        Self { tokens, rates, median }
    }

    fn ratio(&self, other: &Self) -> f64 {
        let ratios = self.rates.iter().zip(&other.rates).map(|(ours, theirs)| ours / theirs);
        median(&ratios.collect::<Vec<_>>())
    }
}

fn rate(tokens: u64, elapsed: Duration) -> f64 {
    human::rate(tokens, elapsed)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.as_slice() {
        [] => 0.0,
        sorted if sorted.len() % 2 == 1 => sorted[sorted.len() / 2],
        sorted => f64::midpoint(sorted[sorted.len() / 2 - 1], sorted[sorted.len() / 2]),
    }
}

#[cfg(test)]
mod tests {
    use bigrain_encoders::ToyEncoder;

    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn the_ratio_is_taken_within_rounds() {
        let ours = Passes::new(1, vec![6.0, 3.0, 5.0]);
        let theirs = Passes::new(1, vec![4.0, 2.0, 1.0]);
        assert_eq!(ours.ratio(&theirs), 1.5);
    }

    #[test]
    fn the_first_round_does_not_count() {
        let cancel = Cancel::new();
        let plan = RoundPlan { rounds: 3, threads: 1, cancel: &cancel };
        let mut rounds = Vec::new();
        let on_round = |round, _, peer: Option<f64>| {
            assert_eq!(peer, None);
            rounds.push(round);
            Ok(())
        };
        let bench =
            EncodeBench::run(&ToyEncoder::new(8), &["a b", "c"], None, plan, on_round).unwrap();
        assert_eq!(rounds, [1, 2, 3]);
        assert_eq!((bench.texts, bench.ours.tokens, bench.ours.rates.len()), (2, 3, 3));
        assert_eq!(bench.ratio, None);
    }
}
