//! SIGKILL at any time: is anything lost that was acknowledged?
//!
//! Somebody writes without a pause: list entries, blocks, settings. What was acknowledged before the
//! kill must be there once after it, and the kernel must hold what the store promises.

use std::{
    collections::BTreeMap,
    net::Ipv6Addr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    Bench, Row, agrees,
    builds::Builds,
    traffic::{Receiver, Sender},
};
use crate::{
    daemon::{Daemon, Settings},
    lab::Lab,
    topology::{OFFICE, PBXS},
};

/// The last kill of a cycle comes this late, so that some writes are always acknowledged before.
const LATEST: Duration = Duration::from_millis(400);
/// A setting with room for a value of its own in each cycle.
const SETTING: &str = "rules.probe_limit";
const LEAST: u32 = 3;
/// Packets a second while builds are exchanged.
const DENIED: u64 = 4_000;
const FROM_OFFICE: u64 = 1_000;
/// Until what is under way has arrived.
const SETTLE: Duration = Duration::from_millis(300);

/// What was acknowledged, and what was asked for last, of which nobody knows.
#[derive(Debug, Default)]
struct Promised {
    denied: Vec<Ipv6Addr>,
    blocked: Vec<Ipv6Addr>,
    setting: Option<u32>,
}

/// What is missing, or there more than once.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    acknowledged: u64,
    lost: u64,
    slowest: Duration,
}

pub fn run(bench: &Bench) -> Result<Vec<Row>> {
    let (lab, mut daemon) = bench.lab(&Settings::default())?;
    let mut found = Found::default();
    for cycle in 0..bench.times.kills {
        let promised = write_until_killed(&mut daemon, cycle)?;
        restart(&mut daemon, &mut found)?;
        compare(&daemon, cycle, &promised, &mut found)
            .with_context(|| format!("after kill {cycle}"))?;
    }
    let steady = row("kill -9 while somebody writes", bench.times.kills, found);
    let mut found = Found::default();
    let rows = |daemon: &Daemon| total(&daemon.json(&["list", "deny", "--limit", "1"])?);
    let before = rows(&daemon)?;
    daemon.stop()?;
    for kill in 0..bench.times.kills_at_start {
        // From before its first line to well after it answers.
        daemon.launch()?;
        std::thread::sleep(LATEST * (kill % 50) / 50);
        daemon.kill()?;
    }
    restart(&mut daemon, &mut found)?;
    found.acknowledged = before;
    found.lost = before.abs_diff(rows(&daemon)?);
    agrees(&daemon)?;
    let start = row("kill -9 during start", bench.times.kills_at_start, found);
    let upgrades = upgrades(bench.times.kills_at_upgrade, &lab, &mut daemon)?;
    Ok(vec![steady, start, upgrades])
}

/// Each to the build with other maps or back, killed while it fills and exchanges them, under traffic.
fn upgrades(times: u32, lab: &Lab, daemon: &mut Daemon) -> Result<Row> {
    let (target, denied) = (PBXS[0].v4, lab.newcomer().v4);
    daemon.text(&["deny", "add", &denied.to_string()])?;
    let receiver = Receiver::start(&lab.net.pbxs[0], target)?;
    let senders = [
        Sender::start(&lab.net.attackers, denied, target, DENIED)?,
        Sender::start(&lab.net.office, OFFICE.v4, target, FROM_OFFICE)?,
    ];
    let mut found = Found::default();
    let before = standing(daemon)?;
    let builds = Builds::of(daemon)?;
    for kill in 0..times {
        daemon.stop()?;
        daemon.upgrade(if kill.is_multiple_of(2) { &builds.other } else { &builds.this });
        daemon.launch()?;
        std::thread::sleep(LATEST * (kill * 7 % 50) / 50);
        daemon.kill()?;
        restart(daemon, &mut found)?;
        let now = standing(daemon)?;
        let differ = before.iter().zip(now).filter(|(before, now)| **before != *now).count();
        found.lost += differ as u64;
        agrees(daemon).with_context(|| format!("after upgrade {kill}"))?;
    }
    found.acknowledged = before.iter().sum();
    let [sent, of_office] = senders.map(Sender::stop);
    std::thread::sleep(SETTLE);
    let (through, office) = (receiver.of(denied).count, receiver.of(OFFICE.v4));
    let missing = office.missing(of_office);
    found.lost += through + missing;
    let row = row("kill -9 during upgrade and downgrade", times, found);
    let seen = format!(
        "{}; {sent} packets of a denied source, {through} passed; {of_office} of the office, {missing} missing",
        row.seen
    );
    Ok(Row { gap: Some(office.gap(of_office)), seen, ..row })
}

