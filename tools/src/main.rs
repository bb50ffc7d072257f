//! `bigrain`: embedding retrieval from the command line.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use bigrain_engine::{Cancel, DeviceChoice, VerifyIo};
use bigrain_tools::cmd::{
    backup, bench, bprop, build, check, compact, delete, demo, encode, eval, export, facet, gpu,
    health, import, inspect, model, pictures, quantize, recommend, restore, scroll, search, serve,
    train, tune, update, upgrade, verify,
};
use bigrain_tools::device::Device;
use bigrain_tools::session::Session;
use bigrain_tools::{failure, interrupt};
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Embedding retrieval: binary codes in memory find candidates, dense vectors on disk verify them.
#[derive(Debug, Parser)]
#[command(name = "bigrain", version)]
struct Cli {
    /// The data folder [default: ./bigrain-data; the demo has its own]
    #[arg(long, value_name = "DIR", env = "BIGRAIN_DATA", global = true)]
    data: Option<PathBuf>,
    /// Threads for encoding and searching; 0 is one for each core
    #[arg(long, value_name = "N", default_value_t = 0, global = true)]
    threads: usize,
    /// How vectors on disk reach verification: auto, map, uring or pread [default: auto; serve: what
    /// its settings say]
    #[arg(long, value_name = "HOW", env = "BIGRAIN_VERIFY_IO", global = true)]
    verify_io: Option<VerifyIo>,
    /// What scans the codes of large segments and runs models of the BERT family: cpu, auto (the first GPU if there is one) or cuda:N [default: cpu; serve:
    /// what its settings say]
    #[arg(long, value_name = "DEVICE", env = "BIGRAIN_DEVICE", global = true)]
    device: Option<DeviceChoice>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::BuildArgs),
    Bprop(bprop::BpropArgs),
    Search(search::SearchArgs),
    Recommend(recommend::RecommendArgs),
    Facet(facet::FacetArgs),
    Inspect(inspect::InspectArgs),
    Model(model::ModelArgs),
    Pictures(pictures::PicturesArgs),
    Scroll(scroll::ScrollArgs),
    Update(update::UpdateArgs),
    Delete(delete::DeleteArgs),
    Compact(compact::CompactArgs),
    Upgrade(upgrade::UpgradeArgs),
    Serve(serve::ServeArgs),
    Gpu(gpu::GpuArgs),
    Bench(bench::BenchArgs),
    Health(health::HealthArgs),
    Encode(encode::EncodeArgs),
    Quantize(quantize::QuantizeArgs),
    Eval(eval::EvalArgs),
    Train(train::TrainArgs),
    Tune(tune::TuneArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Verify(verify::VerifyArgs),
    Check(check::CheckArgs),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Demo(demo::DemoArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    failure::report(run(cli), &mut io::stderr().lock())
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let serves = matches!(cli.command, Command::Serve(_));
    log_to_stderr(if serves { "info" } else { "warn" });
    // A server drains its requests at a signal, which the service sees to itself.
    let cancel = if serves { Cancel::new() } else { interrupt::install()? };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let Cli { data, threads, verify_io, device, .. } = cli;
    let device = Device::new(device);
    let mut session = Session { data, threads, verify_io, device, cancel, out: &mut out };
    let result = match &cli.command {
        Command::Build(args) => build::run(args, &mut session),
        Command::Bprop(args) => bprop::run(args, &mut session),
        Command::Search(args) => search::run(args, &mut session),
        Command::Recommend(args) => recommend::run(args, &mut session),
        Command::Facet(args) => facet::run(args, &mut session),
        Command::Inspect(args) => inspect::run(args, &mut session),
        Command::Model(args) => model::run(args, &mut session),
        Command::Pictures(args) => pictures::run(args, &mut session),
        Command::Scroll(args) => scroll::run(args, &mut session),
        Command::Update(args) => update::run(args, &mut session),
        Command::Delete(args) => delete::run(args, &mut session),
        Command::Compact(args) => compact::run(args, &mut session),
        Command::Upgrade(args) => upgrade::run(args, &mut session),
        Command::Serve(args) => serve::run(args, &mut session),
        Command::Gpu(args) => gpu::run(args, &mut session),
        Command::Bench(args) => bench::run(args, &mut session),
        Command::Health(args) => health::run(args, &mut session),
        Command::Encode(args) => encode::run(args, &mut session),
        Command::Quantize(args) => quantize::run(args, &mut session),
        Command::Eval(args) => eval::run(args, &mut session),
        Command::Train(args) => train::run(args, &mut session),
        Command::Tune(args) => tune::run(args, &mut session),
        Command::Backup(args) => backup::run(args, &mut session),
        Command::Restore(args) => restore::run(args, &mut session),
        Command::Verify(args) => verify::run(args, &mut session),
        Command::Check(args) => check::run(args, &mut session),
        Command::Export(args) => export::run(args, &mut session),
        Command::Import(args) => import::run(args, &mut session),
        Command::Demo(args) => demo::run(args, &mut session),
    };
    let flushed = out.flush();
    result.and(flushed.map_err(anyhow::Error::from))
}

/// Logs to standard error; `BIGRAIN_LOG` sets what, as in `BIGRAIN_LOG=bigrain_engine=debug`.
fn log_to_stderr(default: &str) {
    let filter = EnvFilter::try_from_env("BIGRAIN_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    logs.with_ansi(io::stderr().is_terminal()).init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_command_lines_are_refused() {
        for line in [
            "",
            "unknown",
            "build",
            "build in.jsonl",
            "build --code . in.jsonl",
            "build --code . --metric dot",
            "search q --code --group-by a",
            "search q --text a",
            "search q --compose 2",
            "build --images . in.jsonl",
            "build --images . --code .",
            "demo --html a",
            "eval --leave-out a",
            "build in.jsonl --collection c --levels 5",
            "build in.jsonl --collection c --metric hamming",
            "build in.txt --collection c --format csv",
            "search",
            "search q --limit many",
            "search q --oversampling x",
            "encode --bench",
            "encode text --file f",
            "quantize",
            "quantize model",
            "build in.jsonl --collection c --dense f64",
            "build in.jsonl --collection c --lists many",
            "search q --probes -1",
            "search q --per-group 2",
            "search q --rerank-depth 5",
            "search q --no-tests",
            "search q --rerank m --diversity 0.5",
            "model inspect",
            "pictures",
            "pictures subset",
            "pictures subset bird",
            "pictures subset bird --top 5 --min-score 0.5",
            "pictures align --drop 2",
            "pictures align --drop 0.1 --min-score 0.2",
            "pictures prune --keep -1",
            "pictures prune --drop both",
            "pictures heat a.png",
            "build in.jsonl --collection c --tags t",
            "search q --group-by a --diversity 0.5",
            "scroll --descending",
            "facet",
            "recommend --unlike 3",
            "eval",
            "eval --corpus a --vectors b",
            "eval --code a --vectors b",
            "eval --corpus a --sweep probes=1",
            "eval --vectors a --queries b --sweep lists=1",
            "eval --vectors a --queries b --rounds 0",
            "tune --sample 0",
            "tune --queries q.npy --sample 5",
            "scroll --cursor xyz",
            "update 1",
            "update 1 --clear --remove a",
            "update 1 --merge [1]",
            "delete",
            "delete 1 --filter {}",
            "delete --dry-run",
            "update 1 --merge {} --set f",
            "search q --batch f",
            "serve --listen nowhere",
            "health --listen nowhere",
            "demo --cap -1",
            "search q --verify-io mmap",
            "search q --device gpu",
            "bench --levels 5",
            "bench --levels 0,1",
            "bench --rows 0",
            "bench --limit 1025",
            "bench --json",
            "train",
            "train binarizer --documents a",
            "train binarizer --documents a --out b --queries c",
            "train demo",
        ] {
            let args = std::iter::once("bigrain").chain(line.split_whitespace());
            assert!(Cli::try_parse_from(args).is_err(), "{line}");
        }
    }

    #[test]
    fn global_flags_stand_on_either_side() {
        for line in ["bigrain --data d search q", "bigrain search q --data d"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.data, Some(PathBuf::from("d")));
        }
    }
}
