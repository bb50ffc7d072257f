//! Pairs of word sets, the better one first.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

use super::contrast::Contrast;
use super::rng::DocumentRng;

/// Mean number of words of a set, before sets of none are drawn again.
pub(super) const MEAN_WORDS: f64 = 3.0;

/// How contrast becomes the probability of a word.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum SamplingMode {
    /// `e^(c(w) / T)`, normalised: the paper's. Contrast is some hundredths, so at the paper's
    /// temperature of 1 all words of a document are nearly equally likely.
    Softmax {
        /// `T`, above 0.
        temperature: f64,
    },
    /// `c(w)`, normalised.
    Proportional,
}

/// A mode that is not one.
#[derive(Debug, Error)]
#[error("mode {0:?}: expected proportional, softmax, or softmax:TEMPERATURE with one above 0")]
pub struct SamplingModeError(String);

/// A set of words, in the order they were drawn, and its score `Σ c(w)`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SampledSet {
    /// The words.
    pub words: Vec<String>,
    /// Their score.
    pub score: f64,
}

/// Two sets of as many words of one document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SampledPair {
    /// The one with the higher score.
    pub positive: SampledSet,
    /// The other.
    pub negative: SampledSet,
}

/// Draws pairs of sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairSampler {
    /// How words are drawn.
    pub mode: SamplingMode,
    /// Pairs of a document.
    pub pairs: usize,
    /// With the document's id, decides what is drawn.
    pub seed: u64,
}

impl PairSampler {
    /// Draws the pairs of the document called `id`.
    #[must_use]
    pub fn sample(&self, id: &str, contrast: &Contrast) -> Vec<SampledPair> {
        self.draw(id, contrast, &self.mode.weights(contrast))
    }

    /// Draws pairs of sets in which every word is as likely as any other, and worth as much: what
    /// any better way of drawing must be better than.
    #[must_use]
    pub fn sample_evenly(
        &self,
        id: &str,
        words: impl IntoIterator<Item = String>,
    ) -> Vec<SampledPair> {
        let words = Contrast::even(words);
        self.draw(id, &words, &vec![1.0; words.words().len()])
    }

    fn draw(&self, id: &str, contrast: &Contrast, weights: &[f64]) -> Vec<SampledPair> {
        let mut rng = DocumentRng::new(self.seed, id);
        let mut pairs = Vec::with_capacity(self.pairs);
        for _ in 0..self.pairs {
            let count = rng.positive_poisson(MEAN_WORDS);
            let mut set = || {
                let drawn = rng.without_replacement(weights, count);
                let words = drawn.into_iter().map(|place| &contrast.words()[place]);
                let (words, scores): (Vec<String>, Vec<f64>) = words.cloned().unzip();
                SampledSet { words, score: scores.iter().sum() }
            };
            pairs.push(SampledPair::ordered(set(), set()));
        }
        pairs
    }
}

impl SampledPair {
    /// Puts the set with the higher score first.
    pub(super) fn ordered(first: SampledSet, second: SampledSet) -> Self {
        if first.score >= second.score {
            Self { positive: first, negative: second }
        } else {
            Self { positive: second, negative: first }
        }
    }
}

impl SamplingMode {
    fn weights(self, contrast: &Contrast) -> Vec<f64> {
        let words = contrast.words().iter().map(|&(_, value)| value);
        match self {
            Self::Proportional => words.collect(),
            Self::Softmax { temperature } => {
                let most = words.clone().fold(f64::MIN, f64::max);
                words.map(|value| ((value - most) / temperature).exp()).collect()
            }
        }
    }
}

impl FromStr for SamplingMode {
    type Err = SamplingModeError;

    fn from_str(text: &str) -> Result<Self, SamplingModeError> {
        let refused = || SamplingModeError(text.to_owned());
        match text.split_once(':') {
            None if text == "proportional" => Ok(Self::Proportional),
            None if text == "softmax" => Ok(Self::Softmax { temperature: 1.0 }),
            Some(("softmax", temperature)) => {
                let temperature: f64 = temperature.parse().map_err(|_| refused())?;
                let fits = temperature.is_finite() && temperature > 0.0;
                fits.then_some(Self::Softmax { temperature }).ok_or_else(refused)
            }
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for SamplingMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Softmax { temperature } => write!(f, "softmax:{temperature}"),
            Self::Proportional => f.write_str("proportional"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::contrast::CorpusTerms;
    use super::super::terms::DocumentTerms;
    use super::*;

    fn contrast() -> Contrast {
        let weights = ('a'..='p').enumerate().map(|(i, c)| (c.to_string(), 0.02 * (i + 1) as f32));
        let document = DocumentTerms::from_weights(weights);
        let mut corpus = CorpusTerms::default();
        corpus.add(&document);
        corpus.contrast(&document)
    }

    fn sampler(mode: SamplingMode) -> PairSampler {
        PairSampler { mode, pairs: 200, seed: 5 }
    }

    #[test]
    fn pairs_are_ordered_as_long_as_each_other_and_repeatable() {
        let contrast = contrast();
        let sampler = sampler(SamplingMode::Proportional);
        let pairs = sampler.sample("d1", &contrast);
        for SampledPair { positive, negative } in &pairs {
            assert!(positive.score >= negative.score);
            assert_eq!(positive.words.len(), negative.words.len());
            let mut words = positive.words.clone();
            words.sort();
            words.dedup();
            assert_eq!(words.len(), positive.words.len());
        }
        assert_eq!(sampler.sample("d1", &contrast), pairs);
        assert_ne!(sampler.sample("d2", &contrast), pairs);
    }

    #[test]
    fn a_softmax_of_temperature_one_hardly_tells_words_apart() {
        let contrast = contrast();
        let mean = |mode| {
            let pairs = sampler(mode).sample("d", &contrast);
            let sets = pairs.iter().flat_map(|pair| [&pair.positive, &pair.negative]);
            let (score, words) = sets
                .fold((0.0, 0), |(score, words), set| (score + set.score, words + set.words.len()));
            score / words as f64
        };
        let even = contrast.words().iter().map(|(_, c)| c).sum::<f64>() / 16.0;
        let softmax = mean(SamplingMode::Softmax { temperature: 1.0 });
        assert!((softmax / even - 1.0).abs() < 0.2, "{softmax} {even}");
        assert!(mean(SamplingMode::Proportional) > 1.1 * softmax);
        assert!(mean(SamplingMode::Softmax { temperature: 0.05 }) > 1.3 * softmax);
    }

    #[test]
    fn modes_are_read_as_they_are_written() {
        for text in ["proportional", "softmax:0.1"] {
            assert_eq!(text.parse::<SamplingMode>().unwrap().to_string(), text);
        }
        assert_eq!("softmax".parse::<SamplingMode>().unwrap().to_string(), "softmax:1");
        for text in ["", "softmax:0", "softmax:x", "softmax:inf", "uniform", "proportional:1"] {
            let error = text.parse::<SamplingMode>().unwrap_err().to_string();
            assert!(error.contains(&format!("mode {text:?}")), "{error}");
        }
    }
}
