//! What a message says, before it has words: facts, bounded in number and length.

use std::fmt;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{LiveEvent, LiveKind};
use crate::config::{Choice, Severity, choices};
use crate::message::clean;
use crate::store::RECORD_BYTES_MAX;

choices! {
    #[derive(Default)]
    NoticeKind {
        #[default]
        Attacks = "attacks",
        /// What can't wait.
        Alarm = "alarm",
        Surge = "surge",
        Summary = "summary",
        Test = "test",
    }
}

/// Rows of one table in a message.
pub const ROWS_MAX: usize = 20;
/// Characters of a text that others chose.
const TEXT_MAX: usize = 160;

/// One message. Texts that attackers chose are cleaned here, and escaped by the templates.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Notice {
    pub kind: NoticeKind,
    pub severity: Severity,
    pub host: String,
    /// Unix seconds.
    pub at: i64,
    pub since: i64,
    /// The first of them; `total` counts all.
    pub attacks: Vec<Attack>,
    pub total: u64,
    pub alarms: Vec<Alarm>,
    pub alarms_total: u64,
    pub surge: Option<Surge>,
    pub summary: Option<Summary>,
    /// What was never told, for want of room or time.
    pub dropped: u64,
}

/// Somebody who was cut off.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Attack {
    pub at: i64,
    pub source: String,
    /// `block`, `contained`, `quarantined` or `denied`.
    pub what: String,
    /// `KIND:signature`.
    pub rule: String,
    pub reason: String,
    pub country: Option<String>,
    pub endpoint: Option<String>,
    pub account: Option<String>,
    pub user_agent: Option<String>,
    pub times: u64,
}

/// An alert, or a change of health.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Alarm {
    pub at: i64,
    /// As in metrics; `health`.
    pub kind: String,
    pub source: Option<String>,
    pub endpoint: Option<String>,
    pub accounts: Vec<String>,
    /// In English.
    pub what: String,
}

/// In a minute.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Surge {
    /// Dropped packets, or sources that were cut off.
    pub is_of_packets: bool,
    pub now: u64,
    pub usual: u64,
}

/// A day.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// `YYYY-MM-DD`.
    pub day: String,
    pub attackers_total: u64,
    pub blocks: u64,
    pub containments: u64,
    pub drops: u64,
    /// Of packets that were only observed.
    pub observed: u64,
    pub attackers: Vec<Attack>,
    pub countries: Vec<Country>,
    pub endpoints: Vec<Endpoint>,
    pub alarms_total: u64,
    pub changes: Vec<Change>,
    pub changes_total: u64,
    /// None while nothing is known.
    pub health: Option<Health>,
}

/// As it was told last.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Health {
    pub is_protected: bool,
    /// In English, with semicolons between.
    pub problems: String,
}

impl Health {
    /// From the line that the daemon tells.
    pub fn of(what: &str) -> Option<Self> {
        let (state, problems) = what.split_once(": ").unwrap_or((what, ""));
        let is_protected = !state.contains("NOT protected");
        (!what.is_empty()).then(|| Self { is_protected, problems: brief(problems) })
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Country {
    pub name: String,
    pub attackers: u64,
    pub drops: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Endpoint {
    pub name: String,
    pub attackers: u64,
    pub blocks: u64,
    pub drops: u64,
}

/// A record of the audit log.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Change {
    pub at: i64,
    pub who: String,
    pub what: String,
    pub target: String,
}

/// The last whole day before one.
pub fn day_before(day: Date) -> Date {
    day.yesterday().unwrap_or(day)
}

/// At most so much of a text, and nothing in it that moves a cursor.
pub fn brief(text: &str) -> String {
    clean(text.as_bytes(), TEXT_MAX)
}

fn brief_of(text: Option<&String>) -> Option<String> {
    text.map(|text| brief(text)).filter(|text| !text.is_empty())
}

impl Attack {
    /// None of what is no attack, or somebody's own doing.
    pub fn of(event: &LiveEvent) -> Option<(Severity, Attack)> {
        let severity = match event.kind {
            LiveKind::Block | LiveKind::Denied => Severity::Warning,
            LiveKind::Contained | LiveKind::Quarantined => Severity::Info,
            _ => return None,
        };
        let block = event.block.as_ref().filter(|block| !block.rule.starts_with("MANUAL:"))?;
        let attack = Attack {
            at: block.started_at,
            source: brief(&block.source),
            what: event.kind.name().to_owned(),
            rule: brief(&block.rule),
            reason: brief(&block.reason),
            country: brief_of(block.country_name.as_ref()),
            endpoint: brief_of(block.endpoint.as_ref()),
            account: brief_of(block.account.as_ref()),
            user_agent: brief_of(block.user_agent.as_ref()),
            times: 1,
        };
        Some((severity, attack))
    }
}

impl Alarm {
    pub fn of(event: &LiveEvent) -> Option<(Severity, Alarm)> {
        let alert = event.alert.as_ref()?;
        let alarm = Alarm {
            at: alert.at,
            kind: alert.kind.clone(),
            source: Some(brief(&alert.source)),
            endpoint: brief_of(alert.endpoint.as_ref()),
            accounts: alert.accounts.iter().take(5).map(|name| brief(name)).collect(),
            what: brief(&alert.what),
        };
        Some((severity_of(&alert.kind), alarm))
    }
}

pub fn severity_of(kind: &str) -> Severity {
    match kind {
        "possible-break-in" | "known-peer-blocked" | "service-cut" => Severity::Critical,
        "spared" | "watched" => Severity::Info,
        _ => Severity::Warning,
    }
}

impl Notice {
    /// Leaves out rows until it can be kept.
    pub fn bounded(mut self) -> Self {
        // What else stands in the record with it.
        const REST: usize = 2048;
        loop {
            let length = serde_json::to_string(&self).map_or(0, |json| json.len());
            if length + REST <= RECORD_BYTES_MAX {
                return self;
            }
            let summary = self.summary.as_mut();
            let shortened = match summary {
                Some(summary) => {
                    summary.changes.pop().is_some() | summary.attackers.pop().is_some()
                }
                None => false,
            };
            if !(shortened | self.attacks.pop().is_some() | self.alarms.pop().is_some()) {
                return self;
            }
        }
    }
}
