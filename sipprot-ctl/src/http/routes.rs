//! From requests to commands.

use std::net::IpAddr;
use std::str::FromStr;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::Deserialize;

use super::asker::Asker;
use super::consent::Consented;
use super::error::{Body, Params, with_status};
use crate::api::{
    Answer, Command, Fault, GeoChange, LearnAccept, LearnStart, List, Network, NewEntry, NewPeer,
    nobody,
};

pub(super) type Called = Result<Response, Fault>;

pub(super) async fn plain(asker: Asker, command: Command) -> Called {
    answer(&asker, command).await
}

pub(super) async fn answer(asker: &Asker, command: Command) -> Called {
    Ok(axum::Json(asker.call(command).await?).into_response())
}

pub(super) async fn add_entry(
    asker: Asker,
    Path(list): Path<String>,
    Consented(consent): Consented,
    Body(entry): Body<NewEntry>,
) -> Called {
    answer(&asker, Command::AddEntry { list: list_named(&list)?, entry, consent }).await
}

pub(super) async fn confirm(asker: Asker, Params(By { by }): Params<By>) -> Called {
    answer(&asker, Command::Confirm { cancel: false, by }).await
}

pub(super) async fn cancel(asker: Asker, Params(By { by }): Params<By>) -> Called {
    answer(&asker, Command::Confirm { cancel: true, by }).await
}

pub(super) async fn reload(asker: Asker, Consented(consent): Consented) -> Called {
    answer(&asker, Command::Reload { consent }).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Removal {
    #[schemars(with = "Network")]
    network: String,
    #[serde(default = "nobody")]
    by: String,
}

pub(super) async fn remove_entry(
    asker: Asker,
    Path(list): Path<String>,
    Consented(consent): Consented,
    Params(removal): Params<Removal>,
) -> Called {
    let network = network("network", &removal.network)?;
    let list = list_named(&list)?;
    answer(&asker, Command::RemoveEntry { list, network, by: removal.by, consent }).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct By {
    #[serde(default = "nobody")]
    pub by: String,
}

pub(super) async fn unblock(
    asker: Asker,
    Path(text): Path<String>,
    Params(By { by }): Params<By>,
) -> Called {
    answer(&asker, Command::Unblock { address: address(&text)?, by }).await
}

pub(super) async fn revoke_trust(
    asker: Asker,
    Path(text): Path<String>,
    Params(By { by }): Params<By>,
) -> Called {
    answer(&asker, Command::RevokeTrust { address: address(&text)?, by }).await
}

pub(super) async fn add_peer(asker: Asker, Body(peer): Body<NewPeer>) -> Called {
    answer(&asker, Command::AddPeer(peer)).await
}

pub(super) async fn remove_peer(asker: Asker, Params(removal): Params<Removal>) -> Called {
    let network = network("network", &removal.network)?;
    answer(&asker, Command::RemovePeer { network, by: removal.by }).await
}

pub(super) async fn check(asker: Asker, Path(text): Path<String>) -> Called {
    answer(&asker, Command::Check { address: address(&text)? }).await
}

pub(super) async fn why(asker: Asker, Path(text): Path<String>) -> Called {
    answer(&asker, Command::Why { address: address(&text)? }).await
}

pub(super) async fn learn(asker: Asker, Body(start): Body<LearnStart>) -> Called {
    answer(&asker, Command::LearnStart(start)).await
}

pub(super) async fn accept_learned(asker: Asker, Body(accept): Body<LearnAccept>) -> Called {
    answer(&asker, Command::LearnAccept(accept)).await
}

pub(super) async fn stop_learning(asker: Asker, Params(By { by }): Params<By>) -> Called {
    answer(&asker, Command::LearnStop { by }).await
}

pub(super) async fn discard_learned(asker: Asker, Params(By { by }): Params<By>) -> Called {
    answer(&asker, Command::LearnDiscard { by }).await
}

pub(super) async fn preview_geo(asker: Asker, Body(change): Body<GeoChange>) -> Called {
    answer(&asker, Command::GeoPreview(change)).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    /// Attackers in the answer.
    #[serde(default = "attackers_shown")]
    limit: usize,
}

const fn attackers_shown() -> usize {
    100
}

pub(super) async fn top(asker: Asker, Params(Limit { limit }): Params<Limit>) -> Called {
    answer(&asker, Command::Top { limit }).await
}

pub(super) async fn metrics(asker: Asker) -> Called {
    match asker.call(Command::Metrics).await? {
        Answer::Metrics(text) => {
            Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
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

pub(super) fn parsed<T: FromStr>(field: &str, text: &str, expected: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| {
        let shown = crate::message::clean(text.as_bytes(), 64);
        Fault::invalid(field, format!("expected {expected}, found {shown:?}"))
    })
}
