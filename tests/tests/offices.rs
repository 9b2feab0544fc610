//! Five hundred phones behind one address, and everything that makes them fail all at once: nothing is
//! held against them, and all are registered within a minute.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each
//! test says what is missing.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::Value;
use sipprot_tests::{
    campus::{PHONES, Routine},
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::Manners,
    sipp::{Calls, Sipp},
    topology::{OFFICE, SBC},
};

const ALL: Calls = Calls { ok: PHONES.end as u32 - PHONES.start as u32, failed: 0 };
/// How fast all switch on after a power cut.
const AT_ONCE: Duration = Duration::from_secs(5);
const STALE_PORT: u16 = 5099;
const SBC_PORT: u16 = 5062;

/// Waits for the end of a run in which every phone must succeed, and says how long it took.
fn all_registered(what: &str, daemon: &Daemon, run: Sipp, since: Instant) -> Result<()> {
    let calls = run.finish()?;
    println!("{what}: {calls:?} after {:?}", since.elapsed());
    assert_eq!(calls, ALL, "{what}: {:?}\n{}", daemon.dropped()?, daemon.log());
    Ok(())
}

/// Nothing was done about it, not to one packet; and every phone is known, so that nothing will be.
fn nothing_against(daemon: &Daemon, source: Ipv4Addr) -> Result<()> {
    let json = nothing_against_but(daemon, source, &[])?;
    let known = json["trust"]["accounts"].as_array().map(Vec::len);
    assert_eq!(known, Some(PHONES.len()), "accounts known");
    Ok(())
}

/// Nothing was done about it, but packets may have been dropped for some reasons.
fn nothing_against_but(daemon: &Daemon, source: Ipv4Addr, reasons: &[&str]) -> Result<Value> {
    let json = daemon.json(&["why", &source.to_string()])?;
    let dropped = daemon.dropped()?;
    println!("{source}: {}, dropped {dropped:?}", json["verdict"]);
    assert_eq!(json["verdict"], "trusted", "{json}\n{}", daemon.log());
    assert_eq!(json["timeline"].as_array().map(Vec::len), Some(0), "{json}");
    assert!(dropped.keys().all(|reason| reasons.contains(&reason.as_str())), "{dropped:?}");
    Ok(json)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The short form, unless `SIPPROT_TEST_FULL` asks for the long one.
fn short_or_full(short_s: u64, full_s: u64) -> Duration {
    seconds(if std::env::var_os("SIPPROT_TEST_FULL").is_some() { full_s } else { short_s })
}

#[test]
fn never_seen_and_all_at_once() -> Result<()> {
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let start = Instant::now();
    let run = lab.campus(OFFICE.v4).start(Routine::once(AT_ONCE))?;
    all_registered("after a power cut", &daemon, run, start)?;
    nothing_against(&daemon, OFFICE.v4)
}

/// So many answer their challenges before the first acceptance that the attempt window is full: the
/// acceptance ends the hold, and phones repeat themselves.
#[test]
fn never_seen_and_all_in_a_blink() -> Result<()> {
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let start = Instant::now();
    let run = lab.campus(OFFICE.v4).start(Routine::once(Duration::from_millis(100)))?;
    all_registered("in a blink", &daemon, run, start)?;
    nothing_against_but(&daemon, OFFICE.v4, &["held", "source_ceiling", "endpoint_ceiling"])?;
    Ok(())
}

#[test]
fn all_renew_with_expired_nonces() -> Result<()> {
    let manners = Manners { nonce_expire_s: 3, ..Manners::default() };
    let Some((lab, daemon)) = Lab::protected(manners, &Settings::default())? else {
        return Ok(());
    };
    let start = Instant::now();
    let routine = Routine::once(short_or_full(5, 30)).renewed(3, seconds(6));
    let run = lab.campus(OFFICE.v4).start(routine)?;
    all_registered("renewals with expired nonces", &daemon, run, start)?;
    let seen = lab.counts(OFFICE.v4.into())?;
    // Of each phone two renewals are called stale first.
    assert!(seen.rejected >= 900, "there was no storm: {seen:?}");
    nothing_against(&daemon, OFFICE.v4)
}

#[test]
fn the_pbx_comes_back_with_a_new_secret() -> Result<()> {
    let Some((mut lab, daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let run = lab.campus(OFFICE.v4).start(Routine::once(AT_ONCE).renewed(2, seconds(8)))?;
    std::thread::sleep(seconds(6));
    lab.pbxs[0].crash()?;
    lab.pbxs[0].start_again()?;
    all_registered("after a restart of the PBX", &daemon, run, Instant::now())?;
    let seen = lab.counts(OFFICE.v4.into())?;
    assert!(seen.rejected >= 450, "no nonce of before was used: {seen:?}");
    nothing_against(&daemon, OFFICE.v4)
}

#[test]
fn the_pbx_is_away() -> Result<()> {
    let Some((mut lab, daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let away = short_or_full(25, 300);
    let routine = Routine { outage: away, ..Routine::once(AT_ONCE).renewed(2, seconds(8)) };
    let run = lab.campus(OFFICE.v4).start(routine)?;
    std::thread::sleep(seconds(6));
    lab.pbxs[0].crash()?;
    std::thread::sleep(away);
    lab.pbxs[0].start_again()?;
    all_registered("after an outage of the PBX", &daemon, run, Instant::now())?;
    nothing_against(&daemon, OFFICE.v4)
}

/// One phone has an old password: on a port of its own, and among five hundred behind one port.
#[test]
fn one_stale_password_harms_nobody_else() -> Result<()> {
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let _trunk = lab.trunk().answer()?;
    let (office, sbc) = (lab.campus(OFFICE.v4), lab.campus(SBC).through(SBC_PORT));
    let time = short_or_full(60, 600);
    let pause = seconds(10);
    let times = (time.as_secs() / pause.as_secs()) as u32;
    // They renew for as long as one fails.
    let stale = office.start_stale(STALE_PORT, time)?;
    let routine = Routine::once(AT_ONCE).renewed(times, pause);
    let run = office.start(routine)?;
    let run_sbc = sbc.start(Routine { one_is_stale: true, ..routine })?;
    std::thread::sleep(time / 2);
    for (who, campus) in [("the office", office), ("behind the SBC", sbc)] {
        let calls = campus.start_calls_out(50, 20)?.finish()?;
        assert_eq!(calls, Calls { ok: 50, failed: 0 }, "calls of {who}");
    }
    all_registered("the office", &daemon, run, Instant::now())?;
    let calls = run_sbc.finish()?;
    assert_eq!(calls, Calls { ok: ALL.ok + 1, failed: 0 }, "behind the SBC");
    drop(stale);
    let dropped = daemon.dropped()?;
    println!("dropped: {dropped:?}");
    let reasons: Vec<&str> = dropped.keys().map(String::as_str).collect();
    assert_eq!(reasons, ["quarantined"], "{}", daemon.log());
    // Its port was cut off, the operator told, and nothing else of the office touched.
    let office = daemon.json(&["why", &OFFICE.v4.to_string()])?;
    let moments = office["timeline"].as_array().into_iter().flatten();
    let kinds: BTreeSet<&str> = moments.filter_map(|it| it["kind"].as_str()).collect();
    assert!(kinds.contains("quarantined"), "{office}");
    assert!(kinds.is_subset(&BTreeSet::from(["alerted", "quarantined", "ended"])), "{office}");
    let spared = daemon.json(&["why", &SBC.to_string()])?;
    assert_eq!(spared["verdict"], "trusted", "{spared}");
    Ok(())
}
