//! Errors as Qdrant has them.
//!
//! Inside, errors are the statuses that `bigrain.v1` answers with. [`shaped`] gives them Qdrant's codes and
//! beginnings at the door: its clients tell "not there" and "wrong" apart, and know no failed precondition.

use tonic::codegen::http::StatusCode;
use tonic::{Code, Status};

use crate::status;

/// Returns the error for what there is no counterpart of; `what` names it.
pub(super) fn unsupported(what: &str) -> Status {
    Status::unimplemented(format!("{what} is not supported: see docs/qdrant.md"))
}

/// Returns the error for a request that is wrong.
pub(super) fn wrong(reason: impl std::fmt::Display) -> Status {
    Status::invalid_argument(reason.to_string())
}

/// Returns the error for a part of a request that must be there.
pub(super) fn missing(part: &str) -> Status {
    wrong(format!("{part} is missing"))
}

/// Refuses what is there and has no counterpart.
pub(super) fn refuse<T>(part: Option<&T>, what: &str) -> Result<(), Status> {
    part.map_or(Ok(()), |_| Err(unsupported(what)))
}

/// Returns a status with the code and the beginning that Qdrant's errors have.
pub(super) fn shaped(status: &Status) -> Status {
    let (code, beginning) = match status.code() {
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            (Code::InvalidArgument, "Wrong input: ")
        }
        Code::NotFound => (Code::NotFound, "Not found: "),
        Code::AlreadyExists => (Code::AlreadyExists, "Wrong input: "),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => (status.code(), ""),
    };
    let message = format!("{beginning}{}", status.message());
    Status::with_metadata(code, message, status.metadata().clone())
}

/// Returns the HTTP status of an error that is [`shaped`].
pub(super) fn http_code(code: Code) -> StatusCode {
    if code == Code::DeadlineExceeded {
        return StatusCode::REQUEST_TIMEOUT;
    }
    status::http_code(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_codes_that_clients_tell_apart() {
        let precondition = shaped(&Status::failed_precondition("dimension mismatch"));
        assert_eq!(precondition.code(), Code::InvalidArgument);
        assert_eq!(precondition.message(), "Wrong input: dimension mismatch");
        let missing = shaped(&Status::not_found("no such collection"));
        assert_eq!(missing.message(), "Not found: no such collection");
        assert_eq!(http_code(missing.code()), StatusCode::NOT_FOUND);
        assert_eq!(http_code(unsupported("x").code()), StatusCode::NOT_IMPLEMENTED);
    }
}
