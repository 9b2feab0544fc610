//! What a replay found: every happening in the order of time, and who it happened to.

use std::net::IpAddr;

use serde::Serialize;
use sipprot_common::reason::Reason;
use sipprot_common::source::SourceKey;

use super::Dropped;
use crate::rules::{Case, Decision, Rule, Time};

/// Something that would have been done.
#[derive(Clone, Debug)]
pub struct Entry {
    pub at: Time,
    pub source: SourceKey,
    pub source_ip: IpAddr,
    pub happening: Happening,
}

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all that happens is a decision")]
pub enum Happening {
    Decision(Decision),
    /// The kernel's own line against guessing: no containment, and no block.
    Hold {
        reason: Reason,
        policy: u32,
    },
    /// The first packet of a source that the kernel drops for this reason.
    Drop {
        reason: Reason,
        policy: u32,
        user_agent: Option<String>,
    },
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Packets {
    /// All that the capture holds.
    pub frames: u64,
    /// To and from SIP ports, dropped ones not counted.
    pub sip: u64,
    pub messages: u64,
    /// Neither UDP nor TCP over IP.
    pub other: u64,
    /// Later fragments: only the first one of a datagram is read.
    pub fragments: u64,
    pub malformed: u64,
    /// The capture kept only their beginning.
    pub cut_short: u64,
    /// Places in TCP connections where something is missing.
    pub gaps: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub entries: Vec<Entry>,
    pub packets: Packets,
    pub dropped: Dropped,
    /// What was taken for the protected side.
    pub endpoints: Vec<String>,
    /// Nobody said which those are.
    pub guessed: bool,
    pub first: Time,
    pub last: Time,
    /// Of the policies.
    pub names: Vec<String>,
    /// As they were counted by.
    pub rules: Vec<Rule>,
}

impl Outcome {
    pub(super) fn add(&mut self, at: Time, decision: Decision) {
        let (source, source_ip) = match &decision {
            Decision::Trust(trust) if trust.renewed => return,
            Decision::Trust(trust) => (trust.source, trust.source_ip),
            Decision::Distrust(distrust) => (distrust.source, distrust.source.network().0),
            Decision::Release(release) => (release.source, release.source.network().0),
            Decision::Alert(alert) => (alert.source, alert.source_ip),
            Decision::Remember(source) => (*source, source.network().0),
            Decision::Block(block) => of(&block.case),
            Decision::Deny(deny) => of(&deny.case),
            Decision::Contain(contain) => of(&contain.case),
            Decision::Quarantine(quarantine) => of(&quarantine.case),
        };
        let happening = Happening::Decision(decision);
        self.entries.push(Entry { at, source, source_ip, happening });
    }

    /// Who it happened to, each once, by the first time.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary {
            endpoints: self.endpoints.clone(),
            guessed: self.guessed,
            dropped: self.dropped.clone(),
            packets: self.packets.clone(),
            ..Summary::default()
        };
        for entry in &self.entries {
            summary.take(entry);
        }
        summary
    }
}

const fn of(case: &Case) -> (SourceKey, IpAddr) {
    (case.source, case.source_ip)
}

/// The answer of `sipprot replay --json`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    pub blocked: Vec<Blocked>,
    pub contained: Vec<Contained>,
    pub quarantined: Vec<Quarantined>,
    pub trusted: Vec<IpAddr>,
    /// On the denylist after too many blocks.
    pub denied: Vec<Blocked>,
    /// By the kernel's attempt window, for a minute each time.
    pub held: Vec<Held>,
    pub endpoints: Vec<String>,
    pub guessed: bool,
    pub dropped: Dropped,
    pub packets: Packets,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Blocked {
    pub source: String,
    pub rule: &'static str,
    pub proven: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Contained {
    pub source: String,
    pub rule: &'static str,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Quarantined {
    pub source: IpAddr,
    pub port: u16,
    pub account: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Held {
    pub source: String,
    pub times: u32,
}

impl Summary {
    fn take(&mut self, entry: &Entry) {
        let source = network(entry.source);
        let blocked = |case: &Case| {
            let (rule, proven) = (case.rule.signature(), case.proven);
            Blocked { source: network(case.source), rule, proven }
        };
        match &entry.happening {
            Happening::Decision(Decision::Block(block)) => {
                add(&mut self.blocked, blocked(&block.case), |it| it.source == source);
            }
            Happening::Decision(Decision::Deny(deny)) => {
                add(&mut self.denied, blocked(&deny.case), |it| it.source == source);
            }
            Happening::Decision(Decision::Contain(contain)) => {
                let rule = contain.case.rule.signature();
                let contained = Contained { source: source.clone(), rule };
                add(&mut self.contained, contained, |it| it.source == source);
            }
            Happening::Decision(Decision::Quarantine(it)) => {
                let account = it.account.to_string();
                let new = Quarantined { source: entry.source_ip, port: it.port, account };
                let same = new.clone();
                add(&mut self.quarantined, new, |it| *it == same);
            }
            Happening::Decision(Decision::Trust(trust)) => {
                add(&mut self.trusted, trust.source_ip, |it| *it == trust.source_ip);
            }
            Happening::Hold { .. } => {
                let known = self.held.iter_mut().find(|it| it.source == source);
                match known {
                    Some(held) => held.times += 1,
                    None => self.held.push(Held { source, times: 1 }),
                }
            }
            Happening::Decision(_) | Happening::Drop { .. } => {}
        }
    }
}

fn add<T>(list: &mut Vec<T>, item: T, is_same: impl Fn(&T) -> bool) {
    if !list.iter().any(is_same) {
        list.push(item);
    }
}

/// The network that a source stands for.
pub fn network(source: SourceKey) -> String {
    let (address, prefix) = source.network();
    format!("{address}/{prefix}")
}
