//! fail2ban: rows of its database, and what its client prints.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::{End, Found, network};

/// What SQLite's files begin with.
pub const DATABASE: &[u8] = b"SQLite format 3\0";
/// Bans that are in force, of its database; `sqlite3 -json` prints what [`banned`] reads.
pub const QUERY: &str = "SELECT jail, ip, timeofban, bantime FROM bips";

#[derive(Deserialize)]
struct Row {
    jail: String,
    ip: String,
    timeofban: i64,
    /// In seconds; below 0 it has no end.
    bantime: i64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Printed {
    Rows(Vec<Row>),
    /// `fail2ban-client banned`, which tells no times.
    Jails(Vec<BTreeMap<String, Vec<String>>>),
}

/// The database's rows as JSON, the client's `banned`, or one address a line, with or without times. Of these
/// `jails`, or of all.
pub fn banned(text: &str, jails: &[String], clock: &Clock) -> Result<Found, String> {
    let mut found = Found::default();
    let text = text.trim();
    if !text.starts_with('[') {
        add_lines(&mut found, "banned", text, clock)?;
        return Ok(found);
    }
    // The client prints Python's lists; neither a jail's name nor an address has quotes in it.
    let printed = serde_json::from_str(text)
        .or_else(|error| serde_json::from_str(&text.replace('\'', "\"")).map_err(|_| error))
        .map_err(|error| {
            format!("neither rows of fail2ban's database nor its client's: {error}")
        })?;
    let is_wanted = |jail: &String| jails.is_empty() || jails.contains(jail);
    match printed {
        Printed::Rows(rows) => {
            for row in rows.into_iter().filter(|row| is_wanted(&row.jail)) {
                let since = Timestamp::from_second(row.timeofban).ok();
                let seconds = row.timeofban.saturating_add(row.bantime);
                let end = match Timestamp::from_second(seconds) {
                    Ok(at) if row.bantime >= 0 => End::at(at, clock.now),
                    _ => End::Never,
                };
                found.add(&row.ip, &row.jail, since, end);
            }
        }
        Printed::Jails(all) => {
            for (jail, addresses) in all.into_iter().flatten().filter(|(jail, _)| is_wanted(jail)) {
                addresses.iter().for_each(|ip| found.add(ip, &jail, None, End::Never));
            }
        }
    }
    Ok(found)
}

/// What the client's times are in, and what is past.
#[derive(Clone, Debug)]
pub struct Clock {
    pub now: Timestamp,
    pub zone: TimeZone,
}

impl Clock {
    fn read(&self, text: &str) -> Option<Timestamp> {
        let civil: DateTime = text.trim().parse().ok()?;
        Some(self.zone.to_ambiguous_zoned(civil).compatible().ok()?.timestamp())
    }
}

/// `get JAIL banip --with-time`: `198.51.100.7 2026-02-28 15:44:35 + 600 = 2026-02-28 15:54:35`.
pub fn add_lines(found: &mut Found, jail: &str, text: &str, clock: &Clock) -> Result<(), String> {
    for line in text.lines() {
        let Some((before, end)) = line.split_once(" = ") else {
            line.split_whitespace().for_each(|ip| found.add(ip, jail, None, End::Never));
            continue;
        };
        let strange =
            || format!("{line:?} is no line of 'fail2ban-client get JAIL banip --with-time'");
        let (address, rest) = before.split_once(char::is_whitespace).ok_or_else(strange)?;
        let (since, seconds) = rest.split_once(" + ").ok_or_else(strange)?;
        let end = match seconds.trim().starts_with('-') {
            true => End::Never,
            false => End::at(clock.read(end).ok_or_else(strange)?, clock.now),
        };
        found.add(address, jail, clock.read(since), end);
    }
    Ok(())
}

/// The jails' names of `status`.
pub fn jails(status: &str) -> Vec<String> {
    let list = status.lines().find_map(|line| line.split_once("Jail list:"));
    let names = list.map(|(_, names)| names.split(',')).into_iter().flatten();
    names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// `get JAIL ignoreip`: whom the jail never bans. This host itself needs no entry.
pub fn add_ignored(found: &mut Found, jail: &str, text: &str) {
    let items = text.lines().filter_map(|line| line.split_once("- "));
    for (_, item) in items.filter(|(branch, _)| matches!(*branch, "|" | "`")) {
        match network(item) {
            Some(network) if network.ip().is_loopback() => found.leave_out("is this host itself"),
            Some(_) => found.add(item, &format!("ignored by {jail}"), None, End::Never),
            None => found.leave_out("is a name, no address"),
        }
    }
}
