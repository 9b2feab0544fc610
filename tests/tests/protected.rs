//! sipprot on the host of the lab: real phones, real attackers, and a daemon that dies.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each
//! test says what is missing.

use std::{
    net::IpAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    daemon::{Check, Daemon, Settings},
    lab::Lab,
    office::PHONES,
    patience::wait_for,
    pbx::Manners,
    topology::{Family, OFFICE},
};

const LIMIT: u64 = 10;
/// Requests that may be on their way to the PBX when the limit is reached.
const IN_FLIGHT: u64 = 2;

/// A lab with a running daemon, or a line that says why there is none.
fn protected(settings: &Settings) -> Result<Option<(Lab, Daemon)>> {
    Lab::protected(Manners::default(), settings)
}

/// How many guesses from `source` the PBX rejected.
fn crack(lab: &Lab, plan: &Plan) -> Result<u64> {
    let before = lab.counts(plan.source)?.rejected;
    let report = cracker::attack_from(&lab.net.attackers, plan)?;
    let rejected = lab.counts(plan.source)?.rejected - before;
    println!("{:?} from {}: {rejected} rejected, {report:?}", plan.transport, plan.source);
    Ok(rejected)
}

fn wait_for_check(
    daemon: &Daemon,
    source: IpAddr,
    what: &str,
    wanted: impl Fn(&Check) -> bool,
) -> Result<()> {
    wait_for(what, || Ok(wanted(&daemon.check(source)?).then_some(()))).with_context(|| {
        let check = daemon.text(&["check", &source.to_string(), "--json"]);
        format!("{check:?}\n{}", daemon.log())
    })
}

fn short(lab: &Lab) -> Plan {
    Plan {
        guesses: 300,
        patience: Duration::from_millis(300),
        ..Plan::new(lab.newcomer().v4.into(), lab.pbxs[0].sip(Family::V4))
    }
}

#[test]
fn a_cracker_gets_no_more_than_the_limit_answered() -> Result<()> {
    let Some((lab, mut daemon)) = protected(&Settings::of(&[]))? else { return Ok(()) };
    let plan = |family| Plan::new(lab.newcomer().of(family), lab.pbxs[0].sip(family));
    for plan in [plan(Family::V4), plan(Family::V6), plan(Family::V4).tcp(), plan(Family::V6).tcp()]
    {
        let rejected = crack(&lab, &plan)?;
        assert!((1..=LIMIT + IN_FLIGHT).contains(&rejected), "{plan:?}: {rejected}");
    }
    daemon.kill()?;
    for plan in [plan(Family::V4), plan(Family::V4).tcp(), plan(Family::V6)] {
        let rejected = crack(&lab, &plan)?;
        assert!((1..=LIMIT + IN_FLIGHT).contains(&rejected), "daemon dead, {plan:?}: {rejected}");
    }
    // What begins in one segment and ends in another is bounded by bytes, with nobody to join it.
    let split = crack(&lab, &plan(Family::V4).split(333))?;
    assert!(split < 60, "split over TCP, daemon dead: {split}");
    let office = lab.office();
    let (registered, calls) = office.register_and_call(20)?;
    assert_eq!((registered.ok, calls.failed), (PHONES, 0));
    Ok(())
}

#[test]
fn a_crack_from_many_ports_is_one_source() -> Result<()> {
    let Some((lab, _daemon)) = protected(&Settings::of(&[]))? else { return Ok(()) };
    let plan = Plan {
        source_ports: 64,
        ..Plan::new(lab.newcomer().v4.into(), lab.pbxs[0].sip(Family::V4))
    };
    let rejected = crack(&lab, &plan)?;
    assert!((1..=LIMIT + IN_FLIGHT).contains(&rejected), "{rejected}");
    Ok(())
}

#[test]
fn forged_credentials_contain_and_never_block() -> Result<()> {
    let Some((lab, daemon)) = protected(&Settings::of(&[]))? else { return Ok(()) };
    let plan = Plan { forge_nonce: true, ..short(&lab) };
    let rejected = crack(&lab, &plan)?;
    assert!(rejected <= LIMIT + IN_FLIGHT, "{rejected}");
    wait_for_check(&daemon, plan.source, "the containment", |check| check.contained)?;
    let check = daemon.check(plan.source)?;
    assert!(!check.blocked && !check.denied, "{check:?}");
    Ok(())
}

