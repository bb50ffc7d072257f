//! What waits, and what is taken next. No thread and no clock: callers say what time it is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::{Lane, ServiceConfig};
use super::error::QueueFull;
use super::request::{Piece, Request};

/// Requests that wait, in two lanes.
#[derive(Debug)]
pub(super) struct Queue {
    config: ServiceConfig,
    query: VecDeque<Waiting>,
    bulk: VecDeque<Waiting>,
    tokens: usize,
}

/// A request that waits, whole or but for the pieces that were taken.
#[derive(Debug)]
struct Waiting {
    request: Arc<Request>,
    next: usize,
    since: Instant,
}

/// What a worker is to do.
#[derive(Debug)]
pub(super) enum Next {
    /// Encode.
    Batch(Batch),
    /// Ask again after this time, or when something has changed.
    Wait(Duration),
    /// Ask again when something has changed.
    Nothing,
}

/// Pieces of requests of one kind.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) lane: Lane,
    pub(super) pieces: Vec<Piece>,
    /// How long the pieces have waited, in all.
    pub(super) waited: Duration,
}

impl Queue {
    pub(super) fn new(config: ServiceConfig) -> Self {
        Self { config, query: VecDeque::new(), bulk: VecDeque::new(), tokens: 0 }
    }

    /// Requests that wait.
    pub(super) fn requests(&self) -> usize {
        self.query.len() + self.bulk.len()
    }

    /// Their tokens, estimated.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Adds a request to the end of a lane, if there is room; `pace` is tokens a second so far.
    pub(super) fn push(
        &mut self,
        request: Arc<Request>,
        lane: Lane,
        now: Instant,
        pace: Option<f64>,
    ) -> Result<(), QueueFull> {
        let cost: usize = request.texts.iter().map(|text| text.cost).sum();
        let requests = self.requests();
        let too_many = requests >= self.config.max_queued_requests;
        if requests > 0 && (too_many || self.tokens + cost > self.config.max_queued_tokens) {
            let seconds = pace.map_or(1.0, |pace| self.tokens as f64 / 2.0 / pace.max(1.0));
            // To the millisecond, and within what a caller would wait for.
            let retry_after = Duration::from_millis((seconds * 1e3).clamp(1.0, 60e3) as u64);
            return Err(QueueFull { requests, tokens: self.tokens, retry_after });
        }
        self.tokens += cost;
        self.lane_mut(lane).push_back(Waiting { request, next: 0, since: now });
        Ok(())
    }

    /// Says what a worker does next. `bulk` is whether it may take bulk work.
    pub(super) fn next(&mut self, now: Instant, bulk: bool) -> Next {
        let lane = match (self.query.front(), self.bulk.front()) {
            (Some(_), _) => Lane::Query,
            (None, Some(_)) if bulk => Lane::Bulk,
            _ => return Next::Nothing,
        };
        let (waits, limit) = (self.config.wait(lane), self.config.max_batch_tokens);
        let waiting = self.lane_mut(lane);
        let oldest = waiting.iter().map(|waiting| waiting.since).min().unwrap_or(now);
        let waited = now.saturating_duration_since(oldest);
        let enough = waiting.iter().map(Waiting::cost).sum::<usize>() >= limit;
        if !enough && waited < waits {
            // A query in the meantime wakes the worker.
            return Next::Wait(waits - waited);
        }
        Next::Batch(self.cut(lane, now))
    }

    /// Takes a batch from the front of a lane that is not empty: at least one text, texts of one kind.
    fn cut(&mut self, lane: Lane, now: Instant) -> Batch {
        let limit = self.config.max_batch_tokens;
        let mut batch = Batch { lane, pieces: Vec::new(), waited: Duration::ZERO };
        let (mut tokens, mut kind) = (0, None);
        let waiting = self.lane_mut(lane);
        while let Some(front) = waiting.front_mut() {
            if *kind.get_or_insert(front.request.kind) != front.request.kind {
                break;
            }
            let start = front.next;
            let texts = &front.request.texts;
            while front.next < texts.len()
                && (tokens == 0 || tokens + texts[front.next].cost <= limit)
            {
                tokens += texts[front.next].cost;
                front.next += 1;
            }
            if front.next == start {
                break;
            }
            batch.waited += now.saturating_duration_since(front.since);
            let request = Arc::clone(&front.request);
            let whole = front.next == request.texts.len();
            batch.pieces.push(Piece { texts: start..front.next, request });
            if !whole {
                break;
            }
            waiting.pop_front();
        }
        self.tokens -= tokens;
        batch
    }

    /// Takes out the requests whose callers gave up.
    pub(super) fn remove_cancelled(&mut self) -> Vec<Arc<Request>> {
        let mut removed = Vec::new();
        let Self { query, bulk, tokens, .. } = self;
        for waiting in [query, bulk] {
            waiting.retain(|waiting| {
                let keep = !waiting.request.is_cancelled();
                if !keep {
                    *tokens -= waiting.cost();
                    removed.push(Arc::clone(&waiting.request));
                }
                keep
            });
        }
        removed
    }

