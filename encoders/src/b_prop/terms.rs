//! What a document is about.

use std::collections::BTreeMap;

/// Documents with fewer distinct words give no pseudo-queries.
pub const MIN_WORDS: usize = 10;

/// Half of a word's weight is reached at this much attention.
const SATURATION: f32 = 0.01;

/// The words of a document by how much they are attended to, saturated: `s = a / (a + 0.01)`, where
/// `a` is the attention of the first token to the word, summed over all places it stands at.
///
/// Attention is that of the last layer, mean over heads, to the first piece of each word. The paper
/// also hides the other pieces from the model; here it reads texts as it reads them otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DocumentTerms {
    weights: BTreeMap<String, f32>,
}

impl DocumentTerms {
    /// Sums the attention to each word; words are lower case, and only those of letters count.
    #[must_use]
    pub fn from_attention<'a>(words: impl IntoIterator<Item = (&'a str, f32)>) -> Self {
        let mut weights: BTreeMap<String, f32> = BTreeMap::new();
        for (word, attention) in words {
            let word = word.trim();
            if !word.is_empty() && word.chars().all(char::is_alphabetic) {
                *weights.entry(word.to_lowercase()).or_default() += attention;
            }
        }
        weights.values_mut().for_each(|a| *a /= *a + SATURATION);
        Self { weights }
    }

    /// Takes weights that were saturated before, as [`DocumentTerms::iter`] gave them.
    #[must_use]
    pub fn from_weights(weights: impl IntoIterator<Item = (String, f32)>) -> Self {
        Self { weights: weights.into_iter().collect() }
    }

    /// The words with their weights, in the order of the alphabet.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, f32)> {
        self.weights.iter().map(|(word, &weight)| (word.as_str(), weight))
    }

    /// How many distinct words there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_is_summed_by_word_and_saturated() {
        let words = [("Cat", 0.02), ("sat", 0.01), (" cat", 0.01), ("x1", 0.5), (",", 0.3)];
        let terms = DocumentTerms::from_attention(words);
        let got: Vec<(&str, f32)> = terms.iter().collect();
        assert_eq!(got.len(), 2);
        assert_eq!((got[0].0, got[1]), ("cat", ("sat", 0.5)));
        assert!((got[0].1 - 0.75).abs() < 1e-6);
        let again = DocumentTerms::from_weights(got.into_iter().map(|(w, s)| (w.to_owned(), s)));
        assert_eq!(again, terms);
    }
}
