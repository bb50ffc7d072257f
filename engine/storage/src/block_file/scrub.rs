//! Reads a whole block file to find all damage in it.

use bigrain_types::Cancelled;

use super::copy::RUN_BLOCKS;
use super::{BLOCK_BYTES, BlockFile, ReadError};

impl BlockFile {
    /// Reads every block, also those that were checked before, and the table and footer again.
    /// Gives each damaged block to `damaged`, and goes on behind it. Tells `progress` how many more
    /// bytes were read, which may stop it.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the file cannot be read or the caller gave up.
    pub fn scrub(
        &self,
        mut progress: impl FnMut(u64) -> Result<(), Cancelled>,
        mut damaged: impl FnMut(ReadError),
    ) -> Result<(), ReadError> {
        let blocks = self.body_bytes().div_ceil(BLOCK_BYTES as u64) as usize;
        let mut buffer = vec![0; RUN_BLOCKS.min(blocks) * BLOCK_BYTES];
        for first in (0..blocks).step_by(RUN_BLOCKS) {
            let run = first..blocks.min(first + RUN_BLOCKS);
            let bytes = &mut buffer[..self.bytes_of(&run)];
            self.reader().read_at((first * BLOCK_BYTES) as u64, bytes)?;
            for (block, bytes) in run.zip(bytes.chunks(BLOCK_BYTES)) {
                self.check(block..block + 1, bytes).unwrap_or_else(&mut damaged);
            }
            progress(bytes.len() as u64)?;
        }
        match self.tail() {
            Ok(tail) => progress(tail.len() as u64)?,
            Err(error @ ReadError::Checksum { .. }) => damaged(error),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
