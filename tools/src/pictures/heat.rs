//! Where in pictures a text is.

use std::path::Path;

use bigrain_encoders::{EncodeOptions, ScoreMap, decode_image_file};
use bigrain_engine::ScoredPoint;

use super::model::PictureModel;

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
    let model = model.model();
    let Some(tokens) = model.tokens() else { return Ok(vec![None; points.len()]) };
    let options = EncodeOptions::default();
    let texts = tokens.encode_text_tokens(&[text], &options)?;
    let draw = |point: &ScoredPoint| {
        let file = Path::new(point.payload.text("file").unwrap_or_default());
        let Ok(image) = decode_image_file(file, model.decode()) else { return Ok(None) };
        let pixels = model.preprocess().apply(&image);
        let size = pixels.size();
        let images = tokens.encode_image_tokens(&[pixels], &options)?;
        let (Some(image_tokens), Some(text_tokens)) = (images.first(), texts.first()) else {
            return Ok(None);
        };
        let map = ScoreMap::new(image_tokens, text_tokens)?;
        Ok(Some(map.to_png(size, Some(&model.preprocess().apply_bytes(&image)))?))
    };
    points.iter().map(draw).collect()
}
