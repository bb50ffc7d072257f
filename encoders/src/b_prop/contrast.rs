//! What sets a document apart from all others.

use std::collections::HashMap;

use super::terms::DocumentTerms;

/// The most a word can count, however rare it is.
const MOST: f64 = 100.0;

/// The words of all documents: what a random document is about, `q(w) = Σ_d s_d(w)`, normalised.
#[derive(Clone, Debug, Default)]
pub struct CorpusTerms {
    weights: HashMap<String, f64>,
    total: f64,
}

/// How much each word sets a document apart: `c(w) = min(p(w) · -log2 q(w), 100)`, where `p` is the
/// document's distribution of words: the information, under what all documents are about, of the
/// words by their share (divergence from randomness).
#[derive(Clone, Debug, PartialEq)]
pub struct Contrast {
    /// Words in the order of the alphabet.
    words: Vec<(String, f64)>,
}

impl CorpusTerms {
    /// Counts a document.
    pub fn add(&mut self, document: &DocumentTerms) {
        for (word, weight) in document.iter() {
            let weight = f64::from(weight);
            self.total += weight;
            match self.weights.get_mut(word) {
                Some(sum) => *sum += weight,
                None => {
                    self.weights.insert(word.to_owned(), weight);
                }
            }
        }
    }

    /// How many distinct words there are.
    #[must_use]
    pub fn words(&self) -> usize {
        self.weights.len()
    }

    /// Compares a document, which must have been counted, with all of them.
    #[must_use]
    pub fn contrast(&self, document: &DocumentTerms) -> Contrast {
        let sum: f64 = document.iter().map(|(_, weight)| f64::from(weight)).sum();
        let words = document.iter().map(|(word, weight)| {
            let share = f64::from(weight) / sum;
            let random = self.weights.get(word).copied().unwrap_or_default() / self.total;
            (word.to_owned(), (share * -random.log2()).clamp(0.0, MOST))
        });
        Contrast { words: words.collect() }
    }
}

impl Contrast {
    /// Words that all count the same.
    pub(super) fn even(words: impl IntoIterator<Item = String>) -> Self {
        Self { words: words.into_iter().map(|word| (word, 1.0)).collect() }
    }

    /// The words with how much each counts.
    #[must_use]
    pub fn words(&self) -> &[(String, f64)] {
        &self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(words: &[(&str, f32)]) -> DocumentTerms {
        DocumentTerms::from_weights(words.iter().map(|&(word, weight)| (word.to_owned(), weight)))
    }

    #[test]
    fn a_word_that_all_documents_have_counts_less() {
        let documents =
            [terms(&[("the", 0.5), ("crab", 0.5)]), terms(&[("the", 0.5), ("gull", 0.5)])];
        let mut corpus = CorpusTerms::default();
        documents.iter().for_each(|document| corpus.add(document));
        assert_eq!(corpus.words(), 3);
        let contrast = corpus.contrast(&documents[0]);
        // p = 1/2 each; q(crab) = 1/4 and q(the) = 1/2.
        assert_eq!(contrast.words(), [("crab".to_owned(), 1.0), ("the".to_owned(), 0.5)]);
    }

    #[test]
    fn a_word_nobody_counted_counts_the_most_and_no_more() {
        let document = terms(&[("new", 1.0)]);
        let mut corpus = CorpusTerms::default();
        corpus.add(&terms(&[("old", 1.0)]));
        assert_eq!(corpus.contrast(&document).words(), [("new".to_owned(), MOST)]);
    }
}
