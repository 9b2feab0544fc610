//! A forged flood on the lab: a million sources, and among them the office, the trunk and the
//! operator. They work on, none of them is held to account for it, and a cracker hides in vain.
//!
//! The flood lasts a minute, or as long as `SIPPROT_FLOOD_SECONDS` says.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sipprot_tests::{
    attackers::{
        cracker::{self, Plan},
        flood,
    },
    daemon::{Daemon, Settings},
    lab::Lab,
    office::{CALLEES, PHONES},
    pbx::Manners,
    sipp::Calls,
    topology::{Family, OFFICE, TRUNK},
    usage,
};

const LIMIT: u64 = 10;
/// Requests that may be on their way to the PBX when the limit is reached.
const IN_FLIGHT: u64 = 2;
/// Somebody at home who may do everything.
const OPERATOR: &str = "203.0.113.77";
const FRAMES_PER_SECOND: u64 = 250_000;
/// What the generator must reach even on a machine that does other things, too.
const FRAMES_PER_SECOND_MIN: u64 = 50_000;
const SECONDS_DEFAULT: u64 = 60;
/// Of each forged source.
const FRAMES_EACH_MIN: u64 = 10;
/// Before the machine's speed is to blame for too few frames.
const SECONDS_MORE_MAX: u64 = 120;
const MEMORY_MAX_MIB: f64 = 256.0;

fn protected() -> Result<Option<(Lab, Daemon)>> {
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(None);
    };
    daemon.text(&["allow", "add", OPERATOR, "--note", "the operator"])?;
    Ok(Some((lab, daemon)))
}

/// In whose names beside those of the million: with the ports that they really use.
fn real() -> Result<Vec<SocketAddr>> {
    let office = SocketAddr::new(OFFICE.v4.into(), 20_000 + CALLEES.start);
    let trunk = [5060, 5070].map(|port| SocketAddr::new(TRUNK.v4.into(), port));
    let operator = SocketAddr::new(OPERATOR.parse()?, 5060);
    Ok(vec![office, trunk[0], operator, trunk[1]])
}

/// Calls within the office, out to the trunk, and from it.
fn calls(lab: &Lab) -> Result<Calls> {
    let (office, trunk) = (lab.office(), lab.trunk());
    let inside = office.start_calls(10, 5)?;
    let out = office.start_calls_out(10, 5)?;
    let incoming = trunk.start_calls_in(10, 5)?;
    Ok(inside.finish()? + out.finish()? + incoming.finish()?)
}

/// How many guesses from a source the PBX rejected.
fn crack(lab: &Lab, plan: &Plan) -> Result<u64> {
    let before = lab.counts(plan.source)?.rejected;
    let report = cracker::attack_from(&lab.net.attackers, plan)?;
    let rejected = lab.counts(plan.source)?.rejected - before;
    println!("{}: {rejected} rejected, {report:?}", plan.source);
    Ok(rejected)
}

/// The packets of the PBX's policy and the host's, by reason.
fn packets(daemon: &Daemon) -> Result<BTreeMap<String, u64>> {
    let mut packets = BTreeMap::new();
    for line in daemon.metrics()?.lines() {
        let Some(labels) = line.strip_prefix("sipprot_packets_total{") else { continue };
        let (labels, count) = labels.split_once("} ").context("a metric")?;
        let reason = labels.split("reason=\"").nth(1).and_then(|it| it.split('"').next());
        let count: f64 = count.trim().parse()?;
        *packets.entry(reason.unwrap_or_default().to_owned()).or_default() += count as u64;
    }
    packets.retain(|_, count| *count > 0);
    Ok(packets)
}

fn count(status: &Value, pointer: &str) -> Result<u64> {
    status.pointer(pointer).and_then(Value::as_u64).with_context(|| format!("no {pointer}"))
}

