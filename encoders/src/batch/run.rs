//! Running a model on many texts: planned batches, on all threads.

use bigrain_types::{Cancel, Cancelled};
use rayon::prelude::*;

use super::plan::{Sharing, plan_batches};
use crate::runtime::Runtime;

/// Plans batches of the texts with these lengths and calls `work` with the texts of each; it
/// returns `width` values a text. Returns all of them in the order of the texts.
///
/// # Errors
///
/// [`Cancelled`] when the caller gave up between two batches.
pub(crate) fn run_batches(
    runtime: &Runtime,
    lengths: &[usize],
    width: usize,
    cancel: &Cancel,
    work: impl Fn(&[usize], Sharing) -> Vec<f32> + Sync,
) -> Result<Vec<f32>, Cancelled> {
    let plan = plan_batches(lengths, runtime.threads());
    let run = |batch: &Vec<usize>| -> Result<Vec<f32>, Cancelled> {
        cancel.check()?;
        Ok(work(batch, plan.sharing))
    };
    let parts: Vec<Vec<f32>> = runtime.pool().install(|| match plan.sharing {
        Sharing::Pool => plan.batches.iter().map(run).collect::<Result<_, _>>(),
        Sharing::OneThread => plan.batches.par_iter().with_max_len(1).map(run).collect(),
    })?;
    let mut data = vec![0.0; lengths.len() * width];
    for (batch, part) in plan.batches.iter().zip(&parts) {
        for (&text, values) in batch.iter().zip(part.chunks_exact(width)) {
            data[text * width..][..width].copy_from_slice(values);
        }
    }
    Ok(data)
}
