//! A forged flood of a million sources, and among them the office: does anybody get lost, and what does it cost?
//! `tests/tests/flood.rs` has the same flood with crackers in it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Bench, Row, agrees, disk_mib};
use crate::{
    attackers::flood,
    daemon::{Daemon, Settings},
    office::{CALLEES, PHONES},
    sipp::Calls,
    topology::{Family, OFFICE},
    usage,
};

const FRAMES_PER_SECOND: u64 = 250_000;
const DENIED: &str = "2001:db8:1::1";
const ALLOWED: &str = "2001:db8:2::1";
const MEMORY_MAX_MIB: f64 = 256.0;
/// Of what the flood leaves in the store.
const DISK_MAX_MIB: f64 = 64.0;

pub fn run(bench: &Bench) -> Result<Vec<Row>> {
    let Some(lasts) = bench.times.flood else { return Ok(Vec::new()) };
    let (lab, daemon) = bench.lab(&Settings::default())?;
    daemon.text(&["deny", "add", DENIED])?;
    daemon.text(&["allow", "add", ALLOWED])?;
    let office = lab.office();
    ensure!(office.register()?.ok == PHONES, "the office can't register before the flood");
    let _answering = office.answer()?;
    let calls = || office.start_calls(10, 5)?.finish();
    ensure!(calls()?.failed == 0, "the office can't call before the flood");
    let before = lists(&daemon)?;
    let id = daemon.process_id().context("it runs")?;
    let (mut called, mut memory, mut disk) = (Calls::default(), 0.0_f64, 0.0_f64);
    let mut slowest = Duration::ZERO;
    let families = [Family::V4, Family::V6];
    let real = families.map(|it| SocketAddr::new(OFFICE.of(it), 20_000 + CALLEES.start)).to_vec();
    let flood = lab.flood(&families, real, FRAMES_PER_SECOND)?;
    while flood.so_far().elapsed < lasts {
        called = called + calls()?;
        memory = memory.max(usage::resident_mib(id)?);
        disk = disk.max(disk_mib(&daemon.state_dir())?);
        let asked = Instant::now();
        daemon.json(&["status"])?;
        slowest = slowest.max(asked.elapsed());
    }
    let sent = flood.stop()?;
    ensure!(memory <= MEMORY_MAX_MIB, "{memory:.0} MiB of memory");
    ensure!(disk <= DISK_MAX_MIB, "{disk:.0} MiB of disk");
    ensure!(called.ok > 0, "nobody called: {called:?}");
    let status = daemon.json(&["status"])?;
    let after = lists(&daemon)?;
    let differ = before.iter().zip(after).filter(|(before, after)| **before != *after).count();
    let office_is_out = daemon.check(OFFICE.v4.into())?.is_cut_off();
    agrees(&daemon)?;
    let event = |name: &str| status["events"][name].as_u64().unwrap_or_default();
    Ok(vec![Row {
        fault: format!("a flood of {0} forged IPv4 and {0} IPv6 sources", flood::SOURCES),
        times: 1,
        lost: u64::from(called.failed) + differ as u64 + u64::from(office_is_out),
        gap: None,
        seen: format!(
            "in {} s {} frames, {} a second; {} calls, {} failed; lists as before; at most {memory:.0} MiB of memory, \
             {disk:.1} MiB of disk; answers after {slowest:.1?} at most; events: {} judged, {} suppressed by \
             the kernel, {} lost",
            lasts.as_secs(),
            sent.frames,
            sent.per_second(),
            called.ok,
            called.failed,
            event("received"),
            event("suppressed"),
            event("lost"),
        ),
    }])
}

/// What is on each list that a flood must not change.
fn lists(daemon: &Daemon) -> Result<[u64; 4]> {
    let status = daemon.json(&["status"])?;
    let count = |name: &str| {
        let found = status["lists"].get(name).and_then(Value::as_u64);
        found.with_context(|| format!("no {name} in {status}"))
    };
    Ok([count("deny")?, count("allow")?, count("quarantined")?, count("dynamic")?])
}
