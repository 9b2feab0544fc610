//! Settings that change while the host is protected, drop-ins, and the audit log with its undo, by the
//! command line alone.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, the test says
//! what is missing.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sipprot_tests::{
    daemon::{Daemon, Settings},
    lab::Lab,
    patience::wait_for,
    pbx::Manners,
};

const BAD_CONFIG: i32 = 5;

fn fails(daemon: &Daemon, arguments: &[&str], says: &str) -> Result<i32> {
    let output = daemon.cli(arguments)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && complaint.contains(says), "{arguments:?}: {complaint}");
    println!("{}", complaint.trim());
    output.status.code().context("an exit code")
}

fn records(daemon: &Daemon) -> Result<Vec<Value>> {
    let answer = daemon.json(&["audit"])?;
    answer["records"].as_array().cloned().context("records")
}

/// What the last record tells: its name, and how many there are.
fn last(daemon: &Daemon) -> Result<(String, usize)> {
    let records = records(daemon)?;
    let what = records.first().and_then(|it| it["what"].as_str()).unwrap_or_default();
    Ok((what.to_owned(), records.len()))
}

fn protected(lines: &[&str]) -> Result<Option<(Lab, Daemon)>> {
    Lab::protected(Manners::default(), &Settings::of(lines))
}

#[test]
fn settings_are_in_force_at_once_and_keep_the_file() -> Result<()> {
    let Some((_lab, mut daemon)) = protected(&["# ours", "rules.block_time = \"5m\" # short"])?
    else {
        return Ok(());
    };
    let before = fs::read_to_string(daemon.config_file())?;
    let address = "203.0.113.77";
    println!("{}", daemon.text(&["config", "set", "rules.block_time=7m", "mode=observe"])?);
    let text = fs::read_to_string(daemon.config_file())?;
    assert!(text.contains("# ours\nrules.block_time = \"7m\" # short\n"), "{text}");
    let status = daemon.json(&["status"])?;
    assert_eq!(status["mode"], "observe");
    daemon.text(&["block", address])?;
    assert_eq!(daemon.json(&["check", address])?["block"]["duration_s"], 420);
    assert_eq!(daemon.text(&["config", "get", "rules.block_time"])?, "7m\n");

    let text = fs::read_to_string(daemon.config_file())?;
    fails(&daemon, &["config", "set", "rules.block_time=9m", "sip.ports=0"], "sip.ports: ")?;
    fails(&daemon, &["config", "set", "rules.blok_time", "9m"], "no such setting")?;
    assert_eq!(fs::read_to_string(daemon.config_file())?, text, "nothing half-applied");
    assert_eq!(
        daemon.text(&["config", "diff"])?,
        "no difference: the files say what is in force\n"
    );

    // Of an endpoint, and back by undo: the block first, then the settings.
    println!("{}", daemon.text(&["geo", "off", "--endpoint", "pbx1"])?);
    assert!(fs::read_to_string(daemon.config_file())?.contains("geo.mode = \"off\"\n"));
    for _ in 0..3 {
        println!("{}", daemon.text(&["undo"])?);
    }
    assert_eq!(fs::read_to_string(daemon.config_file())?, before);
    assert_eq!(daemon.json(&["status"])?["mode"], "enforce");
    assert!(!daemon.check(address.parse()?)?.blocked);
    println!("{}", daemon.text(&["audit"])?);
    // Killed, it has forgotten nothing of it.
    let told = records(&daemon)?;
    daemon.kill()?;
    daemon.start()?;
    assert_eq!(records(&daemon)?, told);
    Ok(())
}

