//! `bigrain train demo`: learned codes beside the rotation and floats, on WordNet.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bigrain_binarize::{Binarizer, QueryWidth, Recurrent};
use bigrain_engine::{Cancel, Levels};
use bigrain_train::{AdapterConfig, Batches, DocumentCodes, TrainError, float_ranks};
use clap::Args;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::comparison::{CANDIDATES, Comparison, LIMITS, Ranks, Row};
use super::flags::{AdapterFlags, TrainFlags};
use super::{adapters, encoders, versions};
use crate::learning::{
    Ancestor, Former, HeldOut, Pairs, Part, Texts, WordNet, judge, rotation_of, train, write_file,
};
use crate::matrix::Matrix;
use crate::model::Model;
use crate::plot::LossPlot;
use crate::session::Session;

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
    /// Compare on the queries that settings are chosen by, and leave those for the figures alone
    #[arg(long)]
    validation: bool,
    /// Compare versions: an old one of half of the pairs, the next that is compatible, a collection of both
    #[arg(long, conflicts_with_all = ["plot", "out"])]
    versions: bool,
    /// Compare adapters with floats among what learned codes find
    #[arg(long, conflicts_with_all = ["plot", "out", "versions"])]
    adapters: bool,
    /// Compare encoders: codes of --model, the next version for the model in this folder, a collection of both
    #[arg(long, value_name = "DIR", conflicts_with_all = ["plot", "out", "versions", "adapters"])]
    later_model: Option<PathBuf>,
    #[command(flatten)]
    adapter: AdapterFlags,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When WordNet or the model is not there, or the caller stops it.
pub fn run(args: &DemoArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let wordnet = WordNet::read(&args.wordnet)?;
    let (threads, cancel) = (session.threads, session.cancel.clone());
    let on = session.encode_on();
    let open = || Model::open_or_default(args.model.as_deref(), &on);
    let texts = Texts::new(open, &cancel);
    let definitions: Vec<&str> = wordnet.documents.iter().map(String::as_str).collect();
    let documents = texts.encode(&definitions, "encode definitions")?;
    let examples: Vec<&str> = wordnet.pairs.iter().map(|pair| pair.0.as_str()).collect();
    let queries = texts.encode(&examples, "encode examples")?;
    let right = wordnet.pairs.iter().map(|pair| pair.1).collect();
    let pairs = Pairs::new(documents, queries, right)?;
    let model = texts.model()?.name().to_owned();
    if let Some(folder) = &args.later_model {
        let later = Texts::new(|| Model::open(folder, &on), &cancel);
        let documents = later.encode(&definitions, "encode definitions again")?;
        let queries = later.encode(&examples, "encode examples again")?;
        let later = Pairs::new(documents, queries, pairs.right.clone())?;
        let former = Former::of_rows(&pairs.documents, Some(&pairs.queries))?;
        let old = Demo::new(args, &pairs, &cancel, threads)?;
        // Codes of both have the same dimensions, also without a parent.
        let code_dims = Some(pairs.documents.dims().next_multiple_of(64));
        let new = Demo { code_dims, ..Demo::new(args, &later, &cancel, threads)? };
        return encoders::run(&old, &new, &former, args.json, session);
    }
    let demo = Demo::new(args, &pairs, &cancel, threads)?;
    if args.versions {
        return versions::run(&demo, args.json, session);
    }
    if args.adapters {
        return adapters::run(&demo, args.json, session);
    }
    let (comparison, curves) = demo.compare(model, session)?;
    if let Some(path) = &args.plot {
        LossPlot { title: "WordNet: examples to definitions".to_owned(), curves }.write(path)?;
    }
    if args.json { session.write_json(&comparison) } else { comparison.write(session) }
}

/// A training's name, the step before its first loss, and its losses.
pub(super) type Curve = (String, u32, Vec<f64>);

/// What trainings are compared on.
pub(super) struct Demo<'a> {
    args: &'a DemoArgs,
    pub pairs: &'a Pairs,
    pub training: (Matrix, Vec<u32>),
    validation: (Matrix, Vec<u32>),
    /// The queries that are reported, and their right documents.
    pub asked: (Matrix, Vec<u32>),
    held_documents: Matrix,
    /// Dimensions of the codes, where not as many as the vectors have.
    code_dims: Option<usize>,
    pub cancel: &'a Cancel,
    pub threads: ThreadPool,
}

impl<'a> Demo<'a> {
    fn new(
        args: &'a DemoArgs,
        pairs: &'a Pairs,
        cancel: &'a Cancel,
        threads: usize,
    ) -> anyhow::Result<Self> {
        let validation = pairs.part(Part::Validation);
        Ok(Self {
            args,
            pairs,
            training: pairs.part(Part::Training),
            asked: if args.validation { validation.clone() } else { pairs.part(Part::Test) },
            validation,
            held_documents: pairs.held_out_documents(),
            code_dims: None,
            cancel,
            threads: ThreadPoolBuilder::new().num_threads(threads).build()?,
        })
    }

