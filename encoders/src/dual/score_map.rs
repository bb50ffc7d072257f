//! Where in an image a text is: the score of each patch, as numbers and as a picture.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use thiserror::Error;

use super::token_matrix::{Grid, TokenMatrix};
use crate::filip::best_rows;
use crate::image::ImageSize;

/// Red, green and blue from the lowest score to the highest: each lighter than the one before, so
/// that the order is seen in grey, too.
const COLOURS: [[f32; 3]; 5] = [
    [12.0, 10.0, 50.0],
    [86.0, 20.0, 120.0],
    [190.0, 50.0, 90.0],
    [245.0, 135.0, 35.0],
    [252.0, 245.0, 150.0],
];
/// How much of a picture's pixel is the colour of its score.
const COLOUR_SHARE: f32 = 0.6;
/// A heat map with more pixels is refused.
const MAX_PIXELS: usize = 1 << 26;

/// The scores of the patches of an image for a text.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreMap {
    grid: Grid,
    scores: Vec<f32>,
    tokens: Vec<usize>,
}

/// A score map that could not be made or drawn.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScoreMapError {
    /// The rows of the image do not lie in a grid.
    #[error("the image's rows lie in no grid: expected the tokens of a whole image")]
    NoGrid,
    /// The text has no rows, or rows of another length than the image.
    #[error("the image has rows of {image} values, the text {rows} rows of {text}")]
    Dims {
        /// Values of a row of the image.
        image: usize,
        /// Values of a row of the text.
        text: usize,
        /// Rows of the text.
        rows: usize,
    },
    /// A size without pixels or with too many.
    #[error("a heat map of {0} pixels: expected 1 to {MAX_PIXELS}")]
    Size(ImageSize),
    /// The picture to draw on has another number of values than its size says.
    #[error("the picture has {actual} values, {expected} are in {size} pixels")]
    Picture {
        /// The size.
        size: ImageSize,
        /// Values of that many pixels.
        expected: usize,
        /// Values there are.
        actual: usize,
    },
    /// The picture could not be written.
    #[error("write PNG")]
    Png(#[source] image::ImageError),
}

impl ScoreMap {
    /// Scores each patch of an image by the token of the text it fits best (FILIP's word-patch
    /// alignment, section 4.4). A text may also be one row: its embedding, in a space where patches
    /// are comparable with it.
    ///
    /// # Errors
    ///
    /// [`ScoreMapError`] if the rows of the image lie in no grid, or those of the text are of another
    /// length.
    pub fn new(image: &TokenMatrix, text: &TokenMatrix) -> Result<Self, ScoreMapError> {
        let grid = image.grid().ok_or(ScoreMapError::NoGrid)?;
        let best = best_rows(image, text).ok_or(ScoreMapError::Dims {
            image: image.dims(),
            text: text.dims(),
            rows: text.rows(),
        })?;
        let (tokens, scores) = best.into_iter().unzip();
        Ok(Self { grid, scores, tokens })
    }

    /// How the patches lie.
    #[must_use]
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The score of each patch, from left to right, then down.
    #[must_use]
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// The token each patch fits best.
    #[must_use]
    pub fn tokens(&self) -> &[usize] {
        &self.tokens
    }

    /// Draws the map as a PNG of `size`: dark where the score is lowest, light where it is highest.
    /// `picture` is drawn below it in grey: red, green and blue of each pixel, row by row.
    ///
    /// # Errors
    ///
    /// [`ScoreMapError`] for a size without pixels or with too many, and a picture of another size.
    pub fn to_png(
        &self,
        size: ImageSize,
        picture: Option<&[u8]>,
    ) -> Result<Vec<u8>, ScoreMapError> {
        let pixels = size.height.saturating_mul(size.width);
        if !(1..=MAX_PIXELS).contains(&pixels) {
            return Err(ScoreMapError::Size(size));
        }
        let mut colours = self.draw(size);
        if let Some(picture) = picture {
            if picture.len() != colours.len() {
                let (expected, actual) = (colours.len(), picture.len());
                return Err(ScoreMapError::Picture { size, expected, actual });
            }
            lay_over(&mut colours, picture);
        }
        let mut png = Vec::new();
        // Both sides are below 2^26.
        PngEncoder::new(&mut png)
            .write_image(&colours, size.width as u32, size.height as u32, ExtendedColorType::Rgb8)
            .map_err(ScoreMapError::Png)?;
        Ok(png)
    }

    fn draw(&self, size: ImageSize) -> Vec<u8> {
        let least = self.scores.iter().copied().fold(f32::INFINITY, f32::min);
        let most = self.scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let range = most - least;
        let mut colours = Vec::with_capacity(size.height * size.width * 3);
        for y in 0..size.height {
            let (above, below, down) = place(y, size.height, self.grid.height);
            for x in 0..size.width {
                let (left, right, along) = place(x, size.width, self.grid.width);
                let at = |row: usize, column: usize| self.scores[row * self.grid.width + column];
                let upper = between(at(above, left), at(above, right), along);
                let lower = between(at(below, left), at(below, right), along);
                let score = between(upper, lower, down);
                colours.extend(colour(if range > 0.0 { (score - least) / range } else { 0.0 }));
            }
        }
        colours
    }
}

