//! How far a text is padded.

use std::fmt;

/// The shortest length of [`PadPolicy::Bucket`].
const MIN_BUCKET: usize = 32;

/// How far a text is padded before a model without an attention mask reads it.
///
/// Padding changes the embedding, so vectors of two policies must never meet: the policy is part of
/// the embedding space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PadPolicy {
    /// To the longest text the model reads, however short the text: what published models were
    /// trained and measured with.
    #[default]
    ModelMax,
    /// To the next power of two, at least 32 tokens: much cheaper for short texts, and **other
    /// vectors**. Only for models that were fine-tuned so; published ones lose their retrieval
    /// quality.
    Bucket,
}

impl PadPolicy {
    /// The length a text of `tokens` is padded to; `longest` is what the model reads.
    pub(crate) fn padded(self, tokens: usize, longest: usize) -> usize {
        match self {
            Self::ModelMax => longest,
            Self::Bucket => tokens.max(MIN_BUCKET).next_power_of_two().min(longest),
        }
    }
}

impl fmt::Display for PadPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ModelMax => "model-max",
            Self::Bucket => "bucket-32",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_powers_of_two_up_to_what_the_model_reads() {
        let bucket = |tokens| PadPolicy::Bucket.padded(tokens, 3_000);
        assert_eq!([1, 32, 33, 2_048, 2_049].map(bucket), [32, 32, 64, 2_048, 3_000]);
        assert_eq!(PadPolicy::Bucket.padded(3, 20), 20);
        assert_eq!(PadPolicy::ModelMax.padded(1, 2_048), 2_048);
    }
}
