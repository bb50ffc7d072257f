//! What splitting is worth: questions about what lies deep in long functions, and about what their
//! docstrings say.
//!
//! Scores are exact cosines, without an index, and the same blocks serve all ways to score:
//!
//! | method | score of a function |
//! |---|---|
//! | beginning | that of what the encoder reads of the whole: no splitting |
//! | mean, max, max + mean | that of one vector, aggregated of all blocks |
//! | attention | that of one vector, by weights of blocks that were learned (`--aggregator`) |
//! | best block | the largest over blocks, the whole among them: what `bigrain search --code` does |

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bigrain_encoders::TextEncoder;
use bigrain_encoders::sea::{Aggregator, CodeBlocks, CodeEncoder, Language};
use bigrain_engine::Cancel;
use bigrain_kernels::dot;
use clap::Args;
use serde::Serialize;

use crate::cmd::split_flags::SplitFlags;
use crate::code::{CodePair, PairOptions, QueryKind, code_pairs, encode_functions};
use crate::failure::Usage;
use crate::fusing::{Interval, mean_difference};
use crate::model::Model;
use crate::queries::encode_queries;
use crate::ranking::{MEASURES, measured};
use crate::session::Session;
use crate::{human, table};

/// Code whose comments are questions, and how it is split.
#[derive(Args, Debug)]
#[command(next_help_heading = "Code")]
pub struct CodeArgs {
    /// A folder of code with comments, of which the long ones inside long functions are the questions;
    /// may be given more than once
    #[arg(long, value_name = "DIR", conflicts_with_all = ["corpus", "vectors"])]
    code: Vec<PathBuf>,
    /// Functions of each folder, at most
    #[arg(long, value_name = "N", default_value_t = 100, requires = "code")]
    per_folder: usize,
    /// Tokens of a function before a comment that is a question
    #[arg(long, value_name = "N", default_value_t = 300, requires = "code")]
    deep_tokens: usize,
    #[command(flatten)]
    split: SplitFlags,
    /// A trained attention's file (`bigrain train aggregator`): one more way to make one vector of all blocks
    #[arg(long, value_name = "FILE", requires = "code")]
    aggregator: Option<PathBuf>,
}

/// What an evaluation found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CodeEvaluation {
    /// The model's folder.
    pub model: String,
    /// Functions searched.
    pub functions: usize,
    /// Blocks of them, the wholes among them.
    pub blocks: usize,
    /// Time it took to encode these.
    pub encode: Duration,
    /// Queries of each kind: deep comments, docstrings.
    pub queries: [usize; 2],
    /// A row for each way to score.
    pub rows: Vec<CodeRow>,
}

/// One way to score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CodeRow {
    /// Which.
    pub method: &'static str,
    /// How well deep comments find their functions.
    pub deep: RankQuality,
    /// How well docstrings do.
    pub docstring: RankQuality,
    /// What was learned, against the mean of blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_mean: Option<OverMean>,
}

/// Differences of [`MEASURES`] over the same queries.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OverMean {
    /// Of deep comments.
    pub deep: Vec<Interval>,
    /// Of docstrings.
    pub docstring: Vec<Interval>,
}

/// How well queries find the one document of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RankQuality {
    /// The mean of one over the rank, over all ranks.
    pub mrr: f64,
    /// The share of first ranks.
    pub recall_1: f64,
    /// The share of ranks up to 10.
    pub recall_10: f64,
}

impl CodeArgs {
    /// Whether code is what is measured.
    pub(super) fn is_asked(&self) -> bool {
        !self.code.is_empty()
    }
}

