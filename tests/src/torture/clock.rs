//! A host's clock that is wrong: years behind, as without a battery, years ahead, and put right while the
//! daemon runs. By Debian's libfaketime, for the daemon alone; the kernel's own clock goes on.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{Bench, Row, agrees};
use crate::{
    daemon::{Daemon, Settings},
    patience::wait_for,
};

pub const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
const DENIED: &str = "2001:db8:1::1";
const ALLOWED: &str = "2001:db8:2::1";
/// For a day.
const BLOCKED: &str = "2001:db8:3::1";
const RIGHT: &str = "+0d";
const BEHIND: [&str; 2] = ["-20000d", "-3650d"];
const AHEAD: &str = "+3650d";

pub fn run(bench: &Bench) -> Result<Vec<Row>> {
    if !Path::new(LIBRARY).exists() {
        eprintln!("torture: no {LIBRARY}: the clock stays right");
        return Ok(Vec::new());
    }
    let (lab, mut daemon) = bench.lab(&Settings::default())?;
    daemon.text(&["deny", "add", DENIED])?;
    daemon.text(&["allow", "add", ALLOWED])?;
    daemon.text(&["block", BLOCKED, "--for", "24h"])?;
    let file = lab.directory().join("clock");
    set(&file, RIGHT)?;
    daemon.set_environment("LD_PRELOAD", LIBRARY);
    daemon.set_environment("FAKETIME_TIMESTAMP_FILE", &file);
    daemon.set_environment("FAKETIME_NO_CACHE", "1");
    daemon.set_environment("DONT_FAKE_MONOTONIC", "1");
    let mut slowest = Duration::ZERO;
    let (mut lost, mut times) = (0, 0);
    for _ in 0..bench.times.clocks {
        for wrong in BEHIND {
            lost += started_with(&mut daemon, &file, wrong, &mut slowest)?;
            // Somebody asks a time server.
            set(&file, RIGHT)?;
            lost += missing(&daemon, true)?;
            comes_to_agree(&daemon)?;
            lost += started_with(&mut daemon, &file, RIGHT, &mut slowest)?;
            lost += missing(&daemon, true)?;
            lost += set_while_it_runs(&daemon, &file, wrong)?;
            times += 1;
        }
    }
    let behind = row("the clock years behind or ahead, then put right", times, lost, slowest);
    slowest = Duration::ZERO;
    let mut lost = started_with(&mut daemon, &file, AHEAD, &mut slowest)?;
    lost += missing(&daemon, false)?;
    lost += started_with(&mut daemon, &file, RIGHT, &mut slowest)?;
    lost += missing(&daemon, false)?;
    agrees(&daemon)?;
    let seen = format!("entries without an end stay, blocks are over; answers after {slowest:.1?}");
    let ahead = Row { seen, ..row("the clock ten years ahead", 1, lost, slowest) };
    Ok(vec![behind, ahead])
}

/// Ahead and back, behind and back: what is in force stays so, and kernel and store agree.
fn set_while_it_runs(daemon: &Daemon, file: &Path, behind: &str) -> Result<u64> {
    let mut lost = 0;
    for (offset, way) in [(AHEAD, "ahead"), (RIGHT, "back"), (behind, "back"), (RIGHT, "ahead")] {
        let told = format!("the clock was set {way} by");
        let before = daemon.log().matches(&told).count();
        set(file, offset)?;
        wait_for("a daemon that sees it", || {
            Ok((daemon.log().matches(&told).count() > before).then_some(()))
        })?;
        comes_to_agree(daemon)?;
        lost += missing(daemon, true)?;
    }
    Ok(lost)
}

fn comes_to_agree(daemon: &Daemon) -> Result<()> {
    wait_for("a kernel that agrees", || Ok(agrees(daemon).is_ok().then_some(())))
}

fn row(fault: &str, times: u32, lost: u64, slowest: Duration) -> Row {
    Row {
        fault: fault.to_owned(),
        times,
        lost,
        gap: None,
        seen: format!(
            "lists and blocks in force all the time; answers after {slowest:.1?} at most"
        ),
    }
}

fn set(file: &Path, offset: &str) -> Result<()> {
    fs::write(file, offset).context("set the clock")
}

fn started_with(
    daemon: &mut Daemon,
    file: &Path,
    offset: &str,
    slowest: &mut Duration,
) -> Result<u64> {
    daemon.stop()?;
    set(file, offset)?;
    let began = Instant::now();
    daemon.start().with_context(|| format!("with the clock at {offset}"))?;
    *slowest = (*slowest).max(began.elapsed());
    let log = daemon.log();
    let year = jiff::Timestamp::now().to_string()[..4].to_owned();
    ensure!(log.contains(&year) == (offset == RIGHT), "the clock is not at {offset}: {log}");
    missing(daemon, false)
}

/// What isn't in force of the entries without an end, and of the block if it should be.
fn missing(daemon: &Daemon, blocked: bool) -> Result<u64> {
    let denied = daemon.check(DENIED.parse()?)?.denied;
    let allowed = daemon.check(ALLOWED.parse()?)?.allowed;
    let mut lost = u64::from(!denied) + u64::from(!allowed);
    if blocked {
        lost += u64::from(!daemon.check(BLOCKED.parse()?)?.blocked);
    }
    Ok(lost)
}
