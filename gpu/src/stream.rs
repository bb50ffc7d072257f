//! What orders the work of a device.

use std::any::Any;
use std::fmt;

/// Work that is done in order, beside that of other streams. Each thread has one of its own, which is nobody's to hold
/// and is `None` where a stream is asked for; these are further ones.
pub struct Stream {
    handle: u64,
    _owner: Box<dyn Any + Send + Sync>,
}

/// A place in the work of a stream, to be waited for: by the host, or by another stream.
pub struct Event {
    handle: u64,
    _owner: Box<dyn Any + Send + Sync>,
}

impl Stream {
    /// Wraps a stream that lives as long as `owner`.
    #[must_use]
    pub fn new(handle: u64, owner: Box<dyn Any + Send + Sync>) -> Self {
        Self { handle, _owner: owner }
    }

    /// Returns what the device knows it by.
    #[must_use]
    pub fn handle(&self) -> u64 {
        self.handle
    }
}

impl Event {
    /// Wraps an event that lives as long as `owner`.
    #[must_use]
    pub fn new(handle: u64, owner: Box<dyn Any + Send + Sync>) -> Self {
        Self { handle, _owner: owner }
    }

    /// Returns what the device knows it by.
    #[must_use]
    pub fn handle(&self) -> u64 {
        self.handle
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream {:#x}", self.handle)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event {:#x}", self.handle)
    }
}
