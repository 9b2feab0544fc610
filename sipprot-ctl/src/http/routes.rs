//! From requests to commands.

use std::net::IpAddr;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ipnetwork::IpNetwork;
use serde::Deserialize;

use super::consent::Consented;
use super::error::{Body, Params, with_status};
use crate::api::{
    Answer, Caller, Command, Fault, GeoChange, LearnAccept, LearnStart, List, NewEntry, NewPeer,
    nobody,
};

pub(super) type Called = Result<Response, Fault>;

pub(super) async fn plain(State(caller): State<Caller>, command: Command) -> Called {
    answer(&caller, command).await
}

pub(super) async fn answer(caller: &Caller, command: Command) -> Called {
    Ok(axum::Json(caller.call(command).await?).into_response())
}

pub(super) async fn add_entry(
    State(caller): State<Caller>,
    Path(list): Path<String>,
    Consented(consent): Consented,
    Body(entry): Body<NewEntry>,
) -> Called {
    answer(&caller, Command::AddEntry { list: list_named(&list)?, entry, consent }).await
}

pub(super) async fn confirm(State(caller): State<Caller>, Params(By { by }): Params<By>) -> Called {
    answer(&caller, Command::Confirm { cancel: false, by }).await
}

pub(super) async fn cancel(State(caller): State<Caller>, Params(By { by }): Params<By>) -> Called {
    answer(&caller, Command::Confirm { cancel: true, by }).await
}

pub(super) async fn reload(State(caller): State<Caller>, Consented(consent): Consented) -> Called {
    answer(&caller, Command::Reload { consent }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Removal {
    network: String,
    #[serde(default = "nobody")]
    by: String,
}

pub(super) async fn remove_entry(
    State(caller): State<Caller>,
    Path(list): Path<String>,
    Consented(consent): Consented,
    Params(removal): Params<Removal>,
) -> Called {
    let network = network("network", &removal.network)?;
    let list = list_named(&list)?;
    answer(&caller, Command::RemoveEntry { list, network, by: removal.by, consent }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct By {
    #[serde(default = "nobody")]
    by: String,
}

pub(super) async fn unblock(
    State(caller): State<Caller>,
    Path(text): Path<String>,
    Params(By { by }): Params<By>,
) -> Called {
    answer(&caller, Command::Unblock { address: address(&text)?, by }).await
}

pub(super) async fn revoke_trust(
    State(caller): State<Caller>,
    Path(text): Path<String>,
    Params(By { by }): Params<By>,
) -> Called {
    answer(&caller, Command::RevokeTrust { address: address(&text)?, by }).await
}

pub(super) async fn add_peer(State(caller): State<Caller>, Body(peer): Body<NewPeer>) -> Called {
    answer(&caller, Command::AddPeer(peer)).await
}

pub(super) async fn remove_peer(
    State(caller): State<Caller>,
    Params(removal): Params<Removal>,
) -> Called {
    let network = network("network", &removal.network)?;
    answer(&caller, Command::RemovePeer { network, by: removal.by }).await
}

pub(super) async fn check(State(caller): State<Caller>, Path(text): Path<String>) -> Called {
    answer(&caller, Command::Check { address: address(&text)? }).await
}

pub(super) async fn why(State(caller): State<Caller>, Path(text): Path<String>) -> Called {
    answer(&caller, Command::Why { address: address(&text)? }).await
}

pub(super) async fn learn(State(caller): State<Caller>, Body(start): Body<LearnStart>) -> Called {
    answer(&caller, Command::LearnStart(start)).await
}

pub(super) async fn accept_learned(
    State(caller): State<Caller>,
    Body(accept): Body<LearnAccept>,
) -> Called {
    answer(&caller, Command::LearnAccept(accept)).await
}

pub(super) async fn stop_learning(
    State(caller): State<Caller>,
    Params(By { by }): Params<By>,
) -> Called {
    answer(&caller, Command::LearnStop { by }).await
}

pub(super) async fn discard_learned(
    State(caller): State<Caller>,
    Params(By { by }): Params<By>,
) -> Called {
    answer(&caller, Command::LearnDiscard { by }).await
}

pub(super) async fn preview_geo(
    State(caller): State<Caller>,
    Body(change): Body<GeoChange>,
) -> Called {
    answer(&caller, Command::GeoPreview(change)).await
}

/// Lines of a log as they are, and the endpoint's token as `Authorization: Bearer`.
pub(super) async fn ingest(
    State(caller): State<Caller>,
    Path(log): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Called {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let (token, text) = (token.trim().to_owned(), String::from_utf8_lossy(&body).into_owned());
    answer(&caller, Command::Ingest { log, token, text }).await
}

pub(super) async fn metrics(State(caller): State<Caller>) -> Called {
    match caller.call(Command::Metrics).await? {
        Answer::Metrics(text) => {
            Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
        }
        _ => Err(Fault::internal()),
    }
}

/// 200 while every interface is filtered, 503 and the problems otherwise.
pub(super) async fn healthz(State(caller): State<Caller>) -> Called {
    match caller.call(Command::Status).await? {
        Answer::Status(status) if status.problems.is_empty() => Ok("ok\n".into_response()),
        Answer::Status(status) => {
            let text = status.problems.join("\n") + "\n";
            Ok((StatusCode::SERVICE_UNAVAILABLE, text).into_response())
        }
        _ => Err(Fault::internal()),
    }
}

pub(super) async fn no_such_path() -> Fault {
    Fault::not_found("no such path")
}

pub(super) async fn no_such_method() -> Response {
    let fault = Fault::invalid("method", "this path doesn't take this method");
    with_status(StatusCode::METHOD_NOT_ALLOWED, fault)
}

pub(super) fn list_named(name: &str) -> Result<List, Fault> {
    match name {
        "allow" => Ok(List::Allow),
        "deny" => Ok(List::Deny),
        _ => Err(Fault::not_found("the lists are allow and deny")),
    }
}

pub(super) fn address(text: &str) -> Result<IpAddr, Fault> {
    parsed("address", text, "an IP address")
}

fn network(field: &str, text: &str) -> Result<IpNetwork, Fault> {
    parsed(field, text, "an IP address or network")
}

fn parsed<T: FromStr>(field: &str, text: &str, expected: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| {
        let shown = crate::message::clean(text.as_bytes(), 64);
        Fault::invalid(field, format!("expected {expected}, found {shown:?}"))
    })
}
