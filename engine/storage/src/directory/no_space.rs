//! Stands in for `space.rs` where there is no Linux: nobody knows, and nothing is set aside.

use std::fs::File;
use std::io;
use std::path::Path;

/// Returns that there is room.
///
/// # Errors
///
/// None.
pub(crate) fn available_bytes(_folder: &Path) -> io::Result<u64> {
    Ok(u64::MAX)
}

/// Returns that nobody knows how many files may be open.
///
/// # Errors
///
/// Always.
pub(crate) fn descriptor_limit() -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Refuses.
///
/// # Errors
///
/// Always.
pub fn raise_descriptor_limit(_wanted: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Refuses.
///
/// # Errors
///
/// Always.
pub(crate) fn set_aside(_file: &File, _bytes: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
