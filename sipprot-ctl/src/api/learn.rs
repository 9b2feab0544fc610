//! What `learn` is asked, and what it answers.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::nobody;
use super::schema::Network;
use super::why::EvidenceView;
use crate::rules::WouldBe;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnStart {
    #[serde(default = "a_week")]
    pub days: u32,
    #[serde(default = "nobody")]
    pub by: String,
}

const fn a_week() -> u32 {
    7
}

/// Which parts of the proposal to take; all of them if none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnAccept {
    #[serde(default)]
    pub peers: bool,
    #[serde(default)]
    pub limits: bool,
    /// Ends learning, and enforces.
    #[serde(default)]
    pub enforce: bool,
    /// Proposed peers that are only taken by name.
    #[serde(default)]
    #[schemars(with = "Vec<Network>")]
    pub also: Vec<IpNetwork>,
    /// Tell what would be changed, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
    #[serde(default = "nobody")]
    pub by: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LearnState {
    /// Nothing was ever learned, or it was discarded.
    Never,
    Learning,
    /// Its time is over; it goes on until the proposal is accepted or learning is stopped.
    Ready,
    Stopped,
    Accepted,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LearnStatus {
    pub state: LearnState,
    pub started_at: Option<i64>,
    /// When the proposal is no longer preliminary.
    pub until: Option<i64>,
    pub ended_at: Option<i64>,
    pub started_by: Option<String>,
    /// Sources that enforcing would have cut off.
    pub sources: u64,
    /// Of them, those that turned out to be customers.
    pub customers: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LearnProposal {
    #[serde(flatten)]
    pub status: LearnStatus,
    /// Learning goes on, and its time is not over.
    pub preliminary: bool,
    pub mode: Option<ModeChange>,
    pub peers: Vec<ProposedPeer>,
    pub limits: Vec<ProposedLimit>,
    /// What would have been done, customers first.
    pub would: Vec<WouldView>,
    /// Consequences for which there was no room.
    pub left_out: u64,
    /// Trusted sources by how busy they were.
    pub trusted: Vec<SourcePeak>,
    pub endpoints: Vec<EndpointLoad>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ModeChange {
    pub now: String,
    pub proposed: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProposedPeer {
    #[schemars(with = "Network")]
    pub network: IpNetwork,
    /// `trunk`, `office` or `caller`.
    pub kind: String,
    pub accounts: u64,
    pub calls: u64,
    /// Packets a second when it is busiest, if it is trusted.
    pub peak: u32,
    /// Taken with all others; else only by name.
    pub advised: bool,
    pub why: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProposedLimit {
    /// Of the configuration, such as `rules.register_limit`.
    pub key: String,
    pub now: u32,
    pub proposed: u32,
    /// What a customer reached, and who.
    pub reached: u32,
    pub source: String,
    pub why: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WouldView {
    pub source: String,
    pub what: WouldBe,
    /// `KIND:signature`.
    pub rule: String,
    pub proven: bool,
    /// It showed that it belongs here, before or afterwards.
    pub customer: bool,
    /// An account was accepted after many failures: a customer, or a guesser with luck.
    pub suspect: bool,
    pub count: u64,
    pub first: i64,
    pub last: i64,
    pub endpoint: Option<String>,
    pub victim: IpAddr,
    pub port: Option<u16>,
    pub account: Option<String>,
    pub user_agent: Option<String>,
    /// Of the last time.
    pub evidence: EvidenceView,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SourcePeak {
    pub source: String,
    pub peak: u32,
    pub ceiling: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EndpointLoad {
    pub endpoint: String,
    /// SIP requests a second of all sources, when it is busiest.
    pub requests: u32,
    /// Packets that enforcing would have dropped.
    pub drops: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// False if it was only asked for.
    pub done: bool,
    /// One line each.
    pub changes: Vec<String>,
    /// How to take each back.
    pub undo: Vec<String>,
}
