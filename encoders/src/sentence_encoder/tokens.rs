//! A vector for each token of a text, for late interaction (ColBERT, arXiv 2004.12832).
//!
//! What is not pooled: every row of the model goes through the dense layers that lie behind the pooling
//! otherwise, as a ColBERT checkpoint has one, and is brought to length one. Special tokens have rows, too.

use bigrain_types::{EmbeddingSpaceId, normalize};

use super::SentenceEncoder;
use crate::batch::{PackedBatch, run_each};
use crate::dual::TokenMatrix;
use crate::encoder::{EncodeError, EncodeOptions, TokenShape, check_texts};

impl SentenceEncoder {
    /// Dimensions and space of the vectors of tokens; `None` of a model whose rows are not of tokens alone.
    pub(super) fn shape_of_tokens(&self) -> Option<TokenShape> {
        self.model.token_rows()?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.space.as_bytes()).update(b"tokens\n");
        let mut space = [0; 16];
        space.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        let space = EmbeddingSpaceId::from_bytes(space);
        Some(TokenShape { dims: self.dir.dims(), space })
    }

    /// The matrices of texts, in their order.
    pub(super) fn matrices(
        &self,
        texts: &[&str],
        options: &EncodeOptions,
    ) -> Result<Vec<TokenMatrix>, EncodeError> {
        let model = self.model.token_rows().ok_or(EncodeError::NoTokens)?;
        check_texts(texts)?;
        options.cancel.check()?;
        let tokens = self.tokenize(texts, options.kind)?;
        let lengths: Vec<usize> = tokens.iter().map(|text| text.ids.len()).collect();
        let steps = options.progress.steps(texts.len());
        let dims = self.dir.dims();
        let matrices = run_each(&self.runtime, &lengths, &options.cancel, |batch, sharing| {
            let packed = PackedBatch::new(batch.iter().map(|&text| &tokens[text].ids[..]));
            let mut rows = model.rows(&packed, sharing);
            for layer in &self.dense {
                rows = layer.apply(&rows);
            }
            rows.chunks_exact_mut(dims).for_each(normalize);
            steps.add(batch.len());
            let texts = packed.bounds().windows(2);
            texts
                .map(|text| rows[text[0] * dims..text[1] * dims].to_vec())
                .map(|rows| TokenMatrix::from_rows(dims, rows, None))
                .collect()
        })?;
        Ok(matrices)
    }
}