/// Denied, blocked, and the report's rows and blocks.
fn standing(daemon: &Daemon) -> Result<[u64; 4]> {
    let report = daemon.json(&["report", "--days", "2"])?;
    let told = |name: &str| report[name].as_u64().with_context(|| format!("{name}: {report}"));
    Ok([
        total(&daemon.json(&["list", "deny", "--limit", "1"])?)?,
        total(&daemon.json(&["list", "dynamic", "--limit", "1"])?)?,
        told("total_rows")?,
        told("total_blocks")?,
    ])
}

fn row(fault: &str, times: u32, found: Found) -> Row {
    let Found { acknowledged, lost, slowest } = found;
    Row {
        fault: fault.to_owned(),
        times,
        lost,
        gap: None,
        seen: format!(
            "{acknowledged} acknowledged writes all there, once; kernel and store agree; commands \
             answer again after {slowest:.1?} at most"
        ),
    }
}

fn restart(daemon: &mut Daemon, found: &mut Found) -> Result<()> {
    let began = Instant::now();
    daemon.start()?;
    found.slowest = found.slowest.max(began.elapsed());
    Ok(())
}

/// One of the cycle's many addresses, each in a /64 of its own: that is what is blocked.
fn address(cycle: u32, number: u16, blocked: bool) -> Ipv6Addr {
    let half = if blocked { 0x8000 } else { 0 };
    Ipv6Addr::new(0x2001, 0xdb8, 0x1000 + cycle as u16, half + number, 0, 0, 0, 0)
}

/// Writes on one thread, kills on another.
fn write_until_killed(daemon: &mut Daemon, cycle: u32) -> Result<Promised> {
    let process = daemon.process_id().context("it runs")?;
    let delay = LATEST / 4 + LATEST * (cycle * 7 % 24) / 32;
    let promised = std::thread::scope(|scope| {
        let killer = scope.spawn(move || {
            std::thread::sleep(delay);
            // SAFETY: kill is a plain system call; the process is our child, not yet reaped.
            unsafe { libc::kill(process as i32, libc::SIGKILL) }
        });
        let mut promised = Promised::default();
        let wanted = LEAST + cycle % 1000;
        for number in 0.. {
            let (denied, blocked) = (address(cycle, number, false), address(cycle, number, true));
            let note = format!("cycle {cycle}.");
            if !done(daemon, &["deny", "add", &format!("{denied}/64"), "--note", &note])? {
                break;
            }
            promised.denied.push(denied);
            if !done(daemon, &["block", &blocked.to_string(), "--for", "24h"])? {
                break;
            }
            promised.blocked.push(blocked);
            if number == 0 {
                if !done(daemon, &["config", "set", SETTING, &wanted.to_string()])? {
                    break;
                }
                promised.setting = Some(wanted);
            }
        }
        drop(killer.join());
        anyhow::Ok(promised)
    })?;
    daemon.kill()?;
    Ok(promised)
}

fn done(daemon: &Daemon, arguments: &[&str]) -> Result<bool> {
    Ok(daemon.cli(arguments)?.status.success())
}

fn compare(daemon: &Daemon, cycle: u32, promised: &Promised, found: &mut Found) -> Result<()> {
    let note = format!("cycle {cycle}.");
    let listed = daemon.json(&["list", "deny", "--note", &note, "--limit", "10000"])?;
    let entries = times_seen(&listed["entries"], "ip");
    let dynamic = daemon.json(&["list", "dynamic", "--limit", "100000"])?;
    let blocks = times_seen(&dynamic["blocks"], "source");
    let once = |seen: &BTreeMap<Ipv6Addr, u64>, addresses: &[Ipv6Addr]| {
        let other = |it: &&Ipv6Addr| {
            let times = seen.get(it).copied().unwrap_or_default();
            if times != 1 {
                eprintln!("torture: {it} is there {times} times after kill {cycle}");
            }
            times != 1
        };
        addresses.iter().filter(other).count() as u64
    };
    found.lost += once(&entries, &promised.denied) + once(&blocks, &promised.blocked);
    if let Some(wanted) = promised.setting {
        let found_now = daemon.json(&["config", "get", SETTING])?;
        found.lost += u64::from(!found_now.to_string().contains(&wanted.to_string()));
        found.acknowledged += 1;
    }
    found.acknowledged += (promised.denied.len() + promised.blocked.len()) as u64;
    agrees(daemon)
}

/// How often each network is in a list.
fn times_seen(rows: &Value, field: &str) -> BTreeMap<Ipv6Addr, u64> {
    let mut seen = BTreeMap::new();
    for row in rows.as_array().into_iter().flatten() {
        let network = row[field].as_str().and_then(|it| it.split('/').next());
        if let Some(address) = network.and_then(|it| it.parse().ok()) {
            *seen.entry(address).or_default() += 1;
        }
    }
    seen
}

fn total(listed: &Value) -> Result<u64> {
    listed["total"].as_u64().context("a list without a total")
}
