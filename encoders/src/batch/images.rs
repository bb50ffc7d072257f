//! Running a model on many images, on all threads.
//!
//! With an image a thread or more, each image is one thread's; threads share an image only when there are
//! fewer. What is computed is the same.

use bigrain_types::Cancelled;
use rayon::prelude::*;

use super::plan::Sharing;
use crate::encoder::EncodeOptions;
use crate::image::Pixels;
use crate::runtime::Runtime;

/// Calls `work` for each image and returns what it returned, in the order of the images.
///
/// # Errors
///
/// [`Cancelled`] when the caller gave up between two images.
pub(crate) fn run_images<T: Send>(
    runtime: &Runtime,
    images: &[Pixels],
    options: &EncodeOptions,
    work: impl Fn(&Pixels, Sharing) -> T + Sync,
) -> Result<Vec<T>, Cancelled> {
    let steps = options.progress.steps(images.len());
    let run = |image: &Pixels, sharing: Sharing| -> Result<T, Cancelled> {
        options.cancel.check()?;
        let result = work(image, sharing);
        steps.add(1);
        Ok(result)
    };
    runtime.pool().install(|| {
        if images.len() < runtime.threads() {
            images.iter().map(|image| run(image, Sharing::Pool)).collect()
        } else {
            images.par_iter().with_max_len(1).map(|image| run(image, Sharing::OneThread)).collect()
        }
    })
}
