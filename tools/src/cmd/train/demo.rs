//! `bigrain train demo`: learned codes beside the rotation and floats, on WordNet.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bigrain_binarize::{Binarizer, QueryWidth};
use bigrain_encoders::EncodeOptions;
use bigrain_engine::Levels;
use bigrain_train::{DocumentCodes, float_ranks};
use clap::Args;
use rayon::ThreadPoolBuilder;
use serde::Serialize;

use super::flags::TrainFlags;
use crate::fusing::{Interval, mean_difference};
use crate::learning::{HeldOut, Pairs, Part, WordNet, hits_at, judge, rotation_of, train};
use crate::matrix::Matrix;
use crate::model::Model;
use crate::plot::LossPlot;
use crate::progress::Progress;
use crate::session::Session;
use crate::{human, table};

/// Texts encoded at a time.
const CHUNK: usize = 4096;

/// The limits whose recalls are shown; the second one is compared.
const LIMITS: [usize; 3] = [1, 10, 100];

/// Trains on WordNet, examples to find their definitions, and compares.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// The folder with the data.* files of WordNet 3.0
    #[arg(long, value_name = "DIR")]
    wordnet: PathBuf,
    /// The folder of the model that encodes [default: all-MiniLM-L6-v2]
    #[arg(long, value_name = "DIR", env = "BIGRAIN_MODEL")]
    model: Option<PathBuf>,
    /// Trainings of each kind, with seeds from 1
    #[arg(long, value_name = "N", default_value_t = 3)]
    seeds: u64,
    #[command(flatten)]
    flags: TrainFlags,
    /// Draw the losses
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Keep the binarizers of the first seed in this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// A row of the table.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    bits: usize,
    /// Recalls at [`LIMITS`], in the mean over queries and seeds.
    recalls: [f64; 3],
    /// Recall at 10 of each seed.
    seeds: Vec<f64>,
    /// Against the rotation of as many bits, and against floats.
    over_rotation: Option<Interval>,
    over_floats: Option<Interval>,
    /// Of each query, in the mean over seeds.
    #[serde(skip)]
    hits: Vec<f64>,
}

/// What the demo found.
#[derive(Debug, Serialize)]
struct Comparison {
    model: String,
    documents: usize,
    training_pairs: usize,
    test_queries: usize,
    seeds: u64,
    steps: u32,
    /// The time a training took, by levels, in the mean over seeds.
    training_seconds: Vec<f64>,
    rows: Vec<Row>,
}

/// Runs the command.
///
/// # Errors
///
/// When WordNet or the model is not there, or the caller stops it.
pub fn run(args: &DemoArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let wordnet = WordNet::read(&args.wordnet)?;
    let model = Model::open_or_default(args.model.as_deref(), session.threads)?;
    let documents = encode(&model, wordnet.documents.iter(), "encode definitions", session)?;
    let examples = wordnet.pairs.iter().map(|pair| &pair.0);
    let queries = encode(&model, examples, "encode examples", session)?;
    let right = wordnet.pairs.iter().map(|pair| pair.1).collect();
    let pairs = Pairs::new(documents, queries, right)?;
    let threads = ThreadPoolBuilder::new().num_threads(session.threads).build()?;
    let mut curves = Vec::new();
    let comparison = threads.install(|| compare(args, &pairs, &model, session, &mut curves))?;
    if let Some(path) = &args.plot {
        LossPlot { title: "WordNet: examples to definitions".to_owned(), curves }.write(path)?;
    }
    if args.json { session.write_json(&comparison) } else { comparison.write(session) }
}

fn encode<'a>(
    model: &Model,
    texts: impl ExactSizeIterator<Item = &'a String>,
    label: &str,
    session: &Session<'_>,
) -> anyhow::Result<Matrix> {
    let texts: Vec<&str> = texts.map(String::as_str).collect();
    let options = EncodeOptions { cancel: session.cancel.clone(), ..EncodeOptions::default() };
    let mut progress = Progress::counting(label, "texts", texts.len() as u64);
    let mut matrix = Matrix::empty(model.encoder().dims());
    for chunk in texts.chunks(CHUNK) {
        let embeddings = model.encoder().encode(chunk, &options).context("encode WordNet")?;
        embeddings.iter().for_each(|embedding| matrix.push(embedding));
        progress.advance(chunk.len() as u64, matrix.len() as u64);
    }
    progress.finish();
    Ok(matrix)
}

