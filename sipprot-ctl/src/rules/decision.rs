//! What is to be done, and all that `sipprot why` will want to know about it. Whoever carries it
//! out (kernel maps, store, mail, fleet) finds every fact here and need not ask the engine again.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sipprot_common::source::SourceKey;

use super::account::Account;
use super::observation::{EndpointId, Method};
use super::proof::Proof;
use super::rule::RuleId;
use super::time::Time;

/// What of a source's traffic is cut.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    All,
    Sip,
    /// The ports that are guarded as this service.
    Ssh,
    Http,
}

impl Scope {
    pub const fn covers_sip(self) -> bool {
        matches!(self, Self::All | Self::Sip)
    }

    /// Whether what has this scope stops all that the other one would.
    pub fn covers(self, other: Self) -> bool {
        self == Self::All || self == other
    }
}

/// One packet that counted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sighting {
    pub at: Time,
    /// The source's.
    pub port: u16,
    /// None where it wasn't SIP.
    pub method: Option<Method>,
    pub status: Option<u16>,
    pub account: Option<Account>,
    pub user_agent: Option<String>,
    pub proof: Proof,
    /// The log's, where it was one.
    #[serde(default)]
    pub line: Option<Box<str>>,
}

/// What was seen, from the first to the last packet that counted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Evidence {
    pub first: Time,
    pub last: Time,
    pub count: u32,
    /// Of the last one; none where it wasn't SIP.
    pub method: Option<Method>,
    pub status: Option<u16>,
    pub user_agent: Option<String>,
    /// Of the last one; what proves it.
    pub proof: Proof,
    /// Distinct ones, at most eight, the last first.
    pub accounts: Vec<Account>,
    /// The oldest of those that are still known one by one; `first` may be earlier.
    pub opening: Sighting,
    pub closing: Sighting,
}

impl Evidence {
    /// Of one packet.
    pub fn of(seen: Sighting, count: u32) -> Self {
        Self {
            first: seen.at,
            last: seen.at,
            count,
            method: seen.method,
            status: seen.status,
            user_agent: seen.user_agent.clone(),
            proof: seen.proof,
            accounts: seen.account.iter().cloned().collect(),
            opening: seen.clone(),
            closing: seen,
        }
    }
}

/// A broken rule: who, against whom, and by what evidence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    pub source: SourceKey,
    /// The address of the last packet (a source is a /64 in IPv6).
    pub source_ip: IpAddr,
    pub endpoint: EndpointId,
    /// The local address that was attacked last.
    pub victim: IpAddr,
    pub rule: RuleId,
    pub proven: bool,
    pub evidence: Evidence,
    /// When the packet that broke the limit was seen; for an unanswered challenge, when its time
    /// was up.
    pub evidence_at: Time,
}

impl Case {
    /// METHOD in tables: `KIND:signature`.
    pub const fn signature(&self) -> &'static str {
        self.rule.signature()
    }
}

/// A dynamic block. Always proven, always reported, always counted towards escalation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    pub case: Case,
    pub scope: Scope,
    /// For all endpoints, not only for the case's.
    pub host_wide: bool,
    pub duration: Duration,
    /// This block is the `count`-th of `threshold`, of those that still count.
    pub count: u32,
    pub threshold: u32,
    /// The source was a trusted peer.
    pub known_peer: bool,
}

/// A denylist entry: the last of too many blocks, or (with `escalate_unproven`) of containments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deny {
    pub case: Case,
    pub scope: Scope,
    /// For all endpoints, not only for the case's.
    pub host_wide: bool,
    /// None: for good.
    pub expires_in: Option<Duration>,
    /// How many blocks or containments led to it.
    pub count: u32,
    pub known_peer: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contain {
    pub case: Case,
    /// From now; replaces whatever the kernel holds.
    pub duration: Duration,
    /// 0 the first time, and one more for each that followed soon.
    pub level: u32,
}

/// One source port of a trusted peer is cut off for a while.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quarantine {
    pub case: Case,
    pub port: u16,
    pub account: Account,
    pub duration: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustKind {
    /// It had a registration with credentials accepted.
    Registered,
    /// It answered an endpoint's own REGISTER, OPTIONS or INVITE with 2xx.
    Trunk,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trust {
    pub source: SourceKey,
    pub source_ip: IpAddr,
    pub kind: TrustKind,
    pub account: Option<Account>,
    pub since: Time,
    pub until: Time,
    /// It was trusted before: only `until` moved. Told at most once an hour.
    pub renewed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DistrustReason {
    Expired,
    Revoked,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Distrust {
    pub source: SourceKey,
    pub at: Time,
    pub reason: DistrustReason,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReleaseReason {
    /// It proved itself: a credentialed REGISTER or INVITE was accepted.
    Accepted,
    /// The kernel contained what no rule may touch: trusted, spared or in its grace.
    Spared,
}

/// End a containment or hold now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    pub source: SourceKey,
    pub at: Time,
    pub reason: ReleaseReason,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AlertKind {
    /// A trusted peer broke a rule in a way that blocks it all the same.
    KnownPeerBlocked,
    /// Phones of a trusted peer fail: old passwords, most likely. Nothing else of it is cut.
    StalePassword {
        accounts: Vec<Account>,
    },
    /// An acceptance after proven failures: the password may have been guessed.
    PossibleBreakIn {
        account: Account,
        failures: u32,
        sources: u32,
    },
    AccountUnderAttack {
        account: Account,
        sources: u32,
    },
    /// Most SIP comes from one private or gateway address: rules don't act on it.
    WorldBehindNat,
    /// A rule broke for an address that is never blocked.
    Spared {
        rule: RuleId,
    },
    /// No room for another trusted peer: this one is treated as a stranger.
    TrustFull,
    /// A log that is only watched tells of a broken rule.
    Watched {
        rule: RuleId,
    },
    /// A trusted peer lost a service that it attacked; its SIP goes on.
    ServiceCut {
        rule: RuleId,
    },
}

/// For people. The same alert about the same source and account comes at most once an hour.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alert {
    pub kind: AlertKind,
    pub at: Time,
    pub source: SourceKey,
    pub source_ip: IpAddr,
    pub endpoint: EndpointId,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    Block(Block),
    Deny(Deny),
    Contain(Contain),
    Quarantine(Quarantine),
    Trust(Trust),
    Distrust(Distrust),
    Release(Release),
    Alert(Alert),
    /// It may not be blocked by rules for days: what is remembered of it must last.
    Remember(SourceKey),
}
