//! Follows systemd's journal through `journalctl`, whose export of it is its stable interface.
//!
//! The library would be one more thing to link, and its files' format is its own affair. What a line
//! claims to be (its identifier) anybody may write by `logger`; so it is asked for by unit, or by root's
//! user id, which journald itself attests.

use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::filter::Line;
use super::lines::Lines;
use super::tap::{Heard, Tap};

const RESTART_FIRST: Duration = Duration::from_secs(1);
const RESTART_LAST: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "__CURSOR")]
    cursor: Option<String>,
    #[serde(rename = "MESSAGE")]
    message: Option<Message>,
    #[serde(rename = "SYSLOG_IDENTIFIER")]
    identifier: Option<String>,
}

/// Bytes where it is no UTF-8.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Text(String),
    Bytes(Vec<u8>),
}

pub(super) async fn follow(units: Vec<String>, tap: Tap, heard: mpsc::Sender<Heard>) {
    let mut cursor = None;
    let mut wait = RESTART_FIRST;
    let since = Timestamp::now().as_second();
    loop {
        match start(&units, since, cursor.as_deref()) {
            Ok(child) => {
                tap.tally.set_error(None);
                let read = read(child, &tap, &heard, &mut cursor).await;
                if heard.is_closed() {
                    return;
                }
                wait = if read { RESTART_FIRST } else { wait };
                tap.tally.set_error(Some("journalctl has ended; it is started again".to_owned()));
            }
            Err(error) => tap.tally.set_error(Some(format!("journalctl: {error}"))),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RESTART_LAST);
    }
}

fn start(units: &[String], since: i64, cursor: Option<&str>) -> std::io::Result<Child> {
    let mut command = Command::new("journalctl");
    command.args(["--follow", "--output=json", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER"]);
    command.args(place(since, cursor)).args(matches(units));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn()
}

/// From where on: behind what was read, or from a second on. `--lines=0` leaves journalctl without a place in a
/// journal that has no such entry yet, so that of the first ones it shows the last one alone (systemd 252).
fn place(since: i64, cursor: Option<&str>) -> [String; 2] {
    let from = match cursor {
        Some(cursor) => format!("--after-cursor={cursor}"),
        None => format!("--since=@{since}"),
    };
    [from, "--no-tail".to_owned()]
}

/// Which entries, by what journald attests. `--unit` finds only instances of a template that are in the journal
/// when it starts, but all of them lie in the template's slice.
fn matches(units: &[String]) -> Vec<String> {
    let field = |unit: &String| {
        let name = unit.strip_suffix(".service").unwrap_or(unit);
        match name.strip_suffix("@*") {
            Some(template) => {
                format!("_SYSTEMD_SLICE=system-{}.slice", template.replace('-', "\\x2d"))
            }
            None if name.contains('.') => format!("_SYSTEMD_UNIT={name}"),
            None => format!("_SYSTEMD_UNIT={name}.service"),
        }
    };
    // Between two of different fields, a plus is "or".
    let mut all = Vec::new();
    if units.is_empty() {
        all.push("_UID=0".to_owned());
    }
    for unit in units {
        if !all.is_empty() {
            all.push("+".to_owned());
        }
        all.push(field(unit));
    }
    all
}

/// Until it ends. True if anything was read.
async fn read(
    mut child: Child,
    tap: &Tap,
    heard: &mpsc::Sender<Heard>,
    cursor: &mut Option<String>,
) -> bool {
    let Some(output) = child.stdout.take() else { return false };
    let (mut output, mut chunk) = (BufReader::new(output), vec![0; 64 << 10]);
    let (mut lines, mut found, mut any) = (Lines::default(), Vec::new(), false);
    while let Ok(count @ 1..) = output.read(&mut chunk).await {
        lines.take(&chunk[..count], |line| {
            any = true;
            found.extend(sift(line, tap, cursor));
        });
        tap.seen();
        for it in found.drain(..) {
            if heard.send(it).await.is_err() {
                return any;
            }
        }
    }
    any
}

fn sift(json: &str, tap: &Tap, cursor: &mut Option<String>) -> Option<Heard> {
    let entry: Entry = serde_json::from_str(json).ok()?;
    *cursor = entry.cursor.or(cursor.take());
    let text = match entry.message? {
        Message::Text(text) => text,
        Message::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
    };
    let program = entry.identifier.unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default();
    tap.sift(Line { program: Some(program), text: &text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{filters, tap::Whose};

    #[test]
    fn units_are_asked_for_by_what_journald_attests() {
        let check = |units: &[&str], expected: &str| {
            let units: Vec<String> = units.iter().map(|it| (*it).to_owned()).collect();
            assert_eq!(matches(&units).join(" "), expected);
        };
        check(&["ssh.service"], "_SYSTEMD_UNIT=ssh.service");
        check(
            &["ssh", "ssh@*.service", "my-sshd@*"],
            "_SYSTEMD_UNIT=ssh.service + _SYSTEMD_SLICE=system-ssh.slice + \
             _SYSTEMD_SLICE=system-my\\x2dsshd.slice",
        );
        check(&["cron.timer"], "_SYSTEMD_UNIT=cron.timer");
        check(&[], "_UID=0");
    }

    #[test]
    fn it_begins_at_a_place_that_every_journal_has() {
        let check = |cursor, expected| assert_eq!(place(1_700_000_000, cursor).join(" "), expected);
        check(None, "--since=@1700000000 --no-tail");
        check(Some("s=1;i=2"), "--after-cursor=s=1;i=2 --no-tail");
    }

    #[test]
    fn entries_of_the_journal() {
        let tap = Tap::new("sshd", filters(&["sshd".to_owned()]).unwrap(), Whose::Host, false);
        let mut cursor = None;
        let mut address =
            |json: &str| sift(json, &tap, &mut cursor).map(|it| it.address.to_string());
        let message = "Failed password for root from 198.51.100.7 port 4711 ssh2";
        let entry = |identifier: &str, message: &str| {
            format!(
                r#"{{"__CURSOR":"s=1","SYSLOG_IDENTIFIER":"{identifier}","MESSAGE":{message}}}"#
            )
        };
        let quoted = format!("{message:?}");
        assert_eq!(address(&entry("sshd", &quoted)).as_deref(), Some("198.51.100.7"));
        let bytes = format!("{:?}", message.as_bytes());
        assert_eq!(address(&entry("/usr/sbin/sshd", &bytes)).as_deref(), Some("198.51.100.7"));
        for other in [&entry("cron", &quoted), &entry("sshd", "null"), "{}", "nonsense", ""] {
            assert_eq!(address(other), None, "{other}");
        }
        assert_eq!(cursor.as_deref(), Some("s=1"));
    }
}
