//! The threads between the queue and the encoder.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::cache::{CacheKey, CachedRow, EmbeddingCache};
use super::config::{Lane, ServiceConfig};
use super::error::{ServiceError, StartServiceError};
use super::queue::{Batch, Next, Queue};
use super::request::{PendingText, Piece, Request};
use super::stats::ServiceStats;
use super::ticket::Ticket;
use crate::embeddings::{Embeddings, EncodeStats};
use crate::encoder::{EncodeError, EncodeOptions, TextEncoder, check_texts};

/// Bytes of a token, when a text is to be sized without a tokenizer.
const TOKEN_BYTES: usize = 4;
/// Tokens every text has: its first and its last.
const SPECIAL_TOKENS: usize = 2;

/// Encodes for many callers at once.
///
/// ```
/// use std::sync::Arc;
///
/// use bigrain_encoders::{EncodeOptions, EncoderService, Lane, ServiceConfig, ToyEncoder};
///
/// let service = EncoderService::start(Arc::new(ToyEncoder::new(8)), ServiceConfig::default())?;
/// let query = service.submit(&["cats"], Lane::Query, &EncodeOptions::default())?;
/// let texts = service.submit(&["cats sleep", "dogs bark"], Lane::Bulk, &EncodeOptions::default())?;
/// assert_eq!(query.wait()?.rows(), 1);
/// assert_eq!(texts.wait()?.rows(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EncoderService {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// What callers, tickets and workers share.
pub(super) struct Shared {
    encoder: Arc<dyn TextEncoder>,
    config: ServiceConfig,
    cache: Arc<EmbeddingCache>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    queue: Queue,
    stats: ServiceStats,
    /// Workers at bulk work.
    bulk_workers: usize,
    closed: bool,
}

impl EncoderService {
    /// Starts the threads of a service, with a cache of its own.
    ///
    /// # Errors
    ///
    /// [`StartServiceError`] for a configuration that is refused, or when the system has no threads.
    pub fn start(
        encoder: Arc<dyn TextEncoder>,
        config: ServiceConfig,
    ) -> Result<Self, StartServiceError> {
        let cache = Arc::new(EmbeddingCache::new(config.cache_bytes));
        Self::start_with_cache(encoder, config, cache)
    }

