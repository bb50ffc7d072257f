//! The seam every text model implements.

use bigrain_types::{Cancel, Cancelled, EmbeddingSpaceId};
use thiserror::Error;

use crate::device::DeviceReport;
use crate::dual::TokenMatrix;
use crate::embeddings::Embeddings;
use crate::image::{ImageSize, Pixels};
use crate::progress::EncodeProgress;
use crate::tokenize::{Token, TokenizerError};

/// The longest text, in bytes of UTF-8. Longer ones are refused rather than tokenized: a model
/// reads some hundreds of tokens, so such a text was meant to be split.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// Bytes of a token, about: code has about 3, English more.
const BYTES_PER_TOKEN: usize = 3;

/// Turns texts into embeddings of one embedding space.
///
/// An encoder is immutable and shared between threads. The embedding of a text does not depend on
/// the texts encoded with it.
pub trait TextEncoder: Send + Sync {
    /// Values of one embedding.
    fn dims(&self) -> usize;

    /// The space its embeddings lie in.
    fn space(&self) -> EmbeddingSpaceId;

    /// The most tokens of a text that are read, special tokens included.
    fn max_tokens(&self) -> usize;

    /// Counts the tokens of a text, special tokens included, up to one more than
    /// [`TextEncoder::max_tokens`]. Default: an estimate, for encoders without a tokenizer.
    fn count_tokens(&self, text: &str) -> usize {
        (text.len().div_ceil(BYTES_PER_TOKEN)).min(self.max_tokens().saturating_add(1))
    }

    /// Encodes texts, in their order.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] for the first text that is empty or too long, and when cancelled; then
    /// nothing is returned.
    fn encode(&self, texts: &[&str], options: &EncodeOptions) -> Result<Embeddings, EncodeError>;

    /// Says how much the first token of each text attends, in the last layer, to each word: the mean
    /// over heads of the attention to the word's first piece. Words come in their order, as they
    /// stand in the text.
    ///
    /// # Errors
    ///
    /// As [`TextEncoder::encode`], whose prompts are left out, and [`EncodeError::NoAttention`] for an encoder without it.
    fn word_attention(
        &self,
        _texts: &[&str],
        _options: &EncodeOptions,
    ) -> Result<Vec<Vec<WordAttention>>, EncodeError> {
        Err(EncodeError::NoAttention)
    }

    /// What a device does for the encoder. Default: none was asked for.
    fn device(&self) -> Option<DeviceReport> {
        None
    }

    /// What the vectors of tokens are like, of an encoder that gives them. Default: none.
    fn token_shape(&self) -> Option<TokenShape> {
        None
    }

    /// Encodes texts, in their order, as token matrices for late interaction: a row for each token, of
    /// length one.
    ///
    /// # Errors
    ///
    /// As [`TextEncoder::encode`], and [`EncodeError::NoTokens`] for an encoder without a
    /// [shape](TextEncoder::token_shape) of them.
    fn encode_tokens(
        &self,
        _texts: &[&str],
        _options: &EncodeOptions,
    ) -> Result<Vec<TokenMatrix>, EncodeError> {
        Err(EncodeError::NoTokens)
    }

    /// Returns every token of a text, those that it does not read too, without a prompt; with `special` the
    /// special ones around it.
    ///
    /// # Errors
    ///
    /// [`EncodeError::NoTokenizer`] for an encoder that does not show its tokens, and
    /// [`EncodeError::Tokenize`] for a text that its tokenizer refuses.
    fn tokenize(&self, _text: &str, _special: bool) -> Result<Vec<Token>, EncodeError> {
        Err(EncodeError::NoTokenizer)
    }

    /// Encodes one query.
    ///
    /// # Errors
    ///
    /// As [`TextEncoder::encode`].
    fn encode_query(&self, text: &str) -> Result<Vec<f32>, EncodeError> {
        let options = EncodeOptions { kind: TextKind::Query, ..EncodeOptions::default() };
        Ok(self.encode(&[text], &options)?.into_data())
    }
}

/// What the rows of a text's token matrix are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenShape {
    /// Values of one row.
    pub dims: usize,
    /// The space they lie in.
    pub space: EmbeddingSpaceId,
}

/// How to encode.
#[derive(Clone, Debug, Default)]
pub struct EncodeOptions {
    /// Whether the texts are documents or queries. Default: documents.
    pub kind: TextKind,
    /// Stops the work between two batches, or sooner where a batch takes seconds. Default: a flag
    /// nobody has raised.
    pub cancel: Cancel,
    /// Hears how far the work has come. Default: nobody does.
    pub progress: EncodeProgress,
}

/// A word of a text, and how much is attended to it.
#[derive(Clone, Debug, PartialEq)]
pub struct WordAttention {
    /// The word, as it stands in the text.
    pub word: String,
    /// A share of 1.
    pub attention: f32,
}

/// What a text is for; some models put a different prefix before each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextKind {
    /// To be found.
    #[default]
    Document,
    /// To find with.
    Query,
}

