//! The answers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::Network;
use super::{BlockKind, EvidenceView, LearnStatus, PendingView, Scope};
use crate::config::{GeoMode, RuleScope};
use crate::geo::Country;
use crate::store::List;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    pub name: String,
    pub version: String,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    pub version: String,
    /// Every interface is filtered and the mode is enforce.
    pub protected: bool,
    /// What is wrong, in one line each.
    pub problems: Vec<String>,
    /// `learning` while the rules only judge.
    pub mode: String,
    /// Absent when it doesn't learn.
    #[serde(default)]
    pub learning: Option<LearnStatus>,
    pub started_at: i64,
    pub interfaces: Vec<InterfaceView>,
    pub endpoints: Vec<EndpointView>,
    /// The host's, of the services beside SIP.
    #[serde(default)]
    pub guards: Vec<GuardView>,
    pub lists: ListCounts,
    pub events: EventView,
    pub maps: Vec<MapFill>,
    pub store: StoreView,
    pub geo: GeoView,
    #[serde(default)]
    pub logs: Vec<LogView>,
    pub config_files: Vec<String>,
    /// A change that waits for its confirmation.
    #[serde(default)]
    pub pending: Option<PendingView>,
    /// How long a change waits that is yet to be made.
    #[serde(default)]
    pub confirm_within_s: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct InterfaceView {
    pub name: String,
    pub attached: bool,
    /// `native` or `generic`; absent when not attached.
    pub xdp: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EndpointView {
    pub name: String,
    #[schemars(with = "Vec<Network>")]
    pub addresses: Vec<IpNetwork>,
    pub mode: String,
    /// The mode of each guard.
    #[serde(default)]
    pub guards: BTreeMap<String, String>,
    /// What is in force of the keys in which it may differ from the host.
    #[serde(default)]
    pub settings: Vec<EndpointSetting>,
}

/// A key of an endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EndpointSetting {
    pub key: String,
    /// As the file would have it.
    pub value: String,
    /// `endpoint`, or `host` where the endpoint says nothing.
    pub origin: String,
}

/// A guard of a service beside SIP: `dns`, `http`, `ssh` or `tftp`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GuardView {
    pub name: String,
    /// `enforce`, `observe` or `off`.
    pub mode: String,
    /// Those of ssh are found, if nobody names them.
    pub ports: Vec<String>,
    /// New connections or requests a minute of one source, and at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Bytes of an answer over UDP and TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<(u16, u16)>,
}

/// How a log fares that is followed or received.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct LogView {
    pub name: String,
    pub kind: String,
    pub filters: Vec<String>,
    /// Whose file or journal it is, if not the host's own.
    pub endpoint: Option<String>,
    pub mode: String,
    pub lines: u64,
    pub matched: u64,
    /// Too long.
    pub left_out: u64,
    /// From senders that speak for nobody.
    pub refused: u64,
    /// Matched, and lost under load.
    pub lost: u64,
    pub last_line_at: Option<i64>,
    pub error: Option<String>,
}

/// What came of lines that were sent to the API.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Ingested {
    pub lines: u64,
    /// Of these, how many told something.
    pub told: u64,
}

/// How many entries each list has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ListCounts {
    pub allow: u64,
    pub deny: u64,
    pub dynamic: u64,
    pub contained: u64,
    /// /56 and /48 networks that the kernel contains by itself.
    #[serde(default)]
    pub networks_contained: u64,
    pub quarantined: u64,
    pub trust: u64,
}

