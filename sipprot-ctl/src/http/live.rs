//! What changes, as server-sent events; and the last changes, as JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::error::Params;
use super::pieces::Pieces;
use super::routes::Called;
use crate::api::{
    Answer, Caller, Command, Fault, Followed, Live, LiveEvent, LiveEvents, LiveFilter,
};

/// A comment is sent after so long without a change, so that both ends notice when the other is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events on their way to one reader, beside those that wait for it.
const PIECES_WAITING: usize = 16;
const LAST_EVENT_ID: &str = "last-event-id";
const RECENT: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    kind: Option<String>,
    endpoint: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recent {
    kind: Option<String>,
    endpoint: Option<String>,
    limit: Option<usize>,
}

async fn live(caller: &Caller) -> Result<Live, Fault> {
    match caller.call(Command::Follow).await? {
        Answer::Follow(live) => Ok(live),
        _ => Err(Fault::internal()),
    }
}

pub(super) async fn recent(
    State(caller): State<Caller>,
    Params(Recent { kind, endpoint, limit }): Params<Recent>,
) -> Called {
    let filter = LiveFilter::read(kind.as_deref(), endpoint)?;
    let events = live(&caller).await?.last(limit.unwrap_or(RECENT), &filter);
    Ok(Json(LiveEvents { events }).into_response())
}

pub(super) async fn follow(
    State(caller): State<Caller>,
    headers: HeaderMap,
    Params(Wanted { kind, endpoint }): Params<Wanted>,
) -> Called {
    let filter = LiveFilter::read(kind.as_deref(), endpoint)?;
    let after = headers.get(LAST_EVENT_ID).map(|value| {
        let id = value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok());
        id.ok_or_else(|| Fault::invalid(LAST_EVENT_ID, "expected the id of an event"))
    });
    let followed = live(&caller).await?.follow(after.transpose()?)?;
    let (pieces, taken) = mpsc::channel(PIECES_WAITING);
    tokio::spawn(send(followed, filter, pieces));
    let head = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((head, Body::new(Pieces(taken))).into_response())
}

type Sender = mpsc::Sender<std::io::Result<Bytes>>;

/// Until the daemon ends or nobody reads any more.
async fn send(followed: Followed, filter: LiveFilter, pieces: Sender) {
    let Followed { missed, mut coming } = followed;
    // The first bytes say that it works.
    if pieces.send(Ok(Bytes::from_static(b": following\n\n"))).await.is_err() {
        return;
    }
    for event in missed {
        if filter.takes(&event) && pieces.send(Ok(text(&event))).await.is_err() {
            return;
        }
    }
    loop {
        let piece = match timeout(HEARTBEAT, coming.next()).await {
            Err(_) => Bytes::from_static(b": still here\n\n"),
            Ok(None) => return,
            Ok(Some(event)) if !filter.takes(&event) => continue,
            Ok(Some(event)) => text(&event),
        };
        if pieces.send(Ok(piece)).await.is_err() {
            return;
        }
    }
}

/// One event of the stream. JSON has no line breaks, so that nobody's text can begin another.
fn text(event: &Arc<LiveEvent>) -> Bytes {
    let json = serde_json::to_string(&**event).unwrap_or_default();
    // What was lost has no number of its own: who comes again asks for what follows the last.
    let id = if event.id > 0 { format!("id: {}\n", event.id) } else { String::new() };
    format!("{id}event: {}\ndata: {json}\n\n", event.kind).into()
}
