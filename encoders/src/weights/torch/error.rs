//! Why a torch file is refused.

use thiserror::Error;

/// A torch file that is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TorchFileError {
    /// The file ends within a pickle.
    #[error("the pickle ends early, at byte {0}")]
    Truncated(usize),
    /// The pickle names something that is no part of a state dict.
    #[error("the pickle asks for {name}, which is not among what tensors are made of: {known}")]
    Global {
        /// What it names, `module.name`.
        name: String,
        /// What it may name.
        known: &'static str,
    },
    /// The pickle calls something that makes no tensor.
    #[error("the pickle calls {0}")]
    Call(String),
    /// An instruction that no state dict needs.
    #[error("pickle instruction {opcode:#04x} at byte {at} is not supported")]
    Opcode {
        /// The instruction.
        opcode: u8,
        /// Where it is.
        at: usize,
    },
    /// An instruction that finds something else than it works on.
    #[error("pickle instruction {opcode:#04x} at byte {at}: expected {expected}")]
    Operand {
        /// The instruction.
        opcode: u8,
        /// Where it is.
        at: usize,
        /// What it works on.
        expected: &'static str,
    },
    /// A pickle that goes past a bound which no checkpoint comes near.
    #[error("the pickle has more than {limit} {what}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A tensor whose description and storage do not fit.
    #[error("tensor {name}: {reason}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What does not fit.
        reason: String,
    },
    /// The checkpoint is not a dict of tensors.
    #[error("the file holds something else than a dict of tensors")]
    NotAStateDict,
    /// Part of the file is not as torch writes it.
    #[error("{0}")]
    Layout(String),
    /// The archive around the checkpoint is damaged.
    #[error("zip archive: {0}")]
    Zip(String),
}
