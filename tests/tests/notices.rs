//! Who is told of attacks: mail by SMTP with TLS and a login, and a signed webhook, as those receive them; in
//! both languages; and while nobody takes them and the daemon is killed in between, nothing lost or doubled.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    daemon::{Daemon, Settings, owned},
    lab::Lab,
    patience::{self, wait_for, wait_within},
    pbx::{self, Manners},
    receivers::{Mail, PASSWORD, Receivers, SECRET},
    topology::Family,
};

/// Within which a possible break-in is told.
const MINUTE: Duration = Duration::from_secs(60);
/// In a long outage.
const BETWEEN_ATTACKS: Duration = Duration::from_secs(300);
/// In place of once an hour.
const OFTEN: &str = "notify.attack_every = \"3s\"";

fn attack(lab: &Lab, agent: &str) -> Result<IpAddr> {
    let plan = Plan {
        guesses: 100,
        patience: Duration::from_millis(300),
        user_agent: agent.to_owned(),
        ..Plan::new(lab.newcomer().v4.into(), lab.pbxs[0].sip(Family::V4))
    };
    cracker::attack_from(&lab.net.attackers, &plan)?;
    Ok(plan.source)
}

fn settings(receivers: &Receivers, more: &[&str]) -> Settings {
    let mut lines = receivers.settings();
    lines.extend(owned(&["notify.retry_after = \"1s\"", "notify.retry_longest = \"2s\""]));
    lines.extend(owned(more));
    Settings { lines, ..Settings::default() }
}

fn nothing_waits(daemon: &Daemon) -> Result<()> {
    wait_for("all to be told", || {
        let status = daemon.json(&["notify", "status"])?;
        Ok((status["waiting"] == 0 && status["grouped"] == 0).then_some(()))
    })
}

/// In how many of these mails somebody is named.
fn naming(mails: &[Mail], source: IpAddr) -> usize {
    mails.iter().filter(|mail| mail.text.contains(&format!("{source} "))).count()
}

