//! What changes, as server-sent events; and the last changes, as JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::asker::Asker;
use super::error::Params;
use super::pieces::Pieces;
use super::routes::Called;
use crate::api::{Answer, Command, Fault, Followed, Live, LiveEvent, LiveEvents, LiveFilter};

/// A comment is sent after so long without a change, so that both ends notice when the other is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events on their way to one reader, beside those that wait for it.
const PIECES_WAITING: usize = 16;
const LAST_EVENT_ID: &str = "last-event-id";
const RECENT: usize = 100;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    kind: Option<String>,
    endpoint: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Recent {
    kind: Option<String>,
    endpoint: Option<String>,
    limit: Option<usize>,
}

async fn live(asker: &Asker) -> Result<Live, Fault> {
    match asker.call(Command::Follow).await? {
        Answer::Follow(live) => Ok(live),
        _ => Err(Fault::internal()),
    }
}

pub(super) async fn recent(
    asker: Asker,
    Params(Recent { kind, endpoint, limit }): Params<Recent>,
) -> Called {
    let filter = LiveFilter::read(kind.as_deref(), endpoint)?;
    let events = live(&asker).await?.last(limit.unwrap_or(RECENT), &filter);
    Ok(Json(LiveEvents { events }).into_response())
}

pub(super) async fn follow(
    asker: Asker,
    headers: HeaderMap,
    Params(Wanted { kind, endpoint }): Params<Wanted>,
) -> Called {
    let filter = LiveFilter::read(kind.as_deref(), endpoint)?;
    let after = headers.get(LAST_EVENT_ID).map(|value| {
        let id = value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok());
        id.ok_or_else(|| Fault::invalid(LAST_EVENT_ID, "expected the id of an event"))
    });
    let followed = live(&asker).await?.follow(after.transpose()?)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::LiveKind;

    fn event(kind: LiveKind, what: &str) -> LiveEvent {
        LiveEvent {
            id: 0,
            at: 0,
            kind,
            source: None,
            endpoint: None,
            what: what.to_owned(),
            block: None,
            alert: None,
            lost: None,
        }
    }

    #[tokio::test]
    async fn the_stream_of_one_reader() {
        let live = Live::new(10);
        live.tell(event(LiveKind::Block, "one"));
        live.tell(event(LiveKind::Health, "not asked for"));
        live.tell(event(LiveKind::Block, "two\n\nid: 99\n\n"));
        let filter = LiveFilter::read(Some("block"), None).unwrap();
        let (pieces, mut taken) = mpsc::channel(PIECES_WAITING);
        let sent = tokio::spawn(send(live.follow(Some(3)).unwrap(), filter, pieces));
        // Before it can end, it has to have read what comes.
        live.tell(event(LiveKind::Block, "three"));
        live.end();
        sent.await.unwrap();
        let mut stream = String::new();
        while let Some(Ok(piece)) = taken.recv().await {
            stream += std::str::from_utf8(&piece).unwrap();
        }
        let heads: Vec<&str> =
            stream.lines().filter(|it| !it.starts_with("data: ") && !it.is_empty()).collect();
        let expected = [
            ": following",
            "id: 3",
            "event: lost",
            "id: 10",
            "event: block",
            "id: 12",
            "event: block",
            "id: 13",
            "event: block",
        ];
        assert_eq!(heads, expected, "{stream}");
    }

    #[tokio::test]
    async fn who_goes_away_is_no_longer_told() {
        let live = Live::new(1);
        let (pieces, taken) = mpsc::channel(1);
        drop(taken);
        send(live.follow(None).unwrap(), LiveFilter::default(), pieces).await;
        assert!(!live.has_followers());
    }
}
