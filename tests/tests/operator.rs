//! What an operator has before the eyes while the host is attacked: live changes, `top`, `doctor`.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each
//! test says what is missing.

use std::{
    net::IpAddr,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    daemon::{Daemon, Settings},
    lab::Lab,
    patience::{PATIENCE, wait_for},
    pbx::Manners,
    process::Process,
    screen::{Screen, type_into},
    topology::Family,
};

/// It would wipe the screen, if it reached a terminal.
const AGENT: &str = "wipe\x1b[2J\x1b]0;mine\x07";

fn protected() -> Result<Option<(Lab, Daemon)>> {
    Lab::protected(Manners::default(), &Settings::default())
}

fn attack(lab: &Lab, source: IpAddr, guesses: u32, per_second: Option<u32>) -> Result<()> {
    let plan = Plan {
        guesses,
        per_second,
        user_agent: AGENT.to_owned(),
        patience: Duration::from_millis(300),
        ..Plan::new(source, lab.pbxs[0].sip(Family::V4))
    };
    cracker::attack_from(&lab.net.attackers, &plan).map(drop)
}

/// `events --follow --json`, and what it printed.
struct Follower(Process);

impl Follower {
    fn start(lab: &Lab, daemon: &Daemon, arguments: &[&str]) -> Result<Self> {
        let mut command = daemon.command();
        command.args(["events", "--follow", "--json"]).args(arguments);
        Process::start(command, &lab.directory().join("events.log")).map(Self)
    }

