//! A decoded image.

use std::fmt;

use super::pixels::CHANNELS;

/// An image of 8 bits a channel: rows from the top, pixels from the left, red, green and blue of
/// each.
#[derive(Clone, PartialEq, Eq)]
pub struct RgbImage {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl RgbImage {
    /// Wraps `data`, `[height, width, 3]` row by row; `None` if it is not of that length, or there is
    /// no pixel.
    #[must_use]
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Option<Self> {
        let len = width.checked_mul(height)?.checked_mul(CHANNELS)?;
        (len > 0 && len == data.len()).then_some(Self { width, height, data })
    }

    /// Pixels of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// All channels, `[height, width, 3]`.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

impl fmt::Debug for RgbImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RgbImage({} x {})", self.width, self.height)
    }
}
