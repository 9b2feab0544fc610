//! What each kind of guesser and scanner gets out of a protected PBX, as a table.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each
//! test says what is missing.

use std::{net::IpAddr, time::Duration};

use anyhow::Result;
use sipprot_tests::{
    attackers::{
        cracker::{self, Plan},
        sipvicious::{self, Agent, Tool},
    },
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::Manners,
    topology::Family,
};

const LIMIT: u64 = 10;
/// Requests that may be on their way to the PBX when the limit is reached.
const IN_FLIGHT: u64 = 2;
/// Distinct accounts that may fail from a stranger's address.
const ACCOUNTS_LIMIT: u64 = 5;

/// What a cracker does otherwise than by default, and from how many CPUs.
type Variant = (&'static str, u32, fn(Plan) -> Plan);

const VARIANTS: [Variant; 5] = [
    ("UDP", 1, |plan| plan),
    ("TCP", 1, Plan::tcp),
    ("64 source ports on 2 CPUs", 2, |plan| Plan { source_ports: 64, ..plan }),
    ("one Call-ID, CSeq and branch", 1, |plan| Plan { one_transaction: true, ..plan }),
    ("no rport, another port in Via", 1, |plan| Plan { no_rport: true, source_ports: 2, ..plan }),
];

fn protected() -> Result<Option<(Lab, Daemon)>> {
    let manners = Manners { answers_to_via: true, ..Manners::default() };
    Lab::protected(manners, &Settings::default())
}

fn row(what: &str, sent: u64, reached: u64, answered: u64, verdict: &str) {
    println!("| {what:<34} | {sent:>6} | {reached:>7} | {answered:>8} | {verdict:<9} |");
}

fn head() {
    println!("\n| {:<34} | sent   | reached | answered | verdict   |", "attack");
    println!("|{:-<36}|{:->8}|{:->9}|{:->10}|{:-<11}|", "", "", "", "", "");
}

fn verdict(daemon: &Daemon, source: IpAddr) -> Result<String> {
    std::thread::sleep(Duration::from_millis(500));
    let json = daemon.json(&["why", &source.to_string()])?;
    Ok(json["verdict"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn every_cracker_gets_the_limit_and_is_blocked() -> Result<()> {
    let Some((lab, daemon)) = protected()? else { return Ok(()) };
    head();
    let mut failures = Vec::new();
    for (account, (what, cpus, variant)) in (1000..).zip(VARIANTS) {
        // Each guesses another one: many on one account would make the limit lower.
        let plan = Plan {
            user: account.to_string(),
            ..Plan::new(lab.newcomer().v4.into(), lab.pbxs[0].sip(Family::V4))
        };
        let plan = variant(plan);
        let report = match cpus {
            1 => cracker::attack_from(&lab.net.attackers, &plan)?,
            _ => cracker::attack_on_cpus(&lab.net.attackers, &plan, cpus)?,
        };
        let seen = lab.counts(plan.source)?;
        let verdict = verdict(&daemon, plan.source)?;
        row(what, report.sent.into(), seen.credentialed, seen.rejected, &verdict);
        if !(1..=LIMIT + IN_FLIGHT).contains(&seen.rejected) || verdict != "blocked" {
            failures.push(what);
        }
    }
    assert!(failures.is_empty(), "{failures:?}\n{}", daemon.log());
    Ok(())
}

#[test]
fn scanners_are_contained() -> Result<()> {
    let Some((lab, daemon)) = protected()? else { return Ok(()) };
    head();
    for agent in [Agent::Shown, Agent::Compact, Agent::Renamed("Acme Phone 1.0")] {
        for tool in [Tool::Svwar, Tool::Svmap] {
            let source = lab.newcomer().v4;
            let plan = sipvicious::Plan {
                network: "192.0.2.0/24",
                limit: Duration::from_secs(4),
                ..sipvicious::Plan::new(tool, source, lab.pbxs[1].addresses.v4).disguised(agent)
            };
            sipvicious::attack(&lab, &plan)?;
            let sent = lab.sent.settled(source.into())?;
            let seen = lab.counts(source.into())?;
            let verdict = verdict(&daemon, source.into())?;
            let what = format!("{} {agent:?}", tool.name());
            let answered: u64 = seen.responses.values().sum();
            row(&what, sent.all_requests(), seen.all_requests(), answered, &verdict);
            let most = match (agent, tool) {
                (Agent::Shown, _) => 0,
                (_, Tool::Svwar) => ACCOUNTS_LIMIT + IN_FLIGHT,
                // It asks each PBX once.
                _ => 2,
            };
            assert!(seen.all_requests() <= most, "{what}: {seen:?}\n{}", daemon.log());
            assert!(agent == Agent::Shown || verdict == "contained", "{what}: {verdict}");
        }
    }
    Ok(())
}
