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
    patience::wait_for,
    pbx::Manners,
    receivers::{Mail, PASSWORD, Receivers, SECRET},
    topology::Family,
};

/// Within which a possible break-in is told.
const MINUTE: Duration = Duration::from_secs(60);

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
    lines.extend(owned(&[
        "notify.attack_every = \"3s\"",
        "notify.retry_after = \"1s\"",
        "notify.retry_longest = \"2s\"",
    ]));
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
    nothing_waits(daemon)
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
    println!("{}", daemon.text(&["notify", "status"])?);
    receivers.start()?;
    nothing_waits(daemon)?;
    let mails = receivers.mails()?;
    let told = &mails[before..];
    for attacker in attackers {
        assert_eq!(naming(told, attacker), 1, "{attacker} in {told:?}");
    }
    let names: BTreeSet<&str> = mails.iter().map(|mail| mail.message_id.as_str()).collect();
    assert_eq!(names.len(), mails.len(), "each mail once");
    let hooks = receivers.hooks()?;
    let same: BTreeSet<&str> = hooks.iter().filter_map(|hook| hook["id"].as_str()).collect();
    assert_eq!((same.len(), &same), (hooks.len(), &names), "and each by the webhook, once");
    println!("{} mails while nobody took them and the daemon was killed: each once", told.len());
    Ok(())
}

fn in_french(lab: &Lab, daemon: &Daemon, receivers: &Receivers) -> Result<()> {
    daemon.text(&["notify", "test", "--to", "noc@example.net", "--summary"])?;
    let english = receivers.mails()?.pop().context("a summary")?;
    daemon.configure(&settings(receivers, &["notify.language = \"fr\""]))?;
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
