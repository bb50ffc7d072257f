//! Small pictures for pages that people look at.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::resample::{self, ResampleFilter, Window};
use super::rgb::RgbImage;

/// Of 100: small files, and few traces of it.
const QUALITY: u8 = 80;

impl RgbImage {
    /// The same picture, no side longer than `side` pixels.
    #[must_use]
    pub fn thumbnail(&self, side: usize) -> Self {
        let longest = self.width().max(self.height());
        if longest <= side.max(1) {
            return self.clone();
        }
        let scaled = |length: usize| (length * side.max(1) / longest).max(1);
        let (width, height) = (scaled(self.width()), scaled(self.height()));
        let window = Window { columns: 0..width, rows: 0..height };
        let data = resample::resize(self, (width, height), ResampleFilter::Bilinear, &window);
        Self::new(width, height, data).unwrap_or_else(|| self.clone())
    }

    /// The picture as the bytes of a JPEG file; `None` if a side is longer than such a file allows.
    #[must_use]
    pub fn to_jpeg(&self) -> Option<Vec<u8>> {
        let (width, height) =
            (u16::try_from(self.width()).ok()?, u16::try_from(self.height()).ok()?);
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, QUALITY)
            .encode(self.data(), width.into(), height.into(), ExtendedColorType::Rgb8)
            .ok()?;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{DecodeOptions, decode_image};

    #[test]
    fn a_thumbnail_keeps_the_proportions_and_survives_a_file() {
        let data = [200, 10, 90].repeat(300 * 100);
        let image = RgbImage::new(300, 100, data).unwrap();
        let small = image.thumbnail(60);
        assert_eq!((small.width(), small.height()), (60, 20));
        assert_eq!(image.thumbnail(300), image);
        let thin = RgbImage::new(500, 1, [1, 2, 3].repeat(500)).unwrap().thumbnail(50);
        assert_eq!((thin.width(), thin.height()), (50, 1));
        let read = decode_image(&small.to_jpeg().unwrap(), &DecodeOptions::default()).unwrap();
        assert_eq!((read.width(), read.height()), (60, 20));
        assert!(read.data().iter().zip(small.data()).all(|(a, b)| a.abs_diff(*b) < 6));
    }
}
