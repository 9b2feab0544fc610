//! Groups attacks and alerts: the first at once, what follows in one message when its time has come.
//! Pure: events, settings and `now` in, messages out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::notice::{Alarm, Attack, Notice, NoticeKind, ROWS_MAX};
use crate::config::{Notify, Severity};

/// Alarms of which it is known when they were told last.
const TOLD_MAX: usize = 256;

/// What waits for its message, and when the last ones were.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    since: Option<i64>,
    severity: Severity,
    attacks: Vec<Attack>,
    total: u64,
    alarms: Vec<Alarm>,
    alarms_total: u64,
    last_sent: Option<i64>,
    told: BTreeMap<String, i64>,
}

/// Something that happened.
pub enum Happened {
    Attack(Attack),
    Alarm(Alarm),
}

/// Up to where blocks and alerts are in messages or in the group: after a restart the store tells the rest.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    /// Unix seconds.
    pub until: i64,
    /// What is known of that second.
    last: Vec<String>,
}

/// Things of one second that are told apart.
const SECOND_MAX: usize = 256;

impl Seen {
    pub fn until(until: i64) -> Self {
        Self { until, last: Vec::new() }
    }

    /// Whether it was never seen; now it was.
    pub fn is_new(&mut self, happened: &Happened) -> bool {
        let (at, name) = match happened {
            Happened::Attack(it) => (it.at, format!("{} {} {}", it.source, it.what, it.rule)),
            Happened::Alarm(it) => (it.at, alarm_name(it)),
        };
        if at > self.until {
            *self = Self::until(at);
        }
        if at == self.until {
            if self.last.contains(&name) {
                return false;
            }
            if self.last.len() < SECOND_MAX {
                self.last.push(name);
            }
        }
        true
    }
}

impl Group {
    /// A message that can't wait, if this is one.
    pub fn add(
        &mut self,
        severity: Severity,
        happened: Happened,
        settings: &Notify,
        now: i64,
    ) -> Option<Notice> {
        if severity < settings.severity {
            return None;
        }
        if let Happened::Alarm(alarm) = &happened
            && severity == Severity::Critical
            && self.may_tell(&alarm_name(alarm), settings, now)
        {
            let mut notice = notice(NoticeKind::Alarm, severity, now);
            (notice.alarms, notice.alarms_total) = (vec![alarm.clone()], 1);
            return Some(notice);
        }
        if !settings.attacks {
            return None;
        }
        if self.since.is_none() {
            (self.since, self.severity) = (Some(now), severity);
        }
        self.severity = self.severity.max(severity);
        match happened {
            Happened::Attack(attack) => self.add_attack(attack),
            Happened::Alarm(alarm) => {
                self.alarms_total += 1;
                if self.alarms.len() < ROWS_MAX {
                    self.alarms.push(alarm);
                }
            }
        }
        None
    }

    fn add_attack(&mut self, attack: Attack) {
        self.total += 1;
        let same = |known: &&mut Attack| {
            (&known.source, &known.what, &known.rule, &known.endpoint)
                == (&attack.source, &attack.what, &attack.rule, &attack.endpoint)
        };
        if let Some(known) = self.attacks.iter_mut().find(same) {
            (known.at, known.times) = (attack.at, known.times + 1);
        } else if self.attacks.len() < ROWS_MAX {
            self.attacks.push(attack);
        }
    }

    /// Whether an alarm of this name may be told again; then it counts as told.
    pub fn may_tell(&mut self, name: &str, settings: &Notify, now: i64) -> bool {
        let every = seconds(settings.attack_every);
        self.told.retain(|_, at| now - *at < every && *at <= now);
        let known = self.told.contains_key(name);
        if !known && self.told.len() < TOLD_MAX {
            self.told.insert(name.to_owned(), now);
        }
        !known
    }

    /// What waits, once its time has come.
    pub fn due(&mut self, settings: &Notify, quiet: bool, now: i64) -> Option<Notice> {
        let every = seconds(settings.attack_every);
        let waits = self.last_sent.is_some_and(|last| last <= now && now - last < every);
        let since = self.since.filter(|_| !quiet && !waits)?;
        self.last_sent = Some(now);
        self.since = None;
        Some(Notice {
            since,
            attacks: std::mem::take(&mut self.attacks),
            total: std::mem::take(&mut self.total),
            alarms: std::mem::take(&mut self.alarms),
            alarms_total: std::mem::take(&mut self.alarms_total),
            ..notice(NoticeKind::Attacks, self.severity, now)
        })
    }

    /// Attacks and alerts that wait.
    pub fn waiting(&self) -> u64 {
        self.total + self.alarms_total
    }
}

pub fn notice(kind: NoticeKind, severity: Severity, now: i64) -> Notice {
    Notice { kind, severity, at: now, since: now, ..Notice::default() }
}

/// The same attacker's alarm over and over is told once in a while.
fn alarm_name(alarm: &Alarm) -> String {
    format!("{} {}", alarm.kind, alarm.source.as_deref().unwrap_or_default())
}

fn seconds(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
