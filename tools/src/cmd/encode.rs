//! `bigrain encode`: texts become embeddings, on standard output; or a measurement of how fast.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use bigrain_encoders::EncodeOptions;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::encode_bench::{EncodeBench, Passes, RoundPlan};
use crate::failure::Usage;
use crate::model::Model;
use crate::peer::Peer;
use crate::session::{Session, cache_dir};
use crate::{human, table};

/// Texts encoded at a time.
const CHUNK: usize = 512;

/// The field of the vectors of tokens, in lines that `bigrain build` reads.
const TOKENS_FIELD: &str = "tokens";

/// Encodes texts and writes their embeddings, a line each.
#[derive(Args, Debug)]
pub struct EncodeArgs {
    /// The texts
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    /// A file with a text on each line; blank lines are passed over
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    file: Option<PathBuf>,
    /// The folder of the model [default: all-MiniLM-L6-v2]
    #[arg(long, value_name = "DIR", env = "BIGRAIN_MODEL")]
    model: Option<PathBuf>,
    /// Write JSON lines, which `bigrain build` reads
    #[arg(long)]
    json: bool,
    /// Write a vector for each token, for a field of multi-vectors
    #[arg(long, requires = "json", conflicts_with = "bench")]
    tokens: bool,
    /// Measure how fast texts are encoded instead of writing embeddings
    #[arg(long, requires = "file")]
    bench: bool,
    /// Rounds of a measurement
    #[arg(long, value_name = "N", default_value_t = 5, requires = "bench")]
    rounds: usize,
    /// Another program to take turns with (`scripts/peers.sh encode` installs it)
    #[arg(long, value_name = "PROGRAM", requires = "bench", conflicts_with = "peer")]
    against: Option<Against>,
    /// A Python with onnxruntime of your own, to take turns with
    #[arg(long, value_name = "PYTHON", requires = "bench")]
    peer: Option<PathBuf>,
    /// The script that it runs
    #[arg(long, value_name = "FILE", default_value = "benches/peers/encode_onnx.py")]
    peer_script: PathBuf,
}

/// Programs to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Against {
    /// onnxruntime, on the same weights.
    Onnxruntime,
}

/// Runs the command.
///
/// # Errors
///
/// When the model or a text is refused, a file cannot be read, or the peer fails.
pub fn run(args: &EncodeArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    if args.texts.is_empty() && args.file.is_none() {
        return Err(Usage::new("nothing to encode: give texts, or --file FILE").into());
    }
    let model = Model::open_or_default(args.model.as_deref(), &session.encode_on())?;
    if args.bench {
        return bench(args, session, &model);
    }
    let mut encoded = 0;
    match &args.file {
        None => write_embeddings(args, session, &model, &args.texts, &mut encoded),
        Some(path) => {
            let mut lines = lines(path)?;
            loop {
                let chunk = lines.by_ref().take(CHUNK).collect::<anyhow::Result<Vec<String>>>()?;
                if chunk.is_empty() {
                    return Ok(());
                }
                write_embeddings(args, session, &model, &chunk, &mut encoded)?;
            }
        }
    }
}

fn write_embeddings(
    args: &EncodeArgs,
    session: &mut Session<'_>,
    model: &Model,
    texts: &[String],
    encoded: &mut u64,
) -> anyhow::Result<()> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let options = EncodeOptions { cancel: session.cancel.clone(), ..EncodeOptions::default() };
    let first = *encoded;
    if args.tokens {
        let matrices = model
            .encoder()
            .encode_tokens(&texts, &options)
            .with_context(|| format!("encode (text 0 is the {}. in all)", first + 1))?;
        for (text, matrix) in texts.iter().zip(&matrices) {
            let tokens: Vec<&[f32]> = matrix.iter().collect();
            let vectors = json!({ TOKENS_FIELD: tokens });
            session.write_json(&json!({ "id": encoded, "text": text, "vectors": vectors }))?;
            *encoded += 1;
        }
        return Ok(());
    }
    let embeddings = model
        .encoder()
        .encode(&texts, &options)
        .with_context(|| format!("encode (text 0 is the {}. in all)", first + 1))?;
    for (text, vector) in texts.iter().zip(embeddings.iter()) {
        if args.json {
            session.write_json(&json!({ "id": encoded, "text": text, "vector": vector }))?;
        } else {
            let values: Vec<String> = vector.iter().map(f32::to_string).collect();
            writeln!(session.out, "{}", values.join(" "))?;
        }
        *encoded += 1;
    }
    Ok(())
}

