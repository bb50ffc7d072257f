//! A few threads that read, for systems without io_uring.
//!
//! A buffer travels to a thread with its job and comes back with the answer, so the two share nothing
//! but a queue. The threads do nothing but wait for the disk, so there may be more of them than
//! cores.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::{Builder, JoinHandle};

use parking_lot::{Condvar, Mutex};

use crate::directory::{DirectoryError, FileReader};

/// Threads of a pool.
const THREADS: usize = 16;

/// Threads that read.
#[derive(Debug)]
pub(super) struct PreadPool {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

/// One read: `length` bytes of a file from `offset` on, into the start of `buffer`.
#[derive(Debug)]
pub(super) struct Job {
    /// The caller's own number for it.
    pub number: usize,
    pub reader: Arc<dyn FileReader>,
    pub offset: u64,
    pub length: usize,
    pub buffer: Vec<u64>,
    /// Where the answer goes.
    pub done: Sender<Answer>,
}

/// A read that is over, with its buffer.
#[derive(Debug)]
pub(super) struct Answer {
    pub number: usize,
    pub buffer: Vec<u64>,
    pub result: Result<(), DirectoryError>,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl PreadPool {
    /// Starts the threads: as many as the system gives, at least one.
    ///
    /// # Errors
    ///
    /// The system's, when it gives none.
    pub fn start() -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let mut threads = Vec::with_capacity(THREADS);
        for index in 0..THREADS {
            let queue = Arc::clone(&queue);
            let builder = Builder::new().name(format!("bigrain-read-{index}"));
            match builder.spawn(move || queue.work()) {
                Ok(thread) => threads.push(thread),
                Err(error) if threads.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(Self { queue, threads })
    }

    /// Hands in reads; their answers come in any order.
    pub fn submit(&self, jobs: impl Iterator<Item = Job>) {
        self.queue.state.lock().jobs.extend(jobs);
        self.queue.changed.notify_all();
    }
}

impl Drop for PreadPool {
    fn drop(&mut self) {
        self.queue.state.lock().closed = true;
        self.queue.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so itself; there is nothing left to clean up.
            let _ = thread.join();
        }
    }
}

impl Queue {
    fn work(&self) {
        while let Some(job) = self.next() {
            job.run();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }
}

impl Job {
    fn run(self) {
        let Self { number, reader, offset, length, mut buffer, done } = self;
        let result = reader.read_at(offset, &mut bytemuck::cast_slice_mut(&mut buffer)[..length]);
        // Whoever asked may have gone; then nobody wants the bytes.
        let _ = done.send(Answer { number, buffer, result });
    }
}