/// The two patches a pixel lies between, and how far it is towards the second.
fn place(pixel: usize, pixels: usize, patches: usize) -> (usize, usize, f32) {
    let at = (pixel as f32 + 0.5) / pixels as f32 * patches as f32 - 0.5;
    let at = at.clamp(0.0, (patches - 1) as f32);
    let first = at as usize;
    (first, (first + 1).min(patches - 1), at - first as f32)
}

fn between(first: f32, second: f32, share: f32) -> f32 {
    first + (second - first) * share
}

/// The colour of a score between 0 and 1.
fn colour(score: f32) -> [u8; 3] {
    let (first, second, share) = {
        let at = score.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f32;
        let first = (at as usize).min(COLOURS.len() - 2);
        (COLOURS[first], COLOURS[first + 1], at - first as f32)
    };
    std::array::from_fn(|i| between(first[i], second[i], share).round() as u8)
}

/// Mixes colours with the grey of a picture.
fn lay_over(colours: &mut [u8], picture: &[u8]) {
    for (colour, pixel) in colours.as_chunks_mut::<3>().0.iter_mut().zip(picture.as_chunks::<3>().0)
    {
        let [red, green, blue] = pixel.map(f32::from);
        let grey = 0.299 * red + 0.587 * green + 0.114 * blue;
        for value in colour {
            *value = between(grey, f32::from(*value), COLOUR_SHARE).round() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(scores: [f32; 6]) -> ScoreMap {
        let rows = scores.iter().flat_map(|&score| [score, 0.0]).collect();
        let image = TokenMatrix::new(2, rows).unwrap();
        let image = image.with_grid(Grid { height: 2, width: 3 }).unwrap();
        let text = TokenMatrix::new(2, vec![0.0, 1.0, 1.0, 0.0]).unwrap();
        ScoreMap::new(&image, &text).unwrap()
    }

    #[test]
    fn each_patch_has_the_score_of_the_token_it_fits_best() {
        let map = map([0.5, -0.5, 0.25, 1.0, 0.0, -1.0]);
        assert_eq!(map.scores(), [0.5, 0.0, 0.25, 1.0, 0.0, 0.0]);
        assert_eq!(map.tokens(), [1, 0, 1, 1, 0, 0]);
    }

    #[test]
    fn a_picture_is_as_large_as_asked_and_lightest_at_the_best_patch() {
        let map = map([0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        let size = ImageSize { height: 20, width: 30 };
        let drawn = image::load_from_memory(&map.to_png(size, None).unwrap()).unwrap().to_rgb8();
        assert_eq!(drawn.dimensions(), (30, 20));
        assert_eq!(drawn.get_pixel(0, 19).0, COLOURS[4].map(|value| value as u8));
        assert_eq!(drawn.get_pixel(29, 0).0, COLOURS[0].map(|value| value as u8));
        let white = vec![255; 30 * 20 * 3];
        let over = map.to_png(size, Some(&white)).unwrap();
        let over = image::load_from_memory(&over).unwrap().to_rgb8();
        assert_eq!(over.get_pixel(29, 0).0, [109, 108, 132]);
        // Of equal scores none stands out.
        let flat = self::map([0.5; 6]).to_png(ImageSize { height: 1, width: 1 }, None).unwrap();
        assert_eq!(image::load_from_memory(&flat).unwrap().to_rgb8().get_pixel(0, 0).0[0], 12);
    }

    #[test]
    fn refusals_say_what_was_expected() {
        let map = map([0.0; 6]);
        let refuse =
            |size, picture: Option<&[u8]>| map.to_png(size, picture).unwrap_err().to_string();
        let size = ImageSize { height: 0, width: 3 };
        assert!(refuse(size, None).starts_with("a heat map of 3 x 0 pixels"));
        let size = ImageSize { height: usize::MAX, width: 3 };
        assert!(refuse(size, None).contains("expected 1 to 67108864"));
        let size = ImageSize { height: 1, width: 3 };
        assert_eq!(refuse(size, Some(&[0; 8])), "the picture has 8 values, 9 are in 3 x 1 pixels");
        let text = TokenMatrix::new(3, vec![0.0; 3]).unwrap();
        let row = TokenMatrix::new(2, vec![0.0; 2]).unwrap();
        assert!(matches!(ScoreMap::new(&row, &row), Err(ScoreMapError::NoGrid)));
        let row = row.with_grid(Grid { height: 1, width: 1 }).unwrap();
        let error = ScoreMap::new(&row, &text).unwrap_err().to_string();
        assert_eq!(error, "the image has rows of 2 values, the text 1 rows of 3");
    }
}
