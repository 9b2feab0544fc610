//! What is going on right now. Everything is a count since some start: whoever asks twice has rates.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EventView, ListCounts, LiveEvent};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Top {
    /// Milliseconds of a clock that nobody sets.
    pub at_ms: u64,
    pub host: String,
    pub version: String,
    pub protected: bool,
    pub mode: String,
    pub problems: Vec<String>,
    pub interfaces: Vec<TopInterface>,
    /// Of all endpoints and of the host.
    pub traffic: Traffic,
    pub lists: ListCounts,
    pub events: EventView,
    /// The host's own last, as `host`.
    pub endpoints: Vec<TopEndpoint>,
    /// Who attacked last first.
    pub attackers: Vec<TopAttacker>,
    /// Most SIP comes from this one address, a gateway or private: no rule acts on it.
    pub gateway: Option<String>,
    /// The last changes, the oldest first.
    pub latest: Vec<LiveEvent>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopInterface {
    pub name: String,
    /// `native` or `generic`; absent when not attached.
    pub xdp: Option<String>,
    /// As the interface counts them, dropped ones included where XDP is native.
    pub received: u64,
}

/// Packets.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    pub passed: u64,
    /// Of those: requests and answers on SIP ports.
    pub sip: u64,
    pub dropped: u64,
    /// That only would have been dropped.
    pub observed: u64,
    /// Dropped ones by reason.
    pub drops: BTreeMap<String, u64>,
}

impl Traffic {
    pub fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.sip += other.sip;
        self.dropped += other.dropped;
        self.observed += other.observed;
        for (reason, count) in &other.drops {
            *self.drops.entry(reason.clone()).or_default() += count;
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopEndpoint {
    pub name: String,
    pub mode: String,
    pub traffic: Traffic,
    /// Blocks, containments and quarantines in force for attacks on it.
    pub blocks: u64,
}

/// Somebody who is cut off, or whose packets were dropped lately, or would have been.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopAttacker {
    pub source: String,
    pub country: Option<String>,
    /// That it attacked last.
    pub endpoint: Option<String>,
    /// `blocked`, `contained`, `quarantined`, `dropped` packet by packet; `spared` while the host only observes or
    /// learns: it would be one of these.
    pub state: String,
    /// The rule that was broken (`KIND:signature`), or why packets are dropped.
    pub reason: String,
    pub user_agent: Option<String>,
    /// Packets as the kernel counts them, or those that events told of.
    pub dropped: u64,
    /// When something of it was dropped, or it was cut off, last.
    pub last: i64,
    pub expires_at: Option<i64>,
}
