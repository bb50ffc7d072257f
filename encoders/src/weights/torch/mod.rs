//! Checkpoints as torch saves them: `pytorch_model.bin`, `model.bin`, `*.pt`.
//!
//! Both formats are a pickle, whose tensors point to storages kept as plain bytes beside it:
//!
//! ```text
//! zip (torch 1.6 and later)        legacy
//!   NAME/data.pkl                    pickle: magic number
//!   NAME/data/0   bytes              pickle: 1001
//!   NAME/data/1   bytes              pickle: byte order
//!   ...                              pickle: the checkpoint
//!                                    pickle: keys of the storages
//!                                    of each key: elements (u64), bytes
//! ```
//!
//! A TorchScript file (`torch.jit.save`, OpenAI's CLIP downloads) is the zip format with a program beside:
//! `NAME/code/`, compressed, is passed over, and the pickle holds modules in place of dicts.
//!
//! A pickle is a program, and the usual reader runs whatever function it names. Ours ([`pickle`])
//! has no functions to run: it knows the names a state dict is made of, builds tensors from them,
//! and refuses every other name and every other instruction. Sizes are checked against the file
//! before they are used, so a checkpoint from a stranger costs at most an error.

mod error;
mod legacy;
mod pickle;
mod state_dict;
mod value;
mod zip;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

use super::stored::StoredTensor;

pub use error::TorchFileError;

/// What a zip file starts with.
const ZIP_MAGIC: [u8; 4] = *b"PK\x03\x04";

/// Whether the bytes look like one of torch's formats.
pub(super) fn is_torch(bytes: &[u8]) -> bool {
    bytes.starts_with(&ZIP_MAGIC) || legacy::is_legacy(bytes)
}

/// Reads the tensors of a file, by the names it gives them.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<(String, StoredTensor<'_>)>, TorchFileError> {
    if bytes.starts_with(&ZIP_MAGIC) { zip::parse(bytes) } else { legacy::parse(bytes) }
}
