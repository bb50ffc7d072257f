//! The stream of `Points.UpsertStream`: batches in, answers out, one after the other.
//!
//! ```text
//!  client ── batch 7, batch 8, .. ──▶ task ──▶ lane ──▶ engine
//!         ◀── stored 7, refused 8 ──┘  (one batch at a time, so answers keep their order)
//! ```
//!
//! What ends the stream: the client closes it, its deadline passes, the server drains, or the
//! server fails. What does not: a batch that is refused. Backpressure is the transport's: while a
//! batch is written nothing is read, and while answers are not read nothing is written.

use std::sync::Arc;

use bigrain_engine::UpsertOutput;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tracing::Instrument;

use super::encoded_points::Encodable;
use super::{Context, points};
use crate::access::Caller;
use crate::proto::upsert_stream_reply::Outcome;
use crate::proto::{UpsertRequest, UpsertStreamReply, UpsertStreamRequest};
use crate::request_scope::{Arrival, is_message_too_large, message_too_large};
use crate::runtime::{Patience, Phase};
use crate::{convert, status};

/// Answers written but not yet read by the client.
const UNREAD_ANSWERS: usize = 16;

type Answers = mpsc::Sender<Result<UpsertStreamReply, Status>>;

/// Starts the task of one stream and returns its answers.
pub(super) fn start(
    context: Arc<Context>,
    arrival: Arrival,
    batches: Streaming<UpsertStreamRequest>,
) -> ReceiverStream<Result<UpsertStreamReply, Status>> {
    let (answers, unread) = mpsc::channel(UNREAD_ANSWERS);
    let task = async move {
        let mut aborted = context.runtime.phase();
        tokio::select! {
            () = answer_all(&context, batches, answers.clone()) => {}
            status = aborted.reached(Phase::Aborting) => end(&answers, status),
            status = arrival.expired() => end(&answers, status),
        }
    };
    let task = task.in_current_span();
    match Caller::current_if_known() {
        Some(caller) => tokio::spawn(caller.scope(task)),
        None => tokio::spawn(task),
    };
    ReceiverStream::new(unread)
}

async fn answer_all(
    context: &Arc<Context>,
    mut batches: Streaming<UpsertStreamRequest>,
    answers: Answers,
) {
    let mut draining = context.runtime.phase();
    loop {
        let received = tokio::select! {
            biased;
            status = draining.reached(Phase::Draining) => Err(status),
            received = batches.message() => received,
        };
        let answer = match received {
            Ok(Some(batch)) => answer(context, batch).await,
            Ok(None) => return,
            Err(status) => Err(name_limit(context, status)),
        };
        let over = answer.is_err();
        if answers.send(answer).await.is_err() || over {
            return;
        }
    }
}

/// Stores one batch; an error ends the stream.
async fn answer(
    context: &Arc<Context>,
    request: UpsertStreamRequest,
) -> Result<UpsertStreamReply, Status> {
    let started = Arrival::now();
    let upsert = request.upsert.unwrap_or_default();
    let outcome = match store(context, upsert).await {
        Ok((output, truncated)) => {
            Outcome::Stored(convert::upsert_reply(&output, truncated, started.server_time_us()))
        }
        Err(status) if status::concerns_one_batch(status.code()) => {
            Outcome::Refused(convert::batch_error(&status))
        }
        Err(status) => return Err(status),
    };
    Ok(UpsertStreamReply { batch: request.batch, outcome: Some(outcome) })
}

/// Encodes and stores a batch; returns also how many of its texts were cut.
async fn store(
    context: &Arc<Context>,
    mut upsert: UpsertRequest,
) -> Result<(UpsertOutput, u64), Status> {
    let truncated = context.encode_points(Encodable::of(&mut upsert), Patience::Waits).await?;
    let shared = Arc::clone(context);
    let work = move |_: &_| points::upsert(&shared, upsert);
    Ok((context.runtime.writes.run_when_free(work).await?, truncated))
}

fn name_limit(context: &Context, status: Status) -> Status {
    if is_message_too_large(&status) {
        return message_too_large(context.limits.max_message_bytes);
    }
    status::malformed(&status).unwrap_or(status)
}

/// Ends the stream with a status, if its client still has room for one.
fn end(answers: &Answers, status: Status) {
    // A full channel belongs to a client that stopped reading; it sees the stream break off.
    let _ = answers.try_send(Err(status));
}
