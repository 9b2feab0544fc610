//! Coming from another firewall: the commands of the manual's page, as they stand there, beside a real fail2ban. In
//! place of CrowdSec, which wants to be registered by a service of its makers, is what its `cscli` 1.4.6 printed.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, the test says what
//! is missing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sipprot_tests::{
    daemon::{Daemon, Settings},
    fail2ban::Fail2ban,
    lab::Lab,
    pbx::Manners,
    process::write_program,
};

const PAGE: &str = include_str!("../../docs/coming-from.md");
const DATABASE: &str = "/var/lib/fail2ban/fail2ban.sqlite3";
const JAILS: &str = "[asterisk]\nenabled = true\nfilter = none\naction = none\nlogpath = {log}\n\
    backend = polling\nbantime = 7200\nignoreip = 127.0.0.1/8 ::1 192.0.2.128/25 203.0.113.9\n\
    [sshd]\nenabled = true\nfilter = none\naction = none\nlogpath = {log}\nbackend = polling\nbantime = -1\n";
const DECISIONS: &str = r#"[{"created_at": "2026-11-23T11:55:50Z", "decisions": [
    {"duration": "23h59m56.904332558s", "id": 2, "origin": "crowdsec", "scenario": "crowdsecurity/ssh-bf",
     "scope": "Range", "simulated": false, "type": "ban", "value": "198.51.100.64/28"},
    {"duration": "59m57.904336273s", "id": 4, "origin": "cscli", "scenario": "manual 'ban' from 'me'",
     "scope": "Country", "simulated": false, "type": "ban", "value": "KP"}]}]"#;
const RAW: &str = "id,source,ip,reason,action,country,as,events_count,expiration,simulated,alert_id\n\
    2,crowdsec,Range:198.51.100.64/28,crowdsecurity/ssh-bf,ban,,,1,23h59m56.311698093s,false,2\n\
    1,cscli-import,Ip:198.51.100.90,listed,ban,,,1,3h59m56.311696821s,false,1\n";

/// Everything that the page's commands meet, in one directory.
struct Newcomer<'a> {
    lab: &'a Lab,
    daemon: &'a Daemon,
    directory: PathBuf,
}

impl Newcomer<'_> {
    fn program(&self, name: &str, line: &str) -> Result<()> {
        let path = self.directory.join(name);
        write_program(&path, format!("#!/bin/sh\n{line}\n"))
    }

    fn file(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.directory.join(name), text).with_context(|| format!("write {name}"))
    }

    /// What a command of the page says.
    fn types(&self, line: &str) -> Result<String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = self.lab.net.host.command("sh");
        shell.args(["-c", line]).current_dir(&self.directory).env("TZ", "UTC");
        shell.env("PATH", format!("{}:{path}", self.directory.display()));
        let output = shell.output().context("start a shell")?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        println!("# {line}\n{said}");
        ensure!(output.status.success(), "{line}: {}: {said}", output.status);
        Ok(said)
    }

    fn list(&self, list: &str) -> Result<Vec<Value>> {
        let answer = self.daemon.json(&["list", list])?;
        Ok(answer["entries"].as_array().context("entries")?.clone())
    }

    /// Of an address on a list: the note, and in how many seconds it ends.
    fn entry(&self, list: &str, ip: &str) -> Result<(String, Option<i64>)> {
        let entries = self.list(list)?;
        let entry = entries.iter().find(|entry| entry["ip"] == ip);
        let entry = entry.with_context(|| format!("{ip} is not there: {entries:?}"))?;
        let ends = entry["expires_at"].as_i64().map(|at| at - jiff::Timestamp::now().as_second());
        Ok((entry["note"].as_str().unwrap_or_default().to_owned(), ends))
    }
}

/// The page's commands about one program, in order.
fn commands(chapter: &str) -> Vec<&'static str> {
    let text = PAGE.split("\n## ").find(|text| text.starts_with(chapter)).unwrap_or_default();
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.flat_map(str::lines).collect()
}

fn fail2ban(lab: &Lab) -> Result<Fail2ban> {
    let directory = lab.directory().join("fail2ban");
    fs::create_dir_all(&directory)?;
    let log = directory.join("pbx.log");
    fs::write(&log, "")?;
    let jails = JAILS.replace("{log}", &log.display().to_string());
    let files = [
        ("jail.conf", jails.as_str()),
        ("filter.d/none.conf", "[Definition]\nfailregex = ^bad <HOST>$\n"),
        ("action.d/none.conf", "[Definition]\nactionban =\n"),
    ];
    let started = Fail2ban::start(&lab.net.host, &directory, "sshd", &files)?;
    for (jail, address) in [
        ("asterisk", "198.51.100.10"),
        ("asterisk", "2001:db8:bad::5"),
        ("sshd", "198.51.100.20"),
        ("sshd", "198.51.100.10"),
    ] {
        let output = started.client().args(["set", jail, "banip", address]).output()?;
        ensure!(output.status.success(), "fail2ban doesn't ban: {output:?}");
    }
    Ok(started)
}