#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    pub received: u64,
    pub suppressed: u64,
    pub lost: u64,
    /// From the last event's packet to its judgement.
    pub lag_seconds: f64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MapFill {
    pub map: String,
    pub entries: u64,
    pub capacity: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StoreView {
    pub healthy: bool,
    /// What was done to make it usable, or what is wrong with it.
    pub notes: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct GeoView {
    pub available: bool,
    /// As the database calls itself.
    #[serde(default)]
    pub name: Option<String>,
    pub databases: Vec<String>,
    #[serde(default)]
    pub built_at: Option<i64>,
    pub age_days: Option<u64>,
    /// Past half a year.
    #[serde(default)]
    pub old: bool,
    /// Networks are on their way into the kernel: until then nobody more is kept out.
    #[serde(default)]
    pub loading: bool,
    /// Databases that can't be used, a line each.
    #[serde(default)]
    pub problems: Vec<String>,
    /// Of the host and of endpoints that keep countries out.
    #[serde(default)]
    pub policies: Vec<GeoPolicyView>,
    /// Packets dropped so far, by ISO code; `unknown` for addresses in no country.
    #[serde(default)]
    pub drops: BTreeMap<String, u64>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GeoPolicyView {
    /// An endpoint, or `host`.
    pub name: String,
    pub mode: GeoMode,
    pub scope: RuleScope,
    /// ISO codes.
    pub countries: Vec<String>,
    /// Nothing is dropped: it is only counted.
    pub observed: bool,
    /// Until then flows are learned, and what is newly kept out is let in.
    pub learning_until: Option<i64>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GeoData {
    pub country_code: String,
    pub country_name: String,
}

impl From<Country> for GeoData {
    fn from(country: Country) -> Self {
        Self { country_code: country.code().to_owned(), country_name: country.name().to_owned() }
    }
}

/// A list entry; the first five fields are the record that other tools know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    pub ip: String,
    pub note: String,
    pub time: i64,
    pub added_by: String,
    pub geo_data: Option<GeoData>,
    pub list: List,
    pub endpoint: Option<String>,
    pub scope: Scope,
    pub origin: String,
    pub expires_at: Option<i64>,
    /// Another one after each change: what an edit may name.
    #[serde(default)]
    pub version: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Entries {
    pub entries: Vec<Entry>,
    /// That match the query, on all pages.
    pub total: u64,
}

/// A block in force, or what is left of one in the history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BlockView {
    pub source: String,
    pub kind: BlockKind,
    pub port: Option<u16>,
    pub endpoint: Option<String>,
    pub victim: Option<IpAddr>,
    pub scope: Scope,
    /// What an earlier block stops still, beside its own scope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Scope>,
    /// `KIND:signature`.
    pub rule: String,
    pub reason: String,
    pub proven: bool,
    pub started_at: i64,
    pub expires_at: i64,
    pub duration_s: u64,
    pub renewals: u32,
    /// From the packet that broke the limit to the block in the kernel.
    pub reaction_us: Option<u64>,
    pub user_agent: Option<String>,
    pub account: Option<String>,
    pub country: Option<String>,
    pub country_name: Option<String>,
    /// Absent of blocks by hand, and of records of earlier versions.
    pub evidence: Option<EvidenceView>,
    /// It was one too many, and went to the denylist.
    pub escalated: bool,
    pub lifted_at: Option<i64>,
    pub lifted_by: Option<String>,
    /// The kernel did not take it: it is not in force, and is tried again.
    pub refused: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BlocksAnswer {
    pub blocks: Vec<BlockView>,
    /// On all pages.
    #[serde(default)]
    pub total: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TrustAnswer {
    pub trust: Vec<TrustView>,
    /// Those that the query chooses, on no pages.
    pub peers: Vec<PeerView>,
    /// Of `trust`, on all pages.
    #[serde(default)]
    pub total: u64,
}

/// Learned trust.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TrustView {
    pub source: String,
    /// `registered` or `trunk`.
    pub kind: String,
    pub accounts: Vec<String>,
    pub since: i64,
    pub last_seen: i64,
    /// SIP packets a second when it is busiest.
    #[serde(default)]
    pub peak: u32,
    /// And those that it may send at most.
    #[serde(default)]
    pub ceiling: u32,
    pub country: Option<String>,
    /// Where it showed itself since the daemon started.
    #[serde(default)]
    pub endpoints: Vec<String>,
}

/// Trust by the operator's word.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PeerView {
    #[schemars(with = "Network")]
    pub network: IpNetwork,
    /// A ceiling of its own, in packets a second.
    #[serde(default)]
    pub rate: Option<u32>,
    /// `FILE:LINE` of the configuration's; the others were added at run time.
    pub configured_in: Option<String>,
    pub note: String,
    pub added_at: Option<i64>,
    pub added_by: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PeersAnswer {
    pub peers: Vec<PeerView>,
    /// On all pages.
    #[serde(default)]
    pub total: u64,
}

/// Everything about one address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    pub address: IpAddr,
    /// What is counted and blocked with it: the address, or its /64.
    pub source: String,
    pub allowed: bool,
    pub denied: bool,
    pub blocked: bool,
    pub contained: bool,
    pub held: bool,
    /// The network, wider than the source, by which it is contained or held: a /56 or /48.
    #[serde(default)]
    pub wider: Option<String>,
    /// The host only observes, or learns: what the rules and the kernel's own line would do, they don't.
    #[serde(default)]
    pub observed: bool,
    /// Outside lists that only watch, and have it.
    #[serde(default)]
    pub watched_by: Vec<String>,
    pub quarantined_ports: Vec<u16>,
    pub trusted: bool,
    pub peer: bool,
    /// The configured peers that cover it, by file or at run time.
    pub peers: Vec<PeerView>,
    pub never_blocked: bool,
    pub counts: Counts,
    /// Packets dropped, by reason, as far as events told.
    pub drops: BTreeMap<String, u64>,
    /// The block, containment or quarantine in force.
    pub block: Option<BlockView>,
    /// List entries that cover the address.
    pub entries: Vec<Entry>,
    pub accounts: Vec<String>,
    pub user_agent: Option<String>,
    pub country: Option<String>,
    pub country_name: Option<String>,
    /// Dynamic blocks that count towards escalation, and the one that is for good.
    pub blocks_counted: u32,
    pub block_threshold: u32,
    pub grace_until: Option<i64>,
}

#[cfg(test)]
impl Check {
    /// Of an address of which nothing is known.
    pub fn nothing(address: IpAddr, source: &str) -> Self {
        Self {
            address,
            source: source.to_owned(),
            allowed: false,
            denied: false,
            blocked: false,
            contained: false,
            held: false,
            wider: None,
            observed: false,
            watched_by: Vec::new(),
            quarantined_ports: Vec::new(),
            trusted: false,
            peer: false,
            peers: Vec::new(),
            never_blocked: false,
            counts: Counts::default(),
            drops: Default::default(),
            block: None,
            entries: Vec::new(),
            accounts: Vec::new(),
            user_agent: None,
            country: None,
            country_name: None,
            blocks_counted: 0,
            block_threshold: 5,
            grace_until: None,
        }
    }
}

/// What the kernel counted of a source since it began to look at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    pub sip: u64,
    pub register: u64,
    pub credentialed: u64,
    pub dropped: u64,
}

/// Something that people were told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AlertView {
    pub at: i64,
    pub source: String,
    /// `possible-break-in` and so on, as in metrics.
    pub kind: String,
    pub endpoint: Option<String>,
    pub what: String,
    pub accounts: Vec<String>,
}

/// A list that others keep.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BlocklistView {
    pub name: String,
    /// File or URL.
    pub source: String,
    pub mode: String,
    /// That are taken in.
    pub entries: u64,
    /// Left out, for they are private, the host's own, a peer's or allowed.
    pub spared: u64,
    pub too_wide: u64,
    /// Lines that are no entry.
    pub unreadable: u64,
    pub read_at: Option<i64>,
    pub expires_at: Option<i64>,
    /// Why it could not be read again.
    pub problem: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BlocklistsAnswer {
    pub blocklists: Vec<BlocklistView>,
    /// On all pages.
    #[serde(default)]
    pub total: u64,
}

/// A change that was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    pub done: bool,
    /// One line for people.
    pub message: String,
    /// Its record in the audit log, by which it can be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<u64>,
}

impl Done {
    pub fn new(message: impl Into<String>) -> Self {
        Self { done: true, message: message.into(), audit: None }
    }

    /// What would be done.
    pub fn said(message: impl Into<String>) -> Self {
        Self { done: false, ..Self::new(message) }
    }
}

/// The English name of a country code.
pub fn country_name(code: &str) -> Option<String> {
    Country::from_code(code).map(|country| country.name().to_owned())
}
