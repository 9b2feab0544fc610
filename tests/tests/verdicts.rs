//! `sipprot why` and `sipprot peer` on the host of the lab: what the operator is told of a blocked,
//! a contained, a quarantined, a trusted and an innocent address.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each
//! test says what is missing.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    daemon::{Daemon, Settings},
    lab::Lab,
    office::{PHONES, STALE_ACCOUNT},
    pbx::Manners,
    topology::{Family, OFFICE},
};

const STALE_PORT: u16 = 25_000;

/// A lab with a running daemon, or a line that says why there is none.
fn protected(settings: &Settings) -> Result<Option<(Lab, Daemon)>> {
    Lab::protected(Manners::default(), settings)
}

fn guesses(lab: &Lab) -> Plan {
    Plan {
        guesses: 60,
        patience: Duration::from_millis(300),
        ..Plan::new(lab.newcomer().v4.into(), lab.pbxs[0].sip(Family::V4))
    }
}

/// What `why` says of an address, once its verdict is the expected one.
fn why(daemon: &Daemon, address: IpAddr, verdict: &str) -> Result<(Value, String)> {
    let address = address.to_string();
    let start = Instant::now();
    loop {
        let json = daemon.json(&["why", &address])?;
        if json["verdict"] == verdict {
            let text = daemon.text(&["why", &address])?;
            println!("$ sipprot why {address}\n{text}");
            return Ok((json, text));
        }
        anyhow::ensure!(start.elapsed() < Duration::from_secs(15), "not {verdict}: {json}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn moments(json: &Value) -> Vec<&str> {
    let all = json["timeline"].as_array().into_iter().flatten();
    all.filter_map(|moment| moment["kind"].as_str()).collect()
}

fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn why_a_cracker_is_blocked_and_how_to_undo_it() -> Result<()> {
    let Some((lab, daemon)) = protected(&Settings::default())? else { return Ok(()) };
    let plan = guesses(&lab);
    cracker::attack_from(&lab.net.attackers, &plan)?;
    let (json, text) = why(&daemon, plan.source, "blocked")?;
    let evidence = &json["blocks"][0]["evidence"];
    assert_eq!((&evidence["limit"], &evidence["window_s"]), (&10.into(), &60.into()));
    for packet in [&evidence["first"], &evidence["last"]] {
        assert_eq!((&packet["method"], &packet["status"]), (&"REGISTER".into(), &401.into()));
        assert_eq!(packet["proof"], "nonce", "{packet}");
        assert_eq!(packet["user_agent"], plan.user_agent.as_str());
        assert!(packet["account"].as_str().is_some_and(|it| it.starts_with(&plan.user)));
        assert!(packet["at_ms"].as_i64().is_some_and(|at| at > 0));
    }
    assert!(json["ends_at"].is_i64() && moments(&json) == ["blocked"], "{json}");
    let undo = format!("sipprot unblock {}", plan.source);
    assert_eq!(json["undo"], undo.as_str());
    let rule = "10 rejected attempts and unanswered challenges of one source within a minute";
    let proof = "proven by a nonce sent to this source alone";
    says(&text, &[rule, proof, "REGISTER, answered 401", &undo, "1 of 5 blocks"]);

    // What was undone is told, too.
    daemon.text(&["unblock", &plan.source.to_string()])?;
    let (json, text) = why(&daemon, plan.source, "nothing")?;
    assert_eq!(moments(&json), ["lifted", "blocked"], "{json}");
    says(&text, &["nothing against", "left alone until", "lifted by"]);
    Ok(())
}

#[test]
fn why_a_forger_is_contained() -> Result<()> {
    let Some((lab, daemon)) = protected(&Settings::default())? else { return Ok(()) };
    let plan = Plan { forge_nonce: true, ..guesses(&lab) };
    cracker::attack_from(&lab.net.attackers, &plan)?;
    let (json, text) = why(&daemon, plan.source, "contained")?;
    assert_eq!(json["blocks"][0]["proven"], false, "{json}");
    assert!(json["ends_at"].is_i64(), "{json}");
    says(&text, &["ends by itself", "not proven", "First", "Last", "sipprot unblock"]);
    Ok(())
}

#[test]
fn why_a_phone_of_a_trusted_office_is_quarantined() -> Result<()> {
    let Some((lab, daemon)) = protected(&Settings::default())? else { return Ok(()) };
    let office = lab.office();
    assert_eq!(office.register()?.ok, PHONES);
    let (json, text) = why(&daemon, OFFICE.v4.into(), "trusted")?;
    assert_eq!(json["trust"]["accounts"].as_array().map(Vec::len), Some(PHONES as usize));
    assert_eq!(json["undo"], format!("sipprot trust revoke {}", OFFICE.v4).as_str());
    says(&text, &["nothing against", "trusted peer", "50 accounts registered", "and 45 more"]);

    let stale = office.start_stale_phone(STALE_PORT, Duration::from_millis(20))?;
    let (json, text) = why(&daemon, OFFICE.v4.into(), "quarantined")?;
    let _ = stale.finish();
    let block = &json["blocks"][0];
    assert_eq!(block["port"], STALE_PORT, "{json}");
    let account = block["account"].as_str().context("an account")?;
    assert!(account.starts_with(&STALE_ACCOUNT.to_string()), "{account}");
    assert_eq!(block["evidence"]["last"]["port"], STALE_PORT, "{block}");
    let port = format!("source port {STALE_PORT} is quarantined");
    says(&text, &["a trusted peer and passes", &port, account, "50", "sipprot unblock"]);
    Ok(())
}

#[test]
fn why_an_innocent_and_a_denied_address() -> Result<()> {
    let Some((lab, daemon)) = protected(&Settings::default())? else { return Ok(()) };
    let stranger = lab.newcomer().v4.into();
    let (json, text) = why(&daemon, stranger, "nothing")?;
    assert!(json["undo"].is_null() && moments(&json).is_empty(), "{json}");
    says(&text, &[&format!("nothing against {stranger}; no account registered")]);

    let plan = Plan { guesses: 7, ..guesses(&lab) };
    cracker::attack_from(&lab.net.attackers, &plan)?;
    std::thread::sleep(Duration::from_millis(300));
    let (_, text) = why(&daemon, plan.source, "nothing")?;
    says(&text, &["7 of 10 rejected attempts", "in the last minute", "REGISTER"]);

    daemon.text(&["deny", "add", "198.18.0.0/15", "--note", "nobody we know"])?;
    let (json, text) = why(&daemon, "198.18.7.7".parse()?, "denied")?;
    assert_eq!(json["undo"], "sipprot deny remove 198.18.0.0/15");
    says(&text, &["198.18.0.0/15 is on the denylist", "nobody we know", "added by"]);
    Ok(())
}

#[test]
fn a_peer_by_command_is_trusted_at_once_and_after_a_restart() -> Result<()> {
    let configured =
        Settings { lines: vec!["peers = [\"192.0.2.240/28\"]".to_owned()], ..Settings::default() };
    let Some((lab, mut daemon)) = protected(&configured)? else { return Ok(()) };
    let plan = Plan { forge_nonce: true, ..guesses(&lab) };
    let address = plan.source.to_string();
    cracker::attack_from(&lab.net.attackers, &plan)?;
    why(&daemon, plan.source, "contained")?;

    daemon.text(&["peer", "add", &address, "--note", "a trunk"])?;
    let (json, text) = why(&daemon, plan.source, "trusted")?;
    assert_eq!(json["undo"], format!("sipprot peer remove {address}").as_str());
    says(&text, &["by the operator's word", "a trunk"]);
    let report = cracker::attack_from(&lab.net.attackers, &plan)?;
    assert_eq!(report.answers_of(401), plan.guesses, "a peer's failures without proof only count");

    daemon.kill()?;
    daemon.start()?;
    why(&daemon, plan.source, "trusted")?;
    let listed = daemon.text(&["peer", "list"])?;
    says(&listed, &[&address, "a trunk", "192.0.2.240/28", "sipprot.toml:"]);
    says(&daemon.text(&["trust", "list"])?, &[&address, "configured"]);
    says(&daemon.text(&["check", &address])?, &["Trusted peer", "a trunk"]);

    let refused = daemon.cli(&["peer", "remove", "192.0.2.240/28"])?;
    assert!(!refused.status.success());
    says(&String::from_utf8_lossy(&refused.stderr), &["sipprot.toml:", "'peers'", "reload"]);
    daemon.text(&["peer", "remove", &address])?;
    why(&daemon, plan.source, "nothing")?;
    cracker::attack_from(&lab.net.attackers, &plan)?;
    why(&daemon, plan.source, "contained")?;
    Ok(())
}
