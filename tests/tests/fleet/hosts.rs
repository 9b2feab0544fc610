//! The fleet's hosts: daemons with a filter, and hosts without a daemon around them.

use std::{
    net::{IpAddr, Ipv4Addr, UdpSocket},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use sipprot_ctl::fleet::{Bundle, Grade, Host, Report};
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    daemon::{Daemon, Settings},
    lab::Lab,
    namespace::Namespace,
    patience::wait_for,
    topology::{Family, UPLINK},
};

/// From a host's verdict to what another one drops.
pub const SPREAD_WITHIN: Duration = Duration::from_secs(1);

/// The address of another host with a filter, numbered from 0.
pub fn other_address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, 138 + 4 * number)
}

/// Another host with a filter of its own, on the other side of the lab's internet.
pub fn other_host(lab: &Lab, number: u8) -> Result<(Namespace, Daemon)> {
    let host = Namespace::create(&lab.id().namespace(&format!("host{}", number + 2)))?;
    connect(lab, &host, &format!("hb{number}"), UPLINK, other_address(number))?;
    let program = std::env::var_os("SIPPROT_BIN").context("SIPPROT_BIN")?;
    let name = format!("other{number}");
    let daemon = Daemon::named(&name, &host, program.as_ref(), &lab.directory())?;
    Ok((host, daemon))
}

/// A cable between the lab's internet and a namespace, which has `address` on it and the one before
/// it for its gateway.
pub fn connect(
    lab: &Lab,
    place: &Namespace,
    near: &str,
    far: &str,
    address: Ipv4Addr,
) -> Result<()> {
    let (name, gateway) = (place.name(), Ipv4Addr::from(u32::from(address) - 1));
    lab.net.internet.ip(&format!(
        "link add name {near} type veth peer name {far} netns {name}\n\
         link set {near} up\naddr add {gateway}/30 dev {near}\n"
    ))?;
    place.ip(&format!(
        "link set lo up\nlink set {far} up\naddr add {address}/30 dev {far}\n\
         route add default via {gateway}\n"
    ))
}

pub fn join(daemon: &mut Daemon, credentials: &Path) -> Result<()> {
    let line = format!("fleet.credentials = \"{}\"", credentials.display());
    daemon.configure(&Settings::of(&[&line]))?;
    if daemon.is_running() {
        daemon.text(&["reload"])?;
    } else {
        daemon.start()?;
    }
    wait_for("the host in its fleet", || {
        let status = daemon.json(&["fleet", "status"])?;
        Ok((status["connected"] == true).then_some(()))
    })
    .with_context(|| daemon.log())
}

pub fn wait_for_denial(daemon: &Daemon, source: IpAddr, denied: bool) -> Result<()> {
    wait_for(&format!("{source} denied: {denied}"), || {
        Ok((daemon.check(source)?.denied == denied).then_some(()))
    })
    .with_context(|| daemon.log())
}

pub fn crack(lab: &Lab, source: IpAddr) -> Result<()> {
    let plan = Plan {
        guesses: 100,
        patience: Duration::from_millis(100),
        ..Plan::new(source, lab.pbxs[0].sip(Family::V4))
    };
    cracker::attack_from(&lab.net.attackers, &plan).map(drop)
}

/// What the other host drops of it: counted by the kernel, sent by the attacker.
pub fn knock(lab: &Lab, from: IpAddr) -> Result<()> {
    lab.net.attackers.run(|| {
        let socket = UdpSocket::bind((from, 0))?;
        for _ in 0..5 {
            socket
                .send_to(b"OPTIONS sip:x@192.0.2.138 SIP/2.0\r\n\r\n", (other_address(0), 5060))?;
        }
        Ok(())
    })
}

pub fn dropped(daemon: &Daemon) -> Result<u64> {
    Ok(daemon.dropped()?.get("denied").copied().unwrap_or_default())
}

/// From the first host's block to the other's entry, by their own clocks, which are the same.
pub fn spread_time(daemon: &Daemon, other: &Daemon, source: IpAddr) -> Result<Duration> {
    let blocked = logged_at(&daemon.log(), &format!("blocked {source}"))?;
    let events = other.json(&["check", &source.to_string()])?;
    ensure!(events["denied"] == true, "{events}");
    let listed = logged_at(&other.log(), &format!("the fleet's list has {source}"))?;
    Ok(Duration::from_micros((listed - blocked).max(0).unsigned_abs()))
}

/// When a line was logged, in Unix microseconds.
pub fn logged_at(log: &str, what: &str) -> Result<i64> {
    let line = log.lines().find(|line| line.contains(what));
    let line = line.with_context(|| format!("no line says {what:?}: {log}"))?;
    let plain: String = line.chars().skip_while(|it| !it.is_ascii_digit()).collect();
    let time = plain.split_whitespace().next().unwrap_or_default();
    // Colours may come before the time.
    let time = time.split('m').next_back().unwrap_or(time);
    let time: jiff::Timestamp = time.parse().with_context(|| line.to_owned())?;
    Ok(time.as_microsecond())
}

pub fn knock_passes(lab: &Lab, other: &Daemon, source: IpAddr) -> Result<()> {
    let before = dropped(other)?;
    knock(lab, source)?;
    ensure!(dropped(other)? == before, "an allowed address was dropped");
    Ok(())
}

pub fn report(source: IpAddr) -> Report {
    Report {
        source: source.into(),
        grade: Grade::Proven,
        rule: "BRUTEFORCE:register".to_owned(),
        count: 11,
        first: now(),
        last: now(),
        user_agent: None,
        country: None,
        endpoint: None,
        account: None,
    }
}

/// A host without a daemon around it, as `name` among the lab's files.
pub fn start_host(lab: &Lab, place: &Namespace, name: &str, bundle: Bundle) -> Result<Host> {
    let directory = lab.directory().join(name);
    let (news, mut told) = tokio::sync::mpsc::channel(64);
    std::thread::spawn(move || while told.blocking_recv().is_some() {});
    place.run(move || Host::start(bundle, &directory, news))
}

pub fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |it| it.as_secs() as i64)
}
