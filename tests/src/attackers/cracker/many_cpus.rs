//! The cracker on several CPUs at once: what it sends is judged on each of them at the same time.

use std::{sync::Barrier, time::Instant};

use anyhow::{Context, Result, ensure};

use super::{Plan, Report, Socket, guess, millis, take_challenge};
use crate::namespace::Namespace;

/// One nonce, and its guesses divided among so many CPUs, each with its share of the source ports.
pub fn attack_on_cpus(namespace: &Namespace, plan: &Plan, cpus: u32) -> Result<Report> {
    let start = Instant::now();
    let mut sum = Report::default();
    let Some(challenge) = take_challenge(namespace, plan)? else { return Ok(sum) };
    let (guesses, source_ports) = (plan.guesses / cpus, plan.source_ports / cpus as u16);
    let share = Plan { guesses, source_ports, ..plan.clone() };
    let barrier = Barrier::new(cpus as usize);
    let on = |cpu: u32| {
        let mut report = Report { challenged: true, ..Report::default() };
        let deadline = start + share.limit;
        let socket = Socket::open(&share, deadline);
        let pinned = pin(cpu);
        barrier.wait();
        pinned?;
        let socket = socket?.context("no connection")?;
        guess(&share, &challenge, cpu * guesses, socket, deadline, &mut report)?;
        Ok(report)
    };
    let reports: Vec<Result<Report>> = std::thread::scope(|scope| {
        let threads = (0..cpus).map(|cpu| scope.spawn(move || namespace.run(|| on(cpu))));
        let threads: Vec<_> = threads.collect();
        let panicked = || anyhow::anyhow!("a thread of the cracker panicked");
        threads.into_iter().map(|it| it.join().map_err(|_| panicked())?).collect()
    });
    for report in reports {
        let report = report?;
        sum.challenged = true;
        sum.sent += report.sent;
        sum.last_answer_ms = sum.last_answer_ms.max(report.last_answer_ms);
        for (status, count) in report.answers {
            *sum.answers.entry(status).or_default() += count;
        }
    }
    sum.elapsed_ms = millis(start.elapsed());
    Ok(sum)
}

/// Keeps the calling thread on one CPU.
fn pin(cpu: u32) -> Result<()> {
    // SAFETY: all-zero is an empty set, and the set lives through the call that reads it.
    let pinned = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu as usize, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    ensure!(pinned == 0, "stay on CPU {cpu}: {}", std::io::Error::last_os_error());
    Ok(())
}