    /// Takes out all that waits.
    pub(super) fn drain(&mut self) -> Vec<Arc<Request>> {
        self.tokens = 0;
        self.query.drain(..).chain(self.bulk.drain(..)).map(|waiting| waiting.request).collect()
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut VecDeque<Waiting> {
        match lane {
            Lane::Query => &mut self.query,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

impl Waiting {
    /// Tokens that have not been taken, estimated.
    fn cost(&self) -> usize {
        self.request.texts[self.next..].iter().map(|text| text.cost).sum()
    }
}

#[cfg(test)]
mod tests {
    use bigrain_types::Cancel;

    use super::super::request::PendingText;
    use super::*;
    use crate::embeddings::EncodeStats;
    use crate::encoder::TextKind;

    fn config() -> ServiceConfig {
        ServiceConfig {
            max_batch_tokens: 100,
            query_wait: Duration::ZERO,
            bulk_wait: Duration::from_millis(10),
            max_queued_requests: 4,
            max_queued_tokens: 1_000,
            ..ServiceConfig::default()
        }
    }

    fn request(costs: &[usize], kind: TextKind, cancel: &Cancel) -> Arc<Request> {
        let text = |(position, &cost): (usize, &usize)| PendingText {
            position,
            text: String::new(),
            key: None,
            cost,
        };
        let texts = costs.iter().enumerate().map(text).collect();
        let none = (vec![0.0; costs.len()], EncodeStats::default());
        Arc::new(Request::new(texts, kind, cancel.clone(), 1, none))
    }

    fn documents(costs: &[usize]) -> Arc<Request> {
        request(costs, TextKind::Document, &Cancel::new())
    }

    /// The batch, as the number of texts of each piece.
    fn pieces(next: Next) -> (Lane, Vec<usize>) {
        match next {
            Next::Batch(batch) => {
                (batch.lane, batch.pieces.iter().map(|piece| piece.texts.len()).collect())
            }
            other @ (Next::Wait(_) | Next::Nothing) => panic!("no batch: {other:?}"),
        }
    }

    #[test]
    fn queries_go_before_bulk_work_that_came_earlier() {
        let (mut queue, now) = (Queue::new(config()), Instant::now());
        queue.push(documents(&[60; 5]), Lane::Bulk, now, None).unwrap();
        queue.push(documents(&[10]), Lane::Query, now, None).unwrap();
        assert_eq!(pieces(queue.next(now, true)), (Lane::Query, vec![1]));
        // A large request is taken in pieces, and a query comes between them.
        assert_eq!(pieces(queue.next(now, true)), (Lane::Bulk, vec![1]));
        queue.push(documents(&[10]), Lane::Query, now, None).unwrap();
        assert_eq!(pieces(queue.next(now, true)), (Lane::Query, vec![1]));
        assert_eq!((queue.requests(), queue.tokens()), (1, 240));
        assert!(matches!(queue.next(now, false), Next::Nothing));
    }

    #[test]
    fn a_batch_is_cut_when_it_is_full_or_its_oldest_has_waited() {
        let (mut queue, start) = (Queue::new(config()), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        queue.push(documents(&[30]), Lane::Bulk, at(0), None).unwrap();
        queue.push(documents(&[30]), Lane::Bulk, at(6), None).unwrap();
        assert!(matches!(queue.next(at(6), true), Next::Wait(left) if left.as_millis() == 4));
        assert_eq!(pieces(queue.next(at(10), true)), (Lane::Bulk, vec![1, 1]));
        queue.push(documents(&[30, 30, 30, 30]), Lane::Bulk, at(20), None).unwrap();
        assert_eq!(pieces(queue.next(at(20), true)), (Lane::Bulk, vec![3]));
        assert!(matches!(queue.next(at(21), true), Next::Wait(left) if left.as_millis() == 9));
    }

    #[test]
    fn a_batch_has_texts_of_one_kind_and_at_least_one() {
        let (mut queue, now) = (Queue::new(config()), Instant::now());
        let query = |costs| request(costs, TextKind::Query, &Cancel::new());
        queue.push(query(&[5, 5]), Lane::Query, now, None).unwrap();
        queue.push(documents(&[5]), Lane::Query, now, None).unwrap();
        queue.push(query(&[500]), Lane::Query, now, None).unwrap();
        assert_eq!(pieces(queue.next(now, true)), (Lane::Query, vec![2]));
        assert_eq!(pieces(queue.next(now, true)), (Lane::Query, vec![1]));
        assert_eq!(pieces(queue.next(now, true)), (Lane::Query, vec![1]));
        assert_eq!((queue.requests(), queue.tokens()), (0, 0));
    }

    #[test]
    fn a_full_queue_says_when_to_come_back_and_an_empty_one_takes_anything() {
        let (mut queue, now) = (Queue::new(config()), Instant::now());
        queue.push(documents(&[5_000]), Lane::Bulk, now, None).unwrap();
        let full = queue.push(documents(&[1]), Lane::Query, now, Some(1_000.0)).unwrap_err();
        let retry_after = Duration::from_millis(2_500);
        assert_eq!(full, QueueFull { requests: 1, tokens: 5_000, retry_after });
        let mut queue = Queue::new(config());
        for _ in 0..4 {
            queue.push(documents(&[1]), Lane::Query, now, None).unwrap();
        }
        let full = queue.push(documents(&[1]), Lane::Query, now, None).unwrap_err();
        assert_eq!(
            full.to_string(),
            "4 requests of about 4 tokens are waiting to be encoded: try again in 1s"
        );
    }

    #[test]
    fn cancelled_requests_leave_and_make_room() {
        let (mut queue, now) = (Queue::new(config()), Instant::now());
        let cancel = Cancel::new();
        queue.push(request(&[60; 4], TextKind::Document, &cancel), Lane::Bulk, now, None).unwrap();
        queue.push(documents(&[7]), Lane::Bulk, now, None).unwrap();
        assert_eq!(pieces(queue.next(now, true)), (Lane::Bulk, vec![1]));
        cancel.cancel();
        assert_eq!(queue.remove_cancelled().len(), 1);
        assert_eq!((queue.requests(), queue.tokens()), (1, 7));
        assert_eq!(queue.drain().len(), 1);
        assert_eq!((queue.requests(), queue.tokens()), (0, 0));
    }
}
