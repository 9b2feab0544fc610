//! SIP over TCP that is cut into pieces, by the client or by its window, against a real PBX.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each
//! test says what is missing.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sipprot_tests::{
    attackers::cracker::{self, Plan, Report, TinyWindow},
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::{self, Manners},
    topology::Family,
};

const LIMIT: u64 = 10;
/// Requests that may be on their way to the PBX when the limit is reached.
const IN_FLIGHT: u64 = 2;
/// The least for which Linux sends at once: its answers leave in pieces of 36 and 12 bytes.
const WINDOW: u16 = 48;
const ACCOUNT: u16 = 1000;

fn protected() -> Result<Option<(Lab, Daemon)>> {
    Lab::protected(Manners::default(), &Settings::default())
}

fn guesses(lab: &Lab, source: Ipv4Addr, guesses: u32) -> Plan {
    let plan = Plan::new(source.into(), lab.pbxs[0].sip(Family::V4)).tcp();
    Plan { guesses, patience: Duration::from_secs(2), ..plan }
}

/// A phone with the right password.
fn phone(lab: &Lab, source: Ipv4Addr) -> Plan {
    Plan { password: Some(pbx::password(ACCOUNT)), ..guesses(lab, source, 1) }
}

fn attack(lab: &Lab, plan: &Plan) -> Result<(Report, u64)> {
    let report = cracker::attack_from(&lab.net.attackers, plan)?;
    let rejected = lab.counts(plan.source)?.rejected;
    println!("{} guesses from {}: {rejected} rejected, {report:?}", plan.guesses, plan.source);
    Ok((report, rejected))
}

/// What `why` says of an address, once its verdict is the expected one.
fn why(daemon: &Daemon, address: IpAddr, verdict: &str) -> Result<Value> {
    let start = Instant::now();
    loop {
        let json = daemon.json(&["why", &address.to_string()])?;
        if json["verdict"] == verdict {
            return Ok(json);
        }
        ensure!(start.elapsed() < Duration::from_secs(15), "not {verdict}: {json}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Events that the kernel has told so far.
fn events(daemon: &Daemon) -> Result<u64> {
    let metrics = daemon.metrics()?;
    let line = metrics.lines().find_map(|line| line.strip_prefix("sipprot_events_received_total "));
    line.context("a count of events")?.parse().context("a number")
}

fn check_blocked(lab: &Lab, daemon: &Daemon, plan: &Plan) -> Result<()> {
    let (_, rejected) = attack(lab, plan)?;
    assert!((1..=LIMIT + IN_FLIGHT).contains(&rejected), "{plan:?}: {rejected}");
    let json = why(daemon, plan.source, "blocked")?;
    let block = &json["blocks"][0];
    assert_eq!((&block["rule"], &block["proven"]), (&"BRUTEFORCE:register".into(), &true.into()));
    Ok(())
}

#[test]
fn answers_that_leave_in_pieces_are_judged() -> Result<()> {
    let Some((lab, daemon)) = protected()? else { return Ok(()) };
    let source = lab.newcomer().v4;
    let _window = TinyWindow::of(&lab.net.attackers, source, WINDOW)?;
    let before = events(&daemon)?;
    check_blocked(&lab, &daemon, &guesses(&lab, source, 60))?;
    let pieces = events(&daemon)? - before;
    println!("{pieces} events");
    assert!(pieces > 10 * LIMIT, "the answers left whole: {pieces} events");
    Ok(())
}

#[test]
fn guesses_in_pieces_are_judged() -> Result<()> {
    let Some((lab, daemon)) = protected()? else { return Ok(()) };
    let source = lab.newcomer().v4;
    check_blocked(&lab, &daemon, &guesses(&lab, source, 60).split(12))?;
    // Both ways at once.
    let source = lab.newcomer().v4;
    let _window = TinyWindow::of(&lab.net.attackers, source, WINDOW)?;
    check_blocked(&lab, &daemon, &guesses(&lab, source, 60).split(12))
}

#[test]
fn a_phone_that_sends_in_pieces_registers() -> Result<()> {
    let Some((lab, daemon)) = protected()? else { return Ok(()) };
    for window in [None, Some(WINDOW)] {
        let source = lab.newcomer().v4;
        let _window =
            window.map(|it| TinyWindow::of(&lab.net.attackers, source, it)).transpose()?;
        let phone = phone(&lab, source).split(12);
        for _ in 0..3 {
            let (report, rejected) = attack(&lab, &phone)?;
            assert_eq!((report.answers_of(200), rejected), (1, 0), "{report:?}");
        }
        let json = why(&daemon, phone.source, "trusted")?;
        assert_eq!(json["blocks"].as_array().map(Vec::len), Some(0), "{json}");
        assert!(!daemon.check(phone.source)?.is_cut_off());
    }
    Ok(())
}

#[test]
fn a_trusted_source_is_judged_by_its_connection() -> Result<()> {
    let Some((lab, daemon)) = protected()? else { return Ok(()) };
    let source = lab.newcomer().v4;
    let (report, _) = attack(&lab, &phone(&lab, source))?;
    assert_eq!(report.answers_of(200), 1, "{report:?}");
    why(&daemon, source.into(), "trusted")?;
    let _window = TinyWindow::of(&lab.net.attackers, source, WINDOW)?;
    let stale = Plan { user: "1001".to_owned(), source_port: 25_000, ..guesses(&lab, source, 60) };
    attack(&lab, &stale)?;
    let json = why(&daemon, source.into(), "quarantined")?;
    let block = &json["blocks"][0];
    assert_eq!((&block["port"], &block["proven"]), (&stale.source_port.into(), &true.into()));
    Ok(())
}
