//! How long the best rows of a segment take to find by words, all of them scored and by MaxScore.
//!
//! ```text
//! cargo run --release -p bigrain-lexical --example best_rows -- TEXTS QUERIES [ROWS]
//! ```
//!
//! `TEXTS` has a text a line, and so has `QUERIES`, of which the first 500 are asked: as they are, and
//! their first three words. Stop words stay, because they are what skipping is for. Every query is asked
//! once for the first time, and then in five rounds that take turns between the two ways; results are
//! compared, down to the bits of their scores.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bigrain_lexical::text::{
    Analyzer, Bm25, KeptPeaks, Peaks, QueryWords, ScoredRow, TextIndex, TextSource, TextStatistics,
};
use bigrain_lexical::{LexicalReader, LexicalWriter};
use bigrain_storage::RamDirectory;
use bigrain_types::{Language, Payload, PointId, TextField};
use roaring::RoaringBitmap;

const QUERIES: usize = 500;
const ROUNDS: usize = 5;

/// One way to answer every query.
type Way = fn(&TextIndex, &Bm25, usize) -> Result<Vec<ScoredRow>, Box<dyn Error>>;

#[expect(clippy::print_stdout, reason = "this is the program's output")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(texts), Some(queries)) = (args.next(), args.next()) else {
        return Err("expected TEXTS QUERIES [ROWS]".into());
    };
    let rows = args.next().map_or(Ok(usize::MAX), |rows| rows.parse())?;
    let field = TextField::new("text", Language::English)?;
    let index = index(Path::new(&texts), &field, rows)?;
    println!(
        "{} rows of {:.1} words; microseconds a query, p50 / mean",
        index.documents(),
        index.tokens() as f64 / index.documents().max(1) as f64
    );
    println!(
        "{:<12} {:>5} {:>9} {:>18} {:>18} {:>18} {:>7}",
        "queries", "limit", "postings", "all scored", "MaxScore, first", "MaxScore", "ratio"
    );
    let whole = fs::read_to_string(queries)?;
    for (name, words) in [("3 words", 3), ("whole", usize::MAX)] {
        let cut = |line: &str| line.split_whitespace().take(words).collect::<Vec<_>>().join(" ");
        let asked: Vec<String> = whole.lines().take(QUERIES).map(cut).collect();
        let mut analyzer = Analyzer::new(&field);
        let asked: Vec<QueryWords> = asked.iter().map(|text| analyzer.query(text)).collect();
        for limit in [10, 100] {
            println!("{}", compare(name, &index, &asked, limit)?);
        }
    }
    Ok(())
}

fn index(path: &Path, field: &TextField, rows: usize) -> Result<Arc<TextIndex>, Box<dyn Error>> {
    let directory = RamDirectory::new();
    let mut writer = LexicalWriter::new(std::slice::from_ref(field))?;
    for (row, line) in (0_u64..).zip(fs::read_to_string(path)?.lines().take(rows)) {
        writer.add(&PointId::from(row), &Payload::new().with("text", line))?;
    }
    writer.finish(&directory, Path::new("lexical"))?;
    let reader = LexicalReader::open(&directory, Path::new("lexical"))?;
    reader.text(field)?.ok_or_else(|| "the field was not written".into())
}

fn compare(
    name: &str,
    index: &TextIndex,
    asked: &[QueryWords],
    limit: usize,
) -> Result<String, Box<dyn Error>> {
    let ways: [Way; 2] = [all_scored, skipping];
    let mut formulas = Vec::with_capacity(asked.len());
    let mut postings = 0;
    for words in asked {
        let mut statistics = TextStatistics::default();
        statistics.add(index, words, &RoaringBitmap::new())?;
        postings += statistics.with_word.iter().sum::<u64>();
        formulas.push(Bm25::new(words, &statistics));
    }
    let mut first = Vec::new();
    for bm25 in &formulas {
        let started = Instant::now();
        skipping(index, bm25, limit)?;
        first.push(started.elapsed());
    }
    let mut times: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for bm25 in &formulas {
            let mut found = Vec::new();
            for (number, way) in ways.iter().enumerate() {
                let started = Instant::now();
                let mut rows = way(index, bm25, limit)?;
                times.entry(number).or_default().push(started.elapsed());
                rows.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                found.push(rows);
            }
            if found[0] != found[1] {
                return Err(format!("results differ: {:?} and {:?}", found[0], found[1]).into());
            }
        }
    }
    let [all, skipped] = [&times[&0], &times[&1]];
    let spread = |times: &[Duration]| format!("{:.0} / {:.0}", median(times), mean(times));
    Ok(format!(
        "{name:<12} {limit:>5} {:>9} {:>18} {:>18} {:>18} {:>6.2}x",
        postings / asked.len().max(1) as u64,
        spread(all),
        spread(&first),
        spread(skipped),
        mean(all) / mean(skipped)
    ))
}

fn all_scored(
    index: &TextIndex,
    bm25: &Bm25,
    limit: usize,
) -> Result<Vec<ScoredRow>, Box<dyn Error>> {
    let scores = bm25.scores(index)?;
    let mut rows: Vec<ScoredRow> = (0..).zip(scores).filter(|&(_, score)| score > 0.0).collect();
    if rows.len() > limit {
        let by_score = |a: &ScoredRow, b: &ScoredRow| b.1.total_cmp(&a.1);
        let last = rows.select_nth_unstable_by(limit - 1, by_score).1.1;
        rows.retain(|row| row.1 >= last);
    }
    Ok(rows)
}

fn skipping(
    index: &TextIndex,
    bm25: &Bm25,
    limit: usize,
) -> Result<Vec<ScoredRow>, Box<dyn Error>> {
    Ok(index.best(bm25, limit, |_| true, &KEPT)?)
}

/// What is known of the words of the one index.
struct Kept(LazyLock<Mutex<HashMap<String, Arc<Peaks>>>>);

static KEPT: Kept = Kept(LazyLock::new(Mutex::default));

impl KeptPeaks for Kept {
    fn get(&self, word: &str) -> Option<Arc<Peaks>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(word).map(Arc::clone)
    }

    fn put(&self, word: &str, peaks: &Arc<Peaks>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(word.to_owned(), Arc::clone(peaks));
    }
}

/// Returns microseconds.
fn mean(times: &[Duration]) -> f64 {
    times.iter().sum::<Duration>().as_secs_f64() * 1e6 / times.len().max(1) as f64
}

/// Returns microseconds.
fn median(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}
