//! What splitting is worth: questions about what lies deep in long functions, and about what their
//! docstrings say.
//!
//! Scores are exact cosines, without an index, and the same blocks serve all ways to score:
//!
//! | method | score of a function |
//! |---|---|
//! | beginning | that of what the encoder reads of the whole: no splitting |
//! | mean, max, max + mean | that of one vector, aggregated of all blocks |
//! | best block | the largest over blocks, the whole among them: what `bigrain search --code` does |

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bigrain_encoders::sea::{
    Aggregator, CodeBlocks, CodeEncoder, PieceKind, SourceFile, SplitOptions,
};
use bigrain_encoders::{EncodeOptions, TextEncoder};
use bigrain_engine::Cancel;
use bigrain_kernels::dot;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::code::{CodePair, PairOptions, QueryKind, code_pairs};
use crate::failure::Usage;
use crate::model::Model;
use crate::progress::Progress;
use crate::queries::encode_queries;
use crate::session::Session;
use crate::{human, table};

/// Functions that are encoded together.
const FUNCTIONS_AT_ONCE: usize = 32;

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
    /// What blocks are made of: statement, subtree (the paper's), token, word or line
    #[arg(long, value_enum, default_value_t = Pieces::Subtree, requires = "code")]
    pieces: Pieces,
    /// Pieces in a block
    #[arg(long, value_name = "N", default_value_t = 32, requires = "code")]
    window: usize,
    /// Pieces from the start of a block to that of the next
    #[arg(long, value_name = "N", default_value_t = 16, requires = "code")]
    step: usize,
    /// Tokens in a block, at most
    #[arg(long, value_name = "N", default_value_t = 126, requires = "code")]
    block_tokens: usize,
    /// Split as the code published with the paper does
    #[arg(long, requires = "code")]
    reference: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Pieces {
    Statement,
    Subtree,
    Token,
    Word,
    Line,
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

    fn split(&self) -> SplitOptions {
        let pieces = match self.pieces {
            Pieces::Statement => PieceKind::Syntax { max_depth: 64, min_line: 0 },
            Pieces::Subtree => PieceKind::PAPER,
            Pieces::Token => PieceKind::Token,
            Pieces::Word => PieceKind::Word,
            Pieces::Line => PieceKind::Line,
        };
        SplitOptions {
            pieces,
            window: self.window,
            step: self.step,
            max_tokens: self.block_tokens,
            reference_compat: self.reference,
        }
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
        .with_split(args.split())
        .map_err(|error| Usage::new(error.to_string()))?;
    let options = PairOptions { per_folder: args.per_folder, deep_tokens: args.deep_tokens };
    let pairs = code_pairs(&args.code, options, model.encoder(), &session.cancel)?;
    if pairs.is_empty() {
        bail!("no function under {} has a deep comment", args.code[0].display());
    }
    let started = Instant::now();
    let functions = encode_functions(&encoder, &pairs, &session.cancel)?;
    let encode = started.elapsed();
    let queries = [QueryKind::DeepComment, QueryKind::Docstring]
        .map(|kind| Queries::encode(&pairs, kind, model.encoder(), &session.cancel));
    let [deep, docstring] = queries;
    let (deep, docstring) = (deep?, docstring?);
    let rows = METHODS.iter().map(|(method, vectors)| {
        let vectors: Vec<Vec<f32>> = functions.iter().map(vectors).collect();
        CodeRow { method, deep: deep.rank(&vectors), docstring: docstring.rank(&vectors) }
    });
    let evaluation = CodeEvaluation {
        model: model.name().to_owned(),
        functions: pairs.len(),
        blocks: functions.iter().map(|blocks| blocks.spans().len()).sum(),
        encode,
        queries: [deep.own.len(), docstring.own.len()],
        rows: rows.collect(),
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
    ("mean", |blocks| aggregate(&Aggregator::default(), blocks)),
    ("max", |blocks| aggregate(&Aggregator::MAX, blocks)),
    ("max + mean", |blocks| aggregate(&Aggregator::MAX_MEAN, blocks)),
    ("best block", |blocks| blocks.as_slice().to_vec()),
];

fn aggregate(aggregator: &Aggregator, blocks: &CodeBlocks) -> Vec<f32> {
    let dims = blocks.as_slice().len() / blocks.spans().len().max(1);
    aggregator.aggregate(blocks.as_slice(), dims)
}

fn encode_functions(
    encoder: &CodeEncoder,
    pairs: &[CodePair],
    cancel: &Cancel,
) -> anyhow::Result<Vec<CodeBlocks>> {
    let mut progress = Progress::counting("encode", "functions", pairs.len() as u64);
    let options = EncodeOptions { cancel: cancel.clone(), ..EncodeOptions::default() };
    let mut functions = Vec::with_capacity(pairs.len());
    for pairs in pairs.chunks(FUNCTIONS_AT_ONCE) {
        let files: Vec<SourceFile<'_>> =
            pairs.iter().map(|pair| SourceFile::new(&pair.document, Some(pair.language))).collect();
        let blocks = files.iter().map(|file| encoder.blocks(file, &(0..file.text().len())));
        let (encoded, _) =
            encoder.encode_cut(blocks.collect(), &options).context("encode functions")?;
        functions.extend(encoded);
        progress.advance(pairs.len() as u64, functions.len() as u64);
    }
    progress.finish();
    Ok(functions)
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

    /// Ranks functions by the best of their vectors; one that scores as well as the own is behind it.
    fn rank(&self, functions: &[Vec<f32>]) -> RankQuality {
        let mut quality = RankQuality::default();
        for (query, &own) in self.vectors.iter().zip(&self.own) {
            let score = |vectors: &Vec<f32>| {
                let dots = vectors.chunks_exact(query.len()).map(|vector| dot(vector, query));
                dots.fold(f32::NEG_INFINITY, f32::max)
            };
            let scores: Vec<f32> = functions.iter().map(score).collect();
            let better = scores.iter().filter(|&&score| score > scores[own]).count();
            quality.mrr += 1.0 / (better + 1) as f64;
            quality.recall_1 += f64::from(u8::from(better < 1));
            quality.recall_10 += f64::from(u8::from(better < 10));
        }
        let count = self.own.len().max(1) as f64;
        RankQuality {
            mrr: quality.mrr / count,
            recall_1: quality.recall_1 / count,
            recall_10: quality.recall_10 / count,
        }
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_is_one_more_than_the_functions_that_score_better() {
        let queries = Queries { vectors: vec![vec![1.0, 0.0], vec![0.0, 1.0]], own: vec![0, 2] };
        // The first query scores .9, .5, .8 by best blocks; the second .1, .9, .7.
        let functions = vec![vec![0.1, 0.1, 0.9, 0.0], vec![0.5, 0.9], vec![0.8, 0.2, 0.3, 0.7]];
        let quality = queries.rank(&functions);
        assert!((quality.mrr - (1.0 + 0.5) / 2.0).abs() < 1e-12, "{quality:?}");
        assert!((quality.recall_1 - 0.5).abs() < 1e-12 && (quality.recall_10 - 1.0).abs() < 1e-12);
        assert_eq!(
            Queries { vectors: Vec::new(), own: Vec::new() }.rank(&[]),
            RankQuality::default()
        );
    }
}
