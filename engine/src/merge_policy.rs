//! Which segments to merge, and when.
//!
//! A segment is of *tier* `t` when it has between `FANOUT^t` and `FANOUT^(t+1)` rows. As soon as
//! `FANOUT` segments are of one tier they become one, of a higher tier. A segment of which more
//! than [`MAX_DEAD_SHARE`] is dead is rewritten by itself, and so is one that lacks the words of a
//! text field. Segments stop growing at a limit of
//! rows, because building one takes memory for all of its codes.
//!
//! What that bounds, with `T` the tiers between the smallest and the largest segment:
//!
//! - *Writing*: a row is written by its flush and then at most twice in each tier it passes (once,
//!   while nothing is deleted); and every dead row that is removed costs at most
//!   nine rows written.
//! - *Space*: once nothing is left to merge, at most [`MAX_DEAD_SHARE`] of any segment is dead. A
//!   merge needs room for its result beside what it merges.
//! - *Segments*: at most `FANOUT - 1` in each tier, and those that are full grown.
//!
//! Twice and not once because dead rows go in a merge: its result may miss the next tier by a few,
//! but what is then merged with it does not. `docs/decisions` has the arithmetic, and the
//! simulation below counts.

use bigrain_types::SegmentId;

/// So many segments of one tier become one.
pub(crate) const FANOUT: u64 = 4;

/// A segment of which more than this is dead is rewritten.
pub(crate) const MAX_DEAD_SHARE: f64 = 0.2;

/// What the policy looks at in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentSize {
    pub id: SegmentId,
    /// Rows, dead ones included.
    pub rows: u64,
    pub dead: u64,
    /// Whether it lacks something that a segment written now would have.
    pub stale: bool,
}

impl SegmentSize {
    fn live(&self) -> u64 {
        self.rows.saturating_sub(self.dead)
    }

    fn tier(&self) -> u32 {
        self.rows.max(1).ilog(FANOUT)
    }

    fn is_decayed(&self) -> bool {
        self.dead as f64 > self.rows as f64 * MAX_DEAD_SHARE
    }
}

/// Returns the segments to merge next: several of one tier, or one to be rewritten without its dead
/// rows; nothing when all is well. No segment grows beyond `max_rows`.
pub(crate) fn next_merge(segments: &[SegmentSize], max_rows: u64) -> Option<Vec<SegmentId>> {
    let decayed = segments.iter().filter(|size| size.is_decayed());
    // Whatever frees most for what it writes goes first.
    let freeing = |size: &&SegmentSize| (size.dead * 1024) / size.live().max(1);
    if let Some(size) = decayed.max_by_key(freeing) {
        return Some(vec![size.id]);
    }
    if let Some(size) = segments.iter().find(|size| size.stale) {
        return Some(vec![size.id]);
    }
    let growing = |size: &&SegmentSize| size.live() <= max_rows / FANOUT;
    let mut growing: Vec<&SegmentSize> = segments.iter().filter(growing).collect();
    growing.sort_by_key(|size| (size.tier(), size.live(), size.id));
    let of_one_tier = growing.chunk_by(|a, b| a.tier() == b.tier());
    let full = { of_one_tier }.find(|tier| tier.len() as u64 >= FANOUT)?;
    Some(full.iter().take(FANOUT as usize).map(|size| size.id).collect())
}

