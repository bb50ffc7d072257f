//! How many points must be scored exactly to find the exact best by MaxSim, and what it costs.
//!
//! ```bash
//! cargo run --release -p bigrain-index --example multi_vectors -- [POINTS] [QUERIES] [SEED]
//! ```
//!
//! Points have 49 tokens of 256 dimensions, queries 12: patches and captions of FILIP's smaller model. A
//! point speaks of three to seven of forty topics, each in its own way; tokens scatter about that. `mean`
//! ranks by the dot product of mean vectors in f32, `sketch` by merged tokens as codes, with the lists
//! that a target recall takes where there are any, `all` by every token as a code.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "an experiment says what it found")]

use std::path::Path;
use std::time::{Duration, Instant};

use bigrain_binarize::Binarizer;
use bigrain_index::IndexError;
use bigrain_index::multi::{
    BuildMulti, MultiQueryCode, MultiSource, SketchSearch, Sketches, SketchesReader, TokensReader,
    TokensVerifier, max_sim, round, write,
};
use bigrain_index::verify::RowIo;
use bigrain_kernels::dot;
use bigrain_storage::MmapDirectory;
use bigrain_types::{
    Cancel, HalfTokens, Levels, Metric, MultiVector, Offset, TokensView, VerifyIo, normalize,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

const DIMS: usize = 256;
const TOKENS: usize = 49;
const ASKED: usize = 12;
const TOPICS: u32 = 40;
const LIMIT: usize = 10;
const VERIFIED: [usize; 4] = [10, 50, 100, 200];

struct Random(ChaCha8Rng);

impl Random {
    fn gaussian(&mut self) -> f32 {
        let mut unit = || (f64::from(self.0.next_u32()) + 0.5) / 4_294_967_296.0;
        ((-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos()) as f32
    }

    /// Returns a vector of length one at a distance from a centre before it is normalised.
    fn near(&mut self, centre: &[f32], distance: f32) -> Vec<f32> {
        let mut noise: Vec<f32> = (0..DIMS).map(|_| self.gaussian()).collect();
        normalize(&mut noise);
        let mut vector: Vec<f32> =
            centre.iter().zip(noise).map(|(centre, noise)| centre + distance * noise).collect();
        normalize(&mut vector);
        vector
    }

    fn tokens(&mut self, topics: &[Vec<f32>], count: u32, tokens: usize) -> MultiVector {
        let own: Vec<Vec<f32>> = (0..count)
            .map(|_| {
                let topic = self.0.next_u32() % TOPICS;
                self.near(&topics[topic as usize], 0.6)
            })
            .collect();
        let mut values = Vec::with_capacity(tokens * DIMS);
        for _ in 0..tokens {
            let about = self.0.next_u32() % count;
            values.extend(self.near(&own[about as usize], 1.0));
        }
        MultiVector::new(DIMS, values).unwrap()
    }
}

struct Points(Vec<HalfTokens>);

impl MultiSource for Points {
    fn points(&self) -> usize {
        self.0.len()
    }
    fn has(&self, _: usize) -> Result<bool, IndexError> {
        Ok(true)
    }
    fn tokens(&self, offset: usize) -> Result<Option<TokensView<'_>>, IndexError> {
        Ok(Some(self.0[offset].view()))
    }
}

/// A way of ranking points: what it takes, and the best points of each query.
struct Ranking {
    name: &'static str,
    bytes: f64,
    best: Vec<Vec<u32>>,
    took: Duration,
}

fn main() {
    let argument = |at: usize, default: usize| {
        std::env::args().nth(at).map_or(default, |text| text.parse().unwrap())
    };
    let (points, queries, seed) = (argument(1, 2000), argument(2, 100), argument(3, 7));
    let mut random = Random(ChaCha8Rng::seed_from_u64(seed as u64));
    let topics: Vec<Vec<f32>> = (0..TOPICS).map(|_| random.near(&[0.0; DIMS], 1.0)).collect();
    let points: Vec<MultiVector> =
        (0..points).map(|at| random.tokens(&topics, 3 + at as u32 % 5, TOKENS)).collect();
    let queries: Vec<MultiVector> =
        (0..queries).map(|_| random.tokens(&topics, 4, ASKED)).collect();
    let halves = Points(points.iter().map(round).collect());

    let started = Instant::now();
    let exact: Vec<Vec<u32>> = queries
        .iter()
        .map(|query| ranked(halves.0.iter().map(|tokens| max_sim(query, tokens.view())), LIMIT))
        .collect();
    let exactly = started.elapsed() / queries.len() as u32;

    let mut rankings = vec![by_means(&points, &queries)];
    for (name, sketch_tokens) in [("sketch, 12 codes", 12), ("all, 49 codes", TOKENS)] {
        rankings.push(by_codes(name, sketch_tokens, &halves, &queries));
    }
    println!("{} points, {} queries, top {LIMIT}", points.len(), queries.len());
    print!("| ranked by | bytes a point | us a query |");
    VERIFIED.iter().for_each(|count| print!(" recall at {count} |"));
    println!("\n| --- | --- | --- |{}", " --- |".repeat(VERIFIED.len()));
    for Ranking { name, bytes, best, took } in &rankings {
        print!("| {name} | {bytes:.0} | {} |", took.as_micros());
        for verified in VERIFIED {
            let found = best.iter().zip(&exact).flat_map(|(best, exact)| {
                let best = &best[..verified.min(best.len())];
                exact.iter().filter(|point| best.contains(point))
            });
            let recall = found.count() as f64 / (LIMIT * queries.len()) as f64;
            print!(" {recall:.3} |");
        }
        println!();
    }
    println!("exact MaxSim of every point: {} us a query", exactly.as_micros());
    verify_times(&halves, &queries);
}

fn ranked(scores: impl Iterator<Item = f32>, limit: usize) -> Vec<u32> {
    let mut best: Vec<(f32, u32)> = scores.zip(0..).collect();
    best.sort_by(|a, b| b.0.total_cmp(&a.0));
    best.into_iter().take(limit).map(|(_, point)| point).collect()
}

fn by_means(points: &[MultiVector], queries: &[MultiVector]) -> Ranking {
    let mean = |vector: &MultiVector| {
        let mut mean = vec![0.0; DIMS];
        for token in vector.iter() {
            mean.iter_mut().zip(token).for_each(|(to, value)| *to += value);
        }
        normalize(&mut mean);
        mean
    };
    let means: Vec<Vec<f32>> = points.iter().map(mean).collect();
    let started = Instant::now();
    let best = queries.iter().map(|query| {
        let query = mean(query);
        ranked(means.iter().map(|mean| dot(&query, mean)), VERIFIED[VERIFIED.len() - 1])
    });
    let best = best.collect();
    let took = started.elapsed() / queries.len() as u32;
    Ranking { name: "mean, f32", bytes: (4 * DIMS) as f64, best, took }
}

fn written(points: &Points, sketch_tokens: usize) -> (tempfile::TempDir, Binarizer) {
    let folder = tempfile::tempdir().unwrap();
    let directory = MmapDirectory::open(folder.path()).unwrap();
    let binarizer = Binarizer::new_rotation(DIMS, Levels::ONE, Metric::Dot, 1).unwrap();
    let build = BuildMulti { binarizer: &binarizer, sketch_tokens, seed: 3, device: None };
    let started = Instant::now();
    write(&directory, (Path::new("tokens"), Path::new("sketches")), points, &build).unwrap();
    println!(
        "built with {sketch_tokens} merged tokens in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    (folder, binarizer)
}

fn by_codes(
    name: &'static str,
    sketch_tokens: usize,
    points: &Points,
    queries: &[MultiVector],
) -> Ranking {
    let (folder, binarizer) = written(points, sketch_tokens);
    let directory = MmapDirectory::open(folder.path()).unwrap();
    let reader = SketchesReader::open(&directory, Path::new("sketches")).unwrap();
    // Where the tokens of a point lie is mapped, 8 bytes each.
    let bytes = reader.resident_bytes() as f64 / points.0.len() as f64 + 8.0;
    let sketches: &Sketches = &reader.resident().unwrap();
    let probes = sketches.probes_for(0.9875);
    if let Some(probes) = probes {
        println!("{probes} of {} lists a token", sketches.lists());
    }
    let started = Instant::now();
    let best = queries.iter().map(|query| {
        let query = MultiQueryCode::new(&binarizer, query).unwrap();
        let search = SketchSearch { sketches, query: &query };
        let found = search.best(VERIFIED[VERIFIED.len() - 1], probes, |_| true).best;
        found.iter().map(|scored| scored.offset).collect()
    });
    let best = best.collect();
    Ranking { name, bytes, best, took: started.elapsed() / queries.len() as u32 }
}

/// Prints how long it takes to score points exactly, their tokens in the map.
fn verify_times(points: &Points, queries: &[MultiVector]) {
    let (folder, _) = written(points, 12);
    let directory = MmapDirectory::open(folder.path()).unwrap();
    let tokens = TokensReader::open(&directory, Path::new("tokens")).unwrap();
    let (sources, io, cancel) = ([&tokens], RowIo::open(VerifyIo::Map).unwrap(), Cancel::new());
    for count in [50, 200] {
        let some: Vec<(u32, Offset)> =
            (0..count).map(|at| (0, Offset((at * 7919) as u32 % points.0.len() as u32))).collect();
        let started = Instant::now();
        for query in queries {
            let verifier = TokensVerifier { query, sources: &sources, io: &io, cancel: &cancel };
            verifier.score(&some).unwrap();
        }
        let took = started.elapsed() / queries.len() as u32;
        println!("{count} points scored exactly: {} us, on one thread", took.as_micros());
    }
}
