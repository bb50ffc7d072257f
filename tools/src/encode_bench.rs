//! How fast our encoder is, beside a peer that takes turns with it.
//!
//! A round is one pass of ours and one of the peer's over each workload. Whatever else the machine does
//! in the meantime slows both, so the median of the rounds' ratios is steadier than either median.
//!
//! | workload | ours | peer |
//! |---|---|---|
//! | `mixed, padded` | all texts | in the order they come, 32 at a time, padded to the longest of the batch: as people run it |
//! | `mixed, sorted` | all texts | sorted by length, in batches of the size that suits it best |
//! | `equal` | one text many times, so there is nothing to pad | the same |
//! | `query` | one short text at a time; the median of many | the same |

use std::time::{Duration, Instant};

use anyhow::Context;
use bigrain_encoders::{EncodeOptions, TextEncoder, measure_throughput};
use bigrain_engine::Cancel;
use serde::Serialize;
use serde_json::{Value, json};

use crate::human;
use crate::machine::Machine;
use crate::peer::Peer;

/// Texts of a batch of the peer, where it pads.
const PADDED_BATCH: usize = 32;
/// Encodes of a pass of queries.
const QUERIES: usize = 60;
/// A dozen tokens.
const QUERY: &str = "how do I sort a list of words in place";

/// What a benchmark found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EncodeBench {
    /// What it ran on.
    pub machine: Machine,
    /// Processes that wanted a core, in the mean over the last minute: before and after.
    pub load: [Option<f64>; 2],
    /// Threads of each side.
    pub threads: usize,
    /// What ran the model, where a device was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoded_on: Option<String>,
    /// What the peer says of itself.
    pub peer: Option<Value>,
    /// The workloads.
    pub workloads: Vec<WorkloadResult>,
}

/// What one workload came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkloadResult {
    /// Its name.
    pub name: &'static str,
    /// Our passes.
    pub ours: Passes,
    /// The peer's passes, if there is one.
    pub peer: Option<Passes>,
    /// The median over the rounds of our rate divided by the peer's.
    pub ratio: Option<f64>,
}

/// The passes of one side.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Passes {
    /// Tokens encoded in each pass.
    pub tokens: u64,
    /// Tokens a second, pass by pass.
    pub rates: Vec<f64>,
    /// The median of the rates.
    pub median: f64,
}

/// What both sides encode in a pass.
struct Workload<'a> {
    name: &'static str,
    ours: Work<'a>,
    peer: Value,
}

enum Work<'a> {
    /// All at once.
    Texts(Vec<&'a str>),
    /// One at a time.
    Queries(&'a str),
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

/// One pass.
#[derive(Clone, Copy)]
struct Pass {
    tokens: u64,
    elapsed: Duration,
}

impl EncodeBench {
    /// Runs one round that does not count, and then those that do. `on_pass` is told the round, the
    /// workload and the rates of both sides.
    ///
    /// # Errors
    ///
    /// When encoding fails, the peer ends, or the caller cancels.
    pub fn run(
        encoder: &dyn TextEncoder,
        texts: &[&str],
        mut peer: Option<&mut Peer>,
        plan: RoundPlan<'_>,
        mut on_pass: impl FnMut(usize, &str, f64, Option<f64>) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let before = load();
        let workloads = workloads(texts, peer.is_some());
        let mut passes = vec![(Passes::default(), Passes::default()); workloads.len()];
        for round in 0..=plan.rounds {
            for (workload, (ours, theirs)) in workloads.iter().zip(&mut passes) {
                plan.cancel.check()?;
                let our_pass = workload.ours.run(encoder).context("encode")?;
                let peer_pass = match &mut peer {
                    Some(peer) => Some(peer.pass(&workload.peer)?),
                    None => None,
                };
                if round == 0 {
                    continue;
                }
                let our_rate = ours.add(our_pass.tokens, our_pass.elapsed);
                let peer_rate = peer_pass.map(|pass| theirs.add(pass.tokens, pass.elapsed));
                on_pass(round, workload.name, our_rate, peer_rate)?;
            }
        }
        let result = |(workload, (ours, theirs)): (&Workload<'_>, (Passes, Passes))| {
            let (ours, peer) = (ours.finish(), peer.is_some().then(|| theirs.finish()));
            let ratio = peer.as_ref().map(|peer| ours.ratio(peer));
            WorkloadResult { name: workload.name, ours, peer, ratio }
        };
        Ok(Self {
            machine: Machine::here(),
            load: [before, load()],
            threads: plan.threads,
            encoded_on: encoder.device().map(|device| device.to_string()),
            workloads: workloads.iter().zip(passes).map(result).collect(),
            peer: peer.map(|peer| peer.description().clone()),
        })
    }
}

/// What is measured. Only a peer makes a difference between padded and sorted batches.
fn workloads<'a>(texts: &[&'a str], against_peer: bool) -> Vec<Workload<'a>> {
    let longest = texts.iter().copied().max_by_key(|text| text.len()).unwrap_or_default();
    let total: usize = texts.iter().map(|text| text.len()).sum();
    let count = total.div_ceil(longest.len().max(1));
    let mixed = |name, peer| Workload { name, ours: Work::Texts(texts.to_vec()), peer };
    let mut workloads = vec![
        mixed("mixed, padded", json!({ "pass": "padded", "batch": PADDED_BATCH })),
        mixed("mixed, sorted", json!({ "pass": "sorted" })),
        Workload {
            name: "equal",
            ours: Work::Texts(vec![longest; count]),
            peer: json!({ "pass": "equal", "text": longest, "count": count }),
        },
        Workload {
            name: "query",
            ours: Work::Queries(QUERY),
            peer: json!({ "pass": "query", "text": QUERY, "count": QUERIES }),
        },
    ];
    if !against_peer {
        workloads.remove(0);
        workloads[0].name = "mixed";
    }
    workloads
}

