//! Bytes of a map that keep it alive.

#![expect(unsafe_code, reason = "a slice and the map it lies in share one struct")]

use std::ops::{Deref, Range};
use std::sync::Arc;

use stable_deref_trait::StableDeref;

use super::{DirectoryError, FileReader};

/// Bytes of a file's map, and the open file that they lie in.
#[derive(Clone, Debug)]
pub struct MappedBytes {
    /// Never handed out for longer than `self` lives.
    bytes: &'static [u8],
    _file: Arc<dyn FileReader>,
}

impl MappedBytes {
    /// Returns some bytes of a file's map; nothing if it has none or they do not lie in it.
    pub(crate) fn new(
        file: &Arc<dyn FileReader>,
        range: Range<usize>,
    ) -> Result<Option<Self>, DirectoryError> {
        let bytes = file.map()?.and_then(|map| map.get(range));
        let Some(bytes) = bytes.map(std::ptr::from_ref) else { return Ok(None) };
        // SAFETY: the slice was borrowed from what the `Arc` points to. That neither moves nor is
        // dropped nor borrowed mutably while the clone below exists, so a borrow of it is valid as
        // long; and the slice leaves this struct only as a borrow of it.
        let bytes = unsafe { &*bytes };
        Ok(Some(Self { bytes, _file: Arc::clone(file) }))
    }
}

impl Deref for MappedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

// SAFETY: the bytes lie outside the struct, so moving it does not move them, and nothing mutates them.
unsafe impl StableDeref for MappedBytes {}
