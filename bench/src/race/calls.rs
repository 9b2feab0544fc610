//! Calls while a forged flood runs, and what they cost the PBX, against the same calls with as many
//! requests beside them as the flood's ceiling lets through.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::linux::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sipprot_tests::datapath::Message;
use sipprot_tests::lab::Lab;
use sipprot_tests::namespace::Namespace;
use sipprot_tests::office::PHONES;
use sipprot_tests::sipp;
use sipprot_tests::topology::{Family, attacker};
use sipprot_tests::usage;

const CALLS_PER_SECOND: u32 = 5;
/// Requests beside the calls where there is no flood: what the default ceiling passes of one.
const REQUESTS_PER_SECOND: u32 = 300;
/// Each of these stays far below the ceiling of one source.
const STRANGERS: u8 = 10;

pub struct Calls {
    pub ok: u32,
    pub failed: u32,
    pub cpu_ratio: f64,
    pub what: String,
}

pub fn measure(lab: &Lab, calls: u32) -> Result<Calls> {
    let (office, trunk) = (lab.office(), lab.trunk());
    ensure!(office.register()?.ok == PHONES, "not all phones could register");
    let _answering = (office.answer()?, trunk.answer()?);

    let stop = AtomicBool::new(false);
    let (quiet, quiet_seconds) = std::thread::scope(|scope| {
        let strangers = scope.spawn(|| lab.net.attackers.run(|| ask(lab, &stop)));
        let called = call(lab, calls);
        stop.store(true, Ordering::Relaxed);
        strangers.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        called
    })?;
    ensure!(quiet.failed == 0, "{} calls failed without a flood", quiet.failed);
    // The strangers' share of the ceiling is free again.
    std::thread::sleep(Duration::from_secs(1));
    let flood = lab.flood(&[Family::V4], Vec::new(), super::FRAMES_PER_SECOND)?;
    let called = call(lab, calls);
    let sent = flood.stop()?;
    let (called, seconds) = called?;
    let what = format!(
        "calls: {} frames a second; the PBX's CPU time {seconds:.2} s, {quiet_seconds:.2} s without",
        sent.per_second()
    );
    Ok(Calls { ok: called.ok, failed: called.failed, cpu_ratio: seconds / quiet_seconds, what })
}

/// Calls within the office, out to the trunk and from it, and the PBX's CPU seconds for them.
fn call(lab: &Lab, calls: u32) -> Result<(sipp::Calls, f64)> {
    let before = cpu_seconds(&lab.net.pbxs[0])?;
    let (office, trunk) = (lab.office(), lab.trunk());
    let inside = office.start_calls(calls, CALLS_PER_SECOND)?;
    let out = office.start_calls_out(calls, CALLS_PER_SECOND)?;
    let incoming = trunk.start_calls_in(calls, CALLS_PER_SECOND)?;
    let called = inside.finish()? + out.finish()? + incoming.finish()?;
    Ok((called, cpu_seconds(&lab.net.pbxs[0])? - before))
}

/// Unauthenticated REGISTERs of some strangers until told to stop.
fn ask(lab: &Lab, stop: &AtomicBool) -> Result<()> {
    let sockets: Vec<UdpSocket> = (0..STRANGERS)
        .map(|number| UdpSocket::bind(SocketAddr::new(attacker(number).v4.into(), 0)))
        .collect::<Result<_, _>>()?;
    let (start, to) = (Instant::now(), lab.pbxs[0].sip(Family::V4));
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        while f64::from(sent) < start.elapsed().as_secs_f64() * f64::from(REQUESTS_PER_SECOND) {
            let request = Message::request("REGISTER").header("X-Number", &sent.to_string());
            sockets[sent as usize % sockets.len()].send_to(&request.bytes(), to)?;
            sent += 1;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Of all processes of the PBX in a namespace so far.
fn cpu_seconds(namespace: &Namespace) -> Result<f64> {
    let inode = fs::metadata(format!("/run/netns/{}", namespace.name()))?.st_ino();
    let mut seconds = 0.0;
    for entry in fs::read_dir("/proc")? {
        let directory = entry?.path();
        let is_pbx = fs::read_to_string(directory.join("comm")).is_ok_and(|it| it == "kamailio\n");
        // Others may end while they are looked at.
        let inside = fs::metadata(directory.join("ns/net")).is_ok_and(|it| it.st_ino() == inode);
        if is_pbx && inside {
            let id = directory.file_name().and_then(|name| name.to_str()).context("an id")?;
            seconds += usage::cpu_seconds(id.parse()?)?;
        }
    }
    ensure!(seconds > 0.0, "no PBX in {}", namespace.name());
    Ok(seconds)
}
