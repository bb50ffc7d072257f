//! A deterministic encoder without a model, for tests and examples.

use bigrain_types::{EmbeddingSpaceId, normalize};

use crate::embeddings::{Embeddings, EncodeStats, TextCount};
use crate::encoder::{EncodeError, EncodeOptions, TextEncoder, check_texts};
use crate::tokenize::Token;

/// Embeds a text as the normalised sum of one pseudo-random vector a word, so that texts that
/// share words are near. It knows nothing of meaning: for tests and examples, never a default.
///
/// ```
/// use bigrain_encoders::{TextEncoder, ToyEncoder};
///
/// let encoder = ToyEncoder::new(64);
/// let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
/// let cat = encoder.encode_query("the cat sat")?;
/// let near = encoder.encode_query("a cat sat down")?;
/// let far = encoder.encode_query("quarterly revenue")?;
/// assert!(dot(&cat, &near) > dot(&cat, &far));
/// # Ok::<(), bigrain_encoders::EncodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ToyEncoder {
    dims: usize,
}

impl ToyEncoder {
    /// An encoder of `dims` dimensions, at least one.
    #[must_use]
    pub fn new(dims: usize) -> Self {
        Self { dims: dims.max(1) }
    }

    fn add_word(word: &str, sum: &mut [f32]) {
        let word = word.to_lowercase();
        // One stream of bytes a word; each byte is a component between -1 and 1.
        let mut bytes = blake3::Hasher::new().update(word.as_bytes()).finalize_xof();
        let mut block = [0u8; 64];
        for part in sum.chunks_mut(block.len()) {
            bytes.fill(&mut block);
            for (value, &byte) in part.iter_mut().zip(&block) {
                *value += (f32::from(byte) - 127.5) / 127.5;
            }
        }
    }
}

impl TextEncoder for ToyEncoder {
    fn dims(&self) -> usize {
        self.dims
    }

    fn space(&self) -> EmbeddingSpaceId {
        let mut id = *b"toy:............";
        id[8..].copy_from_slice(&(self.dims as u64).to_le_bytes());
        EmbeddingSpaceId::from_bytes(id)
    }

    fn max_tokens(&self) -> usize {
        usize::MAX
    }

    fn count_tokens(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn tokenize(&self, text: &str, _special: bool) -> Result<Vec<Token>, EncodeError> {
        let token = |word: &str| {
            let hash = blake3::hash(word.to_lowercase().as_bytes());
            let start = text[..word.as_ptr() as usize - text.as_ptr() as usize].chars().count();
            Token {
                id: u32::from_le_bytes(std::array::from_fn(|at| hash.as_bytes()[at])),
                text: word.to_owned(),
                chars: Some(start..start + word.chars().count()),
            }
        };
        Ok(text.split_whitespace().map(token).collect())
    }

    fn encode(&self, texts: &[&str], options: &EncodeOptions) -> Result<Embeddings, EncodeError> {
        check_texts(texts)?;
        let mut data = vec![0.0; texts.len() * self.dims];
        let (mut stats, mut counts) = (EncodeStats::default(), Vec::new());
        for (text, sum) in texts.iter().zip(data.chunks_exact_mut(self.dims)) {
            options.cancel.check()?;
            let mut count = TextCount::default();
            for word in text.split_whitespace() {
                Self::add_word(word, sum);
                count.tokens += 1;
            }
            normalize(sum);
            stats.count(count);
            counts.push(count);
        }
        Ok(Embeddings::new(self.dims, data, stats).with_counts(counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_are_unit_length_and_repeatable() {
        let encoder = ToyEncoder::new(100);
        let (a, b) = (encoder.encode_query("Éa b").unwrap(), encoder.encode_query("b éA").unwrap());
        assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-6));
        assert!((a.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
        assert_ne!(encoder.space(), ToyEncoder::new(99).space());
    }
}
