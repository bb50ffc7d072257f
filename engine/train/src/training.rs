//! What all trainings that can be stopped have in common.

use crate::TrainError;
use crate::trainer::{StepReport, Trainer};

/// A training that goes step by step, and on from a checkpoint.
pub trait Training {
    /// Returns how many steps are done.
    fn step(&self) -> u32;

    /// Whether all steps are done.
    fn is_done(&self) -> bool;

    /// Takes one step, on the current thread pool.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diverged`] when the loss is no longer finite.
    fn advance(&mut self) -> Result<StepReport, TrainError>;

    /// Returns the training as bytes; kept after a step that [`settled`](StepReport::settled), it goes on to the
    /// same weights.
    fn checkpoint(&mut self) -> Vec<u8>;

    /// Goes on from a checkpoint of the same training.
    ///
    /// # Errors
    ///
    /// [`TrainError::Checkpoint`] for bytes of another training, or none.
    fn resume(&mut self, bytes: &[u8]) -> Result<(), TrainError>;
}

impl Training for Trainer<'_> {
    fn step(&self) -> u32 {
        Trainer::step(self)
    }

    fn is_done(&self) -> bool {
        Trainer::is_done(self)
    }

    fn advance(&mut self) -> Result<StepReport, TrainError> {
        Trainer::advance(self)
    }

    fn checkpoint(&mut self) -> Vec<u8> {
        Trainer::checkpoint(self)
    }

    fn resume(&mut self, bytes: &[u8]) -> Result<(), TrainError> {
        Trainer::resume(self, bytes)
    }
}
