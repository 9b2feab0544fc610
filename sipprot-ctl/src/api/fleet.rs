//! The fleet as the API tells it: a host's part of it, and what the hub knows and is told.

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::nobody;
use super::schema::Network;
use crate::fleet::Refusal;
use crate::fleet::curation::State;

/// What this daemon is of a fleet: a host, the hub, or nothing.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct FleetAnswer {
    /// `host`, `hub` or `none`.
    pub role: String,
    /// Whether a hub answers here: this is one, or one runs beside the daemon (`fleet.hub`).
    #[serde(default)]
    pub hub: bool,
    pub connected: bool,
    /// Of the blocklist.
    pub generation: u64,
    pub revision: u64,
    /// In the list, and of these not in force here, for they are spared.
    pub entries: u64,
    pub spared: u64,
    /// A host's name, mode, and reports that wait to be sent.
    pub name: Option<String>,
    pub mode: Option<String>,
    pub waiting: u64,
    /// The hub's: who decides, sources by what was decided, hosts, and those of which nothing is heard.
    pub spread: Option<String>,
    pub sources: BTreeMap<String, u64>,
    pub hosts: u64,
    pub silent: Vec<String>,
    #[schemars(with = "Vec<Network>")]
    pub protected: Vec<IpNetwork>,
    /// What was not taken, by why.
    pub refused: BTreeMap<Refusal, u64>,
    /// The last of it.
    pub last_refused: Vec<RefusedView>,
    pub problem: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RefusedView {
    pub at: i64,
    pub host: String,
    pub why: Refusal,
    pub source: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FleetHosts {
    pub hosts: Vec<FleetHost>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FleetHost {
    pub name: String,
    /// `protected`, `unprotected`, `silent`, `unheard` (never heard of) or `revoked`.
    pub health: String,
    /// What is wrong, in one line each.
    pub problems: Vec<String>,
    pub version: String,
    pub mode: String,
    /// Name, and `native`, `generic` or `gone`.
    pub interfaces: Vec<(String, String)>,
    /// Sources blocked since it started.
    pub attacks: u64,
    pub lag_seconds: f64,
    pub fullest_map: Option<String>,
    pub fullest_percent: Option<u8>,
    /// Of the blocklist; `behind` by so many revisions.
    pub revision: u64,
    pub behind: u64,
    pub entries: u64,
    pub spared: u64,
    /// Reports taken from it, and those that wait there.
    pub reports: u64,
    pub waiting: u64,
    /// By the hub, of what it sent.
    pub refused: BTreeMap<Refusal, u64>,
    pub heard_at: Option<i64>,
    /// What it wants spared: its own addresses, its operators', its trunks.
    #[schemars(with = "Vec<Network>")]
    pub spare: Vec<IpNetwork>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FleetSources {
    pub sources: Vec<FleetSource>,
    /// On all pages.
    pub total: u64,
    /// Networks of which several sources are proven: to be looked at, never listed by themselves.
    pub networks: Vec<FleetNetwork>,
    /// Accounts that several sources attack, of hosts that tell names.
    pub accounts: Vec<FleetAccount>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FleetSource {
    pub source: String,
    pub state: State,
    pub rule: String,
    /// At least one host proved it.
    pub proven: bool,
    pub hosts: Vec<FleetEvidence>,
    pub count: u64,
    pub first: i64,
    pub last: i64,
    pub user_agent: Option<String>,
    /// ISO code: of the hub's database, or as a host had it.
    pub country: Option<String>,
    /// Who runs its network, of the hub's database of autonomous systems, where one is there.
    #[serde(default)]
    pub owner: Option<String>,
    pub endpoint: Option<String>,
    pub account: Option<String>,
    /// Listed until then.
    pub until: Option<i64>,
    pub judged_at: Option<i64>,
    pub judged_by: Option<String>,
    pub note: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FleetEvidence {
    pub host: String,
    /// `proven` or `contained`.
    pub grade: String,
    pub count: u32,
    pub first: i64,
    pub last: i64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FleetNetwork {
    pub network: String,
    /// Proven ones in it.
    pub sources: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FleetAccount {
    pub account: String,
    pub sources: u64,
    pub hosts: u64,
}

/// Which sources, and which page of them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FleetQuery {
    /// All of them otherwise.
    #[serde(default)]
    pub state: Option<State>,
    /// Those that nobody proved, too.
    #[serde(default)]
    pub unproven: bool,
    /// That hold or lie in it.
    #[serde(default)]
    #[schemars(with = "Option<Network>")]
    pub covers: Option<IpNetwork>,
    #[serde(default)]
    pub offset: Option<u64>,
    /// 100 otherwise; at most 10,000.
    #[serde(default)]
    pub limit: Option<u64>,
}

/// Decisions, the last one first, and how many there are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FleetLog {
    pub decisions: Vec<FleetDecision>,
    pub total: u64,
}

/// What somebody decided at the hub. It is kept with the decision, or neither is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FleetDecision {
    pub number: u64,
    /// Unix seconds.
    pub at: i64,
    pub by: String,
    /// `approve`, `reject`, `recall`, `protect` or `unprotect`.
    pub what: String,
    /// The network that is protected or isn't any more.
    #[serde(default)]
    pub network: Option<String>,
    /// What became of which source.
    pub sources: Vec<FleetJudged>,
    #[serde(default)]
    pub note: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FleetJudged {
    pub source: String,
    /// `None` if it wasn't known.
    pub before: Option<State>,
    pub after: Option<State>,
}

/// Which page of the decisions.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FleetLogQuery {
    #[serde(default)]
    pub offset: Option<u64>,
    /// 100 otherwise; at most 1,000.
    #[serde(default)]
    pub limit: Option<u64>,
}

/// What is to become of sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Spread it.
    Approve,
    /// Don't, whoever reports it.
    Reject,
    /// Take it back from all hosts.
    Recall,
}

impl Judgement {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Recall => "recall",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FleetJudge {
    pub judgement: Judgement,
    #[schemars(with = "Vec<Network>")]
    pub sources: Vec<IpNetwork>,
    /// Of an approval; as the hub is set otherwise.
    #[serde(default)]
    pub expires_in_s: Option<u64>,
    #[serde(default)]
    pub note: String,
    #[serde(default = "nobody")]
    pub by: String,
}

/// A network of which nothing is to be spread.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FleetProtect {
    #[schemars(with = "Network")]
    pub network: IpNetwork,
    /// It is protected no more.
    #[serde(default)]
    pub lift: bool,
    #[serde(default)]
    pub note: String,
    #[serde(default = "nobody")]
    pub by: String,
}