    fn compare(
        &self,
        model: String,
        session: &Session<'_>,
    ) -> anyhow::Result<(Comparison, Vec<Curve>)> {
        let (documents, asked) = (&self.pairs.documents, &self.asked);
        let dims = documents.dims();
        let floats = self
            .threads
            .install(|| float_ranks(dims, documents.values(), asked.0.values(), &asked.1));
        let floats = Ranks { verified: floats.clone(), codes: floats };
        let floats = Row::new("floats".to_owned(), 32 * dims, &[floats]);
        let (mut rows, mut seconds, mut curves) = (Vec::new(), Vec::new(), Vec::new());
        let seeds = self.seeds();
        for levels in [Levels::ONE, Levels::TWO] {
            let (mut by_rotation, mut by_learned) = (Vec::new(), Vec::new());
            let (mut took, mut bits) = (Duration::ZERO, 0);
            for seed in seeds.clone() {
                let (judged, curve, time) = self.train(levels, seed, &self.training, None)?;
                took += time;
                curves.push(curve);
                let champion = judged.parts().provenance.champion;
                session.note(&format!(
                    "{} level(s), seed {seed}: validation recall@{} {:.4} learned, {:.4} rotation",
                    levels.get(),
                    champion.limit,
                    champion.learned,
                    champion.rotation,
                ));
                if let Some(folder) = self.args.out.as_ref().filter(|_| seed == 1) {
                    keep(&judged, folder)?;
                }
                bits = judged.layout().dims() * levels.count();
                by_rotation.push(self.ranks(&rotation_of(&judged)?)?);
                by_learned.push(self.ranks(&Binarizer::new_recurrent(Arc::new(judged)))?);
            }
            let name = |kind: &str| format!("{kind}, {} level(s)", levels.get());
            let rotation = Row::new(name("rotation"), bits, &by_rotation).over_floats(&floats);
            let learned = Row::new(name("learned"), bits, &by_learned).over_floats(&floats);
            let learned = learned.over_rotation(&rotation);
            rows.extend([rotation, learned]);
            seconds.push(took.as_secs_f64() / *seeds.end() as f64);
        }
        rows.insert(0, floats);
        let comparison = Comparison {
            model,
            documents: documents.len(),
            training_pairs: self.training.1.len(),
            queries: asked.1.len(),
            seeds: *seeds.end(),
            steps: self.args.flags.config(Levels::ONE, None, 1).steps,
            training_seconds: seconds,
            rows,
        };
        Ok((comparison, curves))
    }

    /// Returns the seeds of the trainings.
    pub fn seeds(&self) -> RangeInclusive<u64> {
        1..=self.args.seeds.max(1)
    }

    /// Returns which queries are reported.
    pub fn judges(&self) -> Part {
        if self.args.validation { Part::Validation } else { Part::Test }
    }

    /// Returns how adapters are trained, by batches of a kind.
    pub fn adapter_config(&self, batches: Batches, seed: u64) -> AdapterConfig {
        AdapterConfig { batches, ..self.args.adapter.config(seed) }
    }

    /// Returns what a training on some pairs came to, with its losses and its time.
    pub fn train(
        &self,
        levels: Levels,
        seed: u64,
        (queries, right): &(Matrix, Vec<u32>),
        parent: Option<Ancestor<'_>>,
    ) -> anyhow::Result<(Recurrent, Curve, Duration)> {
        let mut config = self.args.flags.config(levels, self.code_dims, seed);
        // Rotations differ by seed, too.
        config.rotation_seed = config.rotation_seed.wrapping_add(seed - 1);
        let examples = self.pairs.examples(queries, right);
        let held_out = HeldOut {
            documents: &self.pairs.documents,
            queries: &self.validation.0,
            right: &self.validation.1,
            limit: LIMITS[1],
        };
        self.threads.install(|| {
            let trained = train(config, examples, parent, &self.held_documents, None, self.cancel)?;
            let name = format!("{} level(s), seed {seed}", levels.get());
            let curve = (name, trained.resumed_at, trained.losses);
            Ok((judge(trained.recurrent, &held_out)?, curve, trained.took))
        })
    }

    fn ranks(&self, binarizer: &Binarizer) -> Result<Ranks, TrainError> {
        let rows = self.pairs.documents.values();
        let (queries, right) = (self.asked.0.values(), &self.asked.1);
        let width = QueryWidth::DEFAULT;
        self.threads.install(|| {
            let codes = DocumentCodes::new(binarizer, rows);
            Ok(Ranks {
                codes: codes.ranks(queries, right, width)?,
                verified: codes.verified_ranks(rows, queries, right, width, CANDIDATES)?,
            })
        })
    }
}

/// Writes a binarizer into a folder, named by its levels.
fn keep(judged: &Recurrent, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let name = format!("wordnet-{}.binarizer", judged.layout().levels().get());
    write_file(&judged.to_bytes(), &folder.join(name))
}
