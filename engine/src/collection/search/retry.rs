//! Searching again when a result has changed.

use crate::collection::handle::Shared;
use crate::{Error, ErrorKind, Result};

/// Searches repeated because a result was deleted between scoring it and reading its payload;
/// after these, writers wait for one.
const MAX_RETRIES: usize = 4;

impl Shared {
    /// Searches again when a result was deleted between scoring it and reading its payload; in the end
    /// while writers wait.
    pub(in crate::collection) fn retried<T>(
        &self,
        run: impl Fn() -> Result<Option<T>>,
    ) -> Result<T> {
        for _ in 0..MAX_RETRIES {
            if let Some(output) = run()? {
                return Ok(output);
            }
        }
        let _commit = self.commit.lock();
        self.check_usable()?;
        run()?.ok_or_else(|| Error::new(ErrorKind::Internal, "a result has no row in the store"))
    }
}