#[test]
fn kill_and_restart_lose_nothing() -> Result<()> {
    let Some((lab, mut daemon)) = protected(&Settings::of(&[]))? else { return Ok(()) };
    let plan = short(&lab);
    crack(&lab, &plan)?;
    wait_for_check(&daemon, plan.source, "the block", |check| check.blocked)?;
    daemon.text(&["allow", "add", "203.0.113.0/24", "--note", "the office"])?;
    daemon.text(&["deny", "add", "2001:db8:dead::/48", "--note", "nobody"])?;
    let before = daemon.json(&["report"])?;
    let block_before = daemon.json(&["check", &plan.source.to_string()])?;

    let arrived = lab.counts(plan.source)?.all_requests();
    std::thread::scope(|scope| -> Result<()> {
        let attack = scope.spawn(|| crack(&lab, &plan));
        std::thread::sleep(Duration::from_millis(20));
        daemon.kill()?;
        assert_eq!(attack.join().map_err(|_| anyhow::anyhow!("the attack panicked"))??, 0);
        Ok(())
    })?;
    assert_eq!(lab.counts(plan.source)?.all_requests(), arrived, "nothing more reaches the PBX");

    daemon.start()?;
    let check = daemon.check(plan.source)?;
    assert!(check.blocked, "{check:?}");
    let after = daemon.json(&["check", &plan.source.to_string()])?;
    for key in ["rule", "reason", "started_at", "reaction_us", "proven"] {
        assert_eq!(after["block"][key], block_before["block"][key], "{key}");
    }
    assert_eq!(lists(&daemon)?, [1, 1, 1]);
    assert!(daemon.check("203.0.113.9".parse()?)?.allowed);
    assert!(daemon.check("2001:db8:dead::9".parse()?)?.denied);
    let after = daemon.json(&["report"])?;
    assert_eq!(after["total_blocks"], before["total_blocks"]);
    Ok(())
}

/// Entries of the allowlist, the denylist and the dynamic blocks.
fn lists(daemon: &Daemon) -> Result<[u64; 3]> {
    let status = daemon.json(&["status"])?;
    let count = |list: &str| status["lists"][list].as_u64().context("a count");
    Ok([count("allow")?, count("deny")?, count("dynamic")?])
}

#[test]
fn a_block_ends_by_itself_and_the_second_is_for_good() -> Result<()> {
    let lines = ["rules.block_time = \"3s\"", "rules.block_threshold = 2"];
    let Some((lab, daemon)) = protected(&Settings::of(&lines))? else { return Ok(()) };
    let plan = Plan { guesses: 60, ..short(&lab) };
    crack(&lab, &plan)?;
    wait_for_check(&daemon, plan.source, "the block", |check| check.blocked)?;
    wait_for_check(&daemon, plan.source, "its end", |check| !check.is_cut_off())?;
    assert!(crack(&lab, &plan)? > 0, "after its end the PBX hears the source again");
    wait_for_check(&daemon, plan.source, "the denylist", |check| check.denied)?;
    let listed = daemon.text(&["list", "deny"])?;
    assert!(listed.contains(&plan.source.to_string()), "{listed}");
    assert_eq!(crack(&lab, &plan)?, 0);
    Ok(())
}

#[test]
fn an_attack_renews_its_block_up_to_four_lengths() -> Result<()> {
    let lines = ["rules.block_time = \"3s\""];
    let Some((lab, daemon)) = protected(&Settings::of(&lines))? else { return Ok(()) };
    let plan = Plan { guesses: 60, ..short(&lab) };
    crack(&lab, &plan)?;
    wait_for_check(&daemon, plan.source, "the block", |check| check.blocked)?;
    let blocked = Instant::now();
    // It goes on for longer than the block would have lasted.
    let arrived = lab.counts(plan.source)?.all_requests();
    let slow = Plan { guesses: 150, per_second: Some(30), forge_nonce: true, ..plan.clone() };
    crack(&lab, &slow)?;
    assert!(blocked.elapsed() > Duration::from_secs(4));
    assert_eq!(lab.counts(plan.source)?.all_requests(), arrived, "still blocked");
    let check = daemon.json(&["check", &plan.source.to_string()])?;
    assert!(check["block"]["renewals"].as_u64().context("renewals")? >= 1, "{check}");
    wait_for_check(&daemon, plan.source, "its end", |check| !check.is_cut_off())?;
    assert!(blocked.elapsed() < Duration::from_secs(3 * 4 + 2));
    Ok(())
}