/// Texts that could not be encoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A text without anything but white space: it has no meaning to encode.
    #[error("text {position} is empty")]
    EmptyText {
        /// Which of the texts.
        position: usize,
    },
    /// A text above [`MAX_TEXT_BYTES`].
    #[error("text {position} has {actual} bytes, the limit is {MAX_TEXT_BYTES}")]
    TextTooLong {
        /// Which of the texts.
        position: usize,
        /// Its length.
        actual: usize,
    },
    /// A text the tokenizer refuses.
    #[error("text {position}")]
    Tokenize {
        /// Which of the texts.
        position: usize,
        /// Why.
        #[source]
        source: TokenizerError,
    },
    /// An image of another size than the model reads.
    #[error("image {position} has {actual} pixels, the model reads {expected}")]
    ImageSize {
        /// Which of the images.
        position: usize,
        /// What the model reads.
        expected: ImageSize,
        /// Its size.
        actual: ImageSize,
    },
    /// An image with too few or too many values, or with one that is not a finite number.
    #[error(
        "image {position} is not whole: {values} values for {size} pixels, or one is not finite"
    )]
    ImageValues {
        /// Which of the images.
        position: usize,
        /// Its size.
        size: ImageSize,
        /// How many values it has.
        values: usize,
    },
    /// An encoder that was asked what it attends to, and has no attention.
    #[error("the encoder has no attention: expected a model of the BERT family")]
    NoAttention,
    /// An encoder that was asked for the vectors of tokens, and gives one for a text.
    #[error(
        "the encoder gives no vectors of tokens: expected a model of the BERT family, CLIP or FILIP"
    )]
    NoTokens,
    /// An encoder that was asked for the tokens of a text, and does not show them.
    #[error("the encoder does not show its tokens: expected a model for texts alone")]
    NoTokenizer,
    /// The caller gave up.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl EncodeError {
    /// The same error, about the text at another position.
    pub(crate) fn with_position(self, of: impl Fn(usize) -> usize) -> Self {
        match self {
            Self::EmptyText { position } => Self::EmptyText { position: of(position) },
            Self::TextTooLong { position, actual } => {
                Self::TextTooLong { position: of(position), actual }
            }
            Self::Tokenize { position, source } => {
                Self::Tokenize { position: of(position), source }
            }
            Self::ImageSize { position, expected, actual } => {
                Self::ImageSize { position: of(position), expected, actual }
            }
            Self::ImageValues { position, size, values } => {
                Self::ImageValues { position: of(position), size, values }
            }
            Self::NoAttention => Self::NoAttention,
            Self::NoTokens => Self::NoTokens,
            Self::NoTokenizer => Self::NoTokenizer,
            Self::Cancelled(cancelled) => Self::Cancelled(cancelled),
        }
    }
}

/// Refuses the first text that no encoder takes.
pub(crate) fn check_texts(texts: &[&str]) -> Result<(), EncodeError> {
    for (position, text) in texts.iter().enumerate() {
        if text.len() > MAX_TEXT_BYTES {
            return Err(EncodeError::TextTooLong { position, actual: text.len() });
        }
        if text.trim().is_empty() {
            return Err(EncodeError::EmptyText { position });
        }
    }
    Ok(())
}

/// Refuses the first image that is of another size than the model reads, or is not whole.
pub(crate) fn check_images(images: &[Pixels], expected: ImageSize) -> Result<(), EncodeError> {
    for (position, image) in images.iter().enumerate() {
        let actual = image.size();
        if actual != expected {
            return Err(EncodeError::ImageSize { position, expected, actual });
        }
        if !image.is_whole() {
            let values = image.data.len();
            return Err(EncodeError::ImageValues { position, size: actual, values });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_text_and_the_limit() {
        let refuse = |texts: &[&str]| check_texts(texts).unwrap_err().to_string();
        assert_eq!(refuse(&["a", " \t\u{a0}\n"]), "text 1 is empty");
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        assert_eq!(refuse(&[&long]), "text 0 has 1048577 bytes, the limit is 1048576");
        assert!(check_texts(&[&long[1..], "🦀"]).is_ok());
    }

    #[test]
    fn an_image_of_another_size_is_named() {
        let size = ImageSize { height: 2, width: 1 };
        let good = Pixels { data: vec![0.0; 6], height: 2, width: 1 };
        let wide = Pixels { data: vec![0.0; 6], height: 1, width: 2 };
        let short = Pixels { data: vec![0.0; 5], ..good.clone() };
        let refuse = |second: &Pixels| {
            check_images(&[good.clone(), second.clone()], size).unwrap_err().to_string()
        };
        assert!(check_images(&[good.clone(), good.clone()], size).is_ok());
        assert_eq!(refuse(&wide), "image 1 has 2 x 1 pixels, the model reads 1 x 2");
        assert!(refuse(&short).starts_with("image 1 is not whole: 5 values for 1 x 2 pixels"));
    }
}
