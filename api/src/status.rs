//! Errors become gRPC statuses: one table for the engine's, one for the models', one from there to HTTP.
//!
//! The message is the error's own text. Causes that only an operator can act on go to the log,
//! not to the client.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bigrain_encoders::{EncodeError, ScoreError, ServiceError};
use bigrain_engine::{Error, ErrorKind};
use thiserror::Error;
use tonic::codegen::http::{Response, StatusCode};
use tonic::{Code, Status};

/// The metadata that says after how many milliseconds the same request may succeed.
const RETRY_AFTER_MS: &str = "retry-after-ms";

/// Returns the HTTP status of a code.
pub(crate) fn http_code(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition => StatusCode::BAD_REQUEST,
        // Nothing else here is out of range.
        Code::OutOfRange => StatusCode::PAYLOAD_TOO_LARGE,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// A request whose body did not come in time, as the source of its status: not a deadline that the caller set.
#[derive(Clone, Copy, Debug, Error)]
#[error("the body of the request is late")]
pub(crate) struct LateBody;

/// Returns the status of a body that did not come in time.
pub(crate) fn late_body(message: String) -> Status {
    let mut status = Status::deadline_exceeded(message);
    status.set_source(Arc::new(LateBody));
    status
}

/// Returns the status among the causes of a body that could not be read, such as [`late_body`].
pub(crate) fn cause_of(error: &(dyn StdError + 'static)) -> Option<Status> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(status) = error.downcast_ref::<Status>() {
            return Some(status.clone());
        }
        cause = error.source();
    }
    None
}

/// Returns the HTTP status of a refusal.
pub(crate) fn http_status(refused: &Status) -> StatusCode {
    match refused.source() {
        Some(source) if source.is::<LateBody>() => StatusCode::REQUEST_TIMEOUT,
        _ => http_code(refused.code()),
    }
}

/// Returns after what time the same request may succeed, if the status says so.
pub(crate) fn retry_hint(status: &Status) -> Option<Duration> {
    let millis = status.metadata().get(RETRY_AFTER_MS)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_millis(millis))
}

/// Returns the code for a kind of engine error.
pub(crate) fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidArgument => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::FailedPrecondition => Code::FailedPrecondition,
        ErrorKind::Aborted => Code::Aborted,
        ErrorKind::ResourceExhausted => Code::ResourceExhausted,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::Corruption => Code::DataLoss,
        ErrorKind::Io | ErrorKind::Poisoned => Code::Unavailable,
        // `ErrorKind` may grow: a kind without a row is our bug until it has one.
        ErrorKind::Internal | _ => Code::Internal,
    }
}

/// Turns an engine error into a status that carries its text.
#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
pub(crate) fn from_engine(error: Error) -> Status {
    let code = code(error.kind());
    if is_servers_fault(code) {
        let cause = error.source().map(ToString::to_string);
        tracing::error!(%error, cause, code = ?code, "request failed");
    }
    let status = Status::new(code, error.to_string());
    match error.retry_hint() {
        Some(wait) => retry_after(status, wait),
        None => status,
    }
}

/// Says in a status after what time the same request may succeed.
pub(crate) fn retry_after(mut status: Status, wait: Duration) -> Status {
    status.metadata_mut().insert(RETRY_AFTER_MS, (wait.as_millis() as u64).into());
    status
}

/// Turns an encoder's error into a status that carries its text.
pub(crate) fn from_encoder(error: &EncodeError) -> Status {
    let code = match error {
        EncodeError::EmptyText { .. }
        | EncodeError::TextTooLong { .. }
        | EncodeError::Tokenize { .. }
        | EncodeError::ImageSize { .. }
        | EncodeError::ImageValues { .. } => Code::InvalidArgument,
        EncodeError::Cancelled(_) => Code::Cancelled,
        EncodeError::NoAttention | EncodeError::NoTokens | EncodeError::NoTokenizer => {
            Code::FailedPrecondition
        }
        _ => Code::Internal,
    };
    let text = with_causes(error);
    if is_servers_fault(code) {
        tracing::error!(error = %text, "encoding failed");
    }
    Status::new(code, text)
}

