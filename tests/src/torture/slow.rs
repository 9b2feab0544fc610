//! A disk that takes a second for whatever is to last, by delays that strace puts before the daemon's flushes:
//! an acknowledgement waits for the disk, and nothing else does.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};

use super::{Bench, Row, agrees};
use crate::{
    attackers::cracker::{self, Plan},
    daemon::{Daemon, Settings},
    lab::Lab,
    patience::wait_for,
    process::write_program,
    topology::Family,
};

const DELAY: Duration = Duration::from_secs(1);
const FLUSHES: &str = "fsync,fdatasync,sync_file_range";
/// What the daemon may take to tell how it is.
const ANSWER_MAX: Duration = Duration::from_millis(500);

pub fn run(bench: &Bench) -> Result<Vec<Row>> {
    let (lab, mut daemon) = bench.lab(&Settings::default())?;
    daemon.stop()?;
    let program = daemon.program().to_owned();
    daemon.upgrade(&slowed(&lab, &program)?);
    daemon.start()?;
    let (mut acknowledged, mut slowest_change) = (Vec::new(), Duration::ZERO);
    let mut slowest_answer = Duration::ZERO;
    for number in 0..bench.times.changes {
        let address = format!("2001:db8:fffe:{number:x}::1");
        let (took, asked) = thread::scope(|scope| {
            let change = scope.spawn(|| timed(&daemon, &["deny", "add", &address]));
            let asked = timed(&daemon, &["status", "--json"]);
            let took = change.join().map_err(|_| anyhow!("the change panicked"))?;
            anyhow::Ok((took?, asked?))
        })?;
        ensure!(took >= DELAY, "acknowledged after {took:?}, before the disk had it");
        slowest_change = slowest_change.max(took);
        slowest_answer = slowest_answer.max(asked);
        acknowledged.push(address);
    }
    ensure!(slowest_answer < ANSWER_MAX, "the status took {slowest_answer:?}");
    let blocked_after = attacked(&lab, &daemon)?;
    daemon.kill()?;
    daemon.upgrade(&program);
    daemon.start()?;
    agrees(&daemon)?;
    let mut lost = 0;
    for address in &acknowledged {
        lost += u64::from(!daemon.check(address.parse()?)?.denied);
    }
    daemon.stop()?;
    Ok(vec![Row {
        fault: "a disk that takes a second for each flush".to_owned(),
        times: bench.times.changes,
        lost,
        gap: None,
        seen: format!(
            "each change acknowledged when it lasts, after {slowest_change:.1?} at most; status \
             answers meanwhile, after {slowest_answer:.1?} at most; an attacker is blocked within \
             {blocked_after:.1?} of its first guess"
        ),
    }])
}

/// A program that is sipprot, and runs with a slow disk.
fn slowed(lab: &Lab, program: &Path) -> Result<PathBuf> {
    let slow = lab.directory().join("slow");
    let delay = format!("inject={FLUSHES}:delay_enter={}", DELAY.as_micros());
    // Seccomp: no other system call is stopped at.
    let strace = format!("strace -f --seccomp-bpf -o /dev/null -e trace={FLUSHES} -e {delay}");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *\" run\") exec {strace} {program} \"$@\" ;; esac\nexec {program} \"$@\"\n",
        program = program.display()
    );
    write_program(&slow, script)?;
    Ok(slow)
}

fn timed(daemon: &Daemon, arguments: &[&str]) -> Result<Duration> {
    let began = Instant::now();
    daemon.text(arguments)?;
    Ok(began.elapsed())
}

/// How long somebody guesses until the kernel drops what they send.
fn attacked(lab: &Lab, daemon: &Daemon) -> Result<Duration> {
    let plan = Plan {
        guesses: 100,
        patience: Duration::from_millis(300),
        ..Plan::new(lab.newcomer().v4.into(), lab.pbxs[0].sip(Family::V4))
    };
    let began = Instant::now();
    thread::scope(|scope| {
        let guesses = scope.spawn(|| cracker::attack_from(&lab.net.attackers, &plan));
        wait_for("the block", || Ok(daemon.check(plan.source)?.blocked.then_some(())))?;
        let blocked_after = began.elapsed();
        guesses.join().map_err(|_| anyhow!("the cracker panicked"))??;
        Ok(blocked_after)
    })
}
