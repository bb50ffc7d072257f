//! The image side: from a picture to what a tower reads.

mod pixels;

pub(crate) use pixels::CHANNELS;
pub use pixels::{ImageSize, Pixels};
