//! How many events a second of CPU time is enough for, and what the daemon takes while nothing
//! happens.
//!
//! A trusted peer sends REGISTERs, each another one, as fast as the kernel tells of them (20,000 a
//! second and CPU); they die on their way to the PBX, so that the daemon has nobody beside it. It is
//! stopped meanwhile, and then finds the ring as full as it is under an attack that one core can't
//! keep up with. Its own CPU time counts, all threads together.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sipprot_tests::daemon::Daemon;
use sipprot_tests::datapath::Message;
use sipprot_tests::lab::Lab;
use sipprot_tests::topology::Family;
use sipprot_tests::usage;

const IDLE: Duration = Duration::from_secs(5);
const ROUNDS: u32 = 5;
/// As long as what is told has room in the ring.
const SENDING: Duration = Duration::from_millis(900);
const PER_SECOND: u32 = 20_000;
/// Through the router in front of the host, and no further than the host.
const HOPS: u32 = 2;
const LEAST: u64 = 10_000;

pub struct Controller {
    pub events_per_second: f64,
    pub idle_cpu_percent: f64,
    pub idle_mib: f64,
    pub what: String,
}

pub fn measure(lab: &Lab, daemon: &Daemon) -> Result<Controller> {
    let id = daemon.process_id().context("the daemon has ended")?;
    let before = usage::cpu_seconds(id)?;
    std::thread::sleep(IDLE);
    let idle_cpu_percent = (usage::cpu_seconds(id)? - before) * 100.0 / IDLE.as_secs_f64();
    let idle_mib = usage::resident_mib(id)?;

    let peer = lab.newcomer().v4.to_string();
    daemon.text(&["peer", "add", &peer, "--rate", &PER_SECOND.to_string()])?;
    let (before, cpu) = (received(daemon)?, usage::cpu_seconds(id)?);
    let mut sent = 0;
    for _ in 0..ROUNDS {
        signal(id, libc::SIGSTOP)?;
        let registered =
            lab.net.attackers.run(|| register(&peer, lab.pbxs[0].sip(Family::V4), &mut sent));
        signal(id, libc::SIGCONT)?;
        registered?;
        // What waits in the ring is read meanwhile.
        std::thread::sleep(SENDING);
    }
    let events = received(daemon)? - before;
    let seconds = usage::cpu_seconds(id)? - cpu;
    ensure!(events > LEAST, "only {events} events");
    Ok(Controller {
        events_per_second: events as f64 / seconds,
        idle_cpu_percent,
        idle_mib,
        what: format!("events: {events} read in {seconds:.2} s of the daemon's CPU time"),
    })
}

fn signal(process: u32, signal: i32) -> Result<()> {
    // SAFETY: kill takes numbers; the process is a child that nobody has waited for.
    let done = unsafe { libc::kill(process as i32, signal) };
    ensure!(done == 0, "cannot signal: {}", std::io::Error::last_os_error());
    Ok(())
}

/// `sent` numbers the requests: no two of them are the same.
fn register(peer: &str, to: SocketAddr, sent: &mut u32) -> Result<()> {
    let socket = UdpSocket::bind((peer, 0)).context("bind")?;
    socket.set_ttl(HOPS)?;
    let (start, first) = (Instant::now(), *sent);
    while start.elapsed() < SENDING {
        while f64::from(*sent - first) < start.elapsed().as_secs_f64() * f64::from(PER_SECOND) {
            let request = Message::request("REGISTER").header("X-Number", &sent.to_string());
            socket.send_to(&request.bytes(), to)?;
            *sent += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn received(daemon: &Daemon) -> Result<u64> {
    let metrics = daemon.metrics()?;
    let line = metrics.lines().find_map(|it| it.strip_prefix("sipprot_events_received_total "));
    line.context("no count of events")?.trim().parse().context("a count")
}
