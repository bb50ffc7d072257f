//! The image side: from the bytes of a file to what an image tower reads.
//!
//! | step | module | takes → gives |
//! |---|---|---|
//! | decode | `decode` | the bytes of a file → [`RgbImage`], or why not |
//! | cut to size | `resample`, `preprocess` | [`RgbImage`] → [`Pixels`], as Pillow does it |
//!
//! What is done to a picture belongs to the model that was trained on it, and is read from its folder
//! ([`PreprocessConfig`]).

mod decode;
mod error;
mod jpeg_end;
mod pixels;
mod preprocess;
mod preprocess_config;
mod resample;
mod rgb;
mod thumbnail;

pub use decode::{
    DecodeOptions, ImageLimits, Transparency, decode_image, decode_image_file, is_image,
};
pub use error::{ImageError, ImageFileError};
pub(crate) use pixels::CHANNELS;
pub use pixels::{ImageSize, Pixels};
pub use preprocess_config::{CropRounding, PreprocessConfig, PreprocessConfigError, ResizeMode};
pub use resample::ResampleFilter;
pub use rgb::RgbImage;
