//! CrowdSec: decisions, as `cscli decisions list` prints them (json, raw), as its API does, and as
//! `cscli decisions import` takes them.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{End, Found};

/// One decision, whatever its fields are called there.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Decision {
    #[serde(alias = "expiration")]
    duration: String,
    #[serde(alias = "source")]
    origin: String,
    #[serde(alias = "reason")]
    scenario: String,
    scope: String,
    simulated: bool,
    #[serde(rename = "type", alias = "action")]
    kind: String,
    #[serde(alias = "ip")]
    value: String,
}

/// An alert has its decisions; the API for bouncers tells them by themselves.
#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Alert { created_at: Timestamp, decisions: Option<Vec<Decision>> },
    Decision(Decision),
}

/// Whom it bans. Durations are what was left when it was printed.
pub fn decisions(text: &str, printed_at: Timestamp, now: Timestamp) -> Result<Found, String> {
    let mut found = Found::default();
    let text = text.trim();
    if text.is_empty() || text == "null" {
        return Ok(found);
    }
    if !text.starts_with('[') {
        for decision in table(text)? {
            add(&mut found, &decision, None, printed_at, now)?;
        }
        return Ok(found);
    }
    let items: Vec<Item> = serde_json::from_str(text)
        .map_err(|error| format!("no decisions of CrowdSec in JSON: {error}"))?;
    for item in items {
        match item {
            Item::Alert { created_at, decisions } => {
                for decision in decisions.into_iter().flatten() {
                    add(&mut found, &decision, Some(created_at), printed_at, now)?;
                }
            }
            Item::Decision(decision) => add(&mut found, &decision, None, printed_at, now)?,
        }
    }
    Ok(found)
}

/// A CSV with a line of names.
fn table(text: &str) -> Result<Vec<Decision>, String> {
    let wrong = |error: csv::Error| format!("no decisions of CrowdSec as CSV: {error}");
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let names = reader.headers().map_err(wrong)?;
    if !names.iter().any(|name| matches!(name, "ip" | "value")) {
        return Err("no decisions of CrowdSec: there is no column ip or value".to_owned());
    }
    reader.deserialize().map(|row| row.map_err(wrong)).collect()
}

fn add(
    found: &mut Found,
    decision: &Decision,
    since: Option<Timestamp>,
    printed_at: Timestamp,
    now: Timestamp,
) -> Result<(), String> {
    // In a table scope and value are one.
    let (scope, value) = match decision.value.split_once(':') {
        Some((scope, value)) if decision.scope.is_empty() => (scope, value),
        _ => (decision.scope.as_str(), decision.value.as_str()),
    };
    if !["", "ip", "range"].contains(&scope.to_ascii_lowercase().as_str()) {
        found.leave_out("is a country or a provider: see [geo]");
        return Ok(());
    }
    if decision.simulated {
        found.leave_out("is only simulated");
        return Ok(());
    }
    if !["", "ban"].contains(&decision.kind.as_str()) {
        found.leave_out("is no ban");
        return Ok(());
    }
    let end = match decision.duration.as_str() {
        "" => End::Never,
        text => End::at(printed_at + duration(text)?, now),
    };
    let reason = match decision.origin.as_str() {
        "" | "crowdsec" | "cscli" => decision.scenario.clone(),
        origin => format!("{} ({origin})", decision.scenario),
    };
    found.add(value, &reason, since.or(Some(printed_at)), end);
    Ok(())
}

/// As Go prints it: 3h59m56.904331596s.
fn duration(text: &str) -> Result<SignedDuration, String> {
    text.parse().map_err(|_| format!("{text:?} is no duration such as 3h59m56s"))
}