#[test]
fn lists_come_over() -> Result<()> {
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &Settings::default())? else {
        return Ok(());
    };
    let directory = lab.directory().join("newcomer");
    fs::create_dir(&directory)?;
    let newcomer = Newcomer { lab: &lab, daemon: &daemon, directory };
    let binary = PathBuf::from(std::env::var_os("SIPPROT_BIN").context("SIPPROT_BIN")?);
    newcomer.program(
        "sipprot",
        &format!(
            "exec {} --config {} \"$@\"",
            binary.canonicalize()?.display(),
            daemon.config_file().display()
        ),
    )?;
    from_crowdsec(&newcomer)?;
    from_sipprot(&newcomer)?;
    if !Fail2ban::is_there() || !Path::new("/usr/bin/sqlite3").exists() {
        println!("skipped in part: needs fail2ban and sqlite3");
        return Ok(());
    }
    from_fail2ban(&newcomer)
}

fn from_crowdsec(newcomer: &Newcomer<'_>) -> Result<()> {
    newcomer.file("decisions.json", DECISIONS)?;
    newcomer.file("decisions.raw", RAW)?;
    let cscli =
        "case \"$*\" in *raw) cat decisions.raw ;; *json) cat decisions.json ;; *) exit 1 ;; esac";
    newcomer.program("cscli", cscli)?;
    let [dry_run, import, print, from_file] = commands("From CrowdSec")[..] else {
        anyhow::bail!("the page has other commands");
    };
    let said = newcomer.types(dry_run)?;
    ensure!(said.contains("1 left out: is a country"), "{said}");
    assert_eq!(newcomer.list("deny")?, Vec::<Value>::new(), "nothing is changed yet");
    newcomer.types(import)?;
    let (note, ends) = newcomer.entry("deny", "198.51.100.64/28")?;
    assert_eq!(note, "crowdsec: crowdsecurity/ssh-bf");
    ensure!(ends.is_some_and(|ends| (86_200..86_400).contains(&ends)), "{ends:?}");
    newcomer.types(print)?;
    newcomer.types(from_file)?;
    let (note, ends) = newcomer.entry("deny", "198.51.100.90")?;
    assert_eq!(note, "crowdsec: listed (cscli-import)");
    ensure!(ends.is_some_and(|ends| (14_200..14_400).contains(&ends)), "{ends:?}");
    Ok(())
}

fn from_sipprot(newcomer: &Newcomer<'_>) -> Result<()> {
    newcomer
        .file("denylist.csv", "IP_ADDRESS,REMARQUE,TIME,ADDED_BY\n198.51.100.111,balaie,,luc\n")?;
    newcomer.file("allowlist.csv", "IP_ADDRESS;NOTE\n203.0.113.33;monitoring\n")?;
    for command in commands("From sipPROT") {
        newcomer.types(command)?;
    }
    assert_eq!(newcomer.entry("deny", "198.51.100.111")?.0, "balaie");
    assert_eq!(newcomer.entry("allow", "203.0.113.33")?.0, "monitoring");
    Ok(())
}

fn from_fail2ban(newcomer: &Newcomer<'_>) -> Result<()> {
    let fail2ban = fail2ban(newcomer.lab)?;
    newcomer
        .program("fail2ban-client", &format!("exec /usr/bin/{} \"$@\"", fail2ban.client_line()))?;
    let database = fail2ban.database().display().to_string();
    let [dry_run, one_jail, all, stored, ignored_dry, ignored] = commands("From fail2ban")[..]
    else {
        anyhow::bail!("the page has other commands");
    };
    let before = newcomer.list("deny")?;
    newcomer.types(dry_run)?;
    assert_eq!(newcomer.list("deny")?, before, "nothing is changed yet");
    newcomer.types(one_jail)?;
    let (note, ends) = newcomer.entry("deny", "198.51.100.10")?;
    assert_eq!(note, "fail2ban: asterisk");
    ensure!(ends.is_some_and(|ends| (6_900..7_201).contains(&ends)), "{ends:?}");
    newcomer.entry("deny", "2001:db8:bad::5")?;
    newcomer.types(all)?;
    let both = ("fail2ban: asterisk, sshd".to_owned(), None);
    assert_eq!(newcomer.entry("deny", "198.51.100.10")?, both, "the longest of two");
    assert_eq!(newcomer.entry("deny", "198.51.100.20")?, ("fail2ban: sshd".to_owned(), None));
    newcomer.types(ignored_dry)?;
    newcomer.types(ignored)?;
    assert_eq!(newcomer.entry("allow", "192.0.2.128/25")?.0, "fail2ban: ignored by asterisk");
    newcomer.entry("allow", "203.0.113.9")?;

    drop(fail2ban);
    newcomer.types("sipprot deny remove 198.51.100.10 198.51.100.20")?;
    newcomer.types(&stored.replace(DATABASE, &database))?;
    assert_eq!(newcomer.entry("deny", "198.51.100.10")?, both);
    Ok(())
}
