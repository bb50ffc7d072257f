//! Why an image is refused.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Bytes that are not an image we read, or one that is too large.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// No bytes at all.
    #[error("the file is empty")]
    Empty,
    /// More bytes than the limit.
    #[error("the file has {actual} bytes, the limit is {limit}")]
    TooManyBytes {
        /// Bytes of the file.
        actual: u64,
        /// The limit.
        limit: u64,
    },
    /// The bytes start as no image does.
    #[error("not an image: expected PNG, JPEG, WebP, GIF or BMP, starts with {start}")]
    NotAnImage {
        /// The first bytes.
        start: String,
    },
    /// An image of a format that is not read.
    #[error("{format} is not supported: expected PNG, JPEG, WebP, GIF or BMP")]
    Format {
        /// The format.
        format: String,
    },
    /// More pixels than the limits allow; said before memory is asked for.
    #[error(
        "{width} x {height} pixels: the limits are {max_side} pixels a side and {max_pixels} in all"
    )]
    TooManyPixels {
        /// Pixels of a row.
        width: u32,
        /// How many rows.
        height: u32,
        /// The longest side.
        max_side: u32,
        /// The most pixels.
        max_pixels: u64,
    },
    /// The file ends before the image does.
    #[error("the {format} file is truncated")]
    Truncated {
        /// The format.
        format: &'static str,
    },
    /// The file is damaged, or uses what the decoder does not know.
    #[error("the {format} file cannot be decoded: {reason}")]
    Malformed {
        /// The format.
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },
}

/// A file that could not be read as an image.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageFileError {
    /// The file could not be read.
    #[error("read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is no image we read.
    #[error("{path}: {source}")]
    Image {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ImageError,
    },
}