/// Returns the segments to merge next where space and searches count and writing does not: until
/// no row is dead, no segment lacks anything, and no two fit into one.
pub(crate) fn next_compaction(segments: &[SegmentSize], max_rows: u64) -> Option<Vec<SegmentId>> {
    let mut by_size: Vec<&SegmentSize> = segments.iter().collect();
    by_size.sort_by_key(|size| (size.live(), size.id));
    let mut room = max_rows;
    let fitting: Vec<SegmentId> = by_size
        .iter()
        .map_while(|size| {
            room = room.checked_sub(size.live())?;
            Some(size.id)
        })
        .collect();
    if fitting.len() > 1 {
        return Some(fitting);
    }
    by_size.iter().find(|size| size.dead > 0 || size.stale).map(|size| vec![size.id])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Rows written, at most, for each dead row that is removed: up to 4 by the rewrite itself
    /// (80 live rows for 20 dead ones), and 4.64 because what is left may have fallen a tier.
    const WRITES_PER_DEAD: u64 = 9;

    const MAX_ROWS: u64 = 1 << 16;

    /// A collection as the policy sees it, with a count of what merging writes.
    #[derive(Debug, Default)]
    struct Simulation {
        segments: BTreeMap<u64, SegmentSize>,
        next: u64,
        flushed: u64,
        written: u64,
        removed: u64,
        largest_merge: u64,
    }

    impl Simulation {
        fn add(&mut self, rows: u64) {
            let id = SegmentId(self.next);
            self.segments.insert(self.next, SegmentSize { id, rows, dead: 0, stale: false });
            self.next += 1;
        }

        fn flush(&mut self, rows: u64) {
            self.add(rows);
            self.flushed += rows;
        }

        fn delete(&mut self, at: usize, share: f64) {
            let at = at % self.segments.len();
            let size = self.segments.values_mut().nth(at).unwrap();
            size.dead += (size.live() as f64 * share) as u64;
        }

        fn sizes(&self) -> Vec<SegmentSize> {
            self.segments.values().copied().collect()
        }

        fn settle(&mut self, next: impl Fn(&[SegmentSize], u64) -> Option<Vec<SegmentId>>) {
            while let Some(ids) = next(&self.sizes(), MAX_ROWS) {
                let merged: Vec<SegmentSize> =
                    ids.iter().map(|id| self.segments.remove(&id.0).unwrap()).collect();
                let live: u64 = merged.iter().map(SegmentSize::live).sum();
                assert!(live <= MAX_ROWS, "{live} rows in one segment");
                self.written += live;
                self.largest_merge = self.largest_merge.max(live);
                self.removed += merged.iter().map(|size| size.dead).sum::<u64>();
                if live > 0 {
                    self.add(live);
                }
            }
        }

        fn tiers(&self) -> u64 {
            u64::from(MAX_ROWS.ilog(FANOUT)) + 1
        }

        fn check(&self, writes_per_tier: u64) {
            let bound = self.flushed * writes_per_tier * self.tiers();
            let bound = bound + WRITES_PER_DEAD * self.removed;
            assert!(self.written <= bound, "{} rows written, at most {bound}", self.written);
            for size in self.segments.values() {
                assert!(size.dead as f64 <= size.rows as f64 * MAX_DEAD_SHARE, "{size:?}");
            }
            let rows: u64 = self.segments.values().map(|size| size.rows).sum();
            let live: u64 = self.segments.values().map(SegmentSize::live).sum();
            assert!(rows as f64 <= live as f64 / (1.0 - MAX_DEAD_SHARE), "{rows} for {live}");
            let grown = live / (MAX_ROWS / FANOUT + 1) + 1;
            let most = (FANOUT - 1) * self.tiers() + grown;
            assert!(self.segments.len() as u64 <= most, "{} segments", self.segments.len());
        }
    }

    #[test]
    fn equal_flushes_are_written_once_in_each_tier() {
        let mut simulation = Simulation::default();
        for _ in 0..1024 {
            simulation.flush(64);
            simulation.settle(next_merge);
            // 64 rows are of tier 3, and above a quarter of 2^16 rows (tier 7) nothing is merged.
            assert!(simulation.written <= 5 * simulation.flushed);
        }
        simulation.check(1);
        assert_eq!(simulation.segments.len(), 1);
    }

    #[test]
    fn what_is_all_dead_goes_without_writing() {
        let mut simulation = Simulation::default();
        simulation.flush(100);
        simulation.delete(0, 1.0);
        simulation.settle(next_merge);
        assert_eq!((simulation.segments.len(), simulation.written), (0, 0));
    }

    #[test]
    fn compaction_leaves_no_dead_row_and_nothing_that_fits_together() {
        let mut simulation = Simulation::default();
        [10, 30_000, 50_000, 7, 40_000, 60_000].into_iter().for_each(|rows| simulation.flush(rows));
        simulation.delete(1, 0.01);
        simulation.delete(5, 0.01);
        simulation.settle(next_compaction);
        let sizes = simulation.sizes();
        assert!(sizes.iter().all(|size| size.dead == 0), "{sizes:?}");
        let mut live: Vec<u64> = sizes.iter().map(SegmentSize::live).collect();
        live.sort_unstable();
        assert!(live[0] + live[1] > MAX_ROWS, "{sizes:?}");
    }

    proptest! {
        #[test]
        fn writing_space_and_segments_are_bounded(
            steps in prop::collection::vec((1_u64..3000, any::<usize>(), 0.0..1.0_f64), 1..300),
            deletes in 0.0..1.0_f64,
        ) {
            let mut simulation = Simulation::default();
            for (rows, at, share) in steps {
                simulation.flush(rows);
                if share < deletes {
                    simulation.delete(at, share);
                }
                simulation.settle(next_merge);
                simulation.check(2);
            }
        }
    }
}
