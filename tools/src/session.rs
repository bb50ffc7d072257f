//! What every command is given: where the data is, where output goes, when to stop.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::{env, fmt, thread};

use anyhow::{Context, anyhow};
use bigrain_engine::{
    Cancel, Collection, DeviceChoice, Engine, EngineConfig, Error, ErrorKind, VerifyIo,
};
use serde::Serialize;

use crate::device::{Device, EncodeOn};
use crate::failure::Usage;

/// The data folder of commands that were told none.
pub const DEFAULT_DATA: &str = "./bigrain-data";

/// What every command is given.
pub struct Session<'a> {
    /// The data folder that the caller named.
    pub data: Option<PathBuf>,
    /// Threads for encoding and searching; 0 is one for each core.
    pub threads: usize,
    /// How vectors on disk reach verification, if the caller says so.
    pub verify_io: Option<VerifyIo>,
    /// What scans codes and runs models, if the caller says so.
    pub device: Device,
    /// Raised when the caller wants to stop.
    pub cancel: Cancel,
    /// Where results go.
    pub out: &'a mut dyn Write,
}

impl Session<'_> {
    /// Returns the data folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA))
    }

    /// Returns how many threads to use: as many as the caller said, or else one for each core.
    #[must_use]
    pub fn thread_count(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.threads)
            .or_else(|| thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN)
    }

    /// Returns what encoders run on, as the caller said.
    #[must_use]
    pub fn encode_on(&self) -> EncodeOn {
        EncodeOn::new(self.threads, &self.device)
    }

    /// Opens the data folder, and creates it if it is not there. Nothing runs in the background:
    /// a command does one thing, with all threads.
    ///
    /// # Errors
    ///
    /// When the engine refuses the folder.
    pub fn create_or_open(&self, folder: &Path) -> anyhow::Result<Engine> {
        let config = EngineConfig { background_threads: 0, ..self.engine_config() };
        self.open_engine(folder, config)
    }

    /// Opens a data folder, and creates it if it is not there, with what scans codes if the caller says so.
    ///
    /// # Errors
    ///
    /// When a GPU is missing that the caller named, or the engine refuses the folder.
    pub fn open_engine(&self, folder: &Path, config: EngineConfig) -> anyhow::Result<Engine> {
        self.device.open_engine(DeviceChoice::Cpu, folder, config)
    }

    /// Returns what the caller said of the engine.
    #[must_use]
    pub fn engine_config(&self) -> EngineConfig {
        let (threads, verify_io) = (self.threads, self.verify_io.unwrap_or_default());
        EngineConfig { threads, verify_io, ..EngineConfig::default() }
    }

    /// Opens the data folder to serve it, and creates it if it is not there: flushes and merges run
    /// in the background. What scans codes is `device`, unless the caller says something else.
    ///
    /// # Errors
    ///
    /// As [`open_engine`](Self::open_engine).
    pub fn create_or_open_to_serve(
        &self,
        folder: &Path,
        verify_io: VerifyIo,
        device: DeviceChoice,
    ) -> anyhow::Result<Engine> {
        let config = EngineConfig { verify_io, ..self.engine_config() };
        self.device.open_engine(device, folder, config)
    }

    /// Tells a person something that is not a result.
    pub fn note(&self, text: &str) {
        // Nobody may be there to read it.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Opens the data folder for a command that only reads.
    ///
    /// # Errors
    ///
    /// When the folder is not there, or the engine refuses it.
    pub fn open_existing(&self) -> anyhow::Result<Engine> {
        let folder = self.data_dir();
        // The lock file is there from the first opening on: a folder without one is not ours, and
        // a command that reads must not fill it.
        let exists = folder.join("LOCK").try_exists();
        if !exists.with_context(|| format!("look for data folder {}", folder.display()))? {
            return Err(anyhow!(
                "no data folder {}: name one with --data, or make one with bigrain build",
                folder.display()
            ));
        }
        self.create_or_open(&folder)
    }

    /// Writes one JSON value on a line of its own.
    ///
    /// # Errors
    ///
    /// When the output is closed.
    pub fn write_json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string(value)?;
        Ok(writeln!(self.out, "{text}")?)
    }
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("data", &self.data).finish_non_exhaustive()
    }
}

/// Opens the collection called `name`, or without a name the only one there is.
///
/// # Errors
///
/// When there is no such collection, it is broken, or no name was given and there are none or
/// several.
pub fn open_collection(engine: &Engine, name: Option<&str>) -> anyhow::Result<Collection> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => only_collection(engine)?,
    };
    Ok(engine.collection(&name)?)
}

/// Opens the collection called `name`; `None` when there is none of that name yet.
///
/// # Errors
///
/// When the collection is broken.
pub fn find_collection(engine: &Engine, name: &str) -> anyhow::Result<Option<Collection>> {
    let missing = |error: &Error| error.kind() == ErrorKind::NotFound;
    match engine.collection(name) {
        Ok(collection) => Ok(Some(collection)),
        Err(error) if missing(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn only_collection(engine: &Engine) -> anyhow::Result<String> {
    // Damaged ones count: answering from another collection in their place would be a surprise.
    let mut names: Vec<String> =
        engine.collections().into_iter().map(|status| status.name).collect();
    match names.len() {
        0 => Err(anyhow!("{} holds no collection", engine.data_dir().display())),
        1 => Ok(names.remove(0)),
        _ => Err(Usage::new(format!("name one with --collection: {}", names.join(", "))).into()),
    }
}

/// Returns bigrain's cache folder: `$BIGRAIN_CACHE`, or `$HOME/.cache/bigrain`.
///
/// # Errors
///
/// When neither variable is set.
pub fn cache_dir() -> anyhow::Result<PathBuf> {
    if let Some(folder) = env::var_os("BIGRAIN_CACHE").filter(|folder| !folder.is_empty()) {
        return Ok(PathBuf::from(folder));
    }
    let home =
        env::var_os("HOME").ok_or_else(|| anyhow!("neither BIGRAIN_CACHE nor HOME is set"))?;
    Ok(Path::new(&home).join(".cache").join("bigrain"))
}
