//! Many reads with one system call, through io_uring.
//!
//! The kernel writes into buffers of ours while no code of ours runs, so it must be certain that
//! they stay where they are until it has finished, whatever goes wrong. That is settled by ownership:
//!
//! ```text
//!  caller's buffers --take--> held by `read`, never dropped --all reads completed--> given back
//!                                         '--the ring failed--> leaked, and the ring is not used again
//! ```

#![expect(unsafe_code, reason = "hands the kernel pointers to buffers")]

use std::io;
use std::mem::{self, ManuallyDrop};
use std::os::fd::AsRawFd;

use io_uring::types::Fd;
use io_uring::{IoUring, Probe, opcode, squeue};

use super::ring_read::RingRead;

/// The most reads under way at a time; more go in rounds.
const DEPTH: u32 = 64;

/// Reads files many places at a time.
pub(crate) struct Ring(IoUring);

impl Ring {
    /// Opens a ring.
    ///
    /// # Errors
    ///
    /// The kernel's: it is too old, io_uring is switched off or filtered, or resources are short.
    pub fn open() -> io::Result<Self> {
        let ring = IoUring::new(DEPTH)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Read::CODE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self(ring))
    }

    /// Reads the start of each buffer and waits for all; `results` are the bytes that each read got,
    /// or minus the number of its error. As with any read, fewer than asked is no error here.
    ///
    /// # Errors
    ///
    /// The kernel's, when the ring as a whole fails. It must not be used again, and `buffers` is
    /// empty.
    ///
    /// # Panics
    ///
    /// When a buffer is missing or too small.
    pub fn read(
        &mut self,
        reads: &[RingRead],
        buffers: &mut Vec<Vec<u64>>,
        results: &mut Vec<i32>,
    ) -> io::Result<()> {
        assert!(reads.len() <= buffers.len(), "a read without a buffer");
        let fits = |(read, buffer): (&RingRead, &Vec<u64>)| read.length <= 8 * buffer.len();
        assert!(reads.iter().zip(&*buffers).all(fits), "a buffer is too small");
        results.clear();
        results.resize(reads.len(), 0);
        let mut held = ManuallyDrop::new(mem::take(buffers));
        let (mut next, mut in_flight) = (0, 0);
        while next < reads.len() || in_flight > 0 {
            while next < reads.len() && in_flight < DEPTH as usize {
                let entry = entry(&reads[next], &mut held[next], next);
                // SAFETY: the buffer is ours to write to, long enough, and neither moved nor freed
                // before the completion is seen below: `held` is dropped by nobody. The file is
                // open now, and from submission on the kernel keeps it open itself.
                if unsafe { self.0.submission().push(&entry) }.is_err() {
                    break;
                }
                (next, in_flight) = (next + 1, in_flight + 1);
            }
            match self.0.submit_and_wait(in_flight) {
                // Interrupted, or more completions than have been fetched: the reads go on.
                Err(error) if !is_passing(&error) => return Err(error),
                Ok(_) | Err(_) => {}
            }
            for completion in self.0.completion() {
                results[completion.user_data() as usize] = completion.result();
                in_flight -= 1;
            }
        }
        *buffers = ManuallyDrop::into_inner(held);
        Ok(())
    }
}

fn entry(read: &RingRead, buffer: &mut [u64], number: usize) -> squeue::Entry {
    // Longer than the kernel's limit is cut short, like any long read.
    let length = u32::try_from(read.length).unwrap_or(u32::MAX);
    opcode::Read::new(Fd(read.file.as_raw_fd()), buffer.as_mut_ptr().cast(), length)
        .offset(read.offset)
        .build()
        .user_data(number as u64)
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::sync::Arc;

    use super::*;

    /// Returns a ring, unless this machine has none.
    fn ring() -> Option<Ring> {
        let ring = Ring::open();
        if let Err(error) = &ring {
            println!("skipped: no io_uring here: {error}");
        }
        ring.ok()
    }

    fn file(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Arc::new(file)
    }

    #[test]
    fn more_reads_than_the_ring_is_deep_all_arrive() {
        let Some(mut ring) = ring() else { return };
        let bytes: Vec<u8> = (0..100_000_u32).map(|i| ((i * 31) >> 3) as u8).collect();
        let file = file(&bytes);
        let places: Vec<usize> = (0..3 * DEPTH as usize + 5).map(|i| i * 7919 % 90_000).collect();
        let read = |&at: &usize| RingRead {
            file: Arc::clone(&file),
            offset: at as u64,
            length: 1 + at % 9000,
        };
        let reads: Vec<RingRead> = places.iter().map(read).collect();
        let mut buffers = vec![vec![0; 9000 / 8 + 1]; reads.len()];
        let mut results = Vec::new();
        ring.read(&reads, &mut buffers, &mut results).unwrap();
        for (i, read) in reads.iter().enumerate() {
            assert_eq!(results[i], read.length as i32);
            let (start, end) = (places[i], places[i] + read.length);
            assert!(
                bytemuck::cast_slice::<u64, u8>(&buffers[i])[..read.length] == bytes[start..end]
            );
        }
    }

    #[test]
    fn the_end_of_a_file_and_a_bad_descriptor_are_results_not_failures() {
        let Some(mut ring) = ring() else { return };
        let short = file(b"0123456789");
        let folder = Arc::new(File::open(std::env::temp_dir()).unwrap());
        let reads = [
            RingRead { file: Arc::clone(&short), offset: 4, length: 16 },
            RingRead { file: Arc::clone(&short), offset: 100, length: 16 },
            RingRead { file: folder, offset: 0, length: 16 },
        ];
        let mut results = Vec::new();
        ring.read(&reads, &mut vec![vec![0; 2]; 3], &mut results).unwrap();
        assert_eq!(results, [6, 0, -libc::EISDIR]);
    }
}