    fn events(&self) -> Result<Vec<Value>> {
        let output = self.0.output();
        let lines = output.lines().filter(|line| line.starts_with('{') && line.ends_with('}'));
        lines.map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    fn wait_for(&self, kind: &str, source: &str) -> Result<Value> {
        let wanted = |it: &Value| it["kind"] == kind && it["source"] == source;
        wait_for(&format!("{kind} of {source}"), || Ok(self.events()?.into_iter().find(wanted)))
            .with_context(|| self.0.output())
    }
}

#[test]
fn changes_are_told_as_they_happen_and_over_a_restart() -> Result<()> {
    let Some((lab, mut daemon)) = protected()? else { return Ok(()) };
    let mut follower = Follower::start(&lab, &daemon, &[])?;
    // Again and again, until it follows.
    wait_for("the follower", || {
        daemon.text(&["reload"])?;
        Ok(follower.events()?.into_iter().find(|it| it["kind"] == "reload"))
    })?;
    let source: IpAddr = lab.newcomer().v4.into();
    let shown = source.to_string();
    attack(&lab, source, 300, None)?;
    let block = follower.wait_for("block", &shown)?;
    assert_eq!(block["block"]["rule"], "BRUTEFORCE:register", "{block}");
    assert_eq!(block["endpoint"], "pbx1");
    daemon.text(&["unblock", &shown])?;
    let ended = follower.wait_for("ended", &shown)?;
    assert!(ended["what"].as_str().is_some_and(|what| what.contains("lifted by")), "{ended}");
    daemon.text(&["deny", "add", "2001:db8:dead::/48"])?;
    follower.wait_for("list", "2001:db8:dead::/48")?;
    let past = daemon.json(&["events", "--kind", "block,ended"])?;
    let kinds: Vec<&str> = past["events"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| it["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["block", "ended"]);

    daemon.kill()?;
    daemon.start()?;
    // Whoever followed is told that something may be missing, and goes on.
    wait_for("the follower", || {
        daemon.text(&["deny", "add", "2001:db8:beef::/48"])?;
        let wanted = |it: &Value| it["source"] == "2001:db8:beef::/48";
        Ok(follower.events()?.into_iter().find(wanted))
    })?;
    let events = follower.events()?;
    assert!(events.iter().any(|it| it["kind"] == "lost" && it["lost"].is_null()), "{events:?}");
    let ids: Vec<u64> = events.iter().filter_map(|it| it["id"].as_u64()).collect();
    assert!(ids.is_sorted(), "{ids:?}");

    // SAFETY: kill is a plain system call.
    unsafe { libc::kill(follower.0.id() as i32, libc::SIGINT) };
    let status = follower.0.wait(PATIENCE)?;
    assert!(status.success(), "{status}");
    Ok(())
}

#[test]
fn following_ends_with_who_reads() -> Result<()> {
    let Some((lab, daemon)) = protected()? else { return Ok(()) };
    let mut command = daemon.command();
    command.args(["events", "--follow"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().context("start events")?;
    // Nobody reads, and nothing happens.
    drop(child.stdout.take());
    let status = wait_for("the end", || Ok(child.try_wait()?));
    if status.is_err() {
        child.kill()?;
        child.wait()?;
    }
    assert!(status?.success());
    drop(lab);
    Ok(())
}

/// `top` on a terminal of its own.
fn top_on_a_terminal(daemon: &Daemon, keys: &[&str]) -> Result<Screen> {
    let inner = daemon.command();
    let words = std::iter::once(inner.get_program()).chain(inner.get_args());
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    type_into(Command::new("script"), &format!("{} top", words.join(" ")), keys)
}

#[test]
fn top_shows_who_attacks_and_how_fast() -> Result<()> {
    let Some((lab, daemon)) = protected()? else { return Ok(()) };
    let source: IpAddr = lab.newcomer().v4.into();
    let shown = source.to_string();
    std::thread::scope(|scope| -> Result<()> {
        let attack = scope.spawn(|| attack(&lab, source, 4000, Some(400)));
        wait_for("the block", || Ok(daemon.check(source)?.blocked.then_some(())))?;
        let text = daemon.text(&["top"])?;
        println!("{text}");
        let row = text.lines().find(|line| line.starts_with(&shown)).context("no row")?;
        assert!(row.contains("blocked") && row.contains("BRUTEFORCE:register"), "{row}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        let top = daemon.json(&["top", "--once"])?;
        let rate = top["attackers"][&shown].as_f64().context("no rate")?;
        assert!(rate > 20.0, "{rate}: {top}");
        let dropped = top["endpoints"]["pbx1"]["drops"]["blocked"].as_f64();
        assert!(dropped > Some(20.0), "{dropped:?}: {top}");

        let keys = ["\x1b[B", "s", "u", "n", "q"];
        let Screen { text: screen, ended_well } = top_on_a_terminal(&daemon, &keys)?;
        assert!(ended_well, "{screen}");
        assert!(screen.contains("\x1b[?1049h") && screen.trim_end().ends_with("\x1b[?1049l"));
        assert!(screen.contains(&format!("Unblock {source}/32? [y/N]")), "{screen:?}");
        assert!(!screen.contains("\x1b[2J") && !screen.contains("\x1b]0;"), "{screen:?}");
        assert!(daemon.check(source)?.blocked, "the question was denied");
        attack.join().map_err(|_| anyhow::anyhow!("the attack panicked"))?
    })?;
    let screen = top_on_a_terminal(&daemon, &["j", "u", "y", "q"])?;
    assert!(screen.text.contains("is unblocked"), "{screen:?}");
    assert!(!daemon.check(source)?.blocked);
    Ok(())
}

#[test]
fn doctor_says_what_is_wrong_with_and_without_a_daemon() -> Result<()> {
    let Some((lab, mut daemon)) = protected()? else { return Ok(()) };
    let states = |daemon: &Daemon, check: &str| -> Result<(Vec<String>, bool)> {
        let output = daemon.cli(&["doctor", "--json"])?;
        let checkup: Value = serde_json::from_slice(&output.stdout).context("no JSON")?;
        let findings = checkup["findings"].as_array().context("no findings")?;
        let of = findings.iter().filter(|it| it["check"] == check);
        let states = of.filter_map(|it| it["state"].as_str()).map(str::to_owned).collect();
        ensure!(output.status.success() == (checkup["problems"] == 0), "{checkup}");
        Ok((states, output.status.success()))
    };
    println!("{}", String::from_utf8_lossy(&daemon.cli(&["doctor"])?.stdout));
    for check in ["kernel", "privileges", "daemon", "mode", "configuration"] {
        let (states, _) = states(&daemon, check)?;
        assert!(!states.is_empty() && states.iter().all(|it| it == "ok"), "{check}: {states:?}");
    }
    daemon.configure(&Settings { enforce: false, ..Settings::default() })?;
    daemon.text(&["reload"])?;
    assert_eq!(states(&daemon, "mode")?.0, ["warning"]);
    daemon.kill()?;
    let (found, ended_well) = states(&daemon, "daemon")?;
    assert_eq!((found.as_slice(), ended_well), (&["problem".to_owned()][..], false));
    assert_eq!(states(&daemon, "mode")?.0, ["unknown"]);
    assert!(states(&daemon, "interface")?.0.contains(&"ok".to_owned()), "the filter stays");
    drop(lab);
    Ok(())
}
