//! How fast an encoder is on given texts.

use std::time::{Duration, Instant};

use crate::embeddings::EncodeStats;
use crate::encoder::{EncodeError, EncodeOptions, TextEncoder};

/// What one timed pass over some texts took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throughput {
    /// What was encoded.
    pub stats: EncodeStats,
    /// Wall-clock time, from text to normalised embedding.
    pub elapsed: Duration,
}

impl Throughput {
    /// Tokens encoded in a second.
    #[must_use]
    pub fn tokens_per_second(&self) -> f64 {
        self.stats.tokens as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// Encodes the texts once, as documents, and times it, tokenizer included.
///
/// For a comparison with another program, take turns: one pass of ours, one of theirs.
///
/// # Errors
///
/// As [`TextEncoder::encode`].
pub fn measure_throughput(
    encoder: &dyn TextEncoder,
    texts: &[&str],
) -> Result<Throughput, EncodeError> {
    let start = Instant::now();
    let embeddings = encoder.encode(texts, &EncodeOptions::default())?;
    Ok(Throughput { stats: embeddings.stats(), elapsed: start.elapsed() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::ToyEncoder;

    #[test]
    fn throughput_counts_the_tokens_of_a_pass() {
        let encoder = ToyEncoder::new(8);
        let pass = measure_throughput(&encoder, &["one two", "three"]).unwrap();
        assert_eq!((pass.stats.texts, pass.stats.tokens), (2, 3));
        assert!(pass.tokens_per_second() > 0.0);
    }
}
