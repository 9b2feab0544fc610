//! A body that somebody looks at on its way.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

pub(super) type Piece = Option<Result<Frame<Bytes>, axum::Error>>;

pub(super) trait Look: Send + Unpin + 'static {
    /// Hands a piece on, or something else in its place.
    fn look(&mut self, piece: Poll<Piece>, context: &mut Context<'_>) -> Poll<Piece>;
}

struct Through<L> {
    body: Body,
    looks: L,
}

pub(super) fn through(body: Body, looks: impl Look) -> Body {
    Body::new(Through { body, looks })
}

impl<L: Look> HttpBody for Through<L> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Piece> {
        let piece = Pin::new(&mut self.body).poll_frame(context);
        self.looks.look(piece, context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
