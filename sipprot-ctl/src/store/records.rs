//! What is kept: the records, their keys, and the changes that can be made to them.
//!
//! Times are wall time; nothing here is a monotonic clock. The JSON of these types is what the
//! database and the export hold, so a field that is added needs `#[serde(default)]`.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::{SessionRecord, TokenRecord, UserRecord};
use super::audit::{Audited, IntentRecord};
use super::noted::{AlertRecord, LearningRecord, PendingRecord};
use super::notices::{DeliveryRecord, NoticeState};
use crate::config::Scope;
use crate::rules::{Learned, Method, Peak, Proof};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum List {
    Allow,
    Deny,
}

/// How an entry came onto its list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Added by hand, one at a time.
    Manual,
    /// Read from a file by hand.
    Import,
    /// The last of the dynamic blocks that the block threshold allows.
    Escalation,
    /// A followed file or URL.
    Feed,
    /// Another host's proven attacker.
    Fleet,
}

/// An entry of the allowlist or the denylist.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListEntry {
    pub network: IpNetwork,
    pub list: List,
    /// The endpoint whose list it is; `None` is the host's.
    #[serde(default)]
    pub endpoint: Option<String>,
    pub note: String,
    pub added_at: Timestamp,
    pub added_by: String,
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    pub scope: Scope,
    pub origin: Origin,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ListKey {
    pub list: List,
    pub network: IpNetwork,
    #[serde(default)]
    pub endpoint: Option<String>,
}

impl ListEntry {
    pub fn key(&self) -> ListKey {
        ListKey { list: self.list, network: self.network, endpoint: self.endpoint.clone() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// A dynamic block, on proven failures.
    Dynamic,
    /// SIP held back but for a trickle, without proof.
    Containment,
    /// One source port of a trusted source.
    Quarantine,
}

/// Who lifted a block by hand, and when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lifted {
    pub at: Timestamp,
    pub by: String,
}

/// One packet that counted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PacketRecord {
    pub at: Timestamp,
    /// The source's.
    pub port: u16,
    /// None where it wasn't SIP.
    #[serde(default)]
    pub method: Option<Method>,
    /// Of the answer.
    #[serde(default)]
    pub status: Option<u16>,
    #[serde(default)]
    pub account: Option<String>,
    #[serde(default)]
    pub user_agent: Option<String>,
    pub proof: Proof,
    /// The log's, where it was one that told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

/// What a rule was broken by, and the rule as it was then.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EvidenceRecord {
    pub count: u32,
    #[serde(default)]
    pub limit: Option<u32>,
    #[serde(default)]
    pub window_s: Option<u64>,
    /// The oldest that is known; `evidence_first` may be earlier.
    pub first: PacketRecord,
    pub last: PacketRecord,
    /// Distinct ones, the last first.
    #[serde(default)]
    pub accounts: Vec<String>,
}

/// A block in force, and afterwards its row of the history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockRecord {
    pub source: IpNetwork,
    pub kind: BlockKind,
    /// The quarantined source port.
    #[serde(default)]
    pub port: Option<u16>,
    /// Whether the block holds for `endpoint` alone and not for the host.
    #[serde(default)]
    pub endpoint_only: bool,
    /// The endpoint that was attacked.
    pub endpoint: Option<String>,
    /// The attacked address.
    pub victim: Option<IpAddr>,
    pub started_at: Timestamp,
    pub expires_at: Timestamp,
    /// The length that each renewal starts again.
    pub duration_s: u64,
    pub scope: Scope,
    /// What an earlier block stops still, beside its own scope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Scope>,
    /// `KIND:signature`, such as `BRUTEFORCE:register` or `SCANNER:friendly-scanner`.
    pub rule: String,
    /// For people.
    pub reason: String,
    #[serde(default)]
    pub user_agent: Option<String>,
    #[serde(default)]
    pub account: Option<String>,
    /// ISO code.
    #[serde(default)]
    pub country: Option<String>,
    pub proven: bool,
    pub evidence_first: Timestamp,
    pub evidence_last: Timestamp,
    /// Absent of blocks by hand, and in records of earlier versions.
    #[serde(default)]
    pub evidence: Option<EvidenceRecord>,
    #[serde(default)]
    pub renewals: u32,
    /// From the packet that broke the limit to the block in the kernel.
    #[serde(default)]
    pub reaction_us: Option<u64>,
    /// It was one too many, and went to the denylist.
    #[serde(default)]
    pub escalated: bool,
    #[serde(default)]
    pub lifted: Option<Lifted>,
    /// The kernel did not take it: it is not in force, and is tried again.
    #[serde(default)]
    pub refused: bool,
}

/// What can be blocked once at a time.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct BlockKey {
    pub source: IpNetwork,
    /// Of a quarantine.
    #[serde(default)]
    pub port: Option<u16>,
    /// Of a block that holds for this endpoint alone.
    #[serde(default)]
    pub endpoint: Option<String>,
}

