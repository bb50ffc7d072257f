//! What a caller holds while its request is on its way.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::encoder_service::Shared;
use super::error::ServiceError;
use super::request::Request;
use crate::embeddings::Embeddings;

/// An answer to come. A thread waits for it; async code awaits it. Dropped before that, the request is
/// cancelled.
#[must_use = "dropping a ticket cancels its request"]
pub struct Ticket {
    request: Arc<Request>,
    service: Arc<Shared>,
}

impl Ticket {
    pub(super) fn new(request: Arc<Request>, service: Arc<Shared>) -> Self {
        Self { request, service }
    }

    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// [`ServiceError`] when a text is refused, the request was cancelled, or the service ends.
    pub fn wait(self) -> Result<Embeddings, ServiceError> {
        self.request.wait()
    }

    /// Whether the answer is there.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.request.is_answered()
    }
}

impl Future for Ticket {
    type Output = Result<Embeddings, ServiceError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.request.poll(context.waker()).map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.request.is_answered() {
            self.request.abandon();
            self.service.remove_cancelled();
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("is_answered", &self.is_answered()).finish_non_exhaustive()
    }
}
