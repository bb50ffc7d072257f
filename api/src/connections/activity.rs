//! What moves on a connection, to tell an idle one from one that is at work.
//!
//! Requests at work keep a connection; so do bytes of replies that the peer takes. What arrives does not: a peer
//! that trickles bytes of requests which never begin is idle.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Pings and their answers are shorter, secured or not, and no sign that a reply is taken.
const REPLY_BYTES: usize = 64;

/// What moves on one connection.
#[derive(Debug)]
pub(super) struct Activity {
    since: Instant,
    /// Requests at work.
    working: AtomicUsize,
    /// When something moved last, in milliseconds after `since`.
    moved_ms: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), working: AtomicUsize::new(0), moved_ms: AtomicU64::new(0) }
    }

    /// Notes that something moved.
    fn touch(&self) {
        let moved = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.fetch_max(moved, Ordering::Relaxed);
    }

    /// Notes that a request is at work, as long as what is returned lives.
    pub(super) fn begin(self: &Arc<Self>) -> Working {
        self.working.fetch_add(1, Ordering::Relaxed);
        self.touch();
        Working(Arc::clone(self))
    }

    /// Returns when the connection will have been idle for so long, if nothing moves until then.
    pub(super) fn idle_at(&self, allowed: Duration) -> Instant {
        if self.working.load(Ordering::Relaxed) > 0 {
            return Instant::now() + allowed;
        }
        self.since + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed)) + allowed
    }
}

/// A request at work.
#[derive(Debug)]
pub(super) struct Working(Arc<Activity>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.touch();
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of a reply; one of a stream keeps its request at work.
#[derive(Debug)]
pub(super) struct Reply<B> {
    pub(super) body: B,
    pub(super) activity: Arc<Activity>,
    pub(super) working: Option<Working>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Reply<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_ready() {
            self.activity.touch();
        }
        if matches!(frame, Poll::Ready(None)) {
            self.working = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The bytes of a connection; those of replies that are taken count as movement.
#[derive(Debug)]
pub(super) struct Watched<I> {
    pub(super) inner: I,
    pub(super) activity: Arc<Activity>,
}

impl<I> Watched<I> {
    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(bytes)) if bytes > REPLY_BYTES) {
            self.activity.touch();
        }
        written
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_once_its_last_request_is_over() {
        let (activity, start) = (Arc::new(Activity::new()), Instant::now());
        let working = activity.begin();
        let other = activity.begin();
        tokio::time::advance(2 * ALLOWED).await;
        drop(working);
        assert_eq!(activity.idle_at(ALLOWED), start + 3 * ALLOWED);
        tokio::time::advance(ALLOWED).await;
        drop(other);
        assert_eq!(activity.idle_at(ALLOWED), start + 4 * ALLOWED);
        tokio::time::advance(ALLOWED).await;
        assert_eq!(activity.idle_at(ALLOWED), Instant::now());
    }
}
