//! How much room a file system has, and setting some aside; and how many files may be open.

#![expect(unsafe_code, reason = "questions to the system that the standard library does not ask")]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Returns how many bytes a process without privileges may still write to the file system of a
/// folder.
///
/// # Errors
///
/// The system's.
pub(crate) fn available_bytes(folder: &Path) -> io::Result<u64> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    let mut answer = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a zero and lives as long as the call, which writes one `statvfs`.
    if unsafe { libc::statvfs(path.as_ptr(), answer.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it has filled the answer.
    let answer = unsafe { answer.assume_init() };
    Ok(answer.f_bavail.saturating_mul(answer.f_frsize))
}

/// Returns how many files this process may have open.
///
/// # Errors
///
/// The system's.
pub(crate) fn descriptor_limit() -> io::Result<usize> {
    Ok(usize::try_from(descriptor_limits()?.rlim_cur).unwrap_or(usize::MAX))
}

/// Returns how many files this process may have open, and how many it may let itself have.
fn descriptor_limits() -> io::Result<libc::rlimit> {
    let mut answer = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the call writes one `rlimit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, answer.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it has filled the answer.
    Ok(unsafe { answer.assume_init() })
}

/// Lets this process have more files open, as many as `wanted` if the system allows so many; returns how many it may.
///
/// # Errors
///
/// The system's.
pub fn raise_descriptor_limit(wanted: usize) -> io::Result<usize> {
    let mut limit = descriptor_limits()?;
    let wanted = libc::rlim_t::try_from(wanted).unwrap_or(libc::RLIM_INFINITY);
    limit.rlim_cur = limit.rlim_cur.max(wanted.min(limit.rlim_max));
    // SAFETY: the call reads one `rlimit`.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    descriptor_limit()
}

/// Sets bytes of the disk aside for a file without changing its length.
///
/// # Errors
///
/// The system's; of kind `Unsupported` where the file system cannot.
pub(crate) fn set_aside(file: &File, bytes: u64) -> io::Result<()> {
    let length = i64::try_from(bytes).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open as long as `file` lives; no memory of ours is concerned.
    let result =
        unsafe { libc::fallocate64(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, 0, length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
