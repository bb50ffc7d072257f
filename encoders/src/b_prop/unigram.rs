//! PROP: words drawn by a unigram language model of the document.
//!
//! ```text
//! P(w | d) = (tf + μ P(w)) / (|d| + μ)       μ: the mean length of a document
//! P(w)     = df / Σ df                       over words that occur ten times or more
//! ```
//!
//! (With document frequencies as the background, as the authors' program has it; the paper says
//! collection frequencies.) Candidates are the document's words and, up to 500 words in all, words
//! of the collection drawn by `P(w)`. A frequent candidate is kept with the probability
//! `√(t/f) + t/f`, `t = 10⁻⁴`, `f` its share of all words. The score of a set is `Σ ln P(w | d)`.

use std::collections::BTreeMap;

use super::rng::DocumentRng;
use super::sampler::{MEAN_WORDS, PairSampler, SampledPair, SampledSet};
use super::stop_words::is_stop_word;

/// Words that occur less often are no background.
const MIN_OCCURRENCES: u64 = 10;
/// Candidates of a document.
const CANDIDATES: usize = 500;
/// Where subsampling of frequent words sets in.
const SUBSAMPLE: f64 = 1e-4;

/// The words a unigram model sees: runs of Latin letters, in lower case, but for function words.
pub fn unigram_words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .filter(|word| !is_stop_word(word))
}

/// How often each word occurs in the collection.
#[derive(Clone, Debug, Default)]
pub struct UnigramCorpus {
    /// Occurrences and documents of each word.
    counts: BTreeMap<String, (u64, u64)>,
    documents: u64,
    words: u64,
}

/// The background: words with the sums of their document frequencies up to and with each.
#[derive(Debug)]
pub struct Background<'a> {
    corpus: &'a UnigramCorpus,
    words: Vec<&'a str>,
    cumulated: Vec<u64>,
}

impl UnigramCorpus {
    /// Counts a document.
    pub fn add(&mut self, text: &str) {
        self.documents += 1;
        for (word, count) in count(text) {
            self.words += count;
            let (occurrences, documents) = self.counts.entry(word).or_default();
            *occurrences += count;
            *documents += 1;
        }
    }

    /// Prepares drawing, after all documents have been counted.
    #[must_use]
    pub fn background(&self) -> Background<'_> {
        let mut background = Background { corpus: self, words: Vec::new(), cumulated: Vec::new() };
        let mut sum = 0;
        for (word, &(occurrences, documents)) in &self.counts {
            if occurrences >= MIN_OCCURRENCES {
                sum += documents;
                background.words.push(word);
                background.cumulated.push(sum);
            }
        }
        background
    }
}

impl Background<'_> {
    /// Draws pairs of the document called `id`, as many as `sampler` says and by its seed.
    #[must_use]
    pub fn sample(&self, id: &str, text: &str, sampler: &PairSampler) -> Vec<SampledPair> {
        let mut rng = DocumentRng::new(sampler.seed, id);
        let candidates = self.candidates(text, &mut rng);
        let weights: Vec<f64> = candidates.iter().map(|(_, probability)| *probability).collect();
        let mut pairs = Vec::with_capacity(sampler.pairs);
        for _ in 0..sampler.pairs {
            let count = rng.positive_poisson(MEAN_WORDS);
            let mut set = || {
                let drawn = rng.without_replacement(&weights, count);
                SampledSet {
                    score: drawn.iter().map(|&place| weights[place].ln()).sum(),
                    words: drawn.iter().map(|&place| candidates[place].0.clone()).collect(),
                }
            };
            pairs.push(SampledPair::ordered(set(), set()));
        }
        pairs
    }

    /// The candidates with `P(w | d)`, in the order of the alphabet.
    fn candidates(&self, text: &str, rng: &mut DocumentRng) -> Vec<(String, f64)> {
        let own = count(text);
        let length: u64 = own.values().sum();
        let total = self.cumulated.last().copied().unwrap_or_default();
        let mut candidates = own.clone();
        for _ in own.len()..CANDIDATES.min(own.len() + self.words.len()) {
            let drawn = (rng.unit() * total as f64) as u64;
            let place = self.cumulated.partition_point(|&sum| sum <= drawn);
            if let Some(&word) = self.words.get(place) {
                candidates.entry(word.to_owned()).or_insert(0);
            }
        }
        let mean = self.corpus.words as f64 / (self.corpus.documents as f64).max(1.0);
        let probability = |word: &str, count: u64| {
            let (occurrences, documents) =
                self.corpus.counts.get(word).copied().unwrap_or_default();
            let known = occurrences >= MIN_OCCURRENCES;
            let background = if known { documents as f64 / total as f64 } else { 0.0 };
            (count as f64 + mean * background) / (length as f64 + mean)
        };
        let kept = candidates.into_iter().filter(|(word, _)| {
            let occurrences = self.corpus.counts.get(word).map_or(0, |&(count, _)| count);
            let share = occurrences as f64 / (self.corpus.words as f64).max(1.0);
            let keep = (SUBSAMPLE / share).sqrt() + SUBSAMPLE / share;
            rng.unit() < keep
        });
        kept.map(|(word, count)| {
            let probability = probability(&word, count);
            (word, probability)
        })
        .collect()
    }
}

fn count(text: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for word in unigram_words(text) {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::super::sampler::SamplingMode;
    use super::*;

    #[test]
    fn words_are_letters_without_function_words() {
        let words: Vec<String> = unigram_words("The crab's 2 claws, and a CRAB.").collect();
        assert_eq!(words, ["crab", "s", "claws", "crab"]);
    }

    #[test]
    fn a_documents_own_words_are_likelier_than_the_collections() {
        let mut corpus = UnigramCorpus::default();
        let own = "crab claw shell ".repeat(12);
        let other = "gull wing beak ".repeat(12);
        corpus.add(&own);
        corpus.add(&other);
        let background = corpus.background();
        let mut rng = DocumentRng::new(1, "d");
        // Too few words for subsampling to keep many: look until each has been seen.
        let mut seen = BTreeMap::new();
        for _ in 0..2_000 {
            seen.extend(background.candidates(&own, &mut rng));
        }
        // (12 + 36/6) / (36 + 36) and (0 + 36/6) / (36 + 36): both documents have 36 words, and
        // each of the six words is in one of them.
        assert!((seen["crab"] - 0.25).abs() < 1e-9, "{seen:?}");
        assert!((seen["gull"] - 1.0 / 12.0).abs() < 1e-9, "{seen:?}");
        let sampler = PairSampler { mode: SamplingMode::Proportional, pairs: 3, seed: 2 };
        assert_eq!(background.sample("d", &own, &sampler), background.sample("d", &own, &sampler));
    }
}
