//! The services beside SIP, with their own clients: ssh, curl over HTTP and TFTP, getaddrinfo.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each
//! test says what is missing.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sipprot_tests::{
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::Manners,
    services::{self, NameServer, TftpServer, WebServer, curl_gets, resolves},
    sshd::Sshd,
    topology::{Family, PBXS},
};

fn protected(lines: &[&str]) -> Result<Option<(Lab, Daemon)>> {
    if let Some(missing) = services::missing() {
        println!("skipped: needs {missing}");
        return Ok(None);
    }
    Lab::protected(Manners::default(), &Settings::of(lines))
}

/// How many of so many tries succeed.
fn successes(tries: usize, mut attempt: impl FnMut() -> Result<bool>) -> Result<usize> {
    (0..tries).try_fold(0, |count, _| Ok(count + usize::from(attempt()?)))
}

fn assert_dropped(daemon: &Daemon, reason: &str) -> Result<()> {
    let dropped = daemon.dropped()?;
    ensure!(dropped.contains_key(reason), "not {reason}, but {dropped:?}");
    Ok(())
}

#[test]
fn ssh_connections_have_a_ceiling_at_endpoints_and_where_the_hosts_sshd_is_found() -> Result<()> {
    let Some((lab, mut daemon)) = protected(&["ssh.rate = 1", "ssh.burst = 3"])? else {
        return Ok(());
    };
    let Some(pbx) = Sshd::start(&lab.net.pbxs[0], &lab.directory())? else { return Ok(()) };
    for family in [Family::V4, Family::V6] {
        let (source, server) = (lab.newcomer().of(family), PBXS[0].of(family));
        let reached = successes(4, || pbx.is_reached(&lab.net.attackers, source, server))?;
        assert_eq!(reached, 3, "{family:?}");
    }
    assert_dropped(&daemon, "ssh_ceiling")?;

    // Nobody told it of this one.
    let host = Sshd::start_at(&lab.net.host, 2222, &lab.directory())?;
    daemon.stop()?;
    daemon.start()?;
    let status = daemon.json(&["status"])?;
    let guards = status["guards"].as_array().cloned().unwrap_or_default();
    let ssh = guards.iter().find(|guard| guard["name"] == "ssh").cloned().unwrap_or_default();
    assert_eq!(ssh["ports"].as_array().map(|ports| ports.contains(&"2222".into())), Some(true));
    let (source, server) = (lab.newcomer().v4.into(), "192.0.2.130".parse()?);
    let host = host.context("an sshd")?;
    let reached = successes(4, || host.is_reached(&lab.net.attackers, source, server))?;
    assert_eq!(reached, 3, "the host's own");
    Ok(())
}

#[test]
fn web_connections_have_a_ceiling_that_may_be_watched_first() -> Result<()> {
    let Some((lab, daemon)) = protected(&["http.rate = 1", "http.burst = 5"])? else {
        return Ok(());
    };
    let _web = WebServer::start(&lab.net.pbxs[0])?;
    let gets = |source: IpAddr, host: &str| {
        curl_gets(&lab.net.attackers, source, &format!("http://{host}/"))
    };
    let newcomer = lab.newcomer();
    let v4 = successes(7, || gets(newcomer.v4.into(), &PBXS[0].v4.to_string()))?;
    let v6 = successes(7, || gets(newcomer.v6.into(), &format!("[{}]", PBXS[0].v6)))?;
    assert_eq!((v4, v6), (5, 5), "over IPv4, over IPv6");
    assert_dropped(&daemon, "http_ceiling")?;
    assert!(!daemon.check(newcomer.v4.into())?.is_cut_off(), "nobody is blocked for it");

    let lines = ["http.rate = 1", "http.burst = 5", "http.mode = \"observe\""];
    daemon.configure(&Settings::of(&lines))?;
    daemon.text(&["reload"])?;
    let newcomer = lab.newcomer().v4.into();
    assert_eq!(successes(7, || gets(newcomer, &PBXS[0].v4.to_string()))?, 7, "observed");
    let metrics = daemon.metrics()?;
    assert!(
        metrics
            .contains("sipprot_observed_packets_total{endpoint=\"pbx1\",reason=\"http_ceiling\"}")
    );
    Ok(())
}

