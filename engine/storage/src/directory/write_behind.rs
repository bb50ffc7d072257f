//! Sends a file to the disk while it is written.
//!
//! A system lets what was written pile up in memory, up to a part of all memory there is, and a sync at the end then
//! waits for all of it, as does everybody else who syncs meanwhile. Under a limit of memory it is worse: what is not
//! on disk yet cannot be given up, and a process was killed for a merge that it had written. So each window is sent as
//! soon as it is full, and the one before it has arrived by then or is waited for.

use std::fs::File;
use std::io;

/// Bytes that are sent together; twice as many may be on their way.
const WINDOW_BYTES: u64 = 1 << 20;

/// How far a file that is written from its start to its end has got.
#[derive(Debug, Default)]
pub(super) struct WriteBehind {
    written: u64,
    sent: u64,
}

impl WriteBehind {
    /// Notes that so many bytes more were written, and sends the windows that are full.
    ///
    /// Nothing is durable before a sync.
    ///
    /// # Errors
    ///
    /// That the disk did not take what was sent: a sync would not say so again.
    pub fn wrote(&mut self, file: &File, bytes: u64) -> io::Result<()> {
        self.written += bytes;
        while self.written - self.sent >= WINDOW_BYTES {
            let before = self.sent.saturating_sub(WINDOW_BYTES);
            system::send(file, self.sent, WINDOW_BYTES)?;
            system::wait(file, before, self.sent - before)?;
            self.sent += WINDOW_BYTES;
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "sending a part of a file is a call into libc")]
mod system {
    use std::ffi::c_uint;
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;

    pub(super) fn send(file: &File, start: u64, length: u64) -> io::Result<()> {
        range(file, start, length, libc::SYNC_FILE_RANGE_WRITE)
    }

    pub(super) fn wait(file: &File, start: u64, length: u64) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        let wait = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
        range(file, start, length, wait | libc::SYNC_FILE_RANGE_WRITE)
    }

    fn range(file: &File, start: u64, length: u64, flags: c_uint) -> io::Result<()> {
        let (start, length) = (start.cast_signed(), length.cast_signed());
        // SAFETY: takes numbers; the descriptor is open as long as `file` lives.
        if unsafe { libc::sync_file_range(file.as_raw_fd(), start, length, flags) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EIO | libc::ENOSPC | libc::EDQUOT) => Err(error),
            // A file system that cannot do it leaves all to the sync.
            _ => Ok(()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;
    use std::io;

    pub(super) fn send(_: &File, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn wait(_: &File, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn windows_are_sent_when_they_are_full_and_what_was_written_stays() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let mut file = path.reopen().unwrap();
        let mut behind = WriteBehind::default();
        let bytes = vec![7; 3 * WINDOW_BYTES as usize / 2];
        let mut sent = Vec::new();
        for _ in 0..4 {
            file.write_all(&bytes).unwrap();
            behind.wrote(&file, bytes.len() as u64).unwrap();
            sent.push(behind.sent / WINDOW_BYTES);
        }
        assert_eq!(sent, [1, 3, 4, 6]);
        let read = std::fs::read(path.path()).unwrap();
        assert!(read.len() == 4 * bytes.len() && read.iter().all(|&byte| byte == 7));
    }
}
