//! An engine that is gone with its measurement.

use anyhow::Context;
use bigrain_engine::{Engine, EngineConfig};

use crate::session::Session;

/// An engine in a temporary folder, which goes with it; nothing runs in its background.
pub(super) struct Scratch {
    // Closed before its folder is removed: fields are dropped in their order.
    pub(super) engine: Engine,
    _folder: tempfile::TempDir,
}

impl Scratch {
    /// Opens one.
    pub(super) fn open(session: &Session<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("create a temporary folder")?;
        let config = EngineConfig { background_threads: 0, ..session.engine_config() };
        let engine = session.open_engine(folder.path(), config)?;
        Ok(Self { engine, _folder: folder })
    }
}
