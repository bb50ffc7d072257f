//! The device while the index of one field of a segment is built.

use std::sync::Arc;

use bigrain_index::lists::DeviceLists;

use super::{Device, ScanCounts, ScannedBy, WhyHost};

/// What finds the lists of rows in place of the CPU, and where that is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Builder<'a> {
    pub device: &'a Arc<Device>,
    pub counts: &'a ScanCounts,
}

impl Builder<'_> {
    /// Does some work with the device, or without where it has failed or cannot find lists.
    pub fn with<T, E>(
        &self,
        work: impl FnOnce(Option<&DeviceLists<'_>>) -> Result<T, E>,
    ) -> Result<T, E> {
        let (device, finder) = (self.device, self.device.scanner.list_finder());
        let why = match (device.failure(), finder) {
            (Some(failure), _) => WhyHost::Failed(Arc::clone(failure)),
            (None, None) => WhyHost::Unsupported("the device finds no lists".into()),
            (None, Some(finder)) => {
                let lists = DeviceLists::new(finder, device.least_pairs);
                let result = work(Some(&lists));
                let rows = lists.rows_found();
                // A device that failed is noted also where the build came to nothing for another reason.
                let by = self.found_by(lists);
                if result.is_ok() {
                    self.counts.add_build(&by, rows);
                }
                return result;
            }
        };
        let result = work(None)?;
        self.counts.add_build(&ScannedBy::Host(why), 0);
        Ok(result)
    }

    fn found_by(&self, lists: DeviceLists<'_>) -> ScannedBy {
        let rows = lists.rows_found();
        match lists.into_failure() {
            Some(error) => {
                let device = self.device.name();
                tracing::warn!(device, rows, %error, "the CPU finds the other lists of a segment");
                ScannedBy::Host(self.device.refused(&error))
            }
            None if rows == 0 => ScannedBy::Host(WhyHost::Few),
            None => ScannedBy::Device,
        }
    }
}
