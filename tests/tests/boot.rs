//! A host that boots under attack, replayed: the daemon is there before its interface, and the interface before
//! its first packet.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, the test says what
//! is missing.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;
use sipprot_tests::{
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::Manners,
    topology::{Family, UPLINK},
};

const HIDDEN: &str = "later0";
const LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(2);
const UNKNOWN_CALLER: &str = "OPTIONS sip:a@192.0.2.11 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKa\r\nFrom: <sip:a@192.0.2.11>;tag=a\r\n\
    To: <sip:a@192.0.2.11>\r\nCall-ID: a\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

fn wait_for(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if is_so()? {
            return Ok(start.elapsed());
        }
        std::thread::sleep(PAUSE);
    }
    anyhow::bail!("{what} did not come within {LIMIT:?}")
}

/// Sends from an address until it is told to stop; how many went out.
fn knock(lab: &Lab, source: IpAddr, target: SocketAddr, ended: &AtomicBool) -> Result<u64> {
    let socket = lab.net.attackers.run(|| UdpSocket::bind((source, 5060)).context("bind"))?;
    let mut sent = 0;
    while !ended.load(Ordering::Relaxed) {
        sent += u64::from(socket.send_to(UNKNOWN_CALLER.as_bytes(), target).is_ok());
        std::thread::sleep(PAUSE);
    }
    Ok(sent)
}

/// Requests of a source that reached a PBX.
fn came(lab: &Lab, source: Ipv4Addr) -> Result<u64> {
    Ok(lab.counts(source.into())?.requests.values().sum())
}

fn problems(daemon: &Daemon) -> Result<Value> {
    Ok(daemon.json(&["status"])?["problems"].clone())
}

#[test]
fn the_first_packet_of_a_denied_source_is_dropped() -> Result<()> {
    let Some((lab, mut daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let (denied, control) = (lab.newcomer().v4, lab.newcomer().v4);
    daemon.text(&["deny", "add", &denied.to_string()])?;
    daemon.stop()?;
    // As after a power cut: nothing of ours is in the kernel, and the interface has not been found yet.
    daemon.text(&["rescue", "detach"])?;
    std::fs::remove_dir_all(daemon.pin_dir()).context("remove the pins")?;
    let host = &lab.net.host;
    let routes = routes(&lab)?;
    host.ip(&format!("link set {UPLINK} down\nlink set {UPLINK} name {HIDDEN}\n"))?;

    let target = lab.pbxs[0].sip(Family::V4);
    let ended = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| -> Result<[u64; 2]> {
        let knocking = [denied, control].map(|source| {
            let (lab, ended) = (&lab, &ended);
            scope.spawn(move || knock(lab, source.into(), target, ended))
        });
        let booted = (|| -> Result<()> {
            daemon.start_with(&["--wait"])?;
            assert!(problems(&daemon)?.to_string().contains("up0 is not filtered"));
            // udev gives it its name; only then the network's scripts bring it up.
            host.ip(&format!("link set {HIDDEN} name {UPLINK}\n"))?;
            let after = wait_for("the filter", || Ok(daemon.xdp_mode()? != "none"))?;
            println!("filtered {} ms after the interface had its name", after.as_millis());
            host.ip(&format!("link set {UPLINK} up\n{routes}"))?;
            wait_for("the control", || Ok(came(&lab, control)? > 0))?;
            Ok(())
        })();
        ended.store(true, Ordering::Relaxed);
        let [denied, control] = knocking.map(|it| it.join().expect("no panic"));
        booted?;
        Ok([denied?, control?])
    })?;
    println!("sent: denied {}, control {}", sent[0], sent[1]);
    assert_eq!(came(&lab, denied)?, 0, "of the denied source came something");
    assert!(daemon.dropped()?.get("denied").is_some_and(|count| *count > 0), "it knocked");
    Ok(())
}

/// The routes by the uplink, which go when it goes down, as lines for `ip`.
fn routes(lab: &Lab) -> Result<String> {
    let shown = lab.net.host.command("ip").args(["-4", "route", "show", "dev", UPLINK]).output()?;
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.contains("proto kernel"));
    Ok(lines.map(|line| format!("route replace {line} dev {UPLINK}\n")).collect())
}

#[test]
fn without_an_interface_it_waits_for_one_to_be_named() -> Result<()> {
    let Some((_lab, mut daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    daemon.stop()?;
    let file = daemon.config_file();
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, text.replace(&format!("interfaces = [\"{UPLINK}\"]\n"), ""))?;
    daemon.start_with(&["--wait"])?;
    assert!(problems(&daemon)?.to_string().contains("no interface is named"));
    std::fs::write(&file, text)?;
    daemon.text(&["reload"])?;
    wait_for("the filter", || Ok(daemon.xdp_mode()? != "none"))?;
    assert_eq!(problems(&daemon)?, serde_json::json!([]));
    Ok(())
}