fn bench(args: &EncodeArgs, session: &mut Session<'_>, model: &Model) -> anyhow::Result<()> {
    let path = args.file.as_deref().ok_or_else(|| Usage::new("--bench needs --file"))?;
    let texts = lines(path)?.collect::<anyhow::Result<Vec<String>>>()?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    if texts.is_empty() {
        return Err(Usage::new(format!("{} holds no texts", path.display())).into());
    }
    let threads = session.thread_count().get();
    let start = |python: &PathBuf| {
        Peer::start(python, &args.peer_script, Path::new(model.name()), path, threads)
    };
    let python = match args.against {
        Some(Against::Onnxruntime) => Some(installed_python()?),
        None => args.peer.clone(),
    };
    let mut peer = python.as_ref().map(start).transpose()?;
    let cancel = session.cancel.clone();
    let plan = RoundPlan { rounds: args.rounds.max(1), threads, cancel: &cancel };
    let out = &mut *session.out;
    let on_pass = |round, name: &str, ours: f64, theirs: Option<f64>| {
        if !args.json {
            let theirs = theirs.map(|theirs| format!(", peer {theirs:.0}")).unwrap_or_default();
            writeln!(out, "round {round}, {name}: ours {ours:.0}{theirs} tokens/s")?;
            out.flush()?;
        }
        Ok(())
    };
    let bench = EncodeBench::run(model.encoder(), &texts, peer.as_mut(), plan, on_pass)?;
    if args.json {
        return session.write_json(&bench);
    }
    write_bench(session, &bench)
}

/// Returns the Python that `scripts/peers.sh encode` installs.
fn installed_python() -> anyhow::Result<PathBuf> {
    let python = cache_dir()?.join("peers-encode").join("bin").join("python");
    match python.try_exists() {
        Ok(true) => Ok(python),
        Ok(false) => {
            let missing = format!("{} is not there: run scripts/peers.sh encode", python.display());
            Err(Usage::new(missing).into())
        }
        Err(error) => Err(error).with_context(|| format!("look for {}", python.display())),
    }
}

fn write_bench(session: &mut Session<'_>, bench: &EncodeBench) -> anyhow::Result<()> {
    let mut table = table::plain(["workload", "ours", "peer", "ratio"]);
    for workload in &bench.workloads {
        let cell = |passes: &Passes| {
            if workload.name == "query" {
                return human::duration(passes.median_time());
            }
            format!("{} tokens/s", human::count(passes.median as u64))
        };
        table.add_row([
            workload.name.to_owned(),
            cell(&workload.ours),
            workload.peer.as_ref().map(cell).unwrap_or_default(),
            workload.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        ]);
    }
    table::align_right(&mut table, &[1, 2, 3]);
    let load = |load: Option<f64>| load.map_or("unknown".to_owned(), |load| load.to_string());
    writeln!(
        session.out,
        "\n{table}\n\nmedians; a ratio above 1 says that ours is faster\n{}, {}, load {} to {}",
        bench.machine.cpu.as_deref().unwrap_or("unknown CPU"),
        human::counted(bench.threads as u64, "thread", "threads"),
        load(bench.load[0]),
        load(bench.load[1]),
    )?;
    if let Some(device) = &bench.encoded_on {
        writeln!(session.out, "encoded on {device}")?;
    }
    if let Some(peer) = &bench.peer {
        writeln!(session.out, "peer: {peer}")?;
    }
    Ok(())
}

/// Returns the lines of a file that are not blank.
pub(super) fn lines(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<String>>> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let name = path.display().to_string();
    let lines = BufReader::new(file)
        .lines()
        .enumerate()
        .map(move |(index, line)| line.with_context(|| format!("{name} line {}", index + 1)));
    Ok(lines.filter(|line| !line.as_ref().is_ok_and(|text| text.trim().is_empty())))
}
