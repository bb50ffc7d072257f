//! `bigrain model inspect`: what a model folder holds, and what it lacks.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bigrain_encoders::{ModelKind, ModelReport};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::session::Session;
use crate::{human, table};

/// How many names of tensors are shown.
const MAX_SHOWN: usize = 20;

/// Looks at models.
#[derive(Args, Debug)]
pub struct ModelArgs {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// Shows family, dimensions, pooling and weights of a model folder, and what it lacks
    Inspect {
        /// The folder
        folder: PathBuf,
        /// Write the result as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
///
/// # Errors
///
/// When the folder's configuration is refused, and, after what there is was shown, when something
/// is missing.
pub fn run(args: &ModelArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let ModelCommand::Inspect { folder, json } = &args.command;
    let report = ModelReport::read(folder)
        .with_context(|| format!("inspect model folder {}", folder.display()))?;
    if *json {
        session.write_json(&to_json(&report))?;
    } else {
        writeln!(session.out, "{}", describe(folder, &report).trim_fmt())?;
    }
    if report.is_complete() {
        return Ok(());
    }
    bail!("{} does not open as a {}", folder.display(), kind(report.kind))
}

fn kind(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::SentenceEncoder => "sentence encoder",
        ModelKind::CrossEncoder => "cross-encoder",
        _ => "model",
    }
}

fn describe(folder: &Path, report: &ModelReport) -> comfy_table::Table {
    let dir = &report.dir;
    let dims = match dir.dims() {
        dims if dims == dir.architecture.hidden_size() => dims.to_string(),
        dims => format!("{dims} (rows of {})", dir.architecture.hidden_size()),
    };
    let files: Vec<String> = report
        .weights
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into()))
        .collect();
    let dtypes: Vec<String> =
        report.dtypes.iter().map(|(dtype, count)| format!("{count} {dtype}")).collect();
    let mut facts = vec![
        ("folder", folder.display().to_string()),
        ("opens as", kind(report.kind).to_owned()),
        ("family", dir.architecture.family().to_owned()),
        ("parameters", human::count(report.parameters)),
        ("weights", format!("{}: tensors {}", files.join(", "), dtypes.join(", "))),
        ("tokens of a text", human::count(dir.max_tokens as u64)),
    ];
    if let Some(pooling) = report.pooling() {
        let mut steps = vec![pooling.to_string()];
        steps.extend(dir.dense.iter().map(|dense| {
            format!("dense {} to {}, {}", dense.inputs, dense.outputs, dense.activation)
        }));
        steps.extend(dir.normalize.then(|| "length one".to_owned()));
        facts.push(("dims", dims));
        facts.push(("pooling", steps.join(", then ")));
        facts.push(("before queries", prompt(&dir.prompts.query)));
        facts.push(("before documents", prompt(&dir.prompts.document)));
    }
    if let Some(mismatch) = &report.mismatch {
        let wrong: Vec<String> = mismatch.wrong_shape.iter().map(ToString::to_string).collect();
        if !mismatch.missing.is_empty() {
            facts.push(("missing tensors", shown(&mismatch.missing)));
        }
        if !wrong.is_empty() {
            facts.push(("other shapes", shown(&wrong)));
        }
    }
    facts.extend(report.tokenizer.iter().map(|reason| ("tokenizer", reason.clone())));
    if !report.unused.is_empty() {
        facts.push(("unused tensors", shown(&report.unused)));
    }
    table::facts(facts)
}

fn prompt(prompt: &str) -> String {
    if prompt.is_empty() { "nothing".to_owned() } else { format!("{prompt:?}") }
}

fn shown(names: &[String]) -> String {
    let mut lines: Vec<String> = names.iter().take(MAX_SHOWN).cloned().collect();
    if names.len() > MAX_SHOWN {
        lines.push(format!("and {} more", names.len() - MAX_SHOWN));
    }
    lines.join("\n")
}

fn to_json(report: &ModelReport) -> Value {
    let dir = &report.dir;
    let mismatch = report.mismatch.clone().unwrap_or_default();
    let wrong: Vec<String> = mismatch.wrong_shape.iter().map(ToString::to_string).collect();
    json!({
        "opens_as": kind(report.kind),
        "complete": report.is_complete(),
        "family": dir.architecture.family(),
        "dims": dir.dims(),
        "hidden_size": dir.architecture.hidden_size(),
        "vocabulary": dir.architecture.vocab_size(),
        "max_tokens": dir.max_tokens,
        "parameters": report.parameters,
        "weights": report.weights,
        "dtypes": report.dtypes,
        "pooling": report.pooling().map(|pooling| pooling.to_string()),
        "normalize": dir.normalize,
        "prompts": { "query": dir.prompts.query, "document": dir.prompts.document },
        "missing": mismatch.missing,
        "other_shapes": wrong,
        "unused": report.unused,
        "tokenizer_error": report.tokenizer,
    })
}
