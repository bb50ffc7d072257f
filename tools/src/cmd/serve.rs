//! `bigrain serve`: the gRPC service on a data folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process;

use anyhow::{Context, anyhow};
use bigrain_api::{Config, ModelRegistry, QDRANT_PORTS, Server, Settings, SettingsError, Sources};
use bigrain_engine::{CollectionState, Engine, raise_descriptor_limit};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Usage;
use crate::session::Session;

/// Files that the engine may have open: of a directory, of the store, and what else there is.
const ENGINE_FILES: usize = 5120;

/// Serves gRPC until Ctrl-C or SIGTERM.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Address and port to listen on; port 0 picks a free one [default: 127.0.0.1:7700]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Listen too where clients of Qdrant look for its protocol: REST on 6333, gRPC on 6334
    #[arg(long)]
    qdrant: bool,
    /// Let other machines in without keys: whoever reaches a port may do everything
    #[arg(long)]
    allow_remote: bool,
    /// A model folder to load, an encoder or a cross-encoder; may be given more than once [default: those the
    /// collections name]
    #[arg(long, value_name = "DIR")]
    model: Vec<PathBuf>,
    /// A folder of pictures that payloads name, which the console shows
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// A TOML file of settings; variables such as BIGRAIN__LISTEN override it, and flags both
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting by its name in the file, such as `max_concurrent_writes=64`; may be given more than once
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

/// Runs the command; returns once every request was answered or the shutdown timeout is over.
///
/// # Errors
///
/// When the settings, the data folder, a model or the address is refused, or the transport fails.
pub fn run(args: &ServeArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let config = args.settings(session)?.into_config().map_err(name_the_flag)?;
    make_room_for(config.connections.max_connections);
    let engine =
        session.create_or_open_to_serve(&session.data_dir(), config.verify_io, config.device)?;
    let models = open_models(&config, &engine, session)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("serve")
        .build()
        .context("start the server's threads")?;
    runtime.block_on(serve(config, engine, models, session.out))
}

/// Lets the process have as many files open as the settings let connections in, besides those of the engine.
fn make_room_for(connections: usize) {
    let wanted = connections + ENGINE_FILES;
    match raise_descriptor_limit(wanted) {
        Ok(allowed) if allowed < wanted => tracing::warn!(
            max_connections = connections,
            allowed,
            wanted,
            "the system lets this process have fewer files open than connections and data may take: raise `ulimit -n`"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "how many files may be open is not known"),
    }
}

/// Says which flag would allow what the settings do not.
fn name_the_flag(error: SettingsError) -> anyhow::Error {
    if let SettingsError::Remote(address) = error {
        return anyhow!(Usage::new(format!(
            "listen address {address} can be reached from other machines, and there are no keys: \
             set keys in --config FILE, or pass --allow-remote to accept that"
        )));
    }
    error.into()
}

/// Returns the variables of the environment. One that is not UTF-8 cannot be a setting.
pub(super) fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

impl ServeArgs {
    fn settings(&self, session: &Session<'_>) -> anyhow::Result<Settings> {
        let mut settings = Settings::read(Sources {
            file: self.config.clone(),
            environment: environment(),
            assignments: self.set.clone(),
        })?;
        settings.listen = self.listen.or(settings.listen);
        if self.qdrant {
            let host = settings.listen.map_or(Ipv4Addr::LOCALHOST.into(), |listen| listen.ip());
            let [rest, grpc] = QDRANT_PORTS.map(|port| Some(SocketAddr::new(host, port)));
            settings.qdrant_rest_listen = settings.qdrant_rest_listen.or(rest);
            settings.qdrant_grpc_listen = settings.qdrant_grpc_listen.or(grpc);
        }
        if self.allow_remote {
            settings.allow_remote = Some(true);
        }
        if !self.model.is_empty() {
            settings.models = Some(self.model.clone());
        }
        settings.pictures = self.pictures.clone().or(settings.pictures);
        if session.threads > 0 {
            settings.encode_threads = Some(session.threads);
        }
        settings.verify_io = session.verify_io.or(settings.verify_io);
        Ok(settings)
    }
}

/// Opens the models that are named, or else those of the collections. One that a collection names
/// and that is not there any more costs text queries on that collection, not the server.
fn open_models(
    config: &Config,
    engine: &Engine,
    session: &Session<'_>,
) -> anyhow::Result<ModelRegistry> {
    let runtime = || session.device.runtime(config.device, config.encode_threads);
    if !config.models.is_empty() {
        return Ok(ModelRegistry::open_on(&config.models, &runtime()?)?);
    }
    let mut folders = BTreeMap::new();
    for status in engine.collections() {
        let CollectionState::Ready(info) = status.state else { continue };
        let named = info.config.fields().iter().filter_map(|field| field.model.as_ref());
        for folder in named.map(PathBuf::from) {
            let Some(name) = folder.file_name().map(|name| name.to_string_lossy().into_owned())
            else {
                continue;
            };
            let kept = folders.entry(name).or_insert_with(|| folder.clone());
            if *kept != folder {
                tracing::warn!(?kept, ?folder, "two models of one name, the latter is not loaded");
            }
        }
    }
    let mut models = ModelRegistry::new();
    if folders.is_empty() {
        return Ok(models);
    }
    let runtime = runtime()?;
    for folder in folders.into_values() {
        if let Err(error) = models.add_folder(&folder, &runtime) {
            let error = format!("{:#}", anyhow!(error));
            tracing::warn!(error, "a model is not loaded");
        }
    }
    Ok(models)
}

async fn serve(
    config: Config,
    engine: Engine,
    models: ModelRegistry,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let server = Server::bind(config, engine, models).await?;
    writeln!(out, "listening on {}", server.local_addr())?;
    for (what, address) in ["REST", "gRPC"].into_iter().zip(server.qdrant_addrs()) {
        if let Some(address) = address {
            writeln!(out, "Qdrant's clients: {what} on {address}")?;
        }
    }
    out.flush()?;
    server.serve(shutdown(interrupt, terminate)).await?;
    Ok(())
}

/// Completes at the first signal; a second one ends the process.
async fn shutdown(mut interrupt: Signal, mut terminate: Signal) {
    wait(&mut interrupt, &mut terminate).await;
    tokio::spawn(async move {
        wait(&mut interrupt, &mut terminate).await;
        process::exit(130);
    });
}

async fn wait(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