/// Pictures of what was received, where somebody wants to see them.
fn picture(mail: &Mail, name: &str, lab: &Path) -> Result<()> {
    let Some(directory) = std::env::var_os("SIPPROT_MAIL_PICTURES") else { return Ok(()) };
    let page = lab.join(format!("{name}.html"));
    std::fs::write(&page, &mail.html).context("write a mail's page")?;
    let png = Path::new(&directory).join(format!("{name}.png"));
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=960,900"])
        .arg(format!("--screenshot={}", png.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .context("run chromium")?;
    ensure!(output.status.success() && png.exists(), "chromium made no picture");
    println!("{}", png.display());
    Ok(())
}

#[test]
fn those_who_are_told() -> Result<()> {
    if let Some(missing) = Receivers::missing() {
        println!("skipped: needs {missing}");
        return Ok(());
    }
    let Some((lab, mut daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let mut receivers = Receivers::new(&lab.net.host, &lab.directory())?;
    receivers.start()?;
    daemon.configure(&settings(&receivers, &[]))?;
    daemon.text(&["reload"])?;

    println!("{}", daemon.text(&["notify", "test"])?);
    let mails = receivers.mails()?;
    let [test] = mails.as_slice() else { anyhow::bail!("{mails:?}") };
    ensure!(test.text.contains("messages of SIPprot reach you"), "{test:?}");
    let hooks = receivers.hooks()?;
    let [hook] = hooks.as_slice() else { anyhow::bail!("{hooks:?}") };
    assert_eq!(hook["id"].as_str(), Some(test.message_id.as_str()), "one notification, one name");
    assert_eq!(hook["body"]["notice"]["kind"], "test");

    told_at_once(&lab, &daemon, &receivers)?;
    daemon.configure(&settings(&receivers, &[OFTEN]))?;
    daemon.text(&["reload"])?;
    nothing_waits(&daemon)?;
    nothing_lost_nothing_doubled(&lab, &mut daemon, &mut receivers)?;
    in_french(&lab, &daemon, &receivers)?;
    no_secret_is_shown(&daemon)?;
    println!("{}", daemon.text(&["notify", "status"])?);
    println!("{}", daemon.text(&["notify", "log"])?);
    Ok(())
}

/// A break-in does not wait for the message of the attack before it.
fn told_at_once(lab: &Lab, daemon: &Daemon, receivers: &Receivers) -> Result<()> {
    let start = Instant::now();
    let cracker = attack(lab, "<b>evil</b>")?;
    let mail = wait_for("the mail of an attack", || {
        Ok(receivers.mails()?.into_iter().find(|mail| mail.text.contains(&cracker.to_string())))
    })?;
    ensure!(start.elapsed() < MINUTE, "told after {:?}", start.elapsed());
    println!("told after {:.1} s: {}", start.elapsed().as_secs_f64(), mail.subject);
    ensure!(mail.html.contains("&lt;b&gt;evil") && !mail.html.contains("<b>evil"), "{mail:?}");
    picture(&mail, "mail-attack-en", &lab.directory())?;

    let next = attack(lab, "next")?;
    let start = Instant::now();
    let burglar = break_in(lab)?;
    let mail = wait_for("the mail of a break-in", || {
        Ok(receivers.mails()?.into_iter().find(|mail| mail.text.contains(&burglar.to_string())))
    })?;
    ensure!(start.elapsed() < MINUTE, "told after {:?}", start.elapsed());
    println!("told after {:.1} s: {}", start.elapsed().as_secs_f64(), mail.subject);
    ensure!(mail.subject.contains("Possible break-in"), "{mail:?}");
    assert_eq!(naming(&receivers.mails()?, next), 0, "the next attack waits for its hour");
    assert_eq!(daemon.json(&["notify", "status"])?["grouped"], 1);
    picture(&mail, "mail-break-in-en", &lab.directory())
}

/// Some wrong guesses, and the right one.
fn break_in(lab: &Lab) -> Result<IpAddr> {
    let source = lab.newcomer().v4.into();
    for (guesses, password) in [(5, None), (1, Some(pbx::password(1000)))] {
        let plan = Plan {
            guesses,
            password,
            patience: Duration::from_millis(300),
            ..Plan::new(source, lab.pbxs[0].sip(Family::V4))
        };
        cracker::attack_from(&lab.net.attackers, &plan)?;
    }
    Ok(source)
}

fn nothing_lost_nothing_doubled(
    lab: &Lab,
    daemon: &mut Daemon,
    receivers: &mut Receivers,
) -> Result<()> {
    let before = receivers.mails()?.len();
    receivers.stop();
    let mut attackers = vec![attack(lab, "one")?];
    wait_for("a try that failed", || {
        let log = daemon.json(&["notify", "log"])?;
        let tries = log["deliveries"].as_array().context("deliveries")?.iter();
        let failed = tries.filter(|it| it["state"] == "waiting" && !it["error"].is_null());
        Ok((failed.count() > 0).then_some(()))
    })?;
    attackers.push(attack(lab, "two")?);
    daemon.kill()?;
    daemon.start()?;
    attackers.push(attack(lab, "three")?);
    daemon.stop()?;
    daemon.start()?;
    let outage = patience::outage(Duration::ZERO)?;
    let began = Instant::now();
    while began.elapsed() < outage {
        std::thread::sleep(BETWEEN_ATTACKS.min(outage.saturating_sub(began.elapsed())));
        attackers.push(attack(lab, "later")?);
    }
    println!("{}", daemon.text(&["notify", "status"])?);
    receivers.start()?;
    nothing_waits(daemon)?;
    let mails = receivers.mails()?;
    let told = &mails[before..];
    for attacker in &attackers {
        assert_eq!(naming(told, *attacker), 1, "{attacker} in {told:?}");
    }
    let names: BTreeSet<&str> = mails.iter().map(|mail| mail.message_id.as_str()).collect();
    assert_eq!(names.len(), mails.len(), "each mail once");
    let hooks = receivers.hooks()?;
    let same: BTreeSet<&str> = hooks.iter().filter_map(|hook| hook["id"].as_str()).collect();
    assert_eq!((same.len(), &same), (hooks.len(), &names), "and each by the webhook, once");
    let (mails, sources, away) = (told.len(), attackers.len(), began.elapsed().as_secs());
    println!(
        "{mails} mails of {sources} attackers while nobody took them, for {away} s at the end, and the daemon was killed: each once"
    );
    Ok(())
}

fn in_french(lab: &Lab, daemon: &Daemon, receivers: &Receivers) -> Result<()> {
    daemon.text(&["notify", "test", "--to", "noc@example.net", "--summary"])?;
    let english = receivers.mails()?.pop().context("a summary")?;
    daemon.configure(&settings(receivers, &[OFTEN, "notify.language = \"fr\""]))?;
    daemon.text(&["reload"])?;
    daemon.text(&["notify", "test", "--to", "noc@example.net", "--summary"])?;
    let french = receivers.mails()?.pop().context("a summary")?;
    for (mail, words) in [(&english, "Top attackers"), (&french, "Principaux attaquants")] {
        ensure!(mail.text.contains(words) && mail.html.contains(words), "{mail:?}");
        ensure!(mail.text.contains("pbx1"), "the endpoint that was attacked: {}", mail.text);
    }
    picture(&english, "mail-summary-en", &lab.directory())?;
    picture(&french, "mail-summary-fr", &lab.directory())?;
    let cracker = attack(lab, "trois")?;
    let mail = wait_for("the French mail of an attack", || {
        Ok(receivers.mails()?.into_iter().find(|mail| mail.text.contains(&cracker.to_string())))
    })?;
    ensure!(mail.text.contains("bloqué"), "{}", mail.text);
    picture(&mail, "mail-attack-fr", &lab.directory())
}

/// Neither the password nor the webhook's address or secret.
fn no_secret_is_shown(daemon: &Daemon) -> Result<()> {
    let shown = daemon.text(&["config", "show"])?
        + &daemon.text(&["config", "show", "--json"])?
        + &daemon.text(&["notify", "status", "--json"])?
        + &daemon.text(&["notify", "log", "--json"])?
        + &daemon.log();
    for secret in [PASSWORD, SECRET, "/hooks/sipprot"] {
        ensure!(!shown.contains(secret), "{secret} is shown");
    }
    let wrong = daemon.cli(&["config", "set", "notify.summary_at", "25:00"])?;
    let complaint = String::from_utf8_lossy(&wrong.stderr);
    ensure!(!wrong.status.success() && complaint.contains("notify.summary_at"), "{complaint}");
    Ok(())
}

/// When a summary is due by default, in seconds of the day, and how long before that the daemon starts.
const SUMMARY_AT: i64 = 7 * 3600;
const LEAD: i64 = 20;
const DAY: i64 = 86_400;

/// A zone in which it is so many seconds after midnight now, and another day than in UTC.
fn zone_where(second_of_day: i64, now: i64) -> String {
    let today = now.rem_euclid(DAY);
    let east = (second_of_day - today).rem_euclid(DAY);
    let east = if today + east < DAY { east - DAY } else { east };
    // As POSIX has it: what is east of Greenwich is negative.
    let sign = if east > 0 { '-' } else { '+' };
    let east = east.abs();
    format!("LAB{sign}{:02}:{:02}:{:02}", east / 3600, east / 60 % 60, east % 60)
}

/// The daemon, started anew in a zone in which it is that time of another day.
fn start_at(daemon: &mut Daemon, second_of_day: i64) -> Result<i64> {
    daemon.stop()?;
    let now = jiff::Timestamp::now().as_second();
    daemon.set_environment("TZ", zone_where(second_of_day, now));
    daemon.start()?;
    Ok(now)
}

/// The day's summary, by mail with TLS from the first byte: at its hour, and once.
#[test]
fn the_days_summary() -> Result<()> {
    if let Some(missing) = Receivers::missing() {
        println!("skipped: needs {missing}");
        return Ok(());
    }
    let Some((lab, mut daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let mut receivers = Receivers::new(&lab.net.host, &lab.directory())?;
    receivers.start()?;
    let mut lines = receivers.settings_over_tls();
    lines.retain(|line| !line.starts_with("mail.authority"));
    daemon.configure(&Settings { lines, ..Settings::default() })?;
    daemon.text(&["reload"])?;
    let refused = daemon.cli(&["notify", "test", "--to", "noc@example.net"])?;
    ensure!(!refused.status.success(), "a server that nobody vouches for got it");
    assert_eq!(receivers.mails()?, [], "a server that nobody vouches for");

    let lines = receivers.settings_over_tls();
    daemon.configure(&Settings { lines, ..Settings::default() })?;
    let now = start_at(&mut daemon, SUMMARY_AT - LEAD)?;
    let status = daemon.json(&["notify", "status"])?;
    assert_eq!(status["next_summary"], now + LEAD, "{status}");
    std::thread::sleep(Duration::from_secs(LEAD.unsigned_abs() / 2));
    assert_eq!(receivers.mails()?, [], "not before its hour");
    let mail = wait_within(MINUTE, "the summary", || Ok(receivers.mails()?.pop()))?;
    let waited = jiff::Timestamp::now().as_second() - now;
    println!("sent after {waited} s: {}", mail.subject);
    ensure!(mail.text.contains("Top attackers"), "{mail:?}");
    daemon.kill()?;
    daemon.start()?;
    let status = daemon.json(&["notify", "status"])?;
    assert_eq!(status["next_summary"], now + LEAD + DAY, "{status}");
    assert_eq!((&status["waiting"], receivers.mails()?.len()), (&0.into(), 1), "once: {status}");
    Ok(())
}