fn compare(
    args: &DemoArgs,
    pairs: &Pairs,
    model: &Model,
    session: &Session<'_>,
    curves: &mut Vec<(String, u32, Vec<f64>)>,
) -> anyhow::Result<Comparison> {
    let (queries, right) = pairs.part(Part::Training);
    let (held_queries, held_right) = pairs.part(Part::Validation);
    let (test_queries, test_right) = pairs.part(Part::Test);
    let held_documents = pairs.held_out_documents();
    let documents = &pairs.documents;
    let held_out =
        HeldOut { documents, queries: &held_queries, right: &held_right, limit: LIMITS[1] };
    let dims = documents.dims();
    let floats = float_ranks(dims, documents.values(), test_queries.values(), &test_right);
    let floats = Row::new("floats".to_owned(), 32 * dims, &[floats]);
    let (mut rows, mut seconds, mut steps) = (Vec::new(), Vec::new(), 0);
    for levels in [Levels::ONE, Levels::TWO] {
        let (mut by_rotation, mut by_learned) = (Vec::new(), Vec::new());
        let (mut took, mut bits) = (Duration::ZERO, 0);
        for seed in 1..=args.seeds.max(1) {
            let mut config = args.flags.config(levels, None, seed);
            config.rotation_seed = config.rotation_seed.wrapping_add(seed - 1);
            steps = config.steps;
            let examples = pairs.examples(&queries, &right);
            let trained = train(config, examples, &held_documents, None, &session.cancel)?;
            took += trained.took;
            let name = format!("{} bit, seed {seed}", levels.get());
            curves.push((name, trained.resumed_at, trained.losses));
            let judged = judge(trained.recurrent, &held_out)?;
            bits = judged.layout().dims() * levels.count();
            let champion = judged.parts().provenance.champion;
            session.note(&format!(
                "{} level(s), seed {seed}: validation recall@10 {:.4} learned, {:.4} rotation",
                levels.get(),
                champion.learned,
                champion.rotation,
            ));
            if let Some(folder) = args.out.as_ref().filter(|_| seed == 1) {
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("make {}", folder.display()))?;
                let name = format!("wordnet-{}.binarizer", levels.get());
                crate::learning::write_file(&judged.to_bytes(), &folder.join(name))?;
            }
            let ranks = |binarizer: &Binarizer| {
                DocumentCodes::new(binarizer, documents.values()).ranks(
                    test_queries.values(),
                    &test_right,
                    QueryWidth::DEFAULT,
                )
            };
            by_rotation.push(ranks(&rotation_of(&judged)?)?);
            by_learned.push(ranks(&Binarizer::new_recurrent(Arc::new(judged)))?);
        }
        let rotation = Row::new(format!("rotation, {} level(s)", levels.get()), bits, &by_rotation);
        let mut learned =
            Row::new(format!("learned, {} level(s)", levels.get()), bits, &by_learned);
        learned.over_rotation = mean_difference(&learned.hits, &rotation.hits);
        for row in [rotation, learned] {
            let over_floats = mean_difference(&row.hits, &floats.hits);
            rows.push(Row { over_floats, ..row });
        }
        seconds.push(took.as_secs_f64() / args.seeds.max(1) as f64);
    }
    rows.insert(0, floats);
    Ok(Comparison {
        model: model.name().to_owned(),
        documents: documents.len(),
        training_pairs: right.len(),
        test_queries: test_right.len(),
        seeds: args.seeds.max(1),
        steps,
        training_seconds: seconds,
        rows,
    })
}

impl Row {
    /// Takes the means over the ranks of some seeds.
    fn new(name: String, bits: usize, ranks: &[Vec<u32>]) -> Self {
        let means = |limit: usize| -> Vec<f64> {
            let by_seed: Vec<Vec<f64>> = ranks.iter().map(|ranks| hits_at(ranks, limit)).collect();
            let queries = by_seed.first().map_or(0, Vec::len);
            let of_query = |query: usize| by_seed.iter().map(|hits| hits[query]).sum::<f64>();
            (0..queries).map(|query| of_query(query) / by_seed.len() as f64).collect()
        };
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let seeds = ranks.iter().map(|ranks| mean(&hits_at(ranks, LIMITS[1]))).collect();
        let recalls = LIMITS.map(|limit| mean(&means(limit)));
        let (over_rotation, over_floats) = (None, None);
        Self { name, bits, recalls, seeds, over_rotation, over_floats, hits: means(LIMITS[1]) }
    }
}

impl Comparison {
    fn write(&self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let mut shown = table::plain([
            "",
            "bits",
            "R@1",
            "R@10",
            "R@100",
            "by seed (R@10)",
            "over rotation",
            "over floats",
        ]);
        let interval = |interval: Option<Interval>| {
            let text = |Interval { mean, low, high }| {
                format!("{:+.2} ({:+.2} to {:+.2})", 100.0 * mean, 100.0 * low, 100.0 * high)
            };
            interval.map(text).unwrap_or_default()
        };
        for row in &self.rows {
            let [one, ten, hundred] = row.recalls.map(|recall| format!("{recall:.4}"));
            let seeds: Vec<String> = row.seeds.iter().map(|seed| format!("{seed:.4}")).collect();
            shown.add_row([
                row.name.clone(),
                human::count(row.bits as u64),
                one,
                ten,
                hundred,
                seeds.join(" "),
                interval(row.over_rotation),
                interval(row.over_floats),
            ]);
        }
        table::align_right(&mut shown, &[1, 2, 3, 4]);
        let seconds: Vec<String> =
            self.training_seconds.iter().map(|seconds| format!("{seconds:.0} s")).collect();
        writeln!(
            session.out,
            "{} definitions, {} pairs to learn from, {} test queries; {} by {}\n\n{}\n\ncodes alone, no \
             verification; differences of R@10 in points, with what 95 of 100 resamplings of the queries \
             give; {} steps a training, which took {} (1 level, 2 levels) in the mean",
            human::count(self.documents as u64),
            human::count(self.training_pairs as u64),
            human::count(self.test_queries as u64),
            human::counted(self.seeds, "seed", "seeds"),
            self.model,
            shown.trim_fmt(),
            self.steps,
            seconds.join(", "),
        )?;
        Ok(())
    }
}