/// Measures.
///
/// # Errors
///
/// When a folder or an option is refused, there are no questions in it, or the caller stops it.
pub(super) fn run(
    args: &CodeArgs,
    model: &Model,
    json: bool,
    session: &mut Session<'_>,
) -> anyhow::Result<()> {
    let encoder = CodeEncoder::new(model.shared_encoder())
        .with_split(args.split.options())
        .map_err(|error| Usage::new(error.to_string()))?;
    let attention = args.aggregator.as_deref();
    let attention = attention.map(|path| trained(&encoder, path)).transpose()?;
    let options = PairOptions { per_folder: args.per_folder, deep_tokens: args.deep_tokens };
    let pairs = code_pairs(&args.code, options, model.encoder(), &session.cancel)?;
    if pairs.is_empty() {
        bail!("no function under {} has a deep comment", args.code[0].display());
    }
    let started = Instant::now();
    let texts: Vec<(&str, Language)> =
        pairs.iter().map(|pair| (pair.document.as_str(), pair.language)).collect();
    let functions = encode_functions(&encoder, &texts, &session.cancel)?;
    let encode = started.elapsed();
    let queries = [QueryKind::DeepComment, QueryKind::Docstring]
        .map(|kind| Queries::encode(&pairs, kind, model.encoder(), &session.cancel));
    let [deep, docstring] = queries;
    let (deep, docstring) = (deep?, docstring?);
    let measures = |vectors: &dyn Fn(&CodeBlocks) -> Vec<f32>| {
        let vectors: Vec<Vec<f32>> = functions.iter().map(vectors).collect();
        [&deep, &docstring].map(|queries| measured(&queries.ranks(&vectors)))
    };
    let row = |method: &'static str, [deep, docstring]: &[[Vec<f64>; 3]; 2]| {
        let (deep, docstring) = (RankQuality::of(deep), RankQuality::of(docstring));
        CodeRow { method, deep, docstring, over_mean: None }
    };
    let mut rows: Vec<CodeRow> =
        METHODS.iter().map(|(method, vectors)| row(method, &measures(vectors))).collect();
    if let Some(trained) = &attention {
        let learned = measures(&|blocks| trained.aggregate(blocks));
        let of_mean = measures(&mean);
        let over = |kind: usize| {
            let pairs = learned[kind].iter().zip(&of_mean[kind]);
            pairs.filter_map(|(a, b)| mean_difference(a, b)).collect()
        };
        let over_mean = Some(OverMean { deep: over(0), docstring: over(1) });
        let at = rows.len() - 1;
        rows.insert(at, CodeRow { over_mean, ..row("attention", &learned) });
    }
    let evaluation = CodeEvaluation {
        model: model.name().to_owned(),
        functions: pairs.len(),
        blocks: functions.iter().map(|blocks| blocks.spans().len()).sum(),
        encode,
        queries: [deep.own.len(), docstring.own.len()],
        rows,
    };
    if json {
        return session.write_json(&evaluation);
    }
    write_table(session, &evaluation)
}

/// Makes of a function's blocks the vectors of which the nearest counts.
type Vectors = fn(&CodeBlocks) -> Vec<f32>;

const METHODS: [(&str, Vectors); 5] = [
    ("beginning", |blocks| blocks.vectors().next().unwrap_or_default().to_vec()),
    ("mean", mean),
    ("max", |blocks| aggregate(&Aggregator::MAX, blocks)),
    ("max + mean", |blocks| aggregate(&Aggregator::MAX_MEAN, blocks)),
    ("best block", |blocks| blocks.as_slice().to_vec()),
];

fn mean(blocks: &CodeBlocks) -> Vec<f32> {
    aggregate(&Aggregator::default(), blocks)
}

fn aggregate(aggregator: &Aggregator, blocks: &CodeBlocks) -> Vec<f32> {
    let dims = blocks.as_slice().len() / blocks.spans().len().max(1);
    aggregator.aggregate(blocks.as_slice(), dims)
}

/// Returns an encoder that aggregates as was learned.
fn trained(encoder: &CodeEncoder, path: &Path) -> anyhow::Result<CodeEncoder> {
    let context = || format!("{}: --aggregator", path.display());
    let aggregator = Aggregator::open(path, encoder.encoder().dims()).with_context(context)?;
    encoder.clone().with_aggregator(aggregator).with_context(context)
}

/// Encoded queries of a kind, and which function each was taken from.
struct Queries {
    vectors: Vec<Vec<f32>>,
    own: Vec<usize>,
}