    /// Starts the threads of a service, with a cache that may be shared with others.
    ///
    /// # Errors
    ///
    /// As [`EncoderService::start`].
    pub fn start_with_cache(
        encoder: Arc<dyn TextEncoder>,
        config: ServiceConfig,
        cache: Arc<EmbeddingCache>,
    ) -> Result<Self, StartServiceError> {
        config.validate().map_err(StartServiceError::Config)?;
        let state = State {
            queue: Queue::new(config.clone()),
            stats: ServiceStats::default(),
            bulk_workers: 0,
            closed: false,
        };
        let workers = config.workers;
        let shared = Arc::new(Shared {
            encoder,
            config,
            cache,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let mut service = Self { shared: Arc::clone(&shared), workers: Vec::new() };
        for index in 0..workers {
            let shared = Arc::clone(&shared);
            let name = format!("encode-service-{index}");
            // An error drops `service`, which ends the threads there are.
            service.workers.push(thread::Builder::new().name(name).spawn(move || shared.work())?);
        }
        Ok(service)
    }

    /// Queues texts; those the cache has are not encoded again.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Encode`] for a text that no encoder takes, [`ServiceError::Full`] when too much is
    /// waiting.
    pub fn submit(
        &self,
        texts: &[&str],
        lane: Lane,
        options: &EncodeOptions,
    ) -> Result<Ticket, ServiceError> {
        check_texts(texts)?;
        options.cancel.check().map_err(EncodeError::from)?;
        let request = Arc::new(self.shared.look_up(texts, options));
        if !request.texts.is_empty() {
            self.shared.push(&request, lane)?;
        }
        Ok(Ticket::new(request, Arc::clone(&self.shared)))
    }

    /// The encoder behind the queue.
    #[must_use]
    pub fn encoder(&self) -> &dyn TextEncoder {
        self.shared.encoder.as_ref()
    }

    /// What has been done, and what waits.
    #[must_use]
    pub fn stats(&self) -> ServiceStats {
        let state = self.shared.state.lock();
        ServiceStats {
            queued_requests: state.queue.requests(),
            queued_tokens: state.queue.tokens(),
            ..state.stats
        }
    }
}

impl Drop for EncoderService {
    /// Answers what waits with [`ServiceError::Closed`], and ends the threads when the batches they are at
    /// are done.
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.shared.state.lock();
            state.closed = true;
            state.queue.drain()
        };
        self.shared.changed.notify_all();
        waiting.iter().for_each(|request| request.fail(ServiceError::Closed));
        for worker in self.workers.drain(..) {
            // A worker catches panics of the encoder, so it has nothing to report.
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// Takes the rows the cache has; the other texts are pending.
    fn look_up(&self, texts: &[&str], options: &EncodeOptions) -> Request {
        let (dims, space) = (self.encoder.dims(), self.encoder.space());
        let (mut rows, mut stats) = (vec![0.0; texts.len() * dims], EncodeStats::default());
        let mut pending = Vec::new();
        for (position, &text) in texts.iter().enumerate() {
            let caches = self.config.cache_bytes > 0;
            let key = caches.then(|| CacheKey::new(space, options.kind, text));
            match key.and_then(|key| self.cache.get(&key)) {
                Some(row) if row.vector.len() == dims => {
                    rows[position * dims..][..dims].copy_from_slice(&row.vector);
                    stats.count(row.count);
                }
                _ => pending.push(PendingText {
                    position,
                    text: text.to_owned(),
                    key,
                    cost: self.cost(text),
                }),
            }
        }
        let mut state = self.state.lock();
        state.stats.cache_hits += (texts.len() - pending.len()) as u64;
        state.stats.cache_misses += pending.len() as u64;
        drop(state);
        Request::new(pending, options.kind, options.cancel.clone(), dims, (rows, stats))
    }

    /// The tokens of a text, estimated.
    fn cost(&self, text: &str) -> usize {
        (text.len() / TOKEN_BYTES + SPECIAL_TOKENS).min(self.encoder.max_tokens())
    }

    fn push(&self, request: &Arc<Request>, lane: Lane) -> Result<(), ServiceError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(ServiceError::Closed);
        }
        let (tokens, busy) = (state.stats.tokens, state.stats.busy);
        let pace = (tokens > 0).then(|| tokens as f64 / busy.as_secs_f64().max(1e-9));
        let pushed = state.queue.push(Arc::clone(request), lane, Instant::now(), pace);
        state.stats.refused += u64::from(pushed.is_err());
        drop(state);
        pushed?;
        self.changed.notify_all();
        Ok(())
    }

    /// Answers the requests whose callers gave up.
    pub(super) fn remove_cancelled(&self) {
        let mut state = self.state.lock();
        let mut removed = state.queue.remove_cancelled();
        // The rest of a request that failed goes the same way.
        removed.retain(|request| !request.is_answered());
        state.stats.cancelled += removed.len() as u64;
        drop(state);
        removed.iter().for_each(|request| request.fail_cancelled());
    }

    /// What a worker does until the service ends.
    fn work(&self) {
        while let Some(batch) = self.next_batch() {
            let start = Instant::now();
            let outcomes = self.encode(&batch.pieces);
            let busy = start.elapsed();
            // Before the answers: whoever has one finds it counted.
            let mut state = self.state.lock();
            state.stats.batches += 1;
            for piece in &batch.pieces {
                state.stats.texts += piece.texts.len() as u64;
                state.stats.tokens += piece.cost() as u64;
            }
            state.stats.busy += busy;
            state.stats.waited += batch.waited;
            state.bulk_workers -= usize::from(batch.lane == Lane::Bulk);
            drop(state);
            for (pieces, outcome) in outcomes {
                self.answer(pieces, outcome);
            }
            // Another worker may take bulk work now.
            self.changed.notify_all();
        }
    }

