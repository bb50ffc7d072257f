//! What a ring is asked for.

use std::fs::File;
use std::sync::Arc;

/// One read: `length` bytes of a file from `offset` on.
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "made for a ring and read by none")
)]
pub(crate) struct RingRead {
    pub file: Arc<File>,
    pub offset: u64,
    pub length: usize,
}