impl Queries {
    fn encode(
        pairs: &[CodePair],
        kind: QueryKind,
        encoder: &dyn TextEncoder,
        cancel: &Cancel,
    ) -> anyhow::Result<Self> {
        let text = |pair: &'_ CodePair| match kind {
            QueryKind::DeepComment => Some(pair.comment.clone()),
            QueryKind::Docstring => pair.docstring.clone(),
        };
        let texts: Vec<(usize, String)> = pairs
            .iter()
            .enumerate()
            .filter_map(|(index, pair)| text(pair).map(|text| (index, text)))
            .collect();
        let (own, texts): (Vec<usize>, Vec<String>) = texts.into_iter().unzip();
        if texts.is_empty() {
            return Ok(Self { vectors: Vec::new(), own });
        }
        let encoded = encode_queries(texts.iter().map(String::as_str), encoder, cancel)?;
        Ok(Self { vectors: encoded.iter().map(<[f32]>::to_vec).collect(), own })
    }

    /// Returns how many functions score better than the own one of each query by the best of their vectors.
    fn ranks(&self, functions: &[Vec<f32>]) -> Vec<u32> {
        let rank = |(query, &own): (&Vec<f32>, &usize)| {
            let score = |vectors: &Vec<f32>| {
                let dots = vectors.chunks_exact(query.len()).map(|vector| dot(vector, query));
                dots.fold(f32::NEG_INFINITY, f32::max)
            };
            let scores: Vec<f32> = functions.iter().map(score).collect();
            scores.iter().filter(|&&score| score > scores[own]).count() as u32
        };
        self.vectors.iter().zip(&self.own).map(rank).collect()
    }
}

impl RankQuality {
    /// Takes the means of [`MEASURES`]; zeros without queries.
    fn of(measures: &[Vec<f64>; 3]) -> Self {
        let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let [mrr, recall_1, recall_10] = measures.each_ref().map(mean);
        Self { mrr, recall_1, recall_10 }
    }
}

fn write_table(session: &mut Session<'_>, evaluation: &CodeEvaluation) -> anyhow::Result<()> {
    writeln!(
        session.out,
        "{} functions in {} blocks, encoded in {}; {} deep comments, {} docstrings\n{}\n",
        human::count(evaluation.functions as u64),
        human::count(evaluation.blocks as u64),
        human::duration(evaluation.encode),
        human::count(evaluation.queries[0] as u64),
        human::count(evaluation.queries[1] as u64),
        evaluation.model,
    )?;
    let titles = ["score", "deep MRR", "R@1", "R@10", "docstring MRR", "R@1", "R@10"];
    let mut table = table::plain(titles);
    for row in &evaluation.rows {
        let mut cells = vec![row.method.to_owned()];
        for quality in [row.deep, row.docstring] {
            let figures = [quality.mrr, quality.recall_1, quality.recall_10];
            cells.extend(figures.map(|figure| format!("{figure:.3}")));
        }
        table.add_row(cells);
    }
    table::align_right(&mut table, &[1, 2, 3, 4, 5, 6]);
    writeln!(session.out, "{}", table.trim_fmt())?;
    for OverMean { deep, docstring } in
        evaluation.rows.iter().filter_map(|row| row.over_mean.as_ref())
    {
        for (kind, intervals) in [("deep comments", deep), ("docstrings", docstring)] {
            let of = |(interval, measure): (&Interval, &str)| {
                format!("{measure} {}", interval.in_points())
            };
            let intervals: Vec<String> = intervals.iter().zip(MEASURES).map(of).collect();
            writeln!(
                session.out,
                "\nattention over the mean, {kind}, points: {}",
                intervals.join(", ")
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_is_how_many_functions_score_better() {
        let queries = Queries { vectors: vec![vec![1.0, 0.0], vec![0.0, 1.0]], own: vec![0, 2] };
        // The first query scores .9, .5, .8 by best blocks; the second .1, .9, .7.
        let functions = vec![vec![0.1, 0.1, 0.9, 0.0], vec![0.5, 0.9], vec![0.8, 0.2, 0.3, 0.7]];
        assert_eq!(queries.ranks(&functions), [0, 1]);
        let quality = RankQuality::of(&measured(&queries.ranks(&functions)));
        assert!((quality.mrr - (1.0 + 0.5) / 2.0).abs() < 1e-12, "{quality:?}");
        assert!((quality.recall_1 - 0.5).abs() < 1e-12 && (quality.recall_10 - 1.0).abs() < 1e-12);
        let none = Queries { vectors: Vec::new(), own: Vec::new() };
        assert_eq!(RankQuality::of(&measured(&none.ranks(&[]))), RankQuality::default());
    }
}