#[test]
fn who_is_unblocked_by_hand_has_grace() -> Result<()> {
    let Some((lab, daemon)) = protected(&Settings::of(&[]))? else { return Ok(()) };
    let plan = Plan { guesses: 60, ..short(&lab) };
    crack(&lab, &plan)?;
    wait_for_check(&daemon, plan.source, "the block", |check| check.blocked)?;
    daemon.text(&["unblock", &plan.source.to_string()])?;
    assert!(!daemon.check(plan.source)?.is_cut_off());
    let rejected = crack(&lab, &plan)?;
    assert!((1..=LIMIT + IN_FLIGHT).contains(&rejected), "heard again: {rejected}");
    std::thread::sleep(Duration::from_millis(500));
    let check = daemon.check(plan.source)?;
    assert!(!check.blocked && !check.denied, "in its grace nobody is blocked: {check:?}");
    let raw = daemon.json(&["check", &plan.source.to_string()])?;
    assert!(raw["grace_until"].as_i64().is_some(), "{raw}");
    Ok(())
}

#[test]
fn rescue_needs_neither_daemon_nor_store() -> Result<()> {
    let Some((lab, mut daemon)) = protected(&Settings::of(&[]))? else { return Ok(()) };
    let (one, two) = (short(&lab), short(&lab));
    for plan in [&one, &two] {
        crack(&lab, plan)?;
        wait_for_check(&daemon, plan.source, "the block", |check| check.blocked)?;
    }
    daemon.kill()?;
    spoil(&daemon.state_dir())?;
    let status = daemon.text(&["rescue", "status"])?;
    assert!(status.contains(lab.uplink()), "{status}");
    daemon.text(&["rescue", "unblock", &one.source.to_string()])?;
    assert!(crack(&lab, &one)? > 0, "unblocked");
    assert_eq!(crack(&lab, &two)?, 0, "the other stays blocked");

    // The store is set aside, and what it held comes back from its export.
    daemon.start()?;
    assert!(daemon.check(two.source)?.blocked);
    let status = daemon.json(&["status"])?;
    let notes = status["store"]["notes"].as_array().context("notes")?;
    assert!(!notes.is_empty(), "{status}");
    daemon.kill()?;

    daemon.text(&["rescue", "detach"])?;
    assert_eq!(daemon.xdp_mode()?, "none");
    assert!(crack(&lab, &two)? > LIMIT + IN_FLIGHT, "nothing is filtered any more");
    Ok(())
}

/// Overwrites every file of sled's with rubbish.
fn spoil(state: &Path) -> Result<()> {
    let mut spoilt = 0;
    let mut rooms = vec![state.to_owned()];
    while let Some(room) = rooms.pop() {
        for entry in std::fs::read_dir(&room)? {
            let path = entry?.path();
            if path.is_dir() {
                rooms.push(path);
            } else if room != state {
                std::fs::write(&path, [0x5a; 4096])?;
                spoilt += 1;
            }
        }
    }
    anyhow::ensure!(spoilt > 0, "no store in {}", state.display());
    Ok(())
}

#[test]
fn observe_counts_and_lets_pass() -> Result<()> {
    let observing = Settings { enforce: false, ..Settings::of(&[]) };
    let Some((lab, daemon)) = protected(&observing)? else { return Ok(()) };
    let plan = Plan { guesses: 200, per_second: Some(400), ..short(&lab) };
    let rejected = crack(&lab, &plan)?;
    assert!(rejected > LIMIT + IN_FLIGHT, "{rejected}");
    let metrics = daemon.metrics()?;
    let observed = metrics
        .lines()
        .any(|line| line.starts_with("sipprot_observed_packets_total{") && !line.ends_with(" 0"));
    assert!(observed, "{metrics}");
    let total =
        |name: &str| -> Result<u64> { Ok(daemon.json(&["report"])?[name].as_u64().unwrap_or(0)) };
    wait_for("the report", || Ok((total("total_observed")? > 0).then_some(())))?;
    assert_eq!(total("total_drops")?, 0, "nothing was dropped");
    Ok(())
}