impl Work<'_> {
    fn run(&self, encoder: &dyn TextEncoder) -> anyhow::Result<Pass> {
        match self {
            Self::Texts(texts) => {
                let pass = measure_throughput(encoder, texts)?;
                Ok(Pass { tokens: pass.stats.tokens, elapsed: pass.elapsed })
            }
            Self::Queries(text) => {
                let (mut times, mut tokens) = (Vec::with_capacity(QUERIES), 0);
                for _ in 0..QUERIES {
                    let start = Instant::now();
                    tokens = encoder.encode(&[text], &EncodeOptions::default())?.stats().tokens;
                    times.push(start.elapsed());
                }
                times.sort_unstable();
                Ok(Pass { tokens, elapsed: times[QUERIES / 2] })
            }
        }
    }
}

impl Passes {
    /// Adds a pass, and returns its rate.
    fn add(&mut self, tokens: u64, elapsed: Duration) -> f64 {
        let rate = human::rate(tokens, elapsed);
        self.tokens = tokens;
        self.rates.push(rate);
        rate
    }

    fn finish(mut self) -> Self {
        self.median = median(&self.rates);
        self
    }

    fn ratio(&self, other: &Self) -> f64 {
        let ratios = self.rates.iter().zip(&other.rates).map(|(ours, theirs)| ours / theirs);
        median(&ratios.collect::<Vec<_>>())
    }

    /// The time of a pass at the median rate.
    #[must_use]
    pub fn median_time(&self) -> Duration {
        Duration::try_from_secs_f64(self.tokens as f64 / self.median.max(f64::MIN_POSITIVE))
            .unwrap_or_default()
    }
}

/// Processes that want a core, in the mean over the last minute, where the system tells it.
fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
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
        let passes = |rates: &[f64]| Passes { rates: rates.to_vec(), ..Passes::default() };
        assert_eq!(passes(&[6.0, 3.0, 5.0]).ratio(&passes(&[4.0, 2.0, 1.0])), 1.5);
        let mut passes = Passes::default();
        passes.add(10, Duration::from_millis(500));
        let passes = passes.finish();
        assert_eq!((passes.median, passes.median_time()), (20.0, Duration::from_millis(500)));
    }

    #[test]
    fn equal_texts_are_about_as_much_as_all_texts() {
        let texts = ["a", "the longest of them all", "short one"];
        let peers = workloads(&texts, true);
        let names: Vec<&str> = peers.iter().map(|workload| workload.name).collect();
        assert_eq!(names, ["mixed, padded", "mixed, sorted", "equal", "query"]);
        assert!(
            matches!(&peers[2].ours, Work::Texts(texts) if texts[..] == ["the longest of them all"; 2])
        );
        assert_eq!(peers[2].peer["count"], 2);
        assert_eq!(workloads(&texts, false)[0].name, "mixed");
    }

    #[test]
    fn the_first_round_does_not_count() {
        let cancel = Cancel::new();
        let plan = RoundPlan { rounds: 2, threads: 1, cancel: &cancel };
        let mut passes = Vec::new();
        let on_pass = |round, name: &str, _, peer: Option<f64>| {
            assert_eq!(peer, None);
            passes.push((round, name.to_owned()));
            Ok(())
        };
        let bench =
            EncodeBench::run(&ToyEncoder::new(8), &["a b", "c"], None, plan, on_pass).unwrap();
        assert_eq!(passes.len(), 6);
        assert_eq!(passes[0], (1, "mixed".to_owned()));
        let tokens: Vec<u64> =
            bench.workloads.iter().map(|workload| workload.ours.tokens).collect();
        assert_eq!(tokens, [3, 4, 10]);
        assert!(bench.workloads.iter().all(|workload| workload.ours.rates.len() == 2));
        assert!(bench.workloads.iter().all(|workload| workload.ratio.is_none()));
    }
}
