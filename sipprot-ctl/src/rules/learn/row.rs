//! What learning keeps: consequences that did not happen, and what was seen of sources and endpoints.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sipprot_common::source::SourceKey;

use super::tally::Tallies;
use crate::rules::account::Account;
use crate::rules::decision::Evidence;
use crate::rules::observation::EndpointId;
use crate::rules::rule::RuleId;
use crate::rules::table::Warmth;
use crate::rules::time::Time;

/// What would have become of a source.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum WouldBe {
    Denied,
    Blocked,
    Contained,
    /// By the kernel alone, for a minute.
    Held,
    Quarantined,
    /// Single packets.
    Dropped,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    Rule(RuleId),
    /// More packets a second than one source may send.
    Ceiling,
}

/// A consequence that did not happen, as often as it didn't.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Would {
    pub source_ip: IpAddr,
    pub what: WouldBe,
    pub cause: Cause,
    /// Of a quarantine.
    pub port: Option<u16>,
    pub endpoint: EndpointId,
    pub victim: IpAddr,
    pub proven: bool,
    /// The source was trusted.
    pub known_peer: bool,
    pub count: u64,
    pub first: Time,
    pub last: Time,
    /// Of the last one.
    pub evidence: Evidence,
}

impl Would {
    pub fn source(&self) -> SourceKey {
        SourceKey::from(self.source_ip)
    }

    pub(super) fn key(&self) -> (SourceKey, WouldBe, Cause) {
        (self.source(), self.what, self.cause)
    }
}

impl Warmth for Would {
    /// What is proven, and what befell a peer, matters more than what anyone can forge.
    fn warmth(&self) -> (u8, Time) {
        (u8::from(self.proven) + 2 * u8::from(self.known_peer), self.last)
    }
}

/// What was seen of a source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seen {
    pub source_ip: IpAddr,
    /// Accepted with a password from here; as many as are named.
    pub accounts: Vec<Account>,
    /// Calls that were accepted without a password.
    pub calls: u32,
    /// It answered what an endpoint sent to it.
    pub trunk: bool,
    /// An acceptance here may have been a break-in.
    pub suspect: bool,
    pub last: Time,
    /// The most failures by each rule within its window.
    pub reached: Vec<(RuleId, u32)>,
    #[serde(skip)]
    pub(super) tallies: Tallies,
}

impl Seen {
    pub(super) fn new(source_ip: IpAddr) -> Self {
        Self {
            source_ip,
            accounts: Vec::new(),
            calls: 0,
            trunk: false,
            suspect: false,
            last: Time(0),
            reached: Vec::new(),
            tallies: Tallies::default(),
        }
    }

    /// Whether it showed that it belongs here.
    pub fn is_customer(&self) -> bool {
        self.trunk || (!self.accounts.is_empty() && !self.suspect)
    }

    pub fn reached(&self, rule: RuleId) -> u32 {
        self.reached.iter().find(|(known, _)| *known == rule).map_or(0, |(_, count)| *count)
    }
}

impl Warmth for Seen {
    fn warmth(&self) -> (u8, Time) {
        (u8::from(self.is_customer() || self.calls > 0), self.last)
    }
}

/// SIP requests of all sources to one endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct EndpointPeak {
    /// A second, when it is busiest.
    pub requests: u32,
    /// Packets that would have been dropped, by whatever protection.
    pub drops: u64,
}

impl Seen {
    /// Single failures of strangers are not worth a row.
    pub(super) fn matters(&self) -> bool {
        self.is_customer() || self.suspect || self.calls > 0
    }
}
