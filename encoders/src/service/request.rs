//! One request on its way.

use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;

use bigrain_types::{Cancel, Cancelled};
use parking_lot::{Condvar, Mutex};

use super::cache::CacheKey;
use super::error::ServiceError;
use crate::embeddings::{Embeddings, EncodeStats, TextCount};
use crate::encoder::TextKind;

/// Texts to encode for one caller, and what has come of them.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) texts: Vec<PendingText>,
    pub(super) kind: TextKind,
    cancel: Cancel,
    /// Raised when the ticket is dropped.
    abandoned: Cancel,
    dims: usize,
    progress: Mutex<Progress>,
    answered: Condvar,
}

/// A text that the cache did not have.
#[derive(Debug)]
pub(super) struct PendingText {
    /// Its place among the texts of the caller.
    pub(super) position: usize,
    pub(super) text: String,
    pub(super) key: Option<CacheKey>,
    /// Tokens, estimated.
    pub(super) cost: usize,
}

#[derive(Debug)]
struct Progress {
    /// One row for each text of the caller.
    rows: Vec<f32>,
    stats: EncodeStats,
    /// Texts that have no row yet.
    missing: usize,
    answer: Option<Result<Embeddings, ServiceError>>,
    /// Whether there was an answer, taken or not.
    done: bool,
    waker: Option<Waker>,
}

/// Some texts of a request that are encoded together.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) request: Arc<Request>,
    /// Which of its pending texts.
    pub(super) texts: Range<usize>,
}

impl Request {
    /// A request for `texts`, given what the cache had: rows (of `dims`, in their places) and counts.
    pub(super) fn new(
        texts: Vec<PendingText>,
        kind: TextKind,
        cancel: Cancel,
        dims: usize,
        (rows, stats): (Vec<f32>, EncodeStats),
    ) -> Self {
        let progress =
            Progress { rows, stats, missing: texts.len(), answer: None, done: false, waker: None };
        let request = Self {
            texts,
            kind,
            cancel,
            abandoned: Cancel::new(),
            dims,
            progress: Mutex::new(progress),
            answered: Condvar::new(),
        };
        if request.texts.is_empty() {
            request.add(0..0, &[], &[], EncodeStats::default());
        }
        request
    }

    /// Whether nobody wants the answer any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled() || self.abandoned.is_cancelled()
    }

    /// The caller's own flag.
    pub(super) fn cancel_flag(&self) -> &Cancel {
        &self.cancel
    }

    pub(super) fn abandon(&self) {
        self.abandoned.cancel();
    }

    pub(super) fn is_answered(&self) -> bool {
        self.progress.lock().done
    }

    /// Adds the rows of some pending texts, and answers when they were the last.
    pub(super) fn add(
        &self,
        texts: Range<usize>,
        rows: &[f32],
        counts: &[TextCount],
        times: EncodeStats,
    ) {
        let mut progress = self.progress.lock();
        if progress.done {
            return;
        }
        for (text, row) in self.texts[texts.clone()].iter().zip(rows.chunks_exact(self.dims.max(1)))
        {
            progress.rows[text.position * self.dims..][..self.dims].copy_from_slice(row);
        }
        counts.iter().for_each(|count| progress.stats.count(*count));
        progress.stats.tokenize += times.tokenize;
        progress.stats.forward += times.forward;
        progress.missing -= texts.len();
        if progress.missing == 0 {
            let rows = std::mem::take(&mut progress.rows);
            let embeddings = Embeddings::new(self.dims, rows, progress.stats);
            self.finish(&mut progress, Ok(embeddings));
        }
    }

    /// Answers with an error, unless there is an answer; what still waits of it need not be encoded.
    pub(super) fn fail(&self, error: ServiceError) {
        self.abandon();
        let mut progress = self.progress.lock();
        if !progress.done {
            self.finish(&mut progress, Err(error));
        }
    }

    pub(super) fn fail_cancelled(&self) {
        self.fail(ServiceError::Encode(Cancelled.into()));
    }

    fn finish(&self, progress: &mut Progress, answer: Result<Embeddings, ServiceError>) {
        progress.answer = Some(answer);
        progress.done = true;
        if let Some(waker) = progress.waker.take() {
            waker.wake();
        }
        self.answered.notify_all();
    }

    /// Takes the answer once it is there; it is taken once.
    pub(super) fn wait(&self) -> Result<Embeddings, ServiceError> {
        let mut progress = self.progress.lock();
        while !progress.done {
            self.answered.wait(&mut progress);
        }
        progress.answer.take().unwrap_or(Err(ServiceError::Closed))
    }

    /// Takes the answer if it is there, else has `waker` woken when it is.
    pub(super) fn poll(&self, waker: &Waker) -> Option<Result<Embeddings, ServiceError>> {
        let mut progress = self.progress.lock();
        if progress.done {
            return Some(progress.answer.take().unwrap_or(Err(ServiceError::Closed)));
        }
        progress.waker = Some(waker.clone());
        None
    }
}

impl Piece {
    /// The texts of the piece.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.request.texts[self.texts.clone()].iter().map(|text| text.text.as_str())
    }

    /// Their tokens, estimated.
    pub(super) fn cost(&self) -> usize {
        self.request.texts[self.texts.clone()].iter().map(|text| text.cost).sum()
    }
}
