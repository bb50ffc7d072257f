//! From the bytes of a file to pixels.
//!
//! The content decides the format, never the name. What a header claims is held against
//! [`ImageLimits`] before memory is asked for, so that a small file cannot ask for gigabytes.
//!
//! Channels become what Pillow's `convert("RGB")` gives, which is what models were trained on: grey
//! is repeated, palettes are looked up, 16 bits lose their lower 8, and alpha is dropped unless
//! [`Transparency`] says otherwise. Unlike there, the orientation that a camera noted is applied: a
//! photo lies as people see it.

use std::fs::File;
use std::io::{Cursor, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::error::{ImageError, ImageFileError};
use super::jpeg_end::jpeg_has_end;
use super::pixels::CHANNELS;
use super::rgb::RgbImage;

/// What a file may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageLimits {
    /// Bytes of a file. Default: 64 MiB.
    pub max_bytes: u64,
    /// Pixels of the longer side. Default: 32,768.
    pub max_side: u32,
    /// Pixels in all. Default: 2^26, 67 million.
    pub max_pixels: u64,
}

impl Default for ImageLimits {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_side: 1 << 15, max_pixels: 1 << 26 }
    }
}

/// What becomes of pixels that one can see through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transparency {
    /// They show the colour that the file has for them, whatever it is: as Pillow's
    /// `convert("RGB")`.
    #[default]
    Dropped,
    /// They show this colour behind them.
    Over([u8; 3]),
}

/// How to decode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    /// What a file may ask for.
    pub limits: ImageLimits,
    /// What becomes of pixels that one can see through.
    pub transparency: Transparency,
}

/// Bytes of a pixel at most while it is decoded: four channels of 16 bits.
const DECODED_PIXEL_BYTES: u64 = 8;
/// What a decoder may use beside its pixels: tables, colour profiles, texts.
const DECODER_BYTES: u64 = 64 << 20;
/// Bytes that a message shows of a file that is no image.
const SHOWN_BYTES: usize = 8;

/// Reads a file as an image.
///
/// # Errors
///
/// [`ImageFileError`] names the file and says what is wrong with it.
pub fn decode_image_file(path: &Path, options: &DecodeOptions) -> Result<RgbImage, ImageFileError> {
    let failed = |source| ImageFileError::Io { path: path.to_owned(), source };
    let refused = |source| ImageFileError::Image { path: path.to_owned(), source };
    let limit = options.limits.max_bytes;
    let file = File::open(path).map_err(failed)?;
    let actual = file.metadata().map_err(failed)?.len();
    if actual > limit {
        return Err(refused(ImageError::TooManyBytes { actual, limit }));
    }
    let mut bytes = Vec::new();
    // The file may have grown since.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    decode_image(&bytes, options).map_err(refused)
}

/// Decodes the bytes of an image: of an animation, its first picture.
///
/// # Errors
///
/// [`ImageError`] for bytes that are no image, one that is too large, or a damaged one.
pub fn decode_image(bytes: &[u8], options: &DecodeOptions) -> Result<RgbImage, ImageError> {
    let limits = &options.limits;
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    if bytes.len() as u64 > limits.max_bytes {
        let (actual, limit) = (bytes.len() as u64, limits.max_bytes);
        return Err(ImageError::TooManyBytes { actual, limit });
    }
    let (format, name) = format_of(bytes)?;
    if format == ImageFormat::Jpeg && !jpeg_has_end(bytes) {
        // The decoder would fill what is missing with grey.
        return Err(ImageError::Truncated { format: name });
    }
    // A decoder that panics on damaged bytes is a defect of the decoder, and must not end the process.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_as(bytes, (format, name), limits)));
    let image = decoded.unwrap_or_else(|_| {
        Err(ImageError::Malformed { format: name, reason: "the decoder failed".to_owned() })
    })?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let malformed = || {
        let reason = format!("{:?} pixels are not supported", image.color());
        ImageError::Malformed { format: name, reason }
    };
    let data = to_rgb(&image, options.transparency).ok_or_else(malformed)?;
    RgbImage::new(width, height, data).ok_or_else(malformed)
}

