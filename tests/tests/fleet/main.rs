//! A fleet over real NATS servers: a hub, and hosts with the real daemon and the real kernel.

/// Daemons with a filter, and hosts without a daemon around them.
mod hosts;
/// What a malicious host, or whoever holds the servers, can do: nothing, and it is counted.
mod malice;
/// NATS servers and the hub.
mod middle;
/// Sixty hosts and a cluster that loses its nodes, the hub and the link.
mod sixty;

use std::{net::IpAddr, time::Duration};

use anyhow::{Context, Result};
use sipprot_tests::{
    browser::{self, browse},
    daemon::{Daemon, Settings},
    lab::Lab,
    patience::{wait_for, wait_within},
    pbx::Manners,
};

use hosts::{
    SPREAD_WITHIN, crack, dropped, join, knock, knock_passes, other_address, other_host,
    spread_time, wait_for_denial,
};
use middle::Fleet;

const NOT_FOUND: i32 = 4;
const REFUSED: i32 = 6;

#[test]
fn what_one_host_proves_all_know_and_can_be_told_to_forget() -> Result<()> {
    if let Some(missing) = middle::missing() {
        println!("skipped: needs {missing}");
        return Ok(());
    }
    let Some((lab, mut daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let (_host, mut other) = other_host(&lab, 0)?;
    let mut fleet = Fleet::new(&lab, 1)?;
    let (first, second) = (fleet.add_host("pbx-01")?, fleet.add_host("pbx-02")?);
    fleet.start_hub()?;
    join(&mut daemon, &first)?;
    join(&mut other, &second)?;

    // By default somebody looks at it first.
    let attacker: IpAddr = lab.newcomer().v4.into();
    let name = attacker.to_string();
    crack(&lab, attacker)?;
    fleet.wait_for_state(attacker, "pending")?;
    println!("{}", fleet.text(&["fleet", "pending"])?);
    assert!(!other.check(attacker)?.denied);
    fleet.text(&["fleet", "approve", &name])?;
    wait_for_denial(&other, attacker, true)?;
    println!("{}", other.text(&["why", &name])?);
    let listed = other.json(&["list", "deny"])?;
    assert_eq!(listed["entries"][0]["origin"], "fleet", "{listed:#}");
    knock(&lab, attacker)?;
    wait_for("dropped packets", || Ok((dropped(&other)? >= 5).then_some(())))?;
    fleet.text(&["fleet", "recall", &name, "--note", "a customer's"])?;
    wait_for_denial(&other, attacker, false)?;
    let before = dropped(&other)?;
    knock(&lab, attacker)?;
    assert_eq!(dropped(&other)?, before);
    assert_eq!(fleet.state_of(attacker)?.as_deref(), Some("recalled"));
    let log = fleet.json(&["fleet", "log"])?;
    let decided = |at: usize| {
        let it = &log["decisions"][at];
        (it["what"].as_str(), it["sources"][0]["before"].as_str(), it["note"].as_str())
    };
    assert_eq!(decided(0), (Some("recall"), Some("listed"), Some("a customer's")), "{log:#}");
    assert_eq!(decided(1), (Some("approve"), Some("pending"), Some("")), "{log:#}");
    println!("{}", fleet.text(&["fleet", "log"])?);

    // A quorum of one: within a second.
    fleet.set("spread = \"quorum\"\nquorum = 1\n")?;
    let quick: IpAddr = lab.newcomer().v4.into();
    crack(&lab, quick)?;
    wait_for_denial(&other, quick, true)?;
    let took = spread_time(&daemon, &other, quick)?;
    println!("blocked at pbx-01, dropped at pbx-02 after {took:?}");
    assert!(took < SPREAD_WITHIN, "{took:?}");
    // What was recalled stays so.
    daemon.text(&["unblock", &name])?;
    assert_eq!(fleet.state_of(attacker)?.as_deref(), Some("recalled"));

    // The hub away: nothing is lost, and what holds goes on.
    fleet.hub.take().context("a hub")?.kill();
    let late: IpAddr = lab.newcomer().v4.into();
    crack(&lab, late)?;
    assert!(other.check(quick)?.denied);
    fleet.start_hub()?;
    wait_for_denial(&other, late, true)?;
    // So with NATS away, and with a host that was away.
    fleet.servers[0] = None;
    let later: IpAddr = lab.newcomer().v4.into();
    crack(&lab, later)?;
    other.stop()?;
    other.start()?;
    assert!(other.check(quick)?.denied, "{}", other.log());
    fleet.start_server(0)?;
    wait_for_denial(&other, later, true)?;

    wait_for("the other host's health", || {
        let hosts = fleet.json(&["fleet", "hosts"])?;
        Ok((hosts["hosts"][1]["health"] == "protected").then_some(()))
    })?;

    // Protected, private, its own: never.
    fleet.refused(&["fleet", "approve", "10.0.0.1"], REFUSED, "private")?;
    fleet.refused(&["fleet", "approve", "198.51.0.0/16"], REFUSED, "too-wide")?;
    fleet.refused(&["fleet", "approve", &other_address(0).to_string()], REFUSED, "own-address")?;
    fleet.refused(&["fleet", "recall", "203.0.113.99"], NOT_FOUND, "not listed")?;
    println!("{}", fleet.text(&["fleet", "protect", &format!("{quick}")])?);
    wait_for_denial(&other, quick, false)?;

    // What one host lets in, the others' word does not shut out.
    other.text(&["allow", "add", &later.to_string()])?;
    assert!(other.check(later)?.allowed);
    knock_passes(&lab, &other, later)?;

    println!("{}", fleet.text(&["fleet", "hosts"])?);
    println!("{}", fleet.text(&["fleet", "status", "--hub"])?);
    println!("{}", other.text(&["fleet", "status"])?);
    beside_the_hub(&lab, &daemon, &mut fleet, &other)?;
    a_host_falls_silent(&daemon, &mut fleet, &mut other)?;
    malice::strangers(&lab, &fleet, &first)
}

/// A daemon that runs beside the hub: its dashboard shows the fleet, and decides.
fn beside_the_hub(lab: &Lab, daemon: &Daemon, fleet: &mut Fleet, other: &Daemon) -> Result<()> {
    fleet.set("spread = \"webmaster\"\n")?;
    let attacker: IpAddr = lab.newcomer().v4.into();
    crack(lab, attacker)?;
    fleet.wait_for_state(attacker, "pending")?;
    let directory = fleet.directory.to_str().context("a path")?;
    daemon.text(&["config", "set", "fleet.hub", directory])?;
    if let Some(missing) = browser::missing() {
        println!("the hub in a browser skipped: needs {}", missing.display());
        return Ok(());
    }
    daemon.text(&["config", "set", "api.listen", browser::API])?;
    browser::add_users(daemon)?;
    browse(lab, &attacker.to_string(), &["hosts"])?;
    wait_for_denial(other, attacker, true)
}

/// The daemon beside the hub says so, and who scrapes it sees it.
fn a_host_falls_silent(daemon: &Daemon, fleet: &mut Fleet, other: &mut Daemon) -> Result<()> {
    let problem = |text: &str| {
        // It is looked at every five seconds, and so is who is silent.
        wait_within(Duration::from_secs(30), text, || {
            let status = daemon.json(&["status"])?;
            let problems = status["problems"].as_array().context("problems")?;
            let told = problems.iter().filter_map(|it| it.as_str()).any(|it| it.contains(text));
            Ok(told.then_some(()))
        })
        .with_context(|| daemon.log())
    };
    other.stop()?;
    fleet.set("silent_after = \"5s\"\n")?;
    problem("nothing is heard of pbx-02")?;
    let metrics = daemon.metrics()?;
    assert!(metrics.contains("sipprot_fleet_hosts{health=\"silent\"} 1"), "{metrics}");
    assert!(metrics.contains("sipprot_fleet_hub_up 1"), "{metrics}");
    fleet.hub.take().context("a hub")?.kill();
    problem("the fleet's hub does not answer")?;
    fleet.start_hub()
}
