//! Slow clients: how long we wait for what they send, and for them to take what we send.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::through::{Look, Piece, through};

/// For a body's first bytes; then it must come by so many a second.
const BODY_TIME: Duration = Duration::from_secs(20);
const BODY_RATE_MIN: u64 = 4 << 10;
/// Until a client takes anything.
const WRITE_TIME: Duration = Duration::from_secs(60);

/// Of every request.
pub(super) async fn paced(request: Request) -> Request {
    request.map(|body| through(body, Pace::until(Instant::now() + BODY_TIME)))
}

struct Pace {
    deadline: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Pace {
    fn until(deadline: Instant) -> Self {
        Self { deadline, sleep: Box::pin(sleep_until(deadline)) }
    }
}

impl Look for Pace {
    fn look(&mut self, piece: Poll<Piece>, context: &mut Context<'_>) -> Poll<Piece> {
        let Poll::Ready(piece) = piece else {
            ready!(self.sleep.as_mut().poll(context));
            let late = io::Error::new(io::ErrorKind::TimedOut, "the body comes too slowly");
            return Poll::Ready(Some(Err(axum::Error::new(late))));
        };
        if let Some(Ok(frame)) = &piece {
            // Pieces are as small as a segment may be: each counts.
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.deadline += Duration::from_micros(bytes * 1_000_000 / BODY_RATE_MIN);
            self.sleep.as_mut().reset(self.deadline);
        }
        Poll::Ready(piece)
    }
}

/// A stream whose other end must take what is written.
pub(super) struct Patient<S> {
    stream: S,
    /// Runs while there is something to be taken.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, waiting: None }
    }

    fn waited<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(WRITE_TIME)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.waited(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.waited(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.waited(shut, context)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt;
    use hyper::body::{Body as HttpBody, Frame};
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn who_takes_nothing_is_given_up() {
        let (near, _far) = tokio::io::duplex(10);
        let mut patient = Patient::new(near);
        patient.write_all(b"0123456789").await.unwrap();
        let over = Box::pin(sleep(Duration::from_millis(10)));
        patient.waiting = Some(over);
        let error = patient.write_all(b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let mut slow = through(that_never_comes(), Pace::until(Instant::now()));
        let error = slow.frame().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("too slowly"), "{error}");
    }

    #[tokio::test]
    async fn small_pieces_give_time_as_large_ones_do() {
        fn check(pieces: u32, bytes: usize) {
            let start = Instant::now();
            let mut pace = Pace::until(start);
            let mut context = Context::from_waker(std::task::Waker::noop());
            for _ in 0..pieces {
                let piece = Frame::data(Bytes::from(vec![b'x'; bytes]));
                assert!(pace.look(Poll::Ready(Some(Ok(piece))), &mut context).is_ready());
            }
            let given = pace.deadline.duration_since(start).as_secs();
            assert_eq!(given, 10, "{pieces} times {bytes}");
        }
        check(1, 40 << 10);
        check(40, 1 << 10);
        check(160, 256);
    }

    fn that_never_comes() -> Body {
        struct Never;
        impl HttpBody for Never {
            type Data = Bytes;
            type Error = axum::Error;

            fn poll_frame(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
                Poll::Pending
            }
        }
        Body::new(Never)
    }
}
