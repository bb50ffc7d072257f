//! Batches of queries whose candidates are each other's: locality-centric sampling (BiDR).
//!
//! ```text
//!   query --- one of its NEAR documents: its negative --- queries that have it among their FAR ones
//!     |                                                             |
//!     '---------------------- next -----------------------<---------'
//! ```
//!
//! An adapter is asked to tell apart documents that codes take for near. Documents of a random batch
//! are far from each other, so that all but the negatives teach nothing; here each query's wrong documents
//! are, for the most part, near misses.

use std::collections::{HashSet, VecDeque};

use rand_chacha::ChaCha8Rng;

use crate::random::below;

/// How the queries of a batch are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Batches {
    /// At random. Each has a near document as its negative all the same.
    Random,
    /// From one to a neighbour of the last one, away from where it began.
    Walk,
    /// All neighbours of one before those of the next, around where it began.
    Snowball,
}

/// Queries, the documents near each, and the queries a little further from each document.
#[derive(Debug)]
pub(crate) struct Neighbourhood {
    /// The documents nearest to each query by codes, without the right one.
    near: Vec<Vec<u32>>,
    /// Where the queries of each document begin in `askers`.
    starts: Vec<u32>,
    askers: Vec<u32>,
}

impl Neighbourhood {
    /// Takes for each query the documents nearest to it: the first half are near, the rest far.
    pub fn new(mut nearest: Vec<Vec<u32>>, documents: usize) -> Self {
        let mut starts = vec![0_u32; documents + 1];
        let far = |list: &[u32]| list[list.len() / 2..].to_vec();
        for document in nearest.iter().flat_map(|list| far(list)) {
            starts[document as usize + 1] += 1;
        }
        for document in 0..documents {
            starts[document + 1] += starts[document];
        }
        let mut next = starts.clone();
        let mut askers = vec![0; starts[documents] as usize];
        for (query, list) in nearest.iter_mut().enumerate() {
            for document in far(list) {
                askers[next[document as usize] as usize] = query as u32;
                next[document as usize] += 1;
            }
            list.truncate(list.len().div_ceil(2));
        }
        Self { near: nearest, starts, askers }
    }

    /// Draws a batch: different queries, each with a wrong document that is near it, where it has one.
    pub fn draw(
        &self,
        batches: Batches,
        size: usize,
        random: &mut ChaCha8Rng,
    ) -> Vec<(usize, Option<u32>)> {
        let size = size.min(self.near.len());
        let (mut seen, mut chosen) = (HashSet::with_capacity(size), Vec::with_capacity(size));
        let mut frontier = VecDeque::new();
        while chosen.len() < size {
            let next = match batches {
                Batches::Random => None,
                Batches::Walk => frontier.pop_back(),
                Batches::Snowball => frontier.pop_front(),
            };
            let query = next.unwrap_or_else(|| below(self.near.len(), random));
            if !seen.insert(query) {
                continue;
            }
            let near = &self.near[query];
            let negative = (!near.is_empty()).then(|| near[below(near.len(), random)]);
            chosen.push((query, negative));
            if let Some(negative) = negative.filter(|_| batches != Batches::Random) {
                let mut askers = self.askers_of(negative).to_vec();
                // In any order: their numbers say nothing.
                for last in (1..askers.len()).rev() {
                    askers.swap(last, below(last + 1, random));
                }
                frontier.extend(askers.into_iter().map(|query| query as usize));
            }
        }
        chosen
    }

    fn askers_of(&self, document: u32) -> &[u32] {
        let at = document as usize;
        &self.askers[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    /// Queries on a ring; each has its two neighbours' documents near, and the next two far.
    fn ring(count: u32) -> Neighbourhood {
        let around = |query: u32| [1, count - 1, 2, count - 2].map(|by| (query + by) % count);
        Neighbourhood::new((0..count).map(|query| around(query).to_vec()).collect(), count as usize)
    }

    #[test]
    fn batches_hold_different_queries_with_near_negatives_and_local_ones_lie_together() {
        let (count, size) = (1000, 60);
        let ring = ring(count);
        let spread = |batches: Batches| {
            let mut random = ChaCha8Rng::seed_from_u64(3);
            let drawn = ring.draw(batches, size, &mut random);
            assert_eq!(drawn.len(), size);
            let queries: HashSet<usize> = drawn.iter().map(|one| one.0).collect();
            assert_eq!(queries.len(), size, "{batches:?}");
            for (query, negative) in &drawn {
                let apart = (count + negative.unwrap() - *query as u32) % count;
                assert!(apart == 1 || apart == count - 1, "{query} {negative:?}");
            }
            // Queries with another one of the batch within three of them.
            let near =
                |query: usize| (1..=3).any(|by| queries.contains(&((query + by) % count as usize)));
            queries.iter().filter(|&&query| near(query)).count()
        };
        let [random, walk, snowball] =
            [Batches::Random, Batches::Walk, Batches::Snowball].map(spread);
        assert!(random < size / 2, "{random}");
        assert!(walk > size * 8 / 10 && snowball > size * 8 / 10, "{walk} {snowball}");
    }

    #[test]
    fn a_batch_is_no_larger_than_the_queries_and_lonely_ones_have_no_negative() {
        let lonely = Neighbourhood::new(vec![Vec::new(); 5], 5);
        let drawn = lonely.draw(Batches::Walk, 60, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(drawn.len(), 5);
        assert!(drawn.iter().all(|one| one.1.is_none()));
    }
}