/// Whether a file that starts with these bytes is of a format that is read.
#[must_use]
pub fn is_image(start: &[u8]) -> bool {
    format_of(start).is_ok()
}

/// The format that the first bytes are of, and its name.
fn format_of(bytes: &[u8]) -> Result<(ImageFormat, &'static str), ImageError> {
    let Ok(format) = image::guess_format(bytes) else {
        let start = &bytes[..bytes.len().min(SHOWN_BYTES)];
        return Err(ImageError::NotAnImage { start: format!("\"{}\"", start.escape_ascii()) });
    };
    let known = [
        (ImageFormat::Png, "PNG"),
        (ImageFormat::Jpeg, "JPEG"),
        (ImageFormat::WebP, "WebP"),
        (ImageFormat::Gif, "GIF"),
        (ImageFormat::Bmp, "BMP"),
    ];
    let found = known.into_iter().find(|(known, _)| *known == format);
    found.ok_or_else(|| ImageError::Format { format: format!("{format:?}").to_uppercase() })
}

fn decode_as(
    bytes: &[u8],
    (format, name): (ImageFormat, &'static str),
    limits: &ImageLimits,
) -> Result<DynamicImage, ImageError> {
    let refused = |error| explain(&error, name);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut memory = Limits::no_limits();
    let pixels = limits.max_pixels.saturating_mul(DECODED_PIXEL_BYTES);
    memory.max_alloc = Some(pixels.saturating_add(DECODER_BYTES));
    reader.limits(memory);
    let mut decoder = reader.into_decoder().map_err(refused)?;
    let (width, height) = decoder.dimensions();
    let ImageLimits { max_side, max_pixels, .. } = *limits;
    if width.max(height) > max_side || u64::from(width) * u64::from(height) > max_pixels {
        return Err(ImageError::TooManyPixels { width, height, max_side, max_pixels });
    }
    let orientation = decoder.orientation().map_err(refused)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(refused)?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn explain(error: &image::ImageError, format: &'static str) -> ImageError {
    if let image::ImageError::IoError(source) = error
        && source.kind() == ErrorKind::UnexpectedEof
    {
        return ImageError::Truncated { format };
    }
    ImageError::Malformed { format, reason: error.to_string() }
}

/// The three channels of each pixel; `None` for pixels of another make than our formats have.
fn to_rgb(image: &DynamicImage, transparency: Transparency) -> Option<Vec<u8>> {
    let color = image.color();
    let channels = usize::from(color.channel_count());
    let bytes = image.as_bytes();
    match usize::from(color.bytes_per_pixel()) / channels {
        1 => Some(three_channels(bytes, channels, transparency)),
        2 => {
            let high = |pair: &[u8; 2]| (u16::from_ne_bytes(*pair) >> 8) as u8;
            let bytes: Vec<u8> = bytes.as_chunks::<2>().0.iter().map(high).collect();
            Some(three_channels(&bytes, channels, transparency))
        }
        _ => None,
    }
}

/// Of grey, grey with alpha, RGB or RGBA, by the number of channels.
fn three_channels(samples: &[u8], channels: usize, transparency: Transparency) -> Vec<u8> {
    let has_alpha = channels.is_multiple_of(2);
    let mut out = Vec::with_capacity(samples.len() / channels * CHANNELS);
    for pixel in samples.chunks_exact(channels) {
        let color = match *pixel {
            [red, green, blue, ..] => [red, green, blue],
            [grey, ..] => [grey; 3],
            [] => continue,
        };
        match (transparency, pixel.last()) {
            (Transparency::Over(behind), Some(&alpha)) if has_alpha => {
                out.extend([0, 1, 2].map(|i| over(color[i], behind[i], alpha)));
            }
            _ => out.extend(color),
        }
    }
    out
}

/// A colour seen before another, rounded to the nearest.
fn over(front: u8, behind: u8, alpha: u8) -> u8 {
    let (front, behind, alpha) = (u32::from(front), u32::from(behind), u32::from(alpha));
    ((front * alpha + behind * (255 - alpha) + 127) / 255) as u8
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