/// Turns a cross-encoder's error into a status that carries its text.
pub(crate) fn from_scorer(error: &ScoreError) -> Status {
    match error {
        ScoreError::Query => Status::invalid_argument(error.to_string()),
        ScoreError::Passage(error) => from_encoder(error),
        ScoreError::Cancelled(_) => Status::cancelled(error.to_string()),
        _ => {
            tracing::error!(%error, "scoring failed");
            Status::internal(error.to_string())
        }
    }
}

/// Turns an error of the queue before an encoder into a status that carries its text.
pub(crate) fn from_encoder_service(error: &ServiceError) -> Status {
    match error {
        ServiceError::Encode(error) => from_encoder(error),
        ServiceError::Full(full) => {
            retry_after(Status::resource_exhausted(full.to_string()), full.retry_after)
        }
        ServiceError::Closed => Status::unavailable(error.to_string()),
        ServiceError::Panicked | _ => {
            tracing::error!(%error, "encoding failed");
            Status::internal(error.to_string())
        }
    }
}

/// What tonic says, as INTERNAL, of requests that do not decode.
const MALFORMED: [&str; 5] = [
    "failed to decode Protobuf message",
    "protocol error: received message with",
    "Unexpected EOF decoding stream",
    "Missing request message",
    "Error decompressing",
];

/// Returns INVALID_ARGUMENT for a request that does not decode, of which tonic says INTERNAL: it is for the caller to
/// act, and INTERNAL is what operators are woken for.
pub(crate) fn malformed(status: &Status) -> Option<Status> {
    let message = status.message();
    let of_tonic = MALFORMED.iter().any(|beginning| message.starts_with(beginning));
    (status.code() == Code::Internal && of_tonic)
        .then(|| Status::invalid_argument(format!("request does not decode: {message}")))
}

/// Returns the text of an error and of its causes, for errors whose text leaves those out.
pub(crate) fn with_causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Whether one refused batch of a stream leaves the rest of the stream meaningful: the caller
/// sent something wrong, or may try again.
pub(crate) fn concerns_one_batch(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::ResourceExhausted
    )
}

/// Whether an answer says that something failed here, and not that its request was refused.
pub(crate) fn is_failure<B>(response: &Response<B>) -> bool {
    match response.headers().get("grpc-status") {
        Some(code) => {
            let code = Code::from_bytes(code.as_bytes());
            is_servers_fault(code) || matches!(code, Code::Unknown | Code::DeadlineExceeded)
        }
        None => response.status().is_server_error(),
    }
}

/// Whether an operator, not the caller, has to act.
fn is_servers_fault(code: Code) -> bool {
    matches!(code, Code::DataLoss | Code::Unavailable | Code::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_code() {
        let table = [
            (ErrorKind::InvalidArgument, Code::InvalidArgument),
            (ErrorKind::NotFound, Code::NotFound),
            (ErrorKind::AlreadyExists, Code::AlreadyExists),
            (ErrorKind::FailedPrecondition, Code::FailedPrecondition),
            (ErrorKind::Aborted, Code::Aborted),
            (ErrorKind::ResourceExhausted, Code::ResourceExhausted),
            (ErrorKind::Cancelled, Code::Cancelled),
            (ErrorKind::Corruption, Code::DataLoss),
            (ErrorKind::Io, Code::Unavailable),
            (ErrorKind::Poisoned, Code::Unavailable),
            (ErrorKind::Internal, Code::Internal),
        ];
        for (kind, expected) in table {
            assert_eq!(code(kind), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_full_queue_of_texts_says_when_to_try_again() {
        let retry_after = Duration::from_millis(1_500);
        let full = bigrain_encoders::QueueFull { requests: 3, tokens: 70_000, retry_after };
        let status = from_encoder_service(&full.into());
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().ends_with("try again in 1.5s"), "{status:?}");
        assert_eq!(status.metadata().get(RETRY_AFTER_MS).unwrap(), "1500");
        assert_eq!(from_encoder_service(&ServiceError::Closed).code(), Code::Unavailable);
    }

    #[test]
    fn only_the_callers_faults_leave_a_stream_open() {
        for fatal in [Code::DataLoss, Code::Unavailable, Code::Internal, Code::Cancelled] {
            assert!(!concerns_one_batch(fatal), "{fatal:?}");
        }
        assert!(concerns_one_batch(Code::InvalidArgument));
    }
}
