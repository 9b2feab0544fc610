//! The answer to `why`: one address, and all that speaks for or against it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WouldView;
use super::answers::{AlertView, BlockView, Entry, PeerView, TrustView};
use crate::rules::{Method, Proof};

/// What becomes of an address's packets, the first that holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Allowed,
    Denied,
    Blocked,
    Contained,
    /// By the kernel alone, for a minute.
    Held,
    /// Its country is shut out.
    Country,
    /// One or more of its source ports are; the others pass.
    Quarantined,
    Trusted,
    Nothing,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    pub address: IpAddr,
    /// What is counted and blocked with it: the address, or its /64.
    pub source: String,
    pub verdict: Verdict,
    /// The verdict in one sentence.
    pub sentence: String,
    /// When the verdict ends by itself, if it does.
    pub ends_at: Option<i64>,
    /// The command that undoes it.
    pub undo: Option<String>,
    /// What is in force, the gravest first.
    pub blocks: Vec<BlockView>,
    /// What led to the denylist.
    pub escalation: Option<BlockView>,
    /// List entries that cover it.
    pub entries: Vec<Entry>,
    /// Learned trust.
    pub trust: Option<TrustView>,
    pub peers: Vec<PeerView>,
    pub never_blocked: bool,
    /// What counts against it right now.
    pub windows: Vec<WindowView>,
    /// The last failures that were seen of it, blocked for or not.
    pub failures: Option<EvidenceView>,
    /// Packets dropped, by reason, as far as events told.
    pub drops: BTreeMap<String, u64>,
    pub blocks_counted: u32,
    pub block_threshold: u32,
    pub grace_until: Option<i64>,
    pub country: Option<String>,
    pub country_name: Option<String>,
    /// Whether the host only observes: nothing is dropped.
    pub observed: bool,
    /// What was told of it, the newest first.
    #[serde(default)]
    pub alerts: Vec<AlertView>,
    /// What enforcing would have done to it, while the host learns or since it did.
    #[serde(default)]
    pub would: Vec<WouldView>,
    /// The newest first.
    pub timeline: Vec<Moment>,
    /// Whether the past has more than the timeline.
    pub timeline_cut: bool,
}

/// What a rule was broken by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceView {
    pub count: u32,
    /// Of the rule as it was then.
    pub limit: Option<u32>,
    pub window_s: Option<u64>,
    pub first: PacketView,
    pub last: PacketView,
    /// Distinct ones, at most eight.
    pub accounts: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PacketView {
    pub at_ms: i64,
    /// The source's.
    pub port: u16,
    pub method: Option<Method>,
    /// Of the answer.
    pub status: Option<u16>,
    pub account: Option<String>,
    pub user_agent: Option<String>,
    pub proof: Proof,
    /// The proof in words.
    pub proven_by: String,
    /// The log's, where it was one that told of it.
    #[serde(default)]
    pub line: Option<String>,
}

/// How far it is from breaking a rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WindowView {
    /// `KIND:signature`.
    pub rule: String,
    /// What is counted, in words.
    pub counts: String,
    pub count: u32,
    pub proven: u32,
    pub limit: u32,
    pub window_s: u64,
}

#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MomentKind {
    Blocked,
    Contained,
    Quarantined,
    Escalated,
    Alerted,
    /// By itself.
    Ended,
    /// By hand.
    Lifted,
    Listed,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Moment {
    pub at: i64,
    pub kind: MomentKind,
    /// For people.
    pub what: String,
}