impl BlockRecord {
    pub fn key(&self) -> BlockKey {
        let endpoint = self.endpoint.clone().filter(|_| self.endpoint_only);
        BlockKey { source: self.source, port: self.port, endpoint }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustKind {
    /// Accepted registrations or calls with credentials.
    Registration,
    /// It accepted what an endpoint sent to it.
    Trunk,
    /// Named by the operator.
    Configured,
}

/// Why an address is a trusted peer, or may not become one yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrustRecord {
    pub address: IpAddr,
    pub kind: TrustKind,
    #[serde(default)]
    pub endpoint: Option<String>,
    #[serde(default)]
    pub account: Option<String>,
    pub since: Timestamp,
    pub last_seen: Timestamp,
    /// After a possible break-in.
    #[serde(default)]
    pub no_new_trust_until: Option<Timestamp>,
    /// Source ports that were used with success: by this account alone, or (of the peer itself) by
    /// several accounts or by none.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Of the peer itself.
    #[serde(default)]
    pub peak: Peak,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct TrustKey {
    pub address: IpAddr,
    pub kind: TrustKind,
    #[serde(default)]
    pub endpoint: Option<String>,
    #[serde(default)]
    pub account: Option<String>,
}

impl TrustRecord {
    pub fn key(&self) -> TrustKey {
        TrustKey {
            address: self.address,
            kind: self.kind,
            endpoint: self.endpoint.clone(),
            account: self.account.clone(),
        }
    }
}

/// A peer that the operator trusts, told at run time; those of the configuration are not here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeerRecord {
    pub network: IpNetwork,
    /// A ceiling of its own, in packets a second.
    #[serde(default)]
    pub rate: Option<u32>,
    pub note: String,
    pub added_at: Timestamp,
    pub added_by: String,
}

/// What escalation remembers of a source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceStanding {
    pub source: IpNetwork,
    /// The dynamic blocks that still count.
    pub blocks: Vec<Timestamp>,
    /// The containments that still count, where unproven sources escalate.
    #[serde(default)]
    pub containments: Vec<Timestamp>,
    /// The last login by ssh: no rule blocks it for a while.
    #[serde(default)]
    pub login_at: Option<Timestamp>,
    /// No new block before this, after an unblock by hand.
    #[serde(default)]
    pub grace_until: Option<Timestamp>,
    /// No new trust before this, after trust was revoked.
    #[serde(default)]
    pub distrusted_until: Option<Timestamp>,
    /// Accounts that may have been broken into from here.
    #[serde(default)]
    pub suspects: Vec<SuspectRecord>,
}

/// An account after a possible break-in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SuspectRecord {
    pub account: String,
    pub no_new_trust_until: Timestamp,
}

/// What one source tried against one address on one day (UTC), for the report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AttackRecord {
    pub day: Date,
    /// 0.0.0.0/0 stands for all sources past the day's bound.
    pub source: IpNetwork,
    /// `KIND:signature`.
    pub method: String,
    pub victim: Option<IpAddr>,
    #[serde(default)]
    pub endpoint: Option<String>,
    /// ISO code.
    #[serde(default)]
    pub country: Option<String>,
    /// The last one that was seen.
    #[serde(default)]
    pub user_agent: Option<String>,
    pub drops: u64,
    /// Packets that would have been dropped, had the protection not only observed.
    #[serde(default)]
    pub observed: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

/// Which boot the kernel's clock values in the maps belong to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClockBase {
    pub boot_id: String,
    /// Wall time at the monotonic clock's zero.
    pub booted_at: Timestamp,
}

/// One change; several make a batch that happens as a whole or not at all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "changes live for one batch, and blocks are what comes in numbers"
)]
pub enum Change {
    /// Adds an entry, or replaces the one with its key.
    PutList(ListEntry),
    RemoveList(ListKey),
    /// Puts a block in force and into the history, or renews it there (by `started_at`).
    PutBlock(BlockRecord),
    /// A block's end by itself; its row of the history stays as it is.
    EndBlock(BlockKey),
    /// A block's end by hand, noted in the history.
    LiftBlock {
        key: BlockKey,
        lifted: Lifted,
    },
    /// The lift of what had left the blocks for the denylist, noted in the history.
    NoteLift {
        key: BlockKey,
        started_at: Timestamp,
        lifted: Lifted,
    },
    PutTrust(TrustRecord),
    RemoveTrust(TrustKey),
    PutPeer(PeerRecord),
    RemovePeer(IpNetwork),
    PutStanding(SourceStanding),
    RemoveStanding(IpNetwork),
    /// Adds drops to the day's row.
    AddAttack(AttackRecord),
    AddAlert(AlertRecord),
    PutLearning(LearningRecord),
    PutLearned(Learned),
    /// All of it is forgotten.
    RemoveLearning,
    PutPending(PendingRecord),
    RemovePending,
    PutUser(UserRecord),
    RemoveUser(String),
    PutToken(TokenRecord),
    RemoveToken(String),
    PutSession(SessionRecord),
    /// By its hash.
    RemoveSession(String),
    /// A message on its way to somebody, or what became of it.
    PutDelivery(Box<DeliveryRecord>),
    RemoveDelivery(u64),
    PutNotices(Box<NoticeState>),
    PutClockBase(ClockBase),
    /// Changes that somebody asked for, with their record in the audit log.
    Audited(Box<Audited>),
    /// Records of the audit log past a number, and from before a time, go.
    TrimAudit {
        records_max: u64,
        before: Timestamp,
    },
    /// Rows of reports, which are attacks and past blocks, past a number, and from before a time, go.
    /// So do the alerts.
    TrimReport {
        rows_max: u64,
        before: Timestamp,
    },
    PutIntent(IntentRecord),
    RemoveIntent,
}
