//! From what is wanted to what is read.

use std::ops::Range;

use super::Extent;
use crate::{BLOCK_BYTES, BlockFile, ReadError};

/// Blocks up to which neighbours share a read; rows in a long row side by side make several reads,
/// which a disk answers side by side.
const MAX_RUN_BLOCKS: usize = 64;

/// Which blocks to read for some extents, and where in them each extent lies. Reused between
/// batches, so that a batch allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub runs: Vec<Run>,
    pub places: Vec<Place>,
    order: Vec<usize>,
    blocks: Vec<Range<usize>>,
}

/// Neighbouring blocks of one file, read by one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// An extent of the same file.
    pub extent: usize,
    pub blocks: Range<usize>,
}

/// Where an extent lies: in the bytes of which run, and where there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub run: usize,
    pub start: usize,
    pub length: usize,
}

impl Run {
    /// Returns the file.
    pub fn file<'f>(&self, extents: &[Extent<'f>]) -> &'f BlockFile {
        extents[self.extent].file
    }

    /// Returns where the run starts in the file.
    pub fn start(&self) -> u64 {
        (self.blocks.start * BLOCK_BYTES) as u64
    }

    /// Returns how many bytes it has; the last block of a file may be short.
    pub fn length(&self, extents: &[Extent<'_>]) -> usize {
        self.file(extents).bytes_of(&self.blocks)
    }
}

impl Plan {
    /// Plans anew.
    ///
    /// # Errors
    ///
    /// [`ReadError::OutOfBounds`] for an extent that ends behind its file's body.
    pub fn make(&mut self, extents: &[Extent<'_>]) -> Result<(), ReadError> {
        self.blocks.clear();
        for extent in extents {
            self.blocks.push(extent.file.blocks_under(extent.offset, extent.length)?);
        }
        self.order.clear();
        self.order.extend(0..extents.len());
        let blocks = &self.blocks;
        self.order.sort_unstable_by_key(|&i| (file_of(&extents[i]), blocks[i].start));
        self.runs.clear();
        self.places.clear();
        self.places.resize(extents.len(), Place::default());
        for &i in &self.order {
            let blocks = self.blocks[i].clone();
            match self.runs.last_mut().filter(|run| joins(run, &blocks, extents, i)) {
                Some(run) => run.blocks.end = run.blocks.end.max(blocks.end),
                None => self.runs.push(Run { extent: i, blocks }),
            }
            let run = self.runs.len() - 1;
            let start = (extents[i].offset - self.runs[run].start()) as usize;
            self.places[i] = Place { run, start, length: extents[i].length };
        }
        Ok(())
    }
}

/// Whether an extent's blocks overlap a run's, or follow it and leave it short enough.
fn joins(run: &Run, blocks: &Range<usize>, extents: &[Extent<'_>], extent: usize) -> bool {
    let overlap = blocks.start < run.blocks.end;
    let follow = blocks.start == run.blocks.end && blocks.end - run.blocks.start <= MAX_RUN_BLOCKS;
    file_of(&extents[run.extent]) == file_of(&extents[extent]) && (overlap || follow)
}

/// Files are the same when they are one value: two that were opened apart are read apart.
fn file_of(extent: &Extent<'_>) -> *const BlockFile {
    extent.file
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::{BlockFileWriter, FileKind, RamDirectory};

    fn files(blocks: usize) -> [BlockFile; 2] {
        let directory = RamDirectory::new();
        let path = Path::new("dense.v");
        let mut writer = BlockFileWriter::create(&directory, path, FileKind::Dense).unwrap();
        writer.append(&vec![7; blocks * BLOCK_BYTES - 100]).unwrap();
        writer.finish().unwrap();
        [0, 1].map(|_| BlockFile::open(&directory, path, FileKind::Dense).unwrap())
    }

    #[test]
    fn neighbours_and_doubles_are_read_once() {
        let [a, b] = &files(20);
        let extent = |file, offset, length| Extent { file, offset, length };
        let extents = [
            extent(a, 5000, 10),   // block 1
            extent(a, 40_960, 1),  // block 10
            extent(a, 4096, 4096), // block 1 again
            extent(a, 8191, 2),    // blocks 1 and 2
            extent(a, 12_288, 50), // block 3, which follows
            extent(b, 4096, 1),    // block 1 of another file
        ];
        let mut plan = Plan::default();
        plan.make(&extents).unwrap();
        let mut blocks: Vec<(bool, Range<usize>)> = plan
            .runs
            .iter()
            .map(|run| (std::ptr::eq(extents[run.extent].file, a), run.blocks.clone()))
            .collect();
        blocks.sort_by_key(|(of_a, blocks)| (!of_a, blocks.start));
        assert_eq!(blocks, [(true, 1..4), (true, 10..11), (false, 1..2)]);
    }

    proptest! {
        #[test]
        fn every_extent_lies_in_its_run_and_runs_do_not_overlap(
            wanted in prop::collection::vec((0..2_usize, 0..1_000_000_u64, 1..40_000_usize), 0..60),
        ) {
            let files = files(300);
            let body = files[0].body_bytes();
            let extents: Vec<Extent<'_>> = wanted
                .iter()
                .map(|&(file, offset, length)| Extent { file: &files[file], offset, length })
                .filter(|extent| extent.offset + extent.length as u64 <= body)
                .collect();
            let mut plan = Plan::default();
            plan.make(&extents).unwrap();
            for (extent, place) in extents.iter().zip(&plan.places) {
                let run = &plan.runs[place.run];
                prop_assert!(std::ptr::eq(extents[run.extent].file, extent.file));
                prop_assert_eq!((run.blocks.start * BLOCK_BYTES + place.start) as u64, extent.offset);
                prop_assert!(place.start + place.length <= run.blocks.len() * BLOCK_BYTES);
            }
            for (first, second) in plan.runs.iter().zip(plan.runs.iter().skip(1)) {
                let apart = file_of(&extents[first.extent]) != file_of(&extents[second.extent]);
                prop_assert!(apart || first.blocks.end <= second.blocks.start);
            }
        }
    }
}
