//! A training with progress, checkpoints and its losses.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use bigrain_binarize::Recurrent;
use bigrain_engine::Cancel;
use bigrain_train::{
    Examples, TrainConfig, Trainer, Training, fit_across, fit_crossing, fit_scores,
};

use super::former::former_vectors;
use crate::matrix::Matrix;
use crate::progress::Progress;

/// What a training came to.
#[derive(Debug)]
pub struct Trained {
    /// The binarizer, its scores fitted; nothing is known of its worth yet.
    pub recurrent: Recurrent,
    /// The loss of each step that this run took.
    pub losses: Vec<f64>,
    /// Steps that an earlier run took.
    pub resumed_at: u32,
    /// The time that this run took.
    pub took: Duration,
}

/// The version before, and what is learned of it.
#[derive(Clone, Copy, Debug)]
pub struct Ancestor<'a> {
    /// The version.
    pub recurrent: &'a Recurrent,
    /// Where it is of another encoder: what that one makes of the documents of the examples, and of the rows that
    /// are not learned from.
    pub former: Option<[&'a Matrix; 2]>,
}

/// Trains on the current thread pool, and fits scores on rows that are not learned from. With a parent the
/// binarizer's queries are compatible with its codes, too. With a
/// checkpoint a run that was stopped goes on where it was; the file is removed at the end.
///
/// # Errors
///
/// When settings or examples are refused, the checkpoint is another training's, or the caller stops it.
pub fn train(
    config: TrainConfig,
    examples: Examples<'_>,
    parent: Option<Ancestor<'_>>,
    held_out: &Matrix,
    checkpoint: Option<&Path>,
    cancel: &Cancel,
) -> anyhow::Result<Trained> {
    let (started, steps, seed) = (Instant::now(), config.steps, config.seed);
    let mut trainer = match parent {
        Some(Ancestor { recurrent, former: Some([documents, _]) }) => {
            Trainer::across(config, examples, recurrent, former_vectors(documents))?
        }
        Some(Ancestor { recurrent, former: None }) => {
            Trainer::compatible(config, examples, recurrent)?
        }
        None => Trainer::new(config, examples)?,
    };
    let Steps { losses, resumed_at } = take_steps(&mut trainer, steps, checkpoint, cancel)?;
    let mut fitted = fit_scores(&trainer.export()?, held_out.values(), seed)?;
    if let Some(Ancestor { recurrent, former }) = parent {
        let rows = held_out.values();
        fitted = match (former, trainer.translation()) {
            (Some([_, held]), Some(map)) => {
                fit_across(&fitted, recurrent, map, rows, former_vectors(held), seed)?
            }
            _ => fit_crossing(&fitted, recurrent, rows, seed)?,
        };
    }
    let mut parts = fitted.parts().clone();
    (parts.provenance.training_seed, parts.provenance.steps) = (seed, steps);
    let recurrent = Recurrent::new(parts)?;
    forget_checkpoint(checkpoint)?;
    Ok(Trained { recurrent, losses, resumed_at, took: started.elapsed() })
}

/// The steps that a run took.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    /// The loss of each.
    pub losses: Vec<f64>,
    /// Steps that an earlier run took.
    pub resumed_at: u32,
}

/// Takes the steps of a training that are left, of `steps`, on the current thread pool. With a checkpoint it goes
/// on where a run was stopped, and keeps what is needed for that.
///
/// # Errors
///
/// When the checkpoint is another training's or cannot be kept, the training diverges, or the caller
/// stops it.
pub(super) fn take_steps(
    trainer: &mut impl Training,
    steps: u32,
    checkpoint: Option<&Path>,
    cancel: &Cancel,
) -> anyhow::Result<Steps> {
    if let Some(path) = checkpoint.filter(|path| path.try_exists().unwrap_or(false)) {
        let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        trainer.resume(&bytes).with_context(|| format!("go on from {}", path.display()))?;
    }
    let resumed_at = trainer.step();
    let mut progress = Progress::counting("train", "steps", u64::from(steps));
    let mut losses = Vec::new();
    while !trainer.is_done() {
        cancel.check()?;
        let report = trainer.advance()?;
        losses.push(report.loss);
        progress.advance(1, u64::from(report.step));
        if let Some(path) = checkpoint.filter(|_| report.settled && report.step < steps) {
            write_file(&trainer.checkpoint(), path)?;
        }
    }
    progress.finish();
    Ok(Steps { losses, resumed_at })
}

/// Removes the checkpoint of a training that is done.
///
/// # Errors
///
/// When the disk refuses.
pub(super) fn forget_checkpoint(checkpoint: Option<&Path>) -> anyhow::Result<()> {
    match checkpoint.filter(|path| path.try_exists().unwrap_or(false)) {
        Some(path) => {
            std::fs::remove_file(path).with_context(|| format!("remove {}", path.display()))
        }
        None => Ok(()),
    }
}

/// Reads a learned binarizer's file.
///
/// # Errors
///
/// When the file cannot be read, or is none.
pub fn read_binarizer(path: &Path) -> anyhow::Result<Recurrent> {
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    Recurrent::from_bytes(&bytes).with_context(|| format!("{} is no binarizer", path.display()))
}

/// Writes a file as a whole or not at all.
///
/// # Errors
///
/// When the disk refuses.
pub fn write_file(bytes: &[u8], path: &Path) -> anyhow::Result<()> {
    let context = || format!("write {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).with_context(context)?;
    file.write_all(bytes).with_context(context)?;
    file.persist(path).with_context(context)?;
    Ok(())
}
