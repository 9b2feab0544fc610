//! Answers that go on for long, such as streams of events: they end with the login or token that asked.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use hyper::body::Body as HttpBody;
use jiff::Timestamp;

use super::through::{Look, Piece, through};
use crate::access::{Access, Pass};

/// Between two looks whether whoever asked may still know.
const EACH: Duration = Duration::from_secs(5);

/// What has a length is sent as a whole.
pub(super) fn watched(body: Body, access: Arc<Access>, pass: Pass, from: IpAddr) -> Body {
    match body.size_hint().exact() {
        Some(_) => body,
        None => through(body, Watch { access, pass, from, looked: Instant::now() }),
    }
}

struct Watch {
    access: Arc<Access>,
    pass: Pass,
    from: IpAddr,
    looked: Instant,
}

impl Look for Watch {
    fn look(&mut self, piece: Poll<Piece>, _: &mut Context<'_>) -> Poll<Piece> {
        if piece.is_ready() && self.looked.elapsed() >= EACH {
            self.looked = Instant::now();
            if !self.access.still_holds(&self.pass, self.from, Timestamp::now()) {
                return Poll::Ready(None);
            }
        }
        piece
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
        let watched = |looked| {
            let (access, pass) = (access.clone(), Pass::Token("revoked".to_owned()));
            let from = IpAddr::from([192, 0, 2, 1]);
            through(Body::from("an event"), Watch { access, pass, from, looked })
        };
        let sent = watched(Instant::now()).collect().await.unwrap().to_bytes();
        assert_eq!(sent, "an event", "not each time");
        let long_ago = Instant::now().checked_sub(2 * EACH).unwrap();
        assert!(watched(long_ago).collect().await.unwrap().to_bytes().is_empty());
    }
}
