//! Who may ask what of the API over TCP, in a lab, with the real daemon.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each test says
//! what is missing.

mod callers;
mod described;
mod matrix;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use sipprot_tests::{
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::Manners,
    tls::Client,
    web::{Answer, Question},
};

use callers::{Credentials, PASSWORD, add_user, log_in, log_in_with};

/// Where the API listens by default, in the host's namespace.
const API: &str = "127.0.0.1:8060";
const HOST: &str = "192.0.2.1:8060";

fn protected(lines: &[&str]) -> Result<Option<(Lab, Daemon)>> {
    Lab::protected(Manners::default(), &Settings::of(lines))
}

#[test]
fn a_login_outlasts_the_daemon_and_a_wrong_password_makes_wait() -> Result<()> {
    let Some((lab, mut daemon)) = protected(&[])? else { return Ok(()) };
    let host = &lab.net.host;
    add_user(&daemon, "ann", "admin")?;
    let ann = log_in(host, "ann")?;
    daemon.kill()?;
    daemon.start()?;
    let who = ann.get("/session").ask(host, API.parse()?)?;
    ensure!(who.status == 200 && who.json()?["name"] == "ann", "{who:?}");

    // Whom a change is recorded as doing says the login, whatever the body says.
    let entry = r#"{"network":"203.0.113.0/24","note":"n","added_by":"somebody else"}"#;
    let added = ann.post("/lists/deny", entry).ask(host, API.parse()?)?;
    ensure!(added.status == 200, "{added:?}");
    let list = daemon.json(&["list", "deny"])?;
    ensure!(list["entries"][0]["added_by"] == "ann", "{list}");

    let tries: Vec<Answer> =
        (0..5).map(|_| log_in_with(host, "ann", "a wrong password")).collect::<Result<_>>()?;
    let statuses: Vec<u16> = tries.iter().map(|answer| answer.status).collect();
    ensure!(statuses[..3] == [401, 401, 401], "{statuses:?}");
    let waits = tries.iter().find(|answer| answer.status == 429).context("nobody has to wait")?;
    let seconds: u64 = waits.header("retry-after").context("for how long?")?.parse()?;
    ensure!((1..=2).contains(&seconds), "{seconds}");
    ensure!(log_in_with(host, "ann", PASSWORD)?.status == 429, "the right one waits, too");
    std::thread::sleep(Duration::from_secs(2 * seconds));
    ensure!(log_in_with(host, "ann", PASSWORD)?.status == 200);

    // Removed is removed.
    add_user(&daemon, "bob", "admin")?;
    daemon.text(&["user", "remove", "ann"])?;
    ensure!(ann.get("/session").ask(host, API.parse()?)?.status == 401);
    let last = daemon.cli(&["user", "remove", "bob"])?;
    ensure!(last.status.code() == Some(6), "{last:?}");
    Ok(())
}

#[test]
fn other_hosts_are_spoken_to_over_tls_alone() -> Result<()> {
    let listen = format!("api.listen = \"{HOST}\"");
    let Some((lab, daemon)) = protected(&[&listen])? else { return Ok(()) };
    add_user(&daemon, "ann", "viewer")?;
    let (from, to): (_, SocketAddr) = (lab.newcomer().v4, HOST.parse()?);
    let ask_as = |from: Ipv4Addr, question: &Question| -> Result<Answer> {
        let mut client = Client::connect(&lab.net.attackers, from.into(), to)?;
        client.say(&question.text(HOST))?;
        Answer::of(&client.hear("}", Duration::from_secs(30))?)
    };
    let ask = |question: &Question| ask_as(from, question);
    let login = format!("{{\"name\":\"ann\",\"password\":\"{PASSWORD}\"}}");
    let body = Question {
        method: "POST",
        path: "/api/v1/session".to_owned(),
        body: &login,
        ..Question::default()
    };
    let answer = ask(&body)?;
    let cookie = answer.header("set-cookie").context("no cookie")?.to_owned();
    ensure!(answer.status == 200, "{answer:?}");
    for part in ["__Host-sipprot=", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        ensure!(cookie.contains(part), "no {part} in {cookie}");
    }
    ensure!(answer.json()?["address"] == from.to_string(), "{answer:?}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ] {
        ensure!(answer.header(name) == Some(value), "{answer:?}");
    }
    let ann = Credentials::of_cookie(&answer)?;
    ensure!(ask(&ann.get("/version"))?.status == 200);
    // Who guesses the token of a log has to wait, too.
    let (guesser, guess) = (lab.newcomer().v4, Credentials::of_token("a guess"));
    let guesses: Vec<u16> = (0..5)
        .map(|_| Ok(ask_as(guesser, &guess.post("/logs/none", "a line"))?.status))
        .collect::<Result<_>>()?;
    ensure!(guesses[..3] == [401; 3] && guesses.contains(&429), "{guesses:?}");
    // Plain HTTP is no TLS handshake.
    let plain = ann.get("/version").ask(&lab.net.attackers, to);
    ensure!(plain.is_err(), "{plain:?}");

    let lines = vec![listen, "api.tls = \"off\"".to_owned()];
    daemon.configure(&Settings { lines, ..Settings::default() })?;
    let checked = daemon.cli(&["config", "check"])?;
    let complaint = String::from_utf8_lossy(&checked.stderr).into_owned();
    ensure!(!checked.status.success() && complaint.contains("loopback alone"), "{checked:?}");
    ensure!(!daemon.cli(&["reload"])?.status.success());
    ensure!(ask(&ann.get("/version"))?.status == 200, "the old one goes on");
    Ok(())
}
