//! Services around an encoder that waits to be told to go on.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::{Context, Poll, Waker};

use bigrain_types::{Cancel, EmbeddingSpaceId};

use super::*;
use crate::TextKind;
use crate::toy::ToyEncoder;

/// Tells of each batch, and encodes it when it is let go.
struct Gated {
    toy: ToyEncoder,
    batches: SyncSender<Vec<String>>,
    go: Mutex<Receiver<()>>,
}

struct Gate {
    batches: Receiver<Vec<String>>,
    go: SyncSender<()>,
}

impl TextEncoder for Gated {
    fn dims(&self) -> usize {
        self.toy.dims()
    }

    fn space(&self) -> EmbeddingSpaceId {
        self.toy.space()
    }

    fn max_tokens(&self) -> usize {
        100
    }

    fn encode(&self, texts: &[&str], options: &EncodeOptions) -> Result<Embeddings, EncodeError> {
        self.batches.send(texts.iter().map(|&text| text.to_owned()).collect()).unwrap();
        self.go.lock().recv().unwrap();
        assert!(!texts.contains(&"panic"), "told to");
        if let Some(position) = texts.iter().position(|&text| text == "refuse") {
            return Err(EncodeError::EmptyText { position });
        }
        self.toy.encode(texts, options)
    }
}

fn service(config: ServiceConfig) -> (EncoderService, Gate) {
    let ((batches, seen), (go, released)) = (sync_channel(100), sync_channel(100));
    let encoder = Gated { toy: ToyEncoder::new(4), batches, go: Mutex::new(released) };
    let service = EncoderService::start(Arc::new(encoder), config).unwrap();
    (service, Gate { batches: seen, go })
}

/// One worker, no waiting, no cache.
fn plain() -> ServiceConfig {
    ServiceConfig {
        workers: 1,
        max_batch_tokens: 12,
        bulk_wait: Duration::ZERO,
        cache_bytes: 0,
        ..ServiceConfig::default()
    }
}

fn submit(service: &EncoderService, texts: &[&str], lane: Lane) -> Ticket {
    service.submit(texts, lane, &EncodeOptions::default()).unwrap()
}

impl Gate {
    fn batch(&self) -> Vec<String> {
        self.batches.recv().unwrap()
    }

    fn open(&self) {
        self.go.send(()).unwrap();
    }
}

fn expected(texts: &[&str]) -> Vec<f32> {
    ToyEncoder::new(4).encode(texts, &EncodeOptions::default()).unwrap().into_data()
}

#[test]
fn a_query_overtakes_bulk_work_between_two_pieces() {
    let (service, gate) = service(plain());
    // Texts of 8 bytes are estimated at 4 tokens, so three fit a batch.
    let texts = ["a aaaaaa", "b bbbbbb", "c cccccc", "d dddddd", "e eeeeee"];
    let bulk = submit(&service, &texts, Lane::Bulk);
    assert_eq!(gate.batch(), texts[..3]);
    let query = submit(&service, &["query"], Lane::Query);
    gate.open();
    assert_eq!(gate.batch(), ["query"]);
    gate.open();
    assert_eq!(query.wait().unwrap().as_slice(), expected(&["query"]));
    assert_eq!(gate.batch(), texts[3..]);
    assert!(!bulk.is_answered());
    gate.open();
    let embeddings = bulk.wait().unwrap();
    assert_eq!(embeddings.as_slice(), expected(&texts));
    assert_eq!((embeddings.stats().texts, embeddings.stats().tokens), (5, 10));
}

#[test]
fn requests_that_wait_share_a_batch_and_one_bad_text_costs_no_other() {
    let (service, gate) = service(plain());
    let first = submit(&service, &["first"], Lane::Query);
    assert_eq!(gate.batch(), ["first"]);
    let good = submit(&service, &["good"], Lane::Query);
    let bad = submit(&service, &["fine", "refuse"], Lane::Query);
    gate.open();
    first.wait().unwrap();
    assert_eq!(gate.batch(), ["good", "fine", "refuse"]);
    (0..3).for_each(|_| gate.open());
    assert_eq!(good.wait().unwrap().as_slice(), expected(&["good"]));
    assert_eq!(bad.wait().unwrap_err().to_string(), "text 1 is empty");
}

#[test]
fn the_rest_of_a_request_that_failed_is_not_encoded() {
    let (service, gate) = service(plain());
    let texts = ["refuse", "b bbbbbb", "c cccccc", "d dddddd", "e eeeeee"];
    let bad = submit(&service, &texts, Lane::Bulk);
    assert_eq!(gate.batch(), texts[..3]);
    let next = submit(&service, &["next"], Lane::Bulk);
    gate.open();
    assert_eq!(bad.wait().unwrap_err().to_string(), "text 0 is empty");
    assert_eq!(gate.batch(), ["next"]);
    gate.open();
    next.wait().unwrap();
    assert_eq!(service.stats().cancelled, 0);
}

#[test]
fn a_dropped_ticket_leaves_the_queue_and_a_full_queue_refuses() {
    let (service, gate) = service(ServiceConfig { max_queued_requests: 1, ..plain() });
    let running = submit(&service, &["running"], Lane::Bulk);
    assert_eq!(gate.batch(), ["running"]);
    let waiting = submit(&service, &["waiting"], Lane::Bulk);
    let refused = service.submit(&["refused"], Lane::Query, &EncodeOptions::default());
    let Err(ServiceError::Full(full)) = refused else { panic!("{refused:?}") };
    assert_eq!((full.requests, full.tokens), (1, 3));
    assert!(full.retry_after > Duration::ZERO);
    drop(waiting);
    let next = submit(&service, &["next"], Lane::Query);
    gate.open();
    running.wait().unwrap();
    assert_eq!(gate.batch(), ["next"]);
    gate.open();
    next.wait().unwrap();
    let stats = service.stats();
    assert_eq!((stats.refused, stats.cancelled, stats.queued_requests), (1, 1, 0));
}

