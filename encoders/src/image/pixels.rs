//! What the image tower of a model reads.

use std::fmt;

/// Colours of a pixel.
pub(crate) const CHANNELS: usize = 3;

/// A picture that has been cut to size and normalised: what an image tower reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels {
    /// Red, then green, then blue, each row by row: `3 · height · width` values.
    pub data: Vec<f32>,
    /// Rows.
    pub height: usize,
    /// Values of a row.
    pub width: usize,
}

/// The height and width of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSize {
    /// Rows.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
}

impl Pixels {
    /// Its height and width.
    #[must_use]
    pub fn size(&self) -> ImageSize {
        ImageSize { height: self.height, width: self.width }
    }

    /// Whether there are as many values as height and width say, and all are finite.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let expected = self.height.checked_mul(self.width).and_then(|n| n.checked_mul(CHANNELS));
        expected == Some(self.data.len()) && self.data.iter().all(|value| value.is_finite())
    }
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_whole_if_all_values_are_there_and_finite() {
        let whole = Pixels { data: vec![0.5; 18], height: 2, width: 3 };
        assert!(whole.is_whole());
        assert_eq!(whole.size().to_string(), "3 x 2");
        assert!(!Pixels { height: 3, ..whole.clone() }.is_whole());
        assert!(!Pixels { height: usize::MAX, ..whole.clone() }.is_whole());
        let mut data = whole.data.clone();
        data[17] = f32::NAN;
        assert!(!Pixels { data, ..whole }.is_whole());
    }
}
