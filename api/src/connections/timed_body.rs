//! The body of a request, which must come.
//!
//! A client has a time for it, and one second more for each [`BYTES_PER_SECOND`] that have come: large bodies take
//! long, and one that trickles does not hold its place for ever.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;

use crate::status::late_body;

/// How fast a body has to come, at least.
const BYTES_PER_SECOND: u64 = 4096;

/// A body that fails with DEADLINE_EXCEEDED when it does not come in time.
#[derive(Debug)]
pub(super) struct TimedBody<B> {
    inner: B,
    allowed: Duration,
    begun: Instant,
    received: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> TimedBody<B> {
    pub(super) fn new(inner: B, allowed: Duration) -> Self {
        Self { inner, allowed, begun: Instant::now(), received: 0, timer: None }
    }

    fn deadline(&self) -> Instant {
        self.begun + self.allowed + Duration::from_secs(self.received / BYTES_PER_SECOND)
    }

    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let deadline = self.deadline();
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(context));
        Poll::Ready(late_body(format!(
            "request body did not come within {:?} (body_timeout_seconds, and a second more for each {BYTES_PER_SECOND} \
             bytes): {} bytes came",
            deadline - self.begun,
            self.received
        )))
    }
}

impl<B> Body for TimedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.received += frame.data_ref().map_or(0, |data| data.len() as u64);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let status = ready!(self.poll_late(context));
                Poll::Ready(Some(Err(status.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use super::*;

    /// Pieces that come, each after some seconds, and then nothing any more.
    struct Pieces(VecDeque<(u64, usize)>, Option<Pin<Box<Sleep>>>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let Some(&(seconds, bytes)) = self.0.front() else { return Poll::Pending };
            let wait = || Box::pin(tokio::time::sleep(Duration::from_secs(seconds)));
            ready!(self.1.get_or_insert_with(wait).as_mut().poll(context));
            self.0.pop_front();
            self.1 = None;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![0; bytes])))))
        }
    }

    /// Reads a body to its end, which is an error; how much came, and the seconds it took.
    async fn read(pieces: &[(u64, usize)]) -> (usize, u64, String) {
        let mut body =
            TimedBody::new(Pieces(pieces.iter().copied().collect(), None), Duration::from_secs(10));
        let (start, mut bytes) = (Instant::now(), 0);
        loop {
            let next = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
            match next.await.unwrap() {
                Ok(frame) => bytes += frame.into_data().unwrap().len(),
                Err(error) => return (bytes, start.elapsed().as_secs(), error.to_string()),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_is_late_after_its_time() {
        let (bytes, seconds, error) = read(&[(3, 100)]).await;
        assert_eq!((bytes, seconds), (100, 10));
        assert!(
            error.contains("body_timeout_seconds") && error.contains("100 bytes came"),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_late_and_one_that_flows_is_not() {
        let trickle = [(9, 1); 5];
        assert_eq!(read(&trickle).await.1, 10);
        let flow = [(9, 40_960); 5];
        assert_eq!(read(&flow).await.0, 5 * 40_960);
    }
}