    /// Waits for a batch; `None` when the service ends.
    fn next_batch(&self) -> Option<Batch> {
        loop {
            self.remove_cancelled();
            let mut state = self.state.lock();
            if state.closed {
                return None;
            }
            // One of several workers is kept for queries.
            let bulk = state.bulk_workers < self.config.workers.saturating_sub(1).max(1);
            match state.queue.next(Instant::now(), bulk) {
                Next::Batch(batch) => {
                    state.bulk_workers += usize::from(batch.lane == Lane::Bulk);
                    return Some(batch);
                }
                Next::Wait(time) => {
                    self.changed.wait_for(&mut state, time.max(Duration::from_micros(50)));
                }
                Next::Nothing => self.changed.wait(&mut state),
            }
        }
    }

    /// Encodes pieces together. One request's bad text must not cost the others their answers, so pieces
    /// that are refused together are encoded once more, one by one.
    fn encode<'a>(&self, pieces: &'a [Piece]) -> Vec<(&'a [Piece], Result<Embeddings, Failure>)> {
        let together = self.encode_pieces(pieces);
        if together.is_ok() || pieces.len() == 1 {
            return vec![(pieces, together)];
        }
        pieces.chunks(1).map(|piece| (piece, self.encode_pieces(piece))).collect()
    }

    fn encode_pieces(&self, pieces: &[Piece]) -> Result<Embeddings, Failure> {
        let texts: Vec<&str> = pieces.iter().flat_map(Piece::texts).collect();
        let Some(first) = pieces.first() else { return Ok(Embeddings::default()) };
        let mut options = EncodeOptions { kind: first.request.kind, ..EncodeOptions::default() };
        if pieces.len() == 1 {
            options.cancel = first.request.cancel_flag().clone();
        }
        // A worker outlives a panic: the encoder is immutable, and its callers are told.
        match catch_unwind(AssertUnwindSafe(|| self.encoder.encode(&texts, &options))) {
            Ok(Ok(embeddings)) => Ok(embeddings),
            Ok(Err(error)) => Err(Failure::Refused(error)),
            Err(_) => Err(Failure::Panicked),
        }
    }

    fn answer(&self, pieces: &[Piece], outcome: Result<Embeddings, Failure>) {
        let embeddings = match (outcome, pieces) {
            (Ok(embeddings), _) => embeddings,
            (Err(failure), [piece]) => return piece.request.fail(failure.of_piece(piece)),
            // Only single pieces fail; the others were tried one by one.
            (Err(_), pieces) => {
                return pieces.iter().for_each(|piece| piece.request.fail(ServiceError::Panicked));
            }
        };
        let (dims, total) = (embeddings.dims(), embeddings.stats());
        let mut row = 0;
        for (index, piece) in pieces.iter().enumerate() {
            let count = piece.texts.len();
            let rows = &embeddings.as_slice()[row * dims..][..count * dims];
            let counts = embeddings.counts(row..row + count);
            let texts = &piece.request.texts[piece.texts.clone()];
            for ((text, vector), count) in texts.iter().zip(rows.chunks_exact(dims)).zip(&counts) {
                if let Some(key) = text.key {
                    self.cache.put(key, CachedRow { vector: vector.into(), count: *count });
                }
            }
            // The time of a batch is told once.
            let times = if index == 0 { total } else { EncodeStats::default() };
            piece.request.add(piece.texts.clone(), rows, &counts, times);
            row += count;
        }
    }
}

/// Why a batch was not encoded.
enum Failure {
    Refused(EncodeError),
    Panicked,
}

impl Failure {
    /// The error for the caller of the only piece of a batch, with its own positions.
    fn of_piece(self, piece: &Piece) -> ServiceError {
        match self {
            Self::Panicked => ServiceError::Panicked,
            Self::Refused(error) => {
                let pending = &piece.request.texts[piece.texts.clone()];
                let position = |at: usize| pending.get(at).map_or(at, |text| text.position);
                ServiceError::Encode(error.with_position(position))
            }
        }
    }
}

impl fmt::Debug for EncoderService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncoderService")
            .field("config", &self.shared.config)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
