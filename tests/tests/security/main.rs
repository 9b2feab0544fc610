//! The listeners from outside: crowds, slow clients, requests within requests, paths, TLS; and what the daemon leaves
//! on the disk and says of its secrets.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each test says what is
//! missing.

mod crowd;
mod files;
mod paths;
mod secrets;
mod slow;
mod smuggling;
mod tls;
mod wire;

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use sipprot_tests::{
    daemon::{Daemon, Settings},
    outpost::Outpost,
    topology::UPLINK,
    web::{Answer, Question},
};

const PASSWORD: &str = "correct horse battery";
/// Where the API listens by default, in the host's namespace.
const API: &str = "127.0.0.1:8060";
const METRICS: &str = "127.0.0.1:9160";
/// The host and the world on the cable between them.
const HOST: &str = "192.0.2.1";
const WORLD: &str = "192.0.2.10";

/// A host with a running daemon, or a line that says why there is none.
fn outpost(lines: &[&str]) -> Result<Option<Outpost>> {
    outpost_with(&Settings::of(lines))
}

fn outpost_with(settings: &Settings) -> Result<Option<Outpost>> {
    let Some(mut outpost) = Outpost::build()? else { return Ok(None) };
    outpost.host.ip(&format!("addr add {HOST}/24 dev {UPLINK}\n"))?;
    outpost.world.ip(&format!("addr add {WORLD}/24 dev {}\n", sipprot_tests::outpost::FAR_END))?;
    outpost.daemon.configure(settings)?;
    outpost.daemon.start()?;
    Ok(Some(outpost))
}

fn address(text: &str) -> Result<SocketAddr> {
    text.parse().context("an address")
}

/// A new token with a right.
fn token(daemon: &Daemon, scope: &str) -> Result<String> {
    let made = daemon.json(&["token", "add", scope, "--scope", scope])?;
    Ok(made["token"].as_str().context("a token")?.to_owned())
}

/// Asks the API in the name of a token.
fn ask(outpost: &Outpost, token: &str, method: &str, path: &str) -> Result<Answer> {
    let question = Question {
        method,
        path: format!("/api/v1{path}"),
        headers: vec![("Authorization", format!("Bearer {token}"))],
        ..Question::default()
    };
    question.ask(&outpost.host, address(API)?)
}

/// The API answers who has a token.
fn answers(outpost: &Outpost, token: &str) -> Result<()> {
    let answer = ask(outpost, token, "GET", "/version")?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}
