//! `/healthz` and `/readyz`, for probes: no door is before them, so that strangers learn nothing but yes or no.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use tokio::time::timeout;

use super::Rooms;
use super::asker::Asker;
use super::door::Peer;
use crate::api::{Answer, Command, Fault, Who};

/// Who judges events answers much sooner.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn router() -> Router<Rooms> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .layer(Extension(Who::daemon()))
}

/// 200 while the daemon answers at all.
async fn healthz(asker: Asker) -> Response {
    match problems(&asker).await {
        Ok(_) => "ok\n".into_response(),
        Err(fault) => unavailable(&fault.to_string()),
    }
}

/// 200 while all is as it should be, 503 otherwise; the problems are told on the socket and beside the
/// metrics.
async fn readyz(asker: Asker, peer: Option<Extension<Peer>>) -> Response {
    let is_told = peer.is_none_or(|Extension(peer)| matches!(peer, Peer::Trusted(_)));
    match problems(&asker).await {
        Ok(problems) if problems.is_empty() => "ready\n".into_response(),
        Ok(problems) if is_told => unavailable(&problems.join("\n")),
        Ok(_) => unavailable("not ready"),
        Err(fault) => unavailable(&fault.to_string()),
    }
}

fn unavailable(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
}

async fn problems(asker: &Asker) -> Result<Vec<String>, Fault> {
    match timeout(PATIENCE, asker.call(Command::Health)).await {
        Ok(Ok(Answer::Health(problems))) => Ok(problems),
        Ok(answer) => answer.and(Err(Fault::internal())),
        Err(_) => Err(Fault::internal()),
    }
}
