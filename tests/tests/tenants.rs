//! Tenants of one host: limits of their own, blocks of their own, and two of them behind one address.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each
//! test says what is missing.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    daemon::{Daemon, Settings, owned},
    lab::Lab,
    patience::wait_within,
    pbx::{self, Manners, SECOND_PORT},
    services::{self, WebServer, curl_gets},
    topology::{Family, PBXS},
};

/// Guesses that may be on their way to the PBX when the limit is reached.
const IN_FLIGHT: u32 = 2;

/// What each of the two endpoints has of its own.
fn tenants(first: &[&str], second: &[&str]) -> Settings {
    Settings { endpoints: [owned(first), owned(second)], ..Settings::default() }
}

fn plan(lab: &Lab, target: SocketAddr) -> Plan {
    let patience = Duration::from_millis(300);
    Plan { guesses: 300, patience, ..Plan::new(lab.newcomer().v4.into(), target) }
}

/// How many guesses were answered, and by which block that ended.
fn crack(lab: &Lab, daemon: &Daemon, plan: &Plan) -> Result<(u32, Value)> {
    let report = cracker::attack_from(&lab.net.attackers, plan)?;
    let answered = report.answers.values().sum();
    println!("{} at {}: {answered} guesses answered", plan.source, plan.target);
    let block = || Ok(daemon.blocks(plan.source)?.pop());
    let block = wait_within(Duration::from_secs(10), "a block", block)
        .with_context(|| format!("{}: {}", plan.source, daemon.log()))?;
    Ok((answered, block))
}

/// Whether somebody answers a source.
fn answers(lab: &Lab, source: IpAddr, to: SocketAddr) -> Result<bool> {
    lab.net.attackers.run(|| pbx::answers_options(SocketAddr::new(source, 0), to))
}

#[test]
fn each_has_its_own_limits() -> Result<()> {
    let tight = ["register_limit = 3", "block_time = \"5m\"", "http.rate = 1", "http.burst = 3"];
    let wide = ["register_limit = 10", "http.rate = 1", "http.burst = 8"];
    let settings = tenants(&tight, &wide);
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &settings)? else { return Ok(()) };
    for (number, limit, seconds) in [(0, 3, 300), (1, 10, 3600)] {
        let plan = plan(&lab, lab.pbxs[number].sip(Family::V4));
        let (answered, block) = crack(&lab, &daemon, &plan)?;
        assert!((limit..=limit + IN_FLIGHT).contains(&answered), "limit {limit}: {answered}");
        assert_eq!(block["duration_s"], seconds, "{block}");
    }
    if let Some(missing) = services::missing() {
        println!("the web's limits are skipped: they need {missing}");
        return Ok(());
    }
    let _servers = [WebServer::start(&lab.net.pbxs[0])?, WebServer::start(&lab.net.pbxs[1])?];
    let source = lab.newcomer().v4.into();
    let came = |number: usize| -> Result<usize> {
        let url = format!("http://{}/", PBXS[number].v4);
        (0..10).try_fold(0, |count, _| {
            Ok(count + usize::from(curl_gets(&lab.net.attackers, source, &url)?))
        })
    };
    assert_eq!((came(0)?, came(1)?), (3, 8), "of ten connections");

    let status = daemon.json(&["status"])?;
    let settings = status["endpoints"][0]["settings"].as_array().context("settings")?.clone();
    let origin = |key: &str| {
        let found = settings.iter().find(|it| it["key"] == key);
        found.map(|it| format!("{} {}", it["value"], it["origin"])).unwrap_or_default()
    };
    assert_eq!(origin("register_limit"), "\"3\" \"endpoint\"");
    assert_eq!(origin("invite_limit"), "\"5\" \"host\"");
    let told = daemon.text(&["status"])?;
    assert!(told.contains("Endpoint pbx1: its own register_limit 3"), "{told}");
    Ok(())
}

#[test]
fn a_block_may_hold_at_one_alone() -> Result<()> {
    let settings = tenants(&["block_scope = \"endpoint\"", "register_limit = 3"], &[]);
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &settings)? else { return Ok(()) };
    let [first, second] = [0, 1].map(|number: usize| lab.pbxs[number].sip(Family::V4));
    // No more than the limit, or the kernel would hold all of its SIP for a minute.
    let plan = Plan { guesses: 3, ..plan(&lab, first) };
    let (_, block) = crack(&lab, &daemon, &plan)?;
    assert_eq!(block["endpoint"], "pbx1", "{block}");
    assert!(!answers(&lab, plan.source, first)? && answers(&lab, plan.source, second)?);
    Ok(())
}

#[test]
fn two_behind_one_address_are_told_apart_by_their_ports() -> Result<()> {
    let manners = Manners { second_port: true, ..Manners::default() };
    let Some((lab, daemon)) = Lab::protected(manners, &Settings::default())? else { return Ok(()) };
    let unwelcome: IpAddr = lab.newcomer().v4.into();
    let second = |mode: &str| Settings {
        tables: vec![format!(
            "[[endpoint]]\nname = \"second\"\naddresses = [\"{}\", \"{}\"]\nmode = \"{mode}\"\n\
             sip_ports = [{SECOND_PORT}]\nregister_limit = 3\ndeny = [\"{unwelcome}\"]\n",
            PBXS[0].v4, PBXS[0].v6
        )],
        ..Settings::default()
    };
    daemon.configure(&second("enforce"))?;
    daemon.text(&["reload"])?;
    let [here, there] =
        [pbx::SIP_PORT, SECOND_PORT].map(|port| SocketAddr::new(PBXS[0].v4.into(), port));
    assert!(answers(&lab, unwelcome, here)? && !answers(&lab, unwelcome, there)?, "its own list");
    let guest = lab.newcomer().v4.into();
    assert!(answers(&lab, guest, here)? && answers(&lab, guest, there)?, "both are there");

    let mut cracked = Vec::new();
    for (target, limit, endpoint) in [(here, 10, "pbx1"), (there, 3, "second")] {
        let plan = plan(&lab, target);
        let (answered, _) = crack(&lab, &daemon, &plan)?;
        assert!((limit..=limit + IN_FLIGHT).contains(&answered), "{endpoint}: {answered}");
        cracked.push((plan.source, endpoint));
    }
    let report = daemon.json(&["report"])?;
    let rows = report["rows"].as_array().context("rows")?;
    for (source, endpoint) in cracked {
        let row = rows.iter().find(|row| row["attacker"] == source.to_string()).context("a row")?;
        assert_eq!(row["endpoint"], endpoint, "{row}");
    }
    let metrics = daemon.metrics()?;
    for series in [
        "sipprot_packets_total{endpoint=\"pbx1\",reason=\"sip_request\",verdict=\"passed\"}",
        "sipprot_packets_total{endpoint=\"second\",reason=\"sip_request\",verdict=\"passed\"}",
        "sipprot_packets_total{endpoint=\"second\",reason=\"denied\",verdict=\"dropped\"}",
    ] {
        assert!(metrics.contains(series), "no {series}");
    }

    daemon.configure(&second("observe"))?;
    daemon.text(&["reload"])?;
    assert!(answers(&lab, unwelcome, there)?, "a mode of its own");
    Ok(())
}
