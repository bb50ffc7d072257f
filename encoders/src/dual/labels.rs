//! Labels nobody was trained on: an image has those whose descriptions are nearest to it.

use crate::dual::{DualEncoder, MultiVectorEncoder, TokenMatrix};
use crate::embeddings::Embeddings;
use crate::encoder::{EncodeError, EncodeOptions};
use crate::filip::late_score;

/// What stands for the name in a template.
pub(crate) const PLACE: &str = "{label}";

/// A label, and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What it is called.
    pub name: String,
    /// Texts that describe an image with it; their embeddings, or scores, are averaged.
    pub descriptions: Vec<String>,
}

/// A label, as it fits an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoredLabel {
    /// Its position among the labels.
    pub label: usize,
    /// The cosine, or score of late interaction: independent of the other labels.
    pub score: f32,
    /// The probability, if the image has exactly one of the labels.
    pub probability: f32,
}

/// Labels by one vector each: CLIP's classifier.
#[derive(Clone, Debug)]
pub struct LabelSet {
    dims: usize,
    scale: f32,
    /// A row a label.
    vectors: Vec<f32>,
}

/// Labels by the token matrices of their descriptions: FILIP's classifier.
#[derive(Clone, Debug)]
pub struct TokenLabelSet {
    scale: f32,
    labels: Vec<Vec<TokenMatrix>>,
}

impl Label {
    /// A label described by its name in templates: `a photo of a {label}, a type of pet.` Without any
    /// template the name describes itself.
    #[must_use]
    pub fn from_templates(name: &str, templates: &[&str]) -> Self {
        let descriptions = if templates.is_empty() {
            vec![name.to_owned()]
        } else {
            templates.iter().map(|template| template.replace(PLACE, name)).collect()
        };
        Self { name: name.to_owned(), descriptions }
    }
}

impl LabelSet {
    /// Encodes the descriptions of labels; a label is the mean of theirs, at length one. A label
    /// without descriptions fits nothing.
    ///
    /// # Errors
    ///
    /// As [`DualEncoder::encode_texts`]; positions count the descriptions of all labels.
    pub fn encode(
        encoder: &dyn DualEncoder,
        labels: &[Label],
        options: &EncodeOptions,
    ) -> Result<Self, EncodeError> {
        let embeddings = encoder.encode_texts(&descriptions(labels), options)?;
        let dims = encoder.dims();
        Ok(Self { dims, scale: encoder.scale(), vectors: means(labels, &embeddings, dims) })
    }

    /// Returns all labels, the best first, as they fit an image's embedding; none if it is of another
    /// number of values.
    #[must_use]
    pub fn classify(&self, image: &[f32]) -> Vec<ScoredLabel> {
        if image.len() != self.dims {
            return Vec::new();
        }
        let cosine = |label: &[f32]| -> f32 { label.iter().zip(image).map(|(x, y)| x * y).sum() };
        rank(self.vectors.chunks_exact(self.dims).map(cosine).collect(), self.scale)
    }

    /// Returns the labels whose cosine reaches `min_score`, the best first and at most `limit`: tags,
    /// of which an image may have several or none.
    #[must_use]
    pub fn tags(&self, image: &[f32], min_score: f32, limit: usize) -> Vec<ScoredLabel> {
        let mut tags = self.classify(image);
        tags.retain(|tag| tag.score >= min_score);
        tags.truncate(limit);
        tags
    }
}

impl TokenLabelSet {
    /// Encodes the descriptions of labels. A label without descriptions fits nothing.
    ///
    /// # Errors
    ///
    /// As [`MultiVectorEncoder::encode_text_tokens`]; positions count the descriptions of all labels.
    pub fn encode(
        encoder: &dyn MultiVectorEncoder,
        labels: &[Label],
        options: &EncodeOptions,
    ) -> Result<Self, EncodeError> {
        let tokens = encoder.encode_text_tokens(&descriptions(labels), options)?;
        let mut tokens = tokens.into_iter();
        let of = |label: &Label| -> Vec<TokenMatrix> {
            tokens.by_ref().take(label.descriptions.len()).collect()
        };
        Ok(Self { scale: encoder.token_scale(), labels: labels.iter().map(of).collect() })
    }

    /// Returns all labels, the best first, as they fit an image's tokens. The score of a label is the
    /// mean over its descriptions of the image's score for each, not the score of their mean (FILIP,
    /// section 3.3); of rows of another length it is -1.
    #[must_use]
    pub fn classify(&self, image: &TokenMatrix) -> Vec<ScoredLabel> {
        let score = |descriptions: &Vec<TokenMatrix>| {
            let scores: Option<Vec<f32>> =
                descriptions.iter().map(|text| late_score(image, text)).collect();
            match scores {
                Some(scores) if !scores.is_empty() => {
                    scores.iter().sum::<f32>() / scores.len() as f32
                }
                Some(_) | None => -1.0,
            }
        };
        rank(self.labels.iter().map(score).collect(), self.scale)
    }
}

fn descriptions(labels: &[Label]) -> Vec<&str> {
    labels.iter().flat_map(|label| &label.descriptions).map(String::as_str).collect()
}

/// The mean of each label's descriptions, at length one: a row a label.
pub(crate) fn means(labels: &[Label], embeddings: &Embeddings, dims: usize) -> Vec<f32> {
    let mut rows = embeddings.iter();
    let mut vectors = vec![0.0; labels.len() * dims];
    for (label, mean) in labels.iter().zip(vectors.chunks_exact_mut(dims.max(1))) {
        for row in rows.by_ref().take(label.descriptions.len()) {
            for (mean, value) in mean.iter_mut().zip(row) {
                *mean += value;
            }
        }
        bigrain_types::normalize(mean);
    }
    vectors
}

