//! A folder with a CLIP model, as it was downloaded.
//!
//! ```text
//! Hugging Face                        open_clip
//!   config.json (model_type clip)       open_clip_config.json
//!   model.safetensors ...               open_clip_model.safetensors ...
//!   tokenizer.json, or vocab.json with merges.txt, or bpe_simple_vocab_16e6.txt.gz
//! ```
//!
//! Configuration and weights are told apart by themselves: the names of one may come with the other.

use std::path::{Path, PathBuf};

use super::config::ClipConfig;
use crate::model_dir::{ModelDirError, is_there, read, weights};
use crate::tokenize::ClipVocabulary;

/// Everything a folder says but for its weights.
#[derive(Debug)]
pub(super) struct ClipFolder {
    pub(super) config: ClipConfig,
    pub(super) vocabulary: ClipVocabulary,
    pub(super) weights: Vec<PathBuf>,
}

impl ClipFolder {
    /// Reads the configuration and finds the other files.
    pub(super) fn open(path: &Path) -> Result<Self, ModelDirError> {
        Ok(Self { config: config(path)?, vocabulary: vocabulary(path)?, weights: weights(path)? })
    }
}

fn config(folder: &Path) -> Result<ClipConfig, ModelDirError> {
    let [hugging_face, open_clip] =
        ["config.json", "open_clip_config.json"].map(|name| folder.join(name));
    // timm's folders have a `config.json` of their own beside open_clip's.
    let refused = if is_there(&hugging_face)? {
        match ClipConfig::parse(&read(&hugging_face)?) {
            Ok(config) => return Ok(config),
            Err(source) => Some(source),
        }
    } else {
        None
    };
    match refused {
        Some(source) if !is_there(&open_clip)? => {
            Err(ModelDirError::Config { path: hugging_face, source })
        }
        None if !is_there(&open_clip)? => {
            let expected = "config.json or open_clip_config.json";
            Err(ModelDirError::MissingFile { path: folder.to_owned(), expected })
        }
        Some(_) | None => ClipConfig::parse_open_clip(&read(&open_clip)?)
            .map_err(|source| ModelDirError::Config { path: open_clip, source }),
    }
}

fn vocabulary(folder: &Path) -> Result<ClipVocabulary, ModelDirError> {
    let [json, vocab, merges, packed, plain] = [
        "tokenizer.json",
        "vocab.json",
        "merges.txt",
        "bpe_simple_vocab_16e6.txt.gz",
        "bpe_simple_vocab_16e6.txt",
    ]
    .map(|name| folder.join(name));
    if is_there(&json)? {
        Ok(ClipVocabulary::Json(json))
    } else if is_there(&vocab)? && is_there(&merges)? {
        Ok(ClipVocabulary::Tables(vocab, merges))
    } else if is_there(&packed)? {
        Ok(ClipVocabulary::Merges(packed))
    } else if is_there(&plain)? {
        Ok(ClipVocabulary::Merges(plain))
    } else {
        let expected =
            "tokenizer.json, vocab.json with merges.txt, or bpe_simple_vocab_16e6.txt.gz";
        Err(ModelDirError::MissingFile { path: folder.to_owned(), expected })
    }
}
