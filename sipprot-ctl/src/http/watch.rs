//! Answers that go on for long, such as streams of events: they end with the login or token that asked.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use jiff::Timestamp;

use crate::access::{Access, Pass};

/// Between two looks whether whoever asked may still know.
const EACH: Duration = Duration::from_secs(5);

pub(super) struct Watched {
    body: Body,
    access: Arc<Access>,
    pass: Pass,
    from: IpAddr,
    looked: Instant,
}

impl Watched {
    /// What has a length is sent as a whole.
    pub fn over(body: Body, access: Arc<Access>, pass: Pass, from: IpAddr) -> Body {
        match body.size_hint().exact() {
            Some(_) => body,
            None => Body::new(Self { body, access, pass, from, looked: Instant::now() }),
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_ready() && self.looked.elapsed() >= EACH {
            self.looked = Instant::now();
            if !self.access.still_holds(&self.pass, self.from, Timestamp::now()) {
                return Poll::Ready(None);
            }
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::access::Times;

    #[tokio::test]
    async fn a_stream_ends_with_what_it_was_asked_by() {
        let times = Times { idle: EACH, whole: EACH };
        let access = Arc::new(Access::load(None, times).unwrap());
        let watched = |looked| Watched {
            body: Body::from("an event"),
            access: access.clone(),
            pass: Pass::Token("revoked".to_owned()),
            from: IpAddr::from([192, 0, 2, 1]),
            looked,
        };
        let sent = watched(Instant::now()).collect().await.unwrap().to_bytes();
        assert_eq!(sent, "an event", "not each time");
        let long_ago = Instant::now().checked_sub(2 * EACH).unwrap();
        assert!(watched(long_ago).collect().await.unwrap().to_bytes().is_empty());
    }
}
