//! Ten thousand connections at once: bounded, and the daemon goes on judging and answering.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    daemon::{Daemon, Settings},
    lab::Lab,
    patience::wait_for,
    pbx::Manners,
    topology::Family,
    web::Question,
};

use super::{API, METRICS, address, wire};

const CROWD: usize = 10_000;
/// Each of the crowd's addresses holds so many.
const EACH: usize = 50;
/// What the listeners take at most, each, and the daemon has open besides.
const CONNECTIONS_MAX: usize = 256;
const BESIDES: usize = 200;
/// From the lab, and from loopback.
const CROWD_NETWORK: [u8; 2] = [127, 9];

/// Descriptors for the crowd; how many of it there may be.
fn descriptors() -> Result<usize> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a place for the answer, and then for the question.
    let done = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit) == 0
        }
    };
    ensure!(done, "descriptors: {}", std::io::Error::last_os_error());
    let room = usize::try_from(limit.rlim_max).unwrap_or(usize::MAX).saturating_sub(1000);
    Ok(room.min(CROWD))
}

/// All that can be had at once, half of whom begin a request.
fn gather(lab: &Lab, to: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    lab.net.host.run(|| {
        let from = |number: usize| {
            let [third, fourth] = ((number / EACH + 1) as u16).to_be_bytes();
            IpAddr::V4(Ipv4Addr::new(CROWD_NETWORK[0], CROWD_NETWORK[1], third, fourth))
        };
        let mut crowd = Vec::new();
        for number in 0..count {
            let mut stream = wire::bound(from(number), to)?;
            if number % 2 == 0 {
                // Who has been turned away already can say nothing any more.
                let _ = std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\n");
            }
            crowd.push(stream);
        }
        Ok(crowd)
    })
}

fn open_descriptors(daemon: &Daemon) -> Result<usize> {
    let process = daemon.process_id().context("it runs")?;
    Ok(std::fs::read_dir(format!("/proc/{process}/fd")).context("its descriptors")?.count())
}

/// A cracker is blocked, as if there were no crowd.
fn judges(lab: &Lab, daemon: &Daemon) -> Result<()> {
    let source = lab.newcomer().v4.into();
    let plan = Plan { guesses: 60, ..Plan::new(source, lab.pbxs[0].sip(Family::V4)) };
    cracker::attack_from(&lab.net.attackers, &plan)?;
    wait_for("the block", || Ok(daemon.check(source)?.blocked.then_some(())))
}

#[test]
fn ten_thousand_connections_are_bounded_and_keep_nobody_from_judging() -> Result<()> {
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let count = descriptors()?;
    let version = Question { method: "GET", path: "/docs/".to_owned(), ..Question::default() };
    for listener in [API, METRICS] {
        let to = address(listener)?;
        let before = open_descriptors(&daemon)?;
        let start = Instant::now();
        let mut crowd = gather(&lab, to, count)?;
        let gathered = start.elapsed();
        judges(&lab, &daemon)?;
        daemon.text(&["deny", "add", "203.0.113.9"]).context("the socket")?;
        daemon.text(&["deny", "remove", "203.0.113.9"]).context("the socket")?;
        let held = open_descriptors(&daemon)?;
        let open: usize = crowd.iter_mut().map(|it| usize::from(!wire::is_closed(it))).sum();
        println!(
            "{listener}: {count} in {gathered:?}, {open} are open; descriptors of the daemon: {before}, then {held}"
        );
        ensure!(held <= before + CONNECTIONS_MAX + BESIDES, "{held} descriptors");
        ensure!(open <= CONNECTIONS_MAX + BESIDES, "{open} of {count} are open");
        // The other listener, too.
        let other = if listener == API { METRICS } else { API };
        ensure!(
            version.ask(&lab.net.host, address(other)?)?.status == 200,
            "{other} answers nobody"
        );
        drop(crowd);
        wait_for("an answer afterwards", || {
            let answer = version.ask(&lab.net.host, to);
            Ok(answer.is_ok_and(|it| it.status == 200).then_some(()))
        })?;
    }
    std::thread::sleep(Duration::from_millis(100));
    let problems = daemon.json(&["status"])?["problems"].clone();
    ensure!(problems == serde_json::json!([]), "{problems}");
    Ok(())
}