#[test]
fn metrics_satisfy_promtool() -> Result<()> {
    let Some((lab, daemon)) = protected(&Settings::of(&[]))? else { return Ok(()) };
    let plan = short(&lab);
    crack(&lab, &plan)?;
    wait_for_check(&daemon, plan.source, "the block", |check| check.blocked)?;
    let metrics = daemon.metrics()?;
    for name in [
        "sipprot_packets_total",
        "sipprot_blocks_total",
        "sipprot_blocks_in_force",
        "sipprot_map_entries",
        "sipprot_events_lost_total",
        "sipprot_events_suppressed_total",
    ] {
        assert!(metrics.contains(name), "{name} is missing:\n{metrics}");
    }
    assert!(!metrics.contains(&plan.source.to_string()), "no address in a label");
    let file = lab.directory().join("metrics.txt");
    std::fs::write(&file, &metrics)?;
    let complaint = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::fs::File::open(&file)?)
        .output()
        .context("run promtool")?;
    let said = [complaint.stdout, complaint.stderr].concat();
    assert!(complaint.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    Ok(())
}

/// One line on stderr that names the thing, and not zero.
fn refused(daemon: &Daemon, arguments: &[&str], named: &str) -> Result<()> {
    let output = daemon.cli(arguments)?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{arguments:?} was taken");
    assert!(complaint.contains(named), "{arguments:?}: no {named} in {complaint}");
    assert_eq!(complaint.trim().lines().count(), 1, "{arguments:?}: {complaint}");
    Ok(())
}

#[test]
fn what_is_wrong_is_named() -> Result<()> {
    let Some((_lab, mut daemon)) = protected(&Settings::of(&[]))? else { return Ok(()) };
    refused(&daemon, &["run"], "another sipprot")?;
    refused(&daemon, &["allow", "add", "203.0.113.0/24", "--endpoint", "nobody"], "nobody")?;
    let overlong = "x".repeat(5000);
    refused(&daemon, &["deny", "add", "198.51.100.77", "--note", &overlong], "note")?;
    refused(&daemon, &["deny", "remove", "198.51.100.78"], "198.51.100.78")?;

    // A reload that can't be: the running configuration stays.
    daemon.configure(&Settings::of(&["sip.ports = [\"5062:5060\"]"]))?;
    refused(&daemon, &["reload"], "5062:5060")?;
    assert!(daemon.is_running());
    daemon.configure(&Settings::of(&["sip.prots = [\"5060\"]"]))?;
    refused(&daemon, &["reload"], "prots")?;
    daemon.configure(&Settings::of(&[]))?;
    daemon.text(&["reload"])?;

    daemon.stop()?;
    assert_ne!(daemon.xdp_mode()?, "none", "the filter stays when the daemon is stopped");
    refused(&daemon, &["status"], "not running")?;
    refused(&daemon, &["run", "--iface", "no-such-if"], "no-such-if")?;
    Ok(())
}

#[test]
fn json_everywhere() -> Result<()> {
    let Some((_lab, daemon)) = protected(&Settings::of(&[]))? else { return Ok(()) };
    for arguments in [
        &["status"][..],
        &["s"],
        &["status", "-allow"],
        &["status", "--all"],
        &["report"],
        &["r"],
        &["list", "allow"],
        &["l", "dynamic"],
        &["list", "contained"],
        &["list", "trust"],
        &["check", "198.51.100.1"],
        &["version"],
        &["rescue", "status"],
        &["allow", "add", "192.0.2.200"],
        &["allow", "remove", "192.0.2.200"],
        &["block", "198.51.100.200", "--for", "60s"],
        &["unblock", "198.51.100.200"],
    ] {
        let value = daemon.json(arguments)?;
        assert!(matches!(value, Value::Object(_)), "{arguments:?}: {value}");
        if !arguments.contains(&"add") && !arguments.contains(&"remove") {
            assert!(!daemon.text(arguments)?.is_empty(), "{arguments:?} prints something");
        }
    }
    let check = daemon.text(&["check", &OFFICE.v4.to_string()])?;
    assert!(check.contains(&OFFICE.v4.to_string()), "{check}");
    Ok(())
}