#[test]
fn a_forged_flood_harms_nobody_and_hides_nobody() -> Result<()> {
    let Some((lab, daemon)) = protected()? else { return Ok(()) };
    let seconds = match std::env::var("SIPPROT_FLOOD_SECONDS") {
        Ok(text) => text.parse().context("SIPPROT_FLOOD_SECONDS")?,
        Err(_) => SECONDS_DEFAULT,
    };
    let (office, trunk) = (lab.office(), lab.trunk());
    assert_eq!(office.register()?.ok, PHONES);
    let _answering = (office.answer()?, trunk.answer()?);
    assert_eq!(calls(&lab)?.failed, 0, "before the flood");

    let plan = Plan {
        guesses: 300,
        per_second: Some(20),
        patience: Duration::from_millis(300),
        ..Plan::new(lab.newcomer().v4.into(), lab.pbxs[0].sip(Family::V4))
    };
    let id = daemon.process_id().context("the daemon's id")?;
    let cpu_before = usage::cpu_seconds(id)?;
    let (mut called, mut memory_mib) = (Calls::default(), 0.0_f64);
    let mut slowest_answer = Duration::ZERO;
    // It is at work when the flood comes: later it would hardly get a nonce.
    let (flood, mut guessed) = std::thread::scope(|scope| -> Result<_> {
        let cracker = scope.spawn(|| crack(&lab, &plan));
        std::thread::sleep(Duration::from_millis(900));
        let flood = lab.flood(&[Family::V4], real()?, FRAMES_PER_SECOND)?;
        let guessed = cracker.join().map_err(|_| anyhow::anyhow!("the cracker panicked"))??;
        Ok((flood, guessed))
    })?;
    let plan = Plan { guesses: 2_000, per_second: None, ..plan };
    loop {
        let sent = flood.so_far();
        let short = sent.of_each_source() <= FRAMES_EACH_MIN;
        let late = sent.elapsed.as_secs() >= seconds + SECONDS_MORE_MAX;
        if sent.elapsed.as_secs() >= seconds && (!short || late) {
            break;
        }
        called = called + calls(&lab)?;
        guessed += crack(&lab, &plan)?;
        memory_mib = memory_mib.max(usage::resident_mib(id)?);
        let asked = Instant::now();
        daemon.json(&["status"])?;
        slowest_answer = slowest_answer.max(asked.elapsed());
    }
    let cpu = usage::cpu_seconds(id)?;
    let sent = flood.stop()?;

    let status = daemon.json(&["status"])?;
    println!(
        "{} frames in {:?}, {} a second, {} of each of {} sources",
        sent.frames,
        sent.elapsed,
        sent.per_second(),
        sent.of_each_source(),
        flood::SOURCES
    );
    println!("packets by reason: {:?}", packets(&daemon)?);
    println!("events: {}; lists: {}", status["events"], status["lists"]);
    println!("maps: {}", status["maps"]);
    let share = (cpu - cpu_before) / sent.elapsed.as_secs_f64();
    println!(
        "daemon: {memory_mib:.0} MiB, {:.1} % of a core; slowest answer {slowest_answer:?}",
        share * 100.0
    );
    println!("calls: {called:?}; guesses answered: {guessed}");

    ensure!(sent.per_second() >= FRAMES_PER_SECOND_MIN, "too slow a flood: {sent:?}");
    ensure!(sent.of_each_source() >= FRAMES_EACH_MIN, "too small a flood: {sent:?}");
    assert!(called.ok > 0 && called.failed == 0, "{called:?}");
    assert!(guessed <= LIMIT + IN_FLIGHT, "{guessed} guesses answered");
    assert!(memory_mib <= MEMORY_MAX_MIB, "{memory_mib} MiB");
    // The cracker may be blocked by now, and nobody else.
    let blocked = u64::from(daemon.check(plan.source)?.blocked);
    for (list, most) in [("deny", 0), ("quarantined", 0), ("dynamic", blocked)] {
        assert!(count(&status, &format!("/lists/{list}"))? <= most, "{list}: {status}");
    }
    for source in [OFFICE.v4, TRUNK.v4, OPERATOR.parse()?] {
        let check = daemon.check(source.into())?;
        assert!(!check.is_cut_off(), "{source}: {check:?}");
    }

    // With the flood gone, its guesses are its own again.
    let start = Instant::now();
    while !daemon.check(plan.source)?.blocked {
        ensure!(start.elapsed() < Duration::from_secs(120), "not blocked\n{}", daemon.log());
        let rejected = crack(&lab, &plan)?;
        assert!(rejected <= LIMIT + IN_FLIGHT, "{rejected} guesses answered after the flood");
        std::thread::sleep(Duration::from_secs(2));
    }
    assert_eq!(calls(&lab)?.failed, 0, "after the flood");
    Ok(())
}
