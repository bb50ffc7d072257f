//! Static token embeddings: a vector for each token of a vocabulary, and a text is the mean of its
//! tokens'.
//!
//! There is no network to run, so a text takes microseconds; the order of words is lost. This is what
//! `StaticEmbedding` of sentence-transformers and WordLlama store: a `tokenizer.json`, and a
//! `model.safetensors` with the one tensor `embedding.weight` (`vocabulary x dims`).

use std::path::Path;

use bigrain_types::{EmbeddingSpaceId, normalize};
use rayon::prelude::*;

use crate::embeddings::{Embeddings, EncodeStats, TextCount};
use crate::encoder::{EncodeError, EncodeOptions, TextEncoder, check_texts};
use crate::runtime::Runtime;
use crate::sentence_encoder::OpenEncoderError;
use crate::tokenize::{TextTokenizer, Token};
use crate::weights::{Checkpoint, TensorSpec};

const TENSOR: &str = "embedding.weight";
const TOKENIZER: &str = "tokenizer.json";
const WEIGHTS: &str = "model.safetensors";

/// The most tokens of a text that are read.
const MAX_TOKENS: usize = 8192;

/// An encoder without a network, opened from a folder.
#[derive(Debug)]
pub struct StaticEncoder {
    tokenizer: TextTokenizer,
    dims: usize,
    table: Vec<f32>,
    space: EmbeddingSpaceId,
    runtime: Runtime,
}

impl StaticEncoder {
    /// Whether a folder holds such a model: its two files, and no `config.json` of a network.
    #[must_use]
    pub fn recognizes(folder: &Path) -> bool {
        let has = |name: &str| folder.join(name).try_exists().unwrap_or(false);
        has(TOKENIZER) && has(WEIGHTS) && !has("config.json")
    }

    /// Opens a folder.
    ///
    /// # Errors
    ///
    /// [`OpenEncoderError`] for a file that is missing or refused, or a tokenizer with tokens that have
    /// no vector.
    pub fn open(folder: &Path, runtime: Runtime) -> Result<Self, OpenEncoderError> {
        runtime.leave_out_device("a table of tokens needs none");
        let checkpoint = Checkpoint::open(&[folder.join(WEIGHTS)])?;
        let tensors = checkpoint.tensors()?;
        let shape = tensors.shape(TENSOR).ok_or_else(|| tensors.missing(TENSOR))?;
        // A table that is none, as a check of its shape says.
        let (vocabulary, dims) = match shape[..] {
            [vocabulary, dims] if dims > 0 => (vocabulary, dims),
            _ => (1, 1),
        };
        let spec = [TensorSpec { name: TENSOR.to_owned(), shape: vec![vocabulary, dims] }];
        tensors.check(&spec)?;
        let tokenizer = TextTokenizer::from_json(&folder.join(TOKENIZER))?;
        let tokenizer = tokenizer.with_limits(MAX_TOKENS, vocabulary)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"bigrain static embedding space 1");
        tensors.hash(&spec, &mut hasher);
        let mut space = [0; 16];
        space.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        let (table, space) = (tensors.read(TENSOR)?, EmbeddingSpaceId::from_bytes(space));
        Ok(Self { tokenizer, dims, table, space, runtime })
    }

    /// Writes the mean of a text's tokens, of length one.
    fn embed(
        &self,
        position: usize,
        text: &str,
        mean: &mut [f32],
    ) -> Result<TextCount, EncodeError> {
        let tokens = self.tokenizer.encode_plain(text);
        let tokens = tokens.map_err(|source| EncodeError::Tokenize { position, source })?;
        for &id in &tokens.ids {
            let row = self.table.chunks_exact(self.dims).nth(id as usize).unwrap_or_default();
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        normalize(mean);
        Ok(TextCount { tokens: tokens.ids.len() as u32, truncated: tokens.truncated })
    }
}

impl TextEncoder for StaticEncoder {
    fn dims(&self) -> usize {
        self.dims
    }

    fn space(&self) -> EmbeddingSpaceId {
        self.space
    }

    fn max_tokens(&self) -> usize {
        MAX_TOKENS
    }

    fn count_tokens(&self, text: &str) -> usize {
        let tokens = self.tokenizer.encode_plain(text);
        tokens.map_or(0, |tokens| tokens.ids.len() + usize::from(tokens.truncated))
    }

    fn tokenize(&self, text: &str, _special: bool) -> Result<Vec<Token>, EncodeError> {
        // It reads no special tokens.
        let tokens = self.tokenizer.tokens(text, false);
        tokens.map_err(|source| EncodeError::Tokenize { position: 0, source })
    }

    fn encode(&self, texts: &[&str], options: &EncodeOptions) -> Result<Embeddings, EncodeError> {
        check_texts(texts)?;
        options.cancel.check()?;
        let mut data = vec![0.0; texts.len() * self.dims];
        let rows = data.par_chunks_exact_mut(self.dims).zip(texts).enumerate();
        let counts: Result<Vec<TextCount>, EncodeError> = self
            .runtime
            .pool()
            .install(|| rows.map(|(at, (row, text))| self.embed(at, text, row)).collect());
        let (counts, mut stats) = (counts?, EncodeStats::default());
        counts.iter().for_each(|&count| stats.count(count));
        Ok(Embeddings::new(self.dims, data, stats).with_counts(counts))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

    use super::*;

    const TOKENIZER_JSON: &str = r###"{"version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [], "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "cat": 1, "dog": 2}, "unk_token": "[UNK]"}}"###;

    fn folder(values: &[f32], shape: Vec<usize>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(TOKENIZER), TOKENIZER_JSON).unwrap();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, shape, &bytes).unwrap();
        serialize_to_file([(TENSOR, view)], None, &folder.path().join(WEIGHTS)).unwrap();
        folder
    }

    #[test]
    fn a_text_is_the_mean_of_its_tokens() {
        let folder = folder(&[0.0, 0.0, 3.0, 0.0, 0.0, 4.0], vec![3, 2]);
        assert!(StaticEncoder::recognizes(folder.path()));
        let encoder = StaticEncoder::open(folder.path(), Runtime::new(1).unwrap()).unwrap();
        let texts = ["Cat", "dog cat", "dog"];
        let embeddings = encoder.encode(&texts, &EncodeOptions::default()).unwrap();
        assert_eq!(embeddings.as_slice(), [1.0, 0.0, 0.6, 0.8, 0.0, 1.0]);
        assert_eq!((encoder.dims(), encoder.count_tokens("a cat")), (2, 2));
    }

    #[test]
    fn folders_that_are_none_are_refused() {
        let open = |folder: &tempfile::TempDir| {
            StaticEncoder::open(folder.path(), Runtime::new(1).unwrap()).unwrap_err().to_string()
        };
        let few = open(&folder(&[0.0; 4], vec![2, 2]));
        assert!(few.contains("ids up to 2"), "{few}");
        let flat = open(&folder(&[0.0; 6], vec![6]));
        assert!(flat.contains(TENSOR), "{flat}");
        let other = folder(&[0.0; 6], vec![3, 2]);
        fs::write(other.path().join("config.json"), "{}").unwrap();
        assert!(!StaticEncoder::recognizes(other.path()));
        fs::remove_file(other.path().join(WEIGHTS)).unwrap();
        assert!(!StaticEncoder::recognizes(other.path()));
    }
}