/// Orders labels by their scores, the best first; probabilities are a softmax of the scaled scores.
fn rank(scores: Vec<f32>, scale: f32) -> Vec<ScoredLabel> {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let power = |score: f32| f64::from((score - most) * scale).exp();
    let sum: f64 = scores.iter().map(|&score| power(score)).sum();
    let labels = scores.into_iter().enumerate();
    let mut ranked: Vec<ScoredLabel> = labels
        .map(|(label, score)| {
            let probability = (power(score) / sum) as f32;
            ScoredLabel { label, score, probability }
        })
        .collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.label.cmp(&b.label)));
    ranked
}

#[cfg(test)]
mod tests {
    use bigrain_types::EmbeddingSpaceId;

    use super::*;
    use crate::embeddings::EncodeStats;
    use crate::image::{ImageSize, Pixels};

    /// Gives each text the direction of its first letter, `a` to `d`.
    struct Letters;

    impl Letters {
        fn vector(text: &str) -> Vec<f32> {
            let mut vector = vec![0.0; 4];
            vector[usize::from(text.as_bytes()[0] - b'a')] = 1.0;
            vector
        }
    }

    impl DualEncoder for Letters {
        fn dims(&self) -> usize {
            4
        }
        fn space(&self) -> EmbeddingSpaceId {
            EmbeddingSpaceId::from_bytes([7; 16])
        }
        fn scale(&self) -> f32 {
            10.0
        }
        fn max_tokens(&self) -> usize {
            77
        }
        fn image_size(&self) -> ImageSize {
            ImageSize { height: 1, width: 1 }
        }
        fn encode_images(
            &self,
            _: &[Pixels],
            _: &EncodeOptions,
        ) -> Result<Embeddings, EncodeError> {
            Ok(Embeddings::default())
        }
        fn encode_texts(
            &self,
            texts: &[&str],
            _: &EncodeOptions,
        ) -> Result<Embeddings, EncodeError> {
            let data = texts.iter().flat_map(|text| Self::vector(text)).collect();
            Ok(Embeddings::new(4, data, EncodeStats::default()))
        }
    }

    impl MultiVectorEncoder for Letters {
        fn token_dims(&self) -> usize {
            4
        }
        fn token_space(&self) -> EmbeddingSpaceId {
            self.space()
        }
        fn token_scale(&self) -> f32 {
            10.0
        }
        fn encode_image_tokens(
            &self,
            _: &[Pixels],
            _: &EncodeOptions,
        ) -> Result<Vec<TokenMatrix>, EncodeError> {
            Ok(Vec::new())
        }
        fn encode_text_tokens(
            &self,
            texts: &[&str],
            _: &EncodeOptions,
        ) -> Result<Vec<TokenMatrix>, EncodeError> {
            let matrix = |text: &&str| TokenMatrix::from_rows(4, Self::vector(text), None);
            Ok(texts.iter().map(matrix).collect())
        }
    }

    fn labels() -> Vec<Label> {
        let label = |name: &str, descriptions: &[&str]| Label {
            name: name.to_owned(),
            descriptions: descriptions.iter().map(|&text| text.to_owned()).collect(),
        };
        vec![label("one", &["a", "b"]), label("two", &["c"]), label("three", &["d", "a"])]
    }

    #[test]
    fn a_label_is_the_mean_of_its_descriptions_embeddings() {
        let set = LabelSet::encode(&Letters, &labels(), &EncodeOptions::default()).unwrap();
        let ranked = set.classify(&[0.0, 0.6, 0.8, 0.0]);
        let order: Vec<usize> = ranked.iter().map(|label| label.label).collect();
        assert_eq!(order, [1, 0, 2]);
        assert!((ranked[1].score - 0.6 * 0.5f32.sqrt()).abs() < 1e-6);
        let sum: f32 = ranked.iter().map(|label| label.probability).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        let ratio = (10.0 * (ranked[0].score - ranked[1].score)).exp();
        assert!((ranked[0].probability / ranked[1].probability / ratio - 1.0).abs() < 1e-4);
        assert!(set.classify(&[1.0]).is_empty());
    }

    #[test]
    fn tags_are_the_labels_that_fit_and_may_be_none() {
        let set = LabelSet::encode(&Letters, &labels(), &EncodeOptions::default()).unwrap();
        let tags = |min_score, limit| -> Vec<usize> {
            let tags = set.tags(&[1.0, 0.0, 0.0, 0.0], min_score, limit);
            tags.iter().map(|tag| tag.label).collect()
        };
        assert_eq!(tags(0.5, 9), [0, 2]);
        assert_eq!(tags(0.5, 1), [0]);
        assert!(tags(0.9, 9).is_empty());
    }

    #[test]
    fn late_interaction_averages_the_scores_of_descriptions() {
        let set = TokenLabelSet::encode(&Letters, &labels(), &EncodeOptions::default()).unwrap();
        let image = TokenMatrix::new(4, vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]).unwrap();
        let ranked = set.classify(&image);
        let scores: Vec<(usize, f32)> =
            ranked.iter().map(|label| (label.label, label.score)).collect();
        assert_eq!(scores, [(1, 0.5), (0, 0.25), (2, 0.25)]);
    }

    #[test]
    fn templates_name_the_label() {
        let label = Label::from_templates("cat", &["a {label}, a pet", "no {label}"]);
        assert_eq!(label.descriptions, ["a cat, a pet", "no cat"]);
        assert_eq!(Label::from_templates("cat", &[]).descriptions, ["cat"]);
    }
}
