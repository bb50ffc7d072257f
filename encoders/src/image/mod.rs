//! The image side: from a picture to what a tower reads.

mod pixels;

pub use pixels::{ImageSize, Pixels};