#[test]
fn a_callers_flag_cancels_what_waits() {
    let (service, gate) = service(plain());
    let running = submit(&service, &["running"], Lane::Bulk);
    assert_eq!(gate.batch(), ["running"]);
    let cancel = Cancel::new();
    let options = EncodeOptions { cancel: cancel.clone(), ..EncodeOptions::default() };
    let waiting = service.submit(&["waiting"], Lane::Bulk, &options).unwrap();
    cancel.cancel();
    gate.open();
    running.wait().unwrap();
    let cancelled = waiting.wait();
    assert!(matches!(cancelled, Err(ServiceError::Encode(EncodeError::Cancelled(_)))));
    let refused = service.submit(&["late"], Lane::Bulk, &options);
    assert!(matches!(refused, Err(ServiceError::Encode(EncodeError::Cancelled(_)))));
}

#[test]
fn texts_seen_before_are_answered_from_the_cache() {
    let (service, gate) = service(ServiceConfig { cache_bytes: 1 << 20, ..plain() });
    let first = submit(&service, &["one two", "three"], Lane::Bulk);
    gate.batch();
    gate.open();
    first.wait().unwrap();
    let again = submit(&service, &["three"], Lane::Query);
    assert!(again.is_answered());
    let embeddings = again.wait().unwrap();
    assert_eq!((embeddings.as_slice(), embeddings.stats().tokens), (&expected(&["three"])[..], 1));
    let mixed = submit(&service, &["new", "one two"], Lane::Bulk);
    assert_eq!(gate.batch(), ["new"]);
    gate.open();
    let embeddings = mixed.wait().unwrap();
    assert_eq!(embeddings.as_slice(), expected(&["new", "one two"]));
    assert_eq!((embeddings.stats().texts, embeddings.stats().tokens), (2, 3));
    // As a query it is another text.
    let options = EncodeOptions { kind: TextKind::Query, ..EncodeOptions::default() };
    let query = service.submit(&["three"], Lane::Query, &options).unwrap();
    gate.batch();
    gate.open();
    query.wait().unwrap();
    let stats = service.stats();
    assert_eq!((stats.cache_hits, stats.cache_misses, stats.texts), (2, 4, 4));
}

#[test]
fn one_worker_of_two_is_kept_from_bulk_work() {
    let (service, gate) = service(ServiceConfig { workers: 2, ..plain() });
    let bulk = submit(&service, &["a aaaaaa", "b bbbbbb", "c cccccc", "d dddddd"], Lane::Bulk);
    assert_eq!(gate.batch().len(), 3);
    let query = submit(&service, &["query"], Lane::Query);
    // The bulk batch is not let go, and still the query is taken; the rest of the bulk is not.
    assert_eq!(gate.batch(), ["query"]);
    (0..3).for_each(|_| gate.open());
    query.wait().unwrap();
    bulk.wait().unwrap();
}

#[test]
fn a_panic_is_an_error_and_the_service_goes_on() {
    let (service, gate) = service(plain());
    let panicking = submit(&service, &["panic"], Lane::Query);
    gate.batch();
    gate.open();
    assert!(matches!(panicking.wait(), Err(ServiceError::Panicked)));
    let next = submit(&service, &["next"], Lane::Query);
    gate.batch();
    gate.open();
    next.wait().unwrap();
}

#[test]
fn what_waits_when_the_service_ends_is_told() {
    let (service, gate) = service(plain());
    let running = submit(&service, &["running"], Lane::Bulk);
    gate.batch();
    let waiting = submit(&service, &["waiting"], Lane::Bulk);
    // The end waits for the batch that runs, which waits for the gate; what waits in the queue is told first.
    let ending = thread::spawn(move || drop(service));
    assert!(matches!(waiting.wait(), Err(ServiceError::Closed)));
    gate.open();
    running.wait().unwrap();
    ending.join().unwrap();
}

#[test]
fn a_ticket_can_be_awaited() {
    let (service, gate) = service(plain());
    let mut ticket = Box::pin(submit(&service, &["text"], Lane::Query));
    let mut context = Context::from_waker(Waker::noop());
    assert!(ticket.as_mut().poll(&mut context).is_pending());
    gate.batch();
    gate.open();
    // Answered before or after the next poll: a second request is after it for certain.
    let second = submit(&service, &["second"], Lane::Query);
    gate.batch();
    let Poll::Ready(answer) = ticket.as_mut().poll(&mut context) else { panic!("not ready") };
    assert_eq!(answer.unwrap().as_slice(), expected(&["text"]));
    gate.open();
    second.wait().unwrap();
}

#[test]
fn texts_that_no_encoder_takes_and_sizes_of_zero_are_refused() {
    let (service, _gate) = service(plain());
    let refused = service.submit(&["a", " "], Lane::Bulk, &EncodeOptions::default());
    assert_eq!(refused.unwrap_err().to_string(), "text 1 is empty");
    let none = submit(&service, &[], Lane::Bulk);
    assert_eq!(none.wait().unwrap().rows(), 0);
    let config = ServiceConfig { workers: 0, ..plain() };
    let error = EncoderService::start(Arc::new(ToyEncoder::new(4)), config).unwrap_err();
    assert_eq!(error.to_string(), "encoder service: workers must not be 0");
}
