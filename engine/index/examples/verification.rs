//! How long verification takes, from memory and from disk, by every way of reading.
//!
//! ```text
//! cargo run --release -p bigrain-index --example verification -- FOLDER [ROWS] [DIMS] [FORMAT]
//! ```
//!
//! Writes a file of random rows to `FOLDER` if it is not there, and leaves it there. Each search
//! verifies 100 random rows that could all be anything. *Warm* searches find the file in memory.
//! Before every fifty *cold* ones the file is dropped from the page cache, through `dd`, which needs
//! no rights; only a file that nobody maps can be dropped, so it is opened anew each time.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bigrain_index::Candidate;
use bigrain_index::dense::{DenseReader, DenseWriter};
use bigrain_index::verify::{RowIo, Verifier};
use bigrain_storage::MmapDirectory;
use bigrain_types::{Cancel, DenseFormat, Metric, VerifyIo};

/// Rows of one search.
const SEARCH_ROWS: usize = 100;
/// Searches between two droppings of the page cache.
const ROUND: usize = 50;
const COLD_ROUNDS: usize = 8;
const WARM_SEARCHES: usize = 5000;
const LIMIT: usize = 10;

struct Setting {
    folder: PathBuf,
    rows: u64,
    dims: usize,
    format: DenseFormat,
}

#[expect(clippy::print_stdout, reason = "this is the program's output")]
fn main() -> Result<(), Box<dyn Error>> {
    let setting = Setting::from_args()?;
    setting.write()?;
    println!(
        "{} rows of {} x {}, {SEARCH_ROWS} a search",
        setting.rows, setting.dims, setting.format
    );
    println!(
        "{:<6} {:<6} {:>9} {:>9} {:>12} {:>12}",
        "", "io", "p50 us", "p99 us", "rows/s", "KiB/search"
    );
    for (state, ways) in [
        ("warm", &[VerifyIo::Map, VerifyIo::Uring, VerifyIo::Pread][..]),
        ("cold", &[VerifyIo::Map, VerifyIo::Pread, VerifyIo::Uring, VerifyIo::Auto]),
    ] {
        for &way in ways {
            let io = match RowIo::open(way) {
                Ok(io) => io,
                Err(error) => {
                    println!("{state:<6} {way:<6} {error}");
                    continue;
                }
            };
            let (mut times, bytes) =
                if state == "warm" { setting.warm(&io)? } else { setting.cold(&io)? };
            times.sort_unstable();
            let micros =
                |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
            let total: Duration = times.iter().sum();
            println!(
                "{state:<6} {way:<6} {:>9.1} {:>9.1} {:>12.0} {:>12.1}",
                micros(0.5),
                micros(0.99),
                (times.len() * SEARCH_ROWS) as f64 / total.as_secs_f64(),
                bytes as f64 / times.len() as f64 / 1024.0,
            );
        }
    }
    Ok(())
}

impl Setting {
    fn from_args() -> Result<Self, Box<dyn Error>> {
        let mut args = std::env::args().skip(1);
        Ok(Self {
            folder: args.next().ok_or("usage: verification FOLDER [ROWS] [DIMS] [FORMAT]")?.into(),
            rows: args.next().map_or(Ok(200_000), |rows| rows.parse())?,
            dims: args.next().map_or(Ok(768), |dims| dims.parse())?,
            format: args.next().map_or(Ok(DenseFormat::F32), |format| format.parse())?,
        })
    }

    fn name(&self) -> PathBuf {
        format!("dense.{}x{}-{}", self.rows, self.dims, self.format).into()
    }

    fn write(&self) -> Result<(), Box<dyn Error>> {
        let directory = MmapDirectory::open(&self.folder)?;
        if self.folder.join(self.name()).try_exists()? {
            return Ok(());
        }
        let mut writer =
            DenseWriter::create(&directory, &self.name(), self.rows, self.dims, self.format)?;
        let mut random = Random(1);
        for _ in 0..self.rows {
            writer.push(&random.vector(self.dims))?;
        }
        Ok(writer.finish()?)
    }

    fn open(&self) -> Result<DenseReader, Box<dyn Error>> {
        Ok(DenseReader::open(&MmapDirectory::open(&self.folder)?, &self.name())?)
    }

    fn warm(&self, io: &RowIo) -> Result<(Vec<Duration>, u64), Box<dyn Error>> {
        let reader = self.open()?;
        // Brings every block in and checks it, so that searches measure neither.
        let rows = reader.rows_in(0..self.rows as u32)?.count();
        assert_eq!(rows as u64, self.rows);
        self.searches(&reader, io, &mut Random(2), WARM_SEARCHES)
    }

    fn cold(&self, io: &RowIo) -> Result<(Vec<Duration>, u64), Box<dyn Error>> {
        let (mut times, mut bytes) = (Vec::new(), 0);
        let mut random = Random(3);
        for _ in 0..COLD_ROUNDS {
            drop_from_page_cache(&self.folder.join(self.name()))?;
            let reader = self.open()?;
            let (round, read) = self.searches(&reader, io, &mut random, ROUND)?;
            times.extend(round);
            bytes += read;
        }
        Ok((times, bytes))
    }

    fn searches(
        &self,
        reader: &DenseReader,
        io: &RowIo,
        random: &mut Random,
        count: usize,
    ) -> Result<(Vec<Duration>, u64), Box<dyn Error>> {
        let query = random.vector(self.dims);
        let cancel = Cancel::new();
        let verifier = Verifier {
            metric: Metric::Dot,
            query: &query,
            limit: LIMIT,
            sources: &[reader],
            io,
            cancel: &cancel,
        };
        let (mut times, mut bytes) = (Vec::with_capacity(count), 0);
        for _ in 0..count {
            let candidate = |_| Candidate {
                source: 0,
                offset: (random.next() % self.rows) as u32,
                optimistic: f32::INFINITY,
            };
            let candidates: Vec<Candidate> = (0..SEARCH_ROWS).map(candidate).collect();
            let started = Instant::now();
            let verified = verifier.run(&candidates)?;
            times.push(started.elapsed());
            bytes += verified.bytes;
            assert_eq!((verified.rows, verified.best.len()), (SEARCH_ROWS as u64, LIMIT));
        }
        Ok((times, bytes))
    }
}

fn drop_from_page_cache(path: &Path) -> Result<(), Box<dyn Error>> {
    let input = format!("if={}", path.display());
    let status =
        Command::new("dd").args([&input, "iflag=nocache", "count=0", "status=none"]).status()?;
    if !status.success() {
        return Err("dd failed".into());
    }
    // The first bytes only, so that what follows does not wait for the directory.
    File::open(path)?.read_exact(&mut [0; 1])?;
    Ok(())
}

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 16
    }

    /// Returns numbers in -1..1.
    fn vector(&mut self, dims: usize) -> Vec<f32> {
        (0..dims).map(|_| (self.next() % 2001) as f32 / 1000.0 - 1.0).collect()
    }
}
