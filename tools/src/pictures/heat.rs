//! Where in pictures a text is.

use anyhow::Context;
use bigrain_encoders::{EncodeOptions, MultiVectorEncoder, RgbImage, ScoreMap, TokenMatrix};
use bigrain_engine::ScoredPoint;

use super::model::PictureModel;
use super::source::PictureSource;

/// Draws where in each picture a text is, as the bytes of a PNG; nothing for a picture that cannot be read,
/// and for a model that gives no token matrices.
///
/// # Errors
///
/// When the model refuses the text.
pub fn heat_maps(
    model: &PictureModel,
    text: &str,
    points: &[ScoredPoint],
) -> anyhow::Result<Vec<Option<Vec<u8>>>> {
    let Some(tokens) = model.model().tokens() else { return Ok(vec![None; points.len()]) };
    let text = rows_of(text, tokens)?;
    let draw = |point: &ScoredPoint| match PictureSource::of(&point.payload)
        .decode(model.model().decode())
    {
        Ok(image) => draw(model, tokens, &image, &text).map(Some),
        Err(_) => Ok(None),
    };
    points.iter().map(draw).collect()
}

/// As [`heat_maps`] for one picture, which must be there.
///
/// # Errors
///
/// When the picture cannot be read, the model refuses the text, or it gives no token matrices.
pub fn heat_map(
    model: &PictureModel,
    text: &str,
    source: &PictureSource,
) -> anyhow::Result<Vec<u8>> {
    let tokens = model.model().tokens();
    let tokens = tokens.with_context(|| format!("{} says nothing of places", model.name()))?;
    let image = source.decode(model.model().decode())?;
    draw(model, tokens, &image, &rows_of(text, tokens)?)
}

fn rows_of(text: &str, tokens: &dyn MultiVectorEncoder) -> anyhow::Result<TokenMatrix> {
    let rows = tokens.encode_text_tokens(&[text], &EncodeOptions::default())?;
    rows.into_iter().next().context("a text without tokens")
}

fn draw(
    model: &PictureModel,
    tokens: &dyn MultiVectorEncoder,
    image: &RgbImage,
    text: &TokenMatrix,
) -> anyhow::Result<Vec<u8>> {
    let preprocess = model.model().preprocess();
    let pixels = preprocess.apply(image);
    let size = pixels.size();
    let rows = tokens.encode_image_tokens(&[pixels], &EncodeOptions::default())?;
    let map = ScoreMap::new(rows.first().context("a picture without tokens")?, text)?;
    Ok(map.to_png(size, Some(&preprocess.apply_bytes(image)))?)
}
