//! Which texts are encoded together.
//!
//! Weights are read from memory once a batch, so a batch wants many tokens; its activations want
//! to stay in the cache, so not too many. Between about 500 and 2,000 tokens it makes no
//! difference that can be measured.
//!
//! One batch runs on one thread: threads that share a multiplication wait for each other, threads
//! with a batch each do not. Only when there is too little for that (one query) do all threads
//! share one batch, each with a part of its rows.

use std::cmp::Reverse;

/// The most tokens of a batch, unless one text has more.
const MAX_BATCH_TOKENS: usize = 1_024;
/// The same on a device: enough to keep it busy, and little memory.
const MAX_DEVICE_TOKENS: usize = 8_192;
/// Below this many tokens a thread, threads share one batch.
const MIN_THREAD_TOKENS: usize = 128;

/// Texts in batches, by their position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchPlan {
    /// The texts of each batch, longest first.
    pub(crate) batches: Vec<Vec<usize>>,
    /// Who works on each batch.
    pub(crate) sharing: Sharing,
}

/// Who works on a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// The calling thread.
    OneThread,
    /// All threads of the rayon pool the caller runs in.
    Pool,
}

/// Sorts texts by length, longest first, and cuts them by tokens into even batches for `threads`.
pub(crate) fn plan_batches(lengths: &[usize], threads: usize) -> BatchPlan {
    let total: usize = lengths.iter().sum();
    let shared = threads > 1 && (lengths.len() < threads || total < threads * MIN_THREAD_TOKENS);
    let sharing = if shared { Sharing::Pool } else { Sharing::OneThread };
    let mut count = total.div_ceil(MAX_BATCH_TOKENS).max(1);
    if !shared {
        count = count.next_multiple_of(threads.max(1));
    }
    BatchPlan { batches: cut(lengths, count), sharing }
}

/// As [`plan_batches`], for a device, on which batches take turns.
pub(crate) fn plan_for_device(lengths: &[usize]) -> BatchPlan {
    let total: usize = lengths.iter().sum();
    let batches = cut(lengths, total.div_ceil(MAX_DEVICE_TOKENS).max(1));
    BatchPlan { batches, sharing: Sharing::OneThread }
}

/// Sorts texts by length and cuts them into about `count` batches of as many tokens.
fn cut(lengths: &[usize], count: usize) -> Vec<Vec<usize>> {
    let total: usize = lengths.iter().sum();
    let target = total.div_ceil(count);
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&text| (Reverse(lengths[text]), text));
    let mut batches: Vec<Vec<usize>> = Vec::with_capacity(count);
    let (mut batch, mut tokens) = (Vec::new(), 0);
    for text in order {
        // A text goes where more than half of it fits.
        if !batch.is_empty() && tokens + lengths[text] / 2 > target {
            batches.push(std::mem::take(&mut batch));
            tokens = 0;
        }
        tokens += lengths[text];
        batch.push(text);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_query_is_shared_and_many_texts_are_not() {
        let alone = BatchPlan { batches: vec![vec![0]], sharing: Sharing::Pool };
        assert_eq!(plan_batches(&[12], 2), alone);
        assert_eq!(plan_batches(&[12], 1).sharing, Sharing::OneThread);
        let plan = plan_batches(&[100; 30], 2);
        assert_eq!(plan.batches.len(), 4);
        assert_eq!(plan.sharing, Sharing::OneThread);
        assert!(plan_batches(&[], 2).batches.is_empty());
    }

    #[test]
    fn batches_of_a_device_are_large() {
        let plan = plan_for_device(&[100; 100]);
        assert_eq!(plan.batches.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50]);
        assert_eq!(plan.sharing, Sharing::OneThread);
        assert_eq!(plan_for_device(&[12]).batches, [[0]]);
        assert!(plan_for_device(&[]).batches.is_empty());
    }

    proptest! {
        #[test]
        fn every_text_is_in_one_batch_and_batches_are_bounded(
            lengths in prop::collection::vec(1usize..513, 0..200),
            threads in 1usize..9,
        ) {
            let plan = plan_batches(&lengths, threads);
            let mut seen: Vec<usize> = plan.batches.concat();
            prop_assert!(seen.windows(2).all(|pair| lengths[pair[0]] >= lengths[pair[1]]));
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..lengths.len()));
            for batch in &plan.batches {
                let tokens: usize = batch.iter().map(|&text| lengths[text]).sum();
                prop_assert!(tokens <= MAX_BATCH_TOKENS + 512 / 2);
            }
        }
    }
}
