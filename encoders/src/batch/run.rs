//! Running a model on many texts: planned batches, on all threads.

use bigrain_types::{Cancel, Cancelled};
use rayon::prelude::*;

use super::plan::{BatchPlan, Sharing, plan_batches};
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
    run_planned(runtime, plan, width, cancel, work)
}

/// As [`run_batches`], with batches that were planned.
pub(crate) fn run_planned(
    runtime: &Runtime,
    plan: BatchPlan,
    width: usize,
    cancel: &Cancel,
    work: impl Fn(&[usize], Sharing) -> Vec<f32> + Sync,
) -> Result<Vec<f32>, Cancelled> {
    let texts: usize = plan.batches.iter().map(Vec::len).sum();
    let mut data = vec![0.0; texts * width];
    for (batch, part) in run_plan(runtime, plan, cancel, work)? {
        for (&text, values) in batch.iter().zip(part.chunks_exact(width)) {
            data[text * width..][..width].copy_from_slice(values);
        }
    }
    Ok(data)
}

/// As [`run_batches`], for results of any kind: `work` returns one a text.
pub(crate) fn run_each<T: Send + Default>(
    runtime: &Runtime,
    lengths: &[usize],
    cancel: &Cancel,
    work: impl Fn(&[usize], Sharing) -> Vec<T> + Sync,
) -> Result<Vec<T>, Cancelled> {
    let mut results: Vec<T> = Vec::new();
    results.resize_with(lengths.len(), T::default);
    let plan = plan_batches(lengths, runtime.threads());
    for (batch, part) in run_plan(runtime, plan, cancel, work)? {
        for (&text, result) in batch.iter().zip(part) {
            results[text] = result;
        }
    }
    Ok(results)
}

/// The texts of a batch, with what was made of them.
type BatchResults<T> = (Vec<usize>, Vec<T>);

/// The texts of each planned batch, with what `work` returned for them.
fn run_plan<T: Send>(
    runtime: &Runtime,
    plan: BatchPlan,
    cancel: &Cancel,
    work: impl Fn(&[usize], Sharing) -> Vec<T> + Sync,
) -> Result<Vec<BatchResults<T>>, Cancelled> {
    let run = |batch: Vec<usize>| -> Result<BatchResults<T>, Cancelled> {
        cancel.check()?;
        let results = work(&batch, plan.sharing);
        Ok((batch, results))
    };
    runtime.pool().install(|| match plan.sharing {
        Sharing::Pool => plan.batches.into_iter().map(run).collect(),
        Sharing::OneThread => plan.batches.into_par_iter().with_max_len(1).map(run).collect(),
    })
}