#[test]
fn tftp_requests_have_a_ceiling() -> Result<()> {
    let Some((lab, daemon)) = protected(&["tftp.rate = 1", "tftp.burst = 3"])? else {
        return Ok(());
    };
    let _tftp = TftpServer::start(&lab.net.pbxs[0], &lab.directory())?;
    let fetches = |source: IpAddr, host: &str| {
        let url = format!("tftp://{host}/{}", TftpServer::FILE);
        curl_gets(&lab.net.attackers, source, &url)
    };
    let v4 = PBXS[0].v4.to_string();
    let start = Instant::now();
    while !fetches(lab.newcomer().v4.into(), &v4)? {
        ensure!(start.elapsed() < Duration::from_secs(10), "the TFTP server doesn't answer");
    }
    let newcomer = lab.newcomer();
    assert_eq!(successes(4, || fetches(newcomer.v4.into(), &v4))?, 3, "IPv4");
    let v6 = format!("[{}]", PBXS[0].v6);
    assert_eq!(successes(4, || fetches(newcomer.v6.into(), &v6))?, 3, "IPv6");
    assert_dropped(&daemon, "tftp_ceiling")
}

/// OpenSSH's and curl's own clients beyond the limits of before, once the guards are off.
#[test]
fn a_guard_that_is_off_stops_nobody() -> Result<()> {
    let lines = [
        "ssh.rate = 1",
        "ssh.burst = 2",
        "ssh.mode = \"off\"",
        "tftp.rate = 1",
        "tftp.burst = 2",
        "tftp.mode = \"off\"",
        "http.rate = 1",
        "http.burst = 2",
        "http.mode = \"off\"",
    ];
    let Some((lab, daemon)) = protected(&lines)? else { return Ok(()) };
    let Some(sshd) = Sshd::start(&lab.net.pbxs[0], &lab.directory())? else { return Ok(()) };
    let _tftp = TftpServer::start(&lab.net.pbxs[0], &lab.directory())?;
    let _web = WebServer::start(&lab.net.pbxs[0])?;
    let (clients, newcomer) = (&lab.net.attackers, lab.newcomer());
    let gets = |scheme: &str, path: &str| {
        let url = format!("{scheme}://{}/{path}", PBXS[0].v4);
        successes(6, || curl_gets(clients, newcomer.v4.into(), &url))
    };
    let ssh = successes(6, || sshd.is_reached(clients, newcomer.v4.into(), PBXS[0].v4.into()))?;
    let found = (ssh, gets("tftp", TftpServer::FILE)?, gets("http", "")?);
    assert_eq!(found, (6, 6, 6), "ssh, TFTP, http");
    assert!(daemon.dropped()?.is_empty(), "{:?}", daemon.dropped()?);
    Ok(())
}

#[test]
fn answers_that_old_resolvers_don_t_survive_never_reach_getaddrinfo() -> Result<()> {
    let Some((lab, daemon)) = protected(&[])? else { return Ok(()) };
    let servers = lab.newcomer();
    for (family, options) in [(Family::V4, ""), (Family::V6, ""), (Family::V4, "use-vc")] {
        let server = servers.of(family);
        let names = NameServer::start(&lab.net.attackers, server)?;
        let resolves = |length: usize| {
            names.pads_to(length);
            resolves(&lab.net.pbxs[0], server, options, &lab.directory())
        };
        assert!(resolves(2048)?, "{family:?} {options}: 2,048 bytes");
        assert!(!resolves(2049)?, "{family:?} {options}: 2,049 bytes");
    }
    assert_dropped(&daemon, "dns_oversize")?;

    let lines = ["dns.mode = \"off\"".to_owned()];
    daemon.configure(&Settings { lines: lines.to_vec(), ..Settings::default() })?;
    daemon.text(&["reload"])?;
    let names = NameServer::start(&lab.net.attackers, servers.v4.into())?;
    names.pads_to(2049);
    assert!(resolves(&lab.net.pbxs[0], servers.v4.into(), "", &lab.directory())?, "off");
    Ok(())
}
