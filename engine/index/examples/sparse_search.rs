//! How long a search of sparse vectors takes, and how much of the lists it walks.
//!
//! ```bash
//! cargo run --release -p bigrain-index --example sparse_search -- [ROWS] [QUERIES]
//! ```
//!
//! Vectors are made as learned sparse encoders make them: dimensions by Zipf's law, frequent ones with
//! small values. `all` adds up every list of the query, by asking for as many results as there are rows.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "an experiment says what it found")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bigrain_index::IndexError;
use bigrain_index::sparse::{SparseFound, SparseReader, SparseSearch, SparseSource, write};
use bigrain_storage::MmapDirectory;
use bigrain_types::{Cancel, SparseVector, SparseView};

/// Dimensions, as many as a vocabulary of word pieces has.
const DIMS: usize = 30_000;

/// Components of a stored vector and of a query, about.
const ROW_COMPONENTS: usize = 120;
const QUERY_COMPONENTS: usize = 40;

struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Shares of dimensions, added up.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new() -> Self {
        let shares = (0..DIMS).map(|rank| 1.0 / (rank as f64 + 50.0));
        Self(
            shares
                .scan(0.0, |sum, share| {
                    *sum += share;
                    Some(*sum)
                })
                .collect(),
        )
    }

    fn vector(&self, components: usize, random: &mut Random) -> SparseVector {
        let all = self.0[DIMS - 1];
        let mut vector = BTreeMap::new();
        for _ in 0..components {
            let drawn = random.unit() * all;
            let dimension = self.0.partition_point(|sum| *sum < drawn).min(DIMS - 1);
            // Rare words weigh more: from about 0.3 to about 3.
            let rarity = (dimension as f64 + 50.0).ln() / (DIMS as f64).ln();
            let weight = rarity * rarity * (0.2 + 2.0 * random.unit() * random.unit());
            vector.insert(dimension as u32, weight as f32);
        }
        let (dimensions, values) = vector.into_iter().unzip();
        SparseVector::new(dimensions, values).unwrap()
    }
}

struct Rows(Vec<SparseVector>);

impl SparseSource for Rows {
    fn rows(&self) -> usize {
        self.0.len()
    }
    fn row(&self, offset: usize) -> Result<Option<SparseView<'_>>, IndexError> {
        Ok(Some(self.0[offset].view()))
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>().unwrap());
    let (rows, queries) = (arguments.next().unwrap_or(200_000), arguments.next().unwrap_or(100));
    let (zipf, mut random) = (Zipf::new(), Random(7));
    let rows = Rows((0..rows).map(|_| zipf.vector(ROW_COMPONENTS, &mut random)).collect());
    let folder = tempfile::tempdir().unwrap();
    let directory = MmapDirectory::open(folder.path()).unwrap();
    let started = Instant::now();
    write(&directory, Path::new("sparse"), &rows).unwrap();
    let reader = SparseReader::open(&directory, Path::new("sparse")).unwrap();
    println!(
        "{} rows, {} components, {} bytes, written in {:.1} s",
        reader.rows(),
        reader.components(),
        reader.file().identity().length,
        started.elapsed().as_secs_f64()
    );
    let queries: Vec<SparseVector> =
        (0..queries).map(|_| zipf.vector(QUERY_COMPONENTS, &mut random)).collect();
    // Blocks are checked when they are first touched.
    queries.iter().for_each(|query| drop(search(&reader, query, rows.0.len())));
    for limit in [1, 10, 100, 1000, rows.0.len()] {
        let (mut times, mut walked, mut scored, mut listed) = (Vec::new(), 0, 0, 0);
        for query in &queries {
            let started = Instant::now();
            let found = search(&reader, query, limit);
            times.push(started.elapsed());
            walked += found.components;
            scored += found.scored;
            listed += SparseSearch::new(&reader, query.view()).unwrap().components();
        }
        times.sort_unstable();
        let count = queries.len() as u64;
        println!(
            "limit {limit}: median {:?}, 99 % {:?}; of {} components {} added up, {} rows scored",
            median(&times),
            times[times.len() * 99 / 100],
            listed / count,
            walked / count,
            scored / count
        );
    }
}

fn search(reader: &SparseReader, query: &SparseVector, limit: usize) -> SparseFound {
    let search = SparseSearch::new(reader, query.view()).unwrap();
    search.best(limit, f32::NEG_INFINITY, |_| false, &Cancel::new()).unwrap()
}

fn median(times: &[Duration]) -> Duration {
    times[times.len() / 2]
}
