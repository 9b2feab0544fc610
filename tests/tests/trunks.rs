//! A trunk that nobody configured and that never registers: the endpoints ask it whether it is there,
//! and its answers are all that speaks for it.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each
//! test says what is missing.

use std::time::Duration;

use anyhow::{Context, Result};
use sipprot_tests::{
    daemon::Settings,
    lab::Lab,
    pbx::Manners,
    sipp::Calls,
    topology::{TRUNK, lines},
};

/// An endpoint for each of the PBX's lines.
fn tenants() -> Settings {
    let tenant = |line| format!("\n[[endpoint]]\nname = \"{line}\"\naddresses = [\"{line}\"]\n");
    Settings { lines: lines().map(tenant).collect(), ..Settings::default() }
}

#[test]
fn a_qualified_trunk_may_ask_all_and_call_in_vain() -> Result<()> {
    let manners = Manners { many_lines: true, qualifies_trunk: true, ..Manners::default() };
    let Some((lab, daemon)) = Lab::protected(manners, &tenants())? else { return Ok(()) };
    let trunk = lab.trunk();
    let _there = trunk.answer_options()?;
    // The PBX asks every second; over and over again, to have it in the course of things.
    std::thread::sleep(Duration::from_secs(3));
    for _ in 0..3 {
        assert_eq!(trunk.ask(lines())?, 40, "answers to the trunk's OPTIONS");
    }
    // Ported away: nobody has these numbers here.
    let calls = trunk.start_calls_in_vain(100, 25)?.finish()?;
    assert_eq!(calls, Calls { ok: 100, failed: 0 }, "calls answered with 404");

    let json = daemon.json(&["why", &TRUNK.v4.to_string()])?;
    println!("{}", daemon.text(&["why", &TRUNK.v4.to_string()])?);
    assert_eq!(json["verdict"], "trusted", "{json}");
    assert_eq!(json["timeline"].as_array().context("a timeline")?.len(), 0, "{json}");
    assert_eq!(daemon.dropped()?, Default::default());
    Ok(())
}
