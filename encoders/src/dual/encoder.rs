//! The seams that models of images and texts implement.

use bigrain_types::EmbeddingSpaceId;

use super::token_matrix::TokenMatrix;
use crate::embeddings::Embeddings;
use crate::encoder::{EncodeError, EncodeOptions};
use crate::image::{ImageSize, Pixels};

/// Turns images and texts into embeddings of one embedding space.
///
/// An encoder is immutable and shared between threads. All embeddings are of length one, so that
/// their product is the cosine. The embedding of an image or text does not depend on those encoded
/// with it.
pub trait DualEncoder: Send + Sync {
    /// Values of one embedding.
    fn dims(&self) -> usize;

    /// The space its embeddings lie in, those of images and those of texts.
    fn space(&self) -> EmbeddingSpaceId;

    /// What the model multiplies a cosine by before a softmax over labels: `e^logit_scale` in CLIP,
    /// `1 / temperature` in ALIGN.
    fn scale(&self) -> f32;

    /// The most tokens of a text that are read, special tokens included.
    fn max_tokens(&self) -> usize;

    /// The size of the images it reads.
    fn image_size(&self) -> ImageSize;

    /// Encodes images, in their order.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] for the first image that is of another size than
    /// [`DualEncoder::image_size`] or not whole, and when cancelled; then nothing is returned.
    fn encode_images(
        &self,
        images: &[Pixels],
        options: &EncodeOptions,
    ) -> Result<Embeddings, EncodeError>;

    /// Encodes texts, in their order. Texts above [`DualEncoder::max_tokens`] are cut, which the
    /// statistics of the result count.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] for the first text that is empty or too long, and when cancelled; then
    /// nothing is returned.
    fn encode_texts(
        &self,
        texts: &[&str],
        options: &EncodeOptions,
    ) -> Result<Embeddings, EncodeError>;
}

/// Turns images and texts into token matrices, which are compared by late interaction.
///
/// All rows are of length one. What is encoded with an image or text does not change its matrix.
pub trait MultiVectorEncoder: Send + Sync {
    /// Values of one row.
    fn token_dims(&self) -> usize;

    /// The space the rows lie in.
    fn token_space(&self) -> EmbeddingSpaceId;

    /// What the model multiplies the score of late interaction by before a softmax over labels.
    fn token_scale(&self) -> f32;

    /// Encodes images, in their order: a row for each patch, and the grid they lie in.
    ///
    /// # Errors
    ///
    /// As [`DualEncoder::encode_images`].
    fn encode_image_tokens(
        &self,
        images: &[Pixels],
        options: &EncodeOptions,
    ) -> Result<Vec<TokenMatrix>, EncodeError>;

    /// Encodes texts, in their order: a row for each token.
    ///
    /// # Errors
    ///
    /// As [`DualEncoder::encode_texts`].
    fn encode_text_tokens(
        &self,
        texts: &[&str],
        options: &EncodeOptions,
    ) -> Result<Vec<TokenMatrix>, EncodeError>;
}
