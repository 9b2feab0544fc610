//! Five hundred phones behind one address, and everything that makes them fail all at once: nothing is
//! held against them, and all are registered within a minute.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each
//! test says what is missing.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::Result;
use sipprot_tests::{
    campus::PHONES,
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::Manners,
    sipp::{Calls, Sipp},
    topology::OFFICE,
};

const ALL: Calls = Calls { ok: PHONES.end as u32 - PHONES.start as u32, failed: 0 };
/// How fast all switch on after a power cut.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Waits for the end of a run in which every phone must succeed, and says how long it took.
fn all_registered(what: &str, run: Sipp, since: Instant) -> Result<()> {
    let calls = run.finish()?;
    println!("{what}: {calls:?} after {:?}", since.elapsed());
    assert_eq!(calls, ALL, "{what}");
    Ok(())
}

/// Nothing was blocked, contained, quarantined or held, not for one packet.
fn nothing_against(daemon: &Daemon, source: Ipv4Addr) -> Result<()> {
    let dropped = daemon.dropped()?;
    println!("dropped: {dropped:?}");
    println!("{}", daemon.text(&["why", &source.to_string()])?);
    println!("{}", daemon.log());
    let json = daemon.json(&["why", &source.to_string()])?;
    assert_eq!(json["verdict"], "trusted", "{json}");
    assert_eq!(json["timeline"].as_array().map(Vec::len), Some(0), "{json}");
    let unjust = ["denied", "blocked", "quarantined", "contained", "held"];
    assert!(unjust.iter().all(|reason| !dropped.contains_key(*reason)), "{dropped:?}");
    Ok(())
}

#[test]
fn never_seen_and_all_at_once() -> Result<()> {
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let start = Instant::now();
    let run = lab.campus(OFFICE.v4).start(AT_ONCE, 1, Duration::ZERO)?;
    all_registered("after a power cut", run, start)?;
    nothing_against(&daemon, OFFICE.v4)
}