#[test]
fn a_bad_drop_in_changes_nothing() -> Result<()> {
    let Some((_lab, daemon)) = protected(&["rules.block_time = \"5m\""])? else { return Ok(()) };
    let drop_ins = daemon.config_file().with_extension("d");
    fs::create_dir(&drop_ins)?;
    let (early, late) = (drop_ins.join("10-early.toml"), drop_ins.join("20-late.toml"));
    fs::write(&early, "rules.block_time = \"6m\"\nrules.block_threshold = 7\n")?;
    fs::write(&late, "# later\nrules.block_time = \"8m\"\n")?;
    println!("{}", daemon.text(&["config", "diff"])?);
    daemon.text(&["reload"])?;
    assert_eq!(daemon.text(&["config", "get", "rules.block_time"])?, "8m\n");
    let shown = daemon.text(&["config", "show"])?;
    let place = format!("rules.block_time = \"8m\"  # {}:2\n", late.display());
    assert!(shown.contains(&place), "{shown}");
    daemon.text(&["config", "set", "rules.block_time", "9m"])?;
    assert_eq!(fs::read_to_string(&late)?, "# later\nrules.block_time = \"9m\"\n");

    fs::write(&early, "rules.block_threshold = 8\nmode = \"of\"\n")?;
    let place = format!("{}:2: mode: expected", early.display());
    assert_eq!(fails(&daemon, &["config", "check"], &place)?, BAD_CONFIG);
    let has_failed = || -> Result<bool> {
        Ok(daemon.json(&["status"])?.to_string().contains("the last reload failed"))
    };
    let hang_up = || -> Result<()> {
        let process = daemon.process_id().context("a running daemon")?.to_string();
        let done = std::process::Command::new("kill").args(["-HUP", &process]).status()?;
        ensure!(done.success(), "kill -HUP: {done}");
        Ok(())
    };
    assert!(!has_failed()?);
    hang_up()?;
    wait_for("the failed reload", || Ok(has_failed()?.then_some(())))?;
    assert_eq!(daemon.text(&["config", "get", "rules.block_threshold"])?, "7\n");
    fails(&daemon, &["reload"], &place)?;
    fs::write(&early, "rules.block_threshold = 8\n")?;
    hang_up()?;
    wait_for("the reload", || Ok((!has_failed()?).then_some(())))?;
    assert_eq!(daemon.text(&["config", "get", "rules.block_threshold"])?, "8\n");
    let (what, _) = last(&daemon)?;
    assert_eq!(what, "reload", "by a signal, and told all the same");
    Ok(())
}

#[test]
fn what_was_done_is_told_and_taken_back() -> Result<()> {
    let Some((lab, daemon)) = protected(&[])? else { return Ok(()) };
    let csv = lab.directory().join("deny.csv");
    fs::write(&csv, "IP_ADDRESS,NOTE\n198.51.100.70,one\n198.51.100.71,two\n")?;
    let csv = csv.to_str().context("a path")?;
    let one = "198.51.100.70";
    let is_denied = |address: &str| Ok::<_, anyhow::Error>(daemon.check(address.parse()?)?.denied);
    for (arguments, what) in [
        (&["deny", "add", one, "--note", "first"][..], "list.add"),
        (&["deny", "edit", one, "--note", "again"], "list.edit"),
        (&["deny", "import", csv], "list.import"),
        (&["deny", "remove", one], "list.remove"),
        (&["peer", "add", "198.51.100.0/28"], "peer.add"),
        (&["peer", "remove", "198.51.100.0/28"], "peer.remove"),
        (&["learn", "start"], "learn.start"),
        (&["learn", "stop"], "learn.stop"),
    ] {
        let (_, before) = last(&daemon)?;
        daemon.text(arguments)?;
        assert_eq!(last(&daemon)?, (what.to_owned(), before + 1));
    }
    let told = records(&daemon)?;
    let listed =
        told.iter().filter(|it| it["what"].as_str().is_some_and(|it| it.starts_with("list")));
    let numbers: Vec<u64> = listed.filter_map(|it| it["number"].as_u64()).collect();
    let [removed, imported, ..] = numbers[..] else { anyhow::bail!("{told:?}") };
    fails(&daemon, &["undo", &imported.to_string()], "was changed by")?;
    daemon.text(&["undo", &removed.to_string()])?;
    assert!(is_denied(one)?);
    daemon.text(&["undo", &imported.to_string()])?;
    assert!(is_denied(one)? && !is_denied("198.51.100.71")?, "as before the import");
    fails(&daemon, &["undo", &imported.to_string()], "was undone by")?;
    // The rest, the last first.
    for _ in 0..6 {
        println!("{}", daemon.text(&["undo"])?.trim());
    }
    assert!(!is_denied(one)?);
    assert_eq!(daemon.json(&["learn", "status"])?["state"], "never");
    fails(&daemon, &["undo"], "nothing that can be undone")?;
    let filtered = daemon.json(&["audit", "--what", "list", "--address", one])?;
    assert_eq!(filtered["total"], 4);
    Ok(())
}
